/* Our items and those that the other has listed, of who asks: a walk through both, in order of names.
 *
 *   what is the same                  is passed over,
 *   what differs in its time alone    the later time is told, or taken;
 *   what else the other has           is wanted, of the gone only whom we know at all;
 *   what else we have                 is told, of the gone only whom the other knows at all
 *
 * Members of whom both know something may stand in either list, on either side: names are the same but for their lowest
 * bits.  The rest is 31 bits, and two members may share it: what is looked at together is all that do, with marks for those
 * of the other's that have found theirs.  That is two at most, unless somebody has prepared names (sync_sum.c): so each look
 * counts, and a slice is one however many share a name.
 *
 * Invariants: whoever is wanted is so once, a time is told once, so the messages fit what was made for them; what is looked
 * at is what was summed up, whatever has come since.
 * Deliberately not here: telling (sync.c); which time is believed (sync_merge.c).
 */
#include "node/sync.h"

enum {
    MATCH_SAME = 1, /* we hold the very same, or did so at another time */
    MATCH_KNOWN = 2 /* something else of that name */
};

static bool match_room(struct kith *k, struct ki_writer *w, size_t cap)
{
    uint8_t *buf = ki_mem_resize(&k->mem, w->start, cap);
    if (buf)
        *w = ki_writer(buf, cap);
    return buf;
}

bool ki_sync_match_begin(struct kith *k, struct ki_sync_run *run, struct ki_span message, const struct ki_sync_items *items)
{
    uint32_t first = run->starts[items->first], ours = run->starts[items->end] - first;
    ki_mem_free(&k->mem, run->theirs);
    ki_mem_free(&k->mem, run->marks);
    ki_mem_free(&k->mem, run->told);
    run->theirs = ki_mem_copy(&k->mem, message.ptr, message.len);
    run->marks = ki_mem_new(&k->mem, items->count + 1);
    run->told = ki_mem_resize(&k->mem, NULL, (ours + 1) * sizeof *run->told);
    if (!match_room(k, &run->wanted, 1 + 2 * (size_t)items->count) ||
        !match_room(k, &run->times, KI_SYNC_TIME_LEN * (size_t)items->count + 1) || !run->theirs || !run->marks ||
        !run->told)
        return false;
    run->items = *items;
    run->items.items = run->theirs + (items->items - message.ptr);
    for (unsigned list = 0; list < KI_SYNC_LISTS; list++)
        run->items.differs[list] = run->theirs + (items->differs[list] - message.ptr);
    run->cursor = first;
    run->passed = run->told_count = 0;
    ki_put_u8(&run->wanted, 0);
    return true;
}

/* The next of theirs has been looked for. */
static void match_pass(struct ki_sync_run *run)
{
    uint32_t number = run->passed++;
    bool is_gone = ki_sync_list(ki_sync_item_at(&run->items, number)) == KI_SYNC_GONE;
    if (!(run->marks[number] & MATCH_SAME) && (!is_gone || run->marks[number] & MATCH_KNOWN))
        ki_put_be(&run->wanted, number, 2);
}

/* The very same, but perhaps of another time.  false: that is more than a time. */
static bool match_time(struct kith *k, struct ki_sync_link *data, struct ki_sync_run *run, const struct ki_sync_seen *seen,
                       uint32_t number)
{
    uint32_t ours = seen->item.time, theirs = ki_sync_item_at(&run->items, number).time;
    if (ours != theirs && (ours == KI_SYNC_TIME_NONE || theirs == KI_SYNC_TIME_NONE))
        return false;
    if (theirs > ours)
        ki_sync_take_time(k, data, run, seen, theirs);
    if (theirs < ours) {
        ki_put_be(&run->times, number, 2);
        ki_put_be(&run->times, ours, 4);
    }
    return true;
}

/* Of this one the other has listed something else, or nothing.  Who is gone, and not even known there, is none of its
 * concern.  *looks grows by those at items that follow the first of that name. */
static bool match_lacks(struct kith *k, struct ki_sync_link *data, struct ki_sync_run *run, const struct ki_sync_seen *seen,
                        uint32_t *looks)
{
    bool found = false;
    for (uint32_t i = run->passed; i < run->items.count; i++) {
        struct ki_sync_item theirs = ki_sync_item_at(&run->items, i);
        if (theirs.name >> 1 != seen->item.name >> 1)
            break;
        *looks += i > run->passed;
        if (theirs.name == seen->item.name && theirs.content == seen->item.content && !(run->marks[i] & MATCH_SAME) &&
            match_time(k, data, run, seen, i)) {
            run->marks[i] |= MATCH_SAME;
            return false;
        }
        run->marks[i] |= MATCH_KNOWN;
        found = true;
    }
    return found || ki_sync_list(seen->item) == KI_SYNC_LIVING;
}

bool ki_sync_match(struct kith *k, struct ki_sync_link *data, struct ki_sync_run *run, uint32_t count)
{
    uint32_t end = run->starts[run->items.end];
    for (uint32_t looks = 0; looks < count && run->cursor < end; looks++, run->cursor++) {
        if (run->cursor + KI_SYNC_AHEAD < end)
            ki_sync_fetch(k, run->seen[run->cursor + KI_SYNC_AHEAD].id);
        const struct ki_sync_seen *seen = &run->seen[run->cursor];
        while (run->passed < run->items.count && ki_sync_item_at(&run->items, run->passed).name >> 1 < seen->item.name >> 1)
            match_pass(run);
        if (ki_sync_differs(&run->items, ki_sync_list(seen->item), ki_sync_bucket(seen->item, run->bits)) &&
            match_lacks(k, data, run, seen, &looks))
            run->told[run->told_count++] = seen->id;
    }
    if (run->cursor < end)
        return false;
    while (run->passed < run->items.count)
        match_pass(run);
    return true;
}
