/* The queue of happenings: a 4-ary heap.
 *
 * A node's children are its four next in memory, in the same cache line or two, so the tree is half as deep as a binary
 * one and sinking touches less memory.  The order is by time, then by a serial number given on entry: total, so what is
 * taken next never depends on how the heap happens to lie.
 *
 * Nothing is removed but the first.  Who changes their mind (a node whose deadline moved) enters anew and recognises the
 * old entry as stale when it comes. */
#include "sim/queue.h"

#include "sim/world.h"

#define QUEUE_WAYS 4

static bool queue_before(const struct sim_entry *a, const struct sim_entry *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

void ki_sim_queue_put(struct sim_queue *q, struct sim_entry entry)
{
    q->heap = ki_sim_grow(q->heap, &q->cap, q->count, sizeof *q->heap);
    entry.order = q->order++;
    size_t at = q->count++;
    while (at > 0) {
        size_t parent = (at - 1) / QUEUE_WAYS;
        if (!queue_before(&entry, &q->heap[parent]))
            break;
        q->heap[at] = q->heap[parent];
        at = parent;
    }
    q->heap[at] = entry;
}

const struct sim_entry *ki_sim_queue_first(const struct sim_queue *q)
{
    return q->count ? &q->heap[0] : NULL;
}

struct sim_entry ki_sim_queue_take(struct sim_queue *q)
{
    KI_ASSERT(q->count > 0);
    struct sim_entry first = q->heap[0];
    struct sim_entry last = q->heap[--q->count];
    size_t at = 0;
    for (;;) {
        size_t child = at * QUEUE_WAYS + 1;
        if (child >= q->count)
            break;
        size_t end = ki_min_size(child + QUEUE_WAYS, q->count);
        size_t least = child;
        for (size_t i = child + 1; i < end; i++) {
            if (queue_before(&q->heap[i], &q->heap[least]))
                least = i;
        }
        if (!queue_before(&q->heap[least], &last))
            break;
        q->heap[at] = q->heap[least];
        at = least;
    }
    if (q->count > 0)
        q->heap[at] = last;
    return first;
}

void ki_sim_queue_free(struct sim_queue *q)
{
    for (size_t i = 0; i < q->count; i++)
        free(q->heap[i].ptr);
    free(q->heap);
    *q = (struct sim_queue){.heap = NULL};
}
