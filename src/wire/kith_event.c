/* Messages about numbered events: fixed fields big-endian, numbers that are usually small as varints.
 *
 *   4b kind:u8 ...
 *   ROOT       root be64
 *   HEADS_ASK  from varint
 *   HEADS      more_from varint, then { boot be64 | last varint | ltime varint | len u8 | name } ...
 *   WANT       boot be64 | first varint | last varint | ltime varint | len u8 | name
 *   SKIP       boot be64 | first varint | last varint | lost u8 | len u8 | name
 *   TOOK       boot be64 | number varint | len u8 | name of who took it
 *
 * Whatever is longer than its fields is malformed: there is nothing to skip within a version of the channel.
 * Deliberately not here: events themselves, which travel as Serf's (wire/serf_event.h). */
#include "wire/kith_event.h"

#include "base/varint.h"
#include "wire/kith.h"

static void event_front(struct ki_writer *w, enum ki_kith_event_kind kind)
{
    ki_put_u8(w, KI_SERF_KITH);
    ki_put_u8(w, (uint8_t)kind);
}

static void event_put_name(struct ki_writer *w, struct ki_span name)
{
    KI_ASSERT(name.len >= 1 && name.len <= 255);
    ki_put_u8(w, (uint8_t)name.len);
    ki_put(w, name.ptr, name.len);
}

static struct ki_span event_take_name(struct ki_reader *r)
{
    size_t len = (size_t)ki_take_be(r, 1);
    const uint8_t *name = ki_take(r, len);
    if (len == 0)
        r->bad = true;
    return ki_span(name, name ? len : 0);
}

void ki_encode_events_root(struct ki_writer *w, uint64_t root)
{
    event_front(w, KI_EVENTS_ROOT);
    ki_put_be(w, root, 8);
}

bool ki_decode_events_root(struct ki_reader *r, uint64_t *root)
{
    *root = ki_take_be(r, 8);
    return !r->bad && r->left == 0;
}

void ki_encode_events_heads_ask(struct ki_writer *w, uint64_t from)
{
    event_front(w, KI_EVENTS_HEADS_ASK);
    ki_put_varint(w, from);
}

bool ki_decode_events_heads_ask(struct ki_reader *r, uint64_t *from)
{
    *from = ki_take_varint(r);
    return !r->bad && r->left == 0;
}

void ki_encode_events_heads_front(struct ki_writer *w, uint64_t more_from)
{
    event_front(w, KI_EVENTS_HEADS);
    ki_put_varint(w, more_from);
}

void ki_encode_events_head(struct ki_writer *w, const struct ki_kith_event *head)
{
    ki_put_be(w, head->boot, 8);
    ki_put_varint(w, head->last);
    ki_put_varint(w, head->ltime);
    event_put_name(w, head->name);
}

bool ki_decode_events_heads_front(struct ki_reader *r, uint64_t *more_from)
{
    *more_from = ki_take_varint(r);
    return !r->bad;
}

bool ki_decode_events_head(struct ki_reader *r, struct ki_kith_event *head)
{
    *head = (struct ki_kith_event){.boot = ki_take_be(r, 8)};
    head->last = ki_take_varint(r);
    head->ltime = ki_take_varint(r);
    head->name = event_take_name(r);
    return !r->bad && head->last <= INT64_MAX;
}

void ki_encode_kith_event(struct ki_writer *w, enum ki_kith_event_kind kind, const struct ki_kith_event *msg)
{
    event_front(w, kind);
    ki_put_be(w, msg->boot, 8);
    ki_put_varint(w, msg->first);
    if (kind != KI_EVENTS_TOOK)
        ki_put_varint(w, msg->last);
    if (kind == KI_EVENTS_SKIP)
        ki_put_u8(w, msg->lost);
    if (kind != KI_EVENTS_TOOK)
        ki_put_varint(w, msg->ltime);
    event_put_name(w, msg->name);
}

bool ki_decode_kith_event(struct ki_reader *r, enum ki_kith_event_kind kind, struct ki_kith_event *msg)
{
    *msg = (struct ki_kith_event){.boot = ki_take_be(r, 8)};
    msg->first = msg->last = ki_take_varint(r);
    if (kind != KI_EVENTS_TOOK)
        msg->last = ki_take_varint(r);
    if (kind == KI_EVENTS_SKIP)
        msg->lost = ki_take_be(r, 1) != 0;
    if (kind != KI_EVENTS_TOOK)
        msg->ltime = ki_take_varint(r);
    msg->name = event_take_name(r);
    return !r->bad && r->left == 0 && msg->first >= 1 && msg->first <= msg->last && msg->last <= INT64_MAX;
}
