/* Where one msgpack object ends, found as its bytes arrive: the RPC sends objects back to back with no
 * length in front. Used by the agent's server and by the command line's client. */
#ifndef KI_AGENT_RPC_FRAME_H
#define KI_AGENT_RPC_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mpack.h>

enum ki_rpc_frame_state {
    KI_RPC_FRAME_MORE,  /* the object goes on: call again with more bytes */
    KI_RPC_FRAME_WHOLE, /* the object is `scanned` bytes long */
    KI_RPC_FRAME_BAD,   /* no msgpack */
    KI_RPC_FRAME_LARGE  /* an object that cannot fit the limit */
};

struct ki_rpc_frame {
    mpack_tokbuf_t tokens;
    uint64_t missing; /* objects that must still come */
    uint64_t chunk;   /* bytes of the current string that must still come */
    size_t scanned;   /* bytes seen of the object */
    size_t limit;     /* bytes an object may have */
};

/* Starts at an object's first byte. */
void ki_rpc_frame_start(struct ki_rpc_frame *frame, size_t limit);

/* Looks at more of the object.  `object` begins at its first byte, of which `scanned` were seen before. */
enum ki_rpc_frame_state ki_rpc_frame_scan(struct ki_rpc_frame *frame, const uint8_t *object,
                                          size_t len);

#endif
