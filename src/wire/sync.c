/* The bytes of comparing views.
 *
 * The idea: everything has a fixed place and big-endian numbers, since kith members alone read it; a member is told in the
 * form that full exchanges have (wire/memberlist.h), with what Serf's part says of it behind.
 *
 * Invariants: a decoded message is whole, to its last byte, and within its limits; a range of buckets is not empty, and the
 * names of its items never fall.
 * Deliberately not here: what sums and items are made of (node/sync_sum.c), what is said when (node/sync.c).
 */
#include "wire/sync.h"

#include "base/varint.h"

void ki_encode_sync_sums(struct ki_writer *w, const struct ki_sync_sums *msg, const uint64_t *sums)
{
    ki_put_be(w, msg->start, 8);
    ki_put_be(w, msg->factor, 8);
    ki_put_u8(w, (uint8_t)msg->bits);
    ki_put_u8(w, (uint8_t)msg->lists);
    for (size_t i = 0; i < (size_t)msg->lists << msg->bits; i++)
        ki_put_be(w, sums[i], 8);
}

bool ki_decode_sync_sums(struct ki_span message, struct ki_sync_sums *out)
{
    struct ki_reader r = ki_reader(message.ptr, message.len);
    *out = (struct ki_sync_sums){.start = ki_take_be(&r, 8)};
    out->factor = ki_take_be(&r, 8);
    out->bits = (unsigned)ki_take_be(&r, 1);
    out->lists = (unsigned)ki_take_be(&r, 1);
    if (r.bad || out->bits > KI_SYNC_BITS_MAX || out->lists < 1 || out->lists > KI_SYNC_LISTS)
        return false;
    out->sums = ki_take(&r, ((size_t)out->lists << out->bits) * 8);
    return !r.bad && r.left == 0;
}

bool ki_decode_sync_items(struct ki_span message, struct ki_sync_items *out)
{
    struct ki_reader r = ki_reader(message.ptr, message.len);
    *out = (struct ki_sync_items){.first = (uint32_t)ki_take_be(&r, 2)};
    out->end = (uint32_t)ki_take_be(&r, 2);
    if (r.bad || out->first >= out->end || out->end > 1u << KI_SYNC_BITS_MAX)
        return false;
    for (unsigned list = 0; list < KI_SYNC_LISTS; list++)
        out->differs[list] = ki_take(&r, (out->end - out->first + 7) / 8);
    if (r.bad || r.left % KI_SYNC_ITEM_LEN != 0 || r.left / KI_SYNC_ITEM_LEN > KI_SYNC_ITEMS_MAX)
        return false;
    out->count = (uint32_t)(r.left / KI_SYNC_ITEM_LEN);
    out->items = r.pos;
    for (uint32_t i = 1; i < out->count; i++) {
        if (ki_sync_item_at(out, i).name < ki_sync_item_at(out, i - 1).name)
            return false;
    }
    return true;
}

/* differs: of 2^bits buckets living, and as many gone; not 0: this one. */
void ki_encode_sync_items_front(struct ki_writer *w, uint32_t first, uint32_t end, unsigned bits, const uint64_t *differs)
{
    ki_put_be(w, first, 2);
    ki_put_be(w, end, 2);
    for (size_t list = 0; list < KI_SYNC_LISTS; list++) {
        for (uint32_t at = first; at < end; at += 8) {
            unsigned byte = 0;
            for (uint32_t i = 0; i < 8 && at + i < end; i++)
                byte |= (unsigned)(differs[(list << bits) + at + i] != 0) << i;
            ki_put_u8(w, (uint8_t)byte);
        }
    }
}

void ki_encode_sync_item(struct ki_writer *w, struct ki_sync_item item)
{
    uint8_t *at = ki_reserve(w, KI_SYNC_ITEM_LEN);
    if (!at)
        return;
    ki_store_be(at, item.name, 4);
    ki_store_be(at + 4, item.content, 4);
    ki_store_be(at + 8, item.time, 4);
}

void ki_encode_sync_clocks(struct ki_writer *w, const struct ki_sync_clocks *clocks)
{
    ki_put_varint(w, clocks->ltime);
    ki_put_varint(w, clocks->event_ltime);
    ki_put_varint(w, clocks->query_ltime);
}

bool ki_decode_sync_clocks(struct ki_reader *r, struct ki_sync_clocks *clocks)
{
    clocks->ltime = ki_take_varint(r);
    clocks->event_ltime = ki_take_varint(r);
    clocks->query_ltime = ki_take_varint(r);
    return !r->bad;
}

void ki_encode_sync_member(struct ki_pack *p, const struct ki_sync_member *member)
{
    ki_encode_node_state(p, &member->node);
    ki_put_varint(&p->w, member->ltime);
    ki_put_u8(&p->w, member->has_left);
}

bool ki_decode_sync_member(struct ki_reader *r, struct ki_sync_member *member)
{
    *member = (struct ki_sync_member){.ltime = 0};
    if (!ki_decode_node_state(r, &member->node))
        return false;
    member->ltime = ki_take_varint(r);
    uint64_t has_left = ki_take_be(r, 1);
    member->has_left = has_left == 1;
    return !r->bad && has_left <= 1;
}
