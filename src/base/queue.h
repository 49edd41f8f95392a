/* The transmit-limited broadcast queue (SWIM section 4.1; memberlist's rules): news rides on datagrams
 * until it has been sent `limit` times.  Order: fewest transmissions first, then larger first, then
 * newest first.  A piece of news may carry a subject (a member's index): newer news about a subject
 * replaces the older.
 *
 * Bounded: when full, the most-transmitted piece makes room (the oldest among equals); it is counted
 * as dropped. */
#ifndef KI_QUEUE_H
#define KI_QUEUE_H

#include "base/map.h"
#include "base/mem.h"

#define KI_SUBJECT_NONE UINT32_MAX
#define KI_NEWS_LEN_MAX UINT16_MAX /* no datagram is longer */

struct ki_news {
    uint64_t id;     /* order of arrival, from 1 */
    uint64_t ticket; /* whom to tell when it has left the queue; 0: nobody */
    uint32_t subject;
    uint32_t sent; /* transmissions so far */
    uint32_t most; /* of them; 0: as many as of all */
    uint32_t len;
    uint8_t bytes[];
};

struct ki_queue_entry; /* a place in the order */

union ki_queue_slot {
    struct ki_news *news;
    size_t next_free; /* index of the next free slot, SIZE_MAX: none */
};

struct ki_queue {
    struct ki_mem *mem;
    size_t count;     /* pieces waiting */
    size_t max;       /* pieces */
    uint64_t dropped; /* pieces lost because the queue was full */

    struct ki_queue_entry *entries; /* sorted: first to send first; taken ones keep their place */
    size_t entry_count, entry_cap;
    size_t taken;               /* entries marked as taken for the datagram being filled */
    union ki_queue_slot *slots; /* pieces at places that do not move, for by_subject */
    size_t slot_count, slot_cap, slot_free;
    struct ki_map by_subject; /* subject to slot */
    uint64_t next_id;
    struct ki_news *leaving; /* taken for the last time; freed at the next call */
};

void ki_queue_init(struct ki_queue *queue, struct ki_mem *mem, size_t max);
void ki_queue_free(struct ki_queue *queue);

/* Enters news.  *replaced_ticket (may be NULL) gets the ticket of news that this one replaced or
 * pushed out, or 0.  A piece beyond KI_NEWS_LEN_MAX is itself what is dropped (and counted).
 * Returns false when memory is out; nothing changed then. */
bool ki_queue_put(struct ki_queue *queue, uint32_t subject, uint64_t ticket, const void *bytes,
                  size_t len, uint64_t *replaced_ticket);

/* Removes the news about a subject, if any. Returns its ticket or 0. */
uint64_t ki_queue_drop_subject(struct ki_queue *queue, uint32_t subject);

/* The news about a subject, if any, is sent so often at most. */
void ki_queue_hush(struct ki_queue *queue, uint32_t subject, uint32_t most);

/* Takes the best piece of at most room bytes that was not yet taken for this datagram: it counts as
 * one transmission.  Borrowed until the next call.  After its `limit`th transmission, or its own last, a piece leaves
 * the queue, and *done_ticket gets its ticket (else 0); the bytes stay readable until the next call
 * all the same.  Returns NULL when nothing fits. */
const struct ki_news *ki_queue_take(struct ki_queue *queue, size_t room, uint32_t limit,
                                    uint64_t *done_ticket);

/* Nothing waits, and the next datagram has nothing to tidy up. */
static inline bool ki_queue_idle(const struct ki_queue *queue)
{
    return queue->count == 0 && queue->taken == 0 && !queue->leaving;
}

/* Starts filling a new datagram: pieces taken for the last one may be taken again. */
void ki_queue_next_datagram(struct ki_queue *queue);

#endif
