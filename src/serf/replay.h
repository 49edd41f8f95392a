/* Past user events, kept to be told in full exchanges, as Serf's event buffer is (PROTOCOL.md "user events"). */
#ifndef KI_REPLAY_H
#define KI_REPLAY_H

#include "base/mem.h"

#define KI_REPLAY_COUNT 512         /* Serf's buffer */
#define KI_REPLAY_BYTES (96u << 10) /* a full exchange carries all of it */

struct ki_replay_event {
    struct ki_replay_event *next;
    uint64_t ltime;
    uint32_t name_len, payload_len, len; /* and of all, with kith's mark behind them */
    uint8_t bytes[];
};

struct ki_replay {
    struct ki_mem *mem;
    struct ki_replay_event *first, *last;
    uint32_t count;
    size_t bytes;
};

void ki_replay_free(struct ki_replay *replay);
/* Keeps an event; the oldest make room.  Without memory, or if it is larger than all of the room, it is not kept: gossip
 * has it. */
void ki_replay_keep(struct ki_replay *replay, uint64_t ltime, struct ki_span name, struct ki_span payload,
                    struct ki_span mark);

#endif
