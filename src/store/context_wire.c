/* A context as bytes: one sequence of entries, a run each, in order of replicas and numbers, and nothing else.
 *
 *   id: 8 | gap: varint | size: varint      the first run of a replica
 *           gap: varint | size: varint      each further one
 *
 *   id    the replica's, big-endian; each is greater than the one before
 *   gap   the first run: low - 1; a further one: low - (high of the one before) - 2
 *   size  2 * (high - low), plus 1 if another run of this replica follows
 *
 * Replica 7 with 1-9 and 12-40, then replica 0x0102030405060708 with 300 alone:
 *
 *   00 00 00 00 00 00 00 07 | 00 | 11          1-9, and another run follows: 2 * 8 + 1
 *                             01 | 38          12 = 9 + 2 + 1, to 40: 2 * 28
 *   01 02 03 04 05 06 07 08 | ab 02 | 00       299 in two bytes
 *
 * Equal contexts have equal bytes, and there is little to refuse: runs that overlap, touch or stand in the wrong order
 * cannot be said, as 0 is the least gap there can be.  Refused are ids out of order, numbers not in their shortest form,
 * and n above 2^63 - 1.  There are no counts, so a part is written without knowing what follows; an empty context is 0
 * bytes.
 *
 * A large context goes in parts.  They are cut where a run ends, and both sides carry over where they are.  Invariant: a
 * part is read as a whole or not at all, for it is gone through twice: once to judge and count it, once to add what it
 * says, for which there is room then.
 *
 * Deliberately not here: which part is the last, and whether one is missing.  The messages that carry them say that.
 */
#include "base/varint.h"
#include "store/context.h"

/* ---- writing ---- */

/* What is to be written of the run at the cursor.  Moves the cursor on, and *run to the next one. */
struct context_wire_entry {
    uint64_t replica;
    uint64_t gap, size;
    bool begins;
};

static struct context_wire_entry context_wire_step(const struct ki_context *context,
                                                   struct ki_context_cursor *cursor, struct ki_run *run)
{
    struct context_wire_entry entry = {.replica = run->replica, .begins = cursor->at.n == 0};
    KI_ASSERT(run->low > cursor->at.n); /* else the context has changed since the last part */
    entry.gap = run->low - cursor->at.n - 1;
    entry.size = (run->high - run->low) << 1;
    cursor->at = (struct ki_dot){run->replica, run->high + 1};
    cursor->ended = !ki_context_next(context, cursor->at, run);
    if (!cursor->ended && run->replica == entry.replica)
        entry.size |= 1;
    else if (!cursor->ended)
        cursor->at = (struct ki_dot){run->replica, 0};
    return entry;
}

size_t ki_context_encoded_len(const struct ki_context *context)
{
    struct ki_context_cursor cursor = {0};
    struct ki_run run;
    size_t len = 0;
    cursor.ended = !ki_context_next(context, cursor.at, &run);
    while (!cursor.ended) {
        struct context_wire_entry entry = context_wire_step(context, &cursor, &run);
        len += (entry.begins ? 8 : 0) + ki_varint_len(entry.gap) + ki_varint_len(entry.size);
    }
    return len;
}

size_t ki_context_encode(const struct ki_context *context, struct ki_context_cursor *cursor, void *buf, size_t cap)
{
    struct ki_writer w = ki_writer(buf, cap);
    struct ki_run run;
    cursor->ended = cursor->ended || !ki_context_next(context, cursor->at, &run);
    while (!cursor->ended) {
        struct ki_context_cursor after = *cursor;
        struct context_wire_entry entry = context_wire_step(context, &after, &run);
        size_t len = w.len;
        if (entry.begins)
            ki_put_be(&w, entry.replica, 8);
        ki_put_varint(&w, entry.gap);
        ki_put_varint(&w, entry.size);
        if (w.full)
            return len;
        *cursor = after;
    }
    return w.len;
}

/* ---- reading ---- */

/* One run.  What is wrong leaves decoder and reader in the middle: they are copies. */
static enum ki_context_verdict context_wire_take(struct ki_context_decoder *decoder, struct ki_reader *r,
                                                 struct ki_run *run)
{
    if (!decoder->inside) {
        uint64_t replica = ki_take_be(r, 8);
        if (r->bad || (decoder->replica_count > 0 && replica <= decoder->at.replica))
            return KI_CONTEXT_MALFORMED;
        if (decoder->replica_count == decoder->replicas_max)
            return KI_CONTEXT_TOO_LARGE;
        decoder->at = (struct ki_dot){replica, 0};
        decoder->replica_count++;
    }
    uint64_t gap = ki_take_varint(r);
    uint64_t size = ki_take_varint(r);
    if (r->bad || decoder->at.n >= KI_DOT_N_MAX || gap >= KI_DOT_N_MAX - decoder->at.n)
        return KI_CONTEXT_MALFORMED;
    run->replica = decoder->at.replica;
    run->low = decoder->at.n + gap + 1;
    if (size >> 1 > KI_DOT_N_MAX - run->low)
        return KI_CONTEXT_MALFORMED;
    if (decoder->run_count == decoder->runs_max)
        return KI_CONTEXT_TOO_LARGE;
    run->high = run->low + (size >> 1);
    decoder->run_count++;
    decoder->at.n = run->high + 1;
    decoder->inside = size & 1;
    return KI_CONTEXT_FINE;
}

enum ki_context_verdict ki_context_decode(struct ki_context_decoder *decoder, struct ki_reader *r, size_t budget)
{
    struct ki_context_decoder judged = *decoder;
    struct ki_reader ahead = *r;
    struct ki_run run;
    size_t count = 0;
    for (; ahead.left > 0 && count < budget; count++) {
        enum ki_context_verdict verdict = context_wire_take(&judged, &ahead, &run);
        if (verdict != KI_CONTEXT_FINE)
            return verdict;
    }
    if (!ki_context_reserve(decoder->into, count))
        return KI_CONTEXT_NO_MEMORY;
    for (; count > 0; count--) {
        enum ki_context_verdict verdict = context_wire_take(decoder, r, &run);
        KI_ASSERT(verdict == KI_CONTEXT_FINE);
        bool fine = ki_context_add_run(decoder->into, run);
        KI_ASSERT(fine);
    }
    return KI_CONTEXT_FINE;
}

bool ki_context_decode_is_whole(const struct ki_context_decoder *decoder)
{
    return !decoder->inside;
}
