/* The last user events, in the order in which they came, up to a count and a number of bytes.
 *
 * Whoever joins and asks for a replay, and whoever missed some while it was cut off, gets them with a full exchange; what it
 * has it knows by Lamport time and content (seen.h).
 *
 * Invariant: count and bytes are those of the list, and within their limits.
 * Deliberately not here: the form in which they are told. */
#include "serf/replay.h"

#include "base/bytes.h"

static void replay_drop_first(struct ki_replay *replay)
{
    struct ki_replay_event *event = replay->first;
    replay->first = event->next;
    if (!event->next)
        replay->last = NULL;
    replay->count--;
    replay->bytes -= sizeof *event + event->len;
    ki_mem_free(replay->mem, event);
}

void ki_replay_free(struct ki_replay *replay)
{
    while (replay->first)
        replay_drop_first(replay);
}

void ki_replay_keep(struct ki_replay *replay, uint64_t ltime, struct ki_span name, struct ki_span payload,
                    struct ki_span mark)
{
    size_t len = name.len + payload.len + mark.len;
    if (sizeof(struct ki_replay_event) + len > KI_REPLAY_BYTES)
        return;
    struct ki_replay_event *event = ki_mem_resize(replay->mem, NULL, sizeof *event + len);
    if (!event)
        return;
    *event = (struct ki_replay_event){.ltime = ltime,
                                      .name_len = (uint32_t)name.len,
                                      .payload_len = (uint32_t)payload.len,
                                      .len = (uint32_t)len};
    struct ki_writer w = ki_writer(event->bytes, len);
    ki_put(&w, name.ptr, name.len);
    ki_put(&w, payload.ptr, payload.len);
    ki_put(&w, mark.ptr, mark.len);
    *(replay->last ? &replay->last->next : &replay->first) = event;
    replay->last = event;
    replay->count++;
    replay->bytes += sizeof *event + len;
    while (replay->count > KI_REPLAY_COUNT || replay->bytes > KI_REPLAY_BYTES)
        replay_drop_first(replay);
}
