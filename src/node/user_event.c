/* User events, out and in (PROTOCOL.md "user events", "numbered events").
 *
 * A Serf member's event is known again by its Lamport time and content, in a window of 512 ticks; what is new moves the
 * clock, is told to the application once, kept for full exchanges, and passed on byte for byte.  One of a member of kith's
 * kind carries a mark with a number, and is told in its turn (numbered.c); stock nodes take it as any other.
 *
 * Full exchanges tell events without their marks.  So what was told with a mark is noted by time and content, too, under
 * another hash: a copy without mark is known by either, one with a mark only if a copy without has been told before it.
 *
 * Deliberately not here: how it travels (company.c). */
#include "base/canary.h"
#include "base/hash.h"
#include "node/messages.h"

#define EVENT_NAME_MAX 255
#define EVENT_LATER_US 10000000   /* twice as long as a missing event is asked for */
#define EVENT_LATER_MAX (1u << 20) /* bytes */
#define EVENT_FRONT 64 /* bytes of a message around name, payload and mark */

static uint64_t event_hash(const struct kith *k, struct ki_span name, struct ki_span payload, bool marked)
{
    uint64_t inner = ki_siphash(k->table.hash_key, payload.ptr, payload.len);
    uint64_t hash = ki_siphash(k->table.hash_key, name.ptr, name.len) ^ (inner << 1 | inner >> 63);
    return (hash & ~UINT64_C(1)) | marked;
}

static bool event_put(struct kith *k, const struct ki_serf_event *msg, const struct ki_event_mark *mark, unsigned flags)
{
    struct kith_event event = {.kind = KITH_EVENT_USER,
                               .message = {.name = {(const char *)msg->name.ptr, msg->name.len},
                                           .payload = {(const char *)msg->payload.ptr, msg->payload.len},
                                           .ltime = msg->ltime,
                                           .coalesce = msg->coalesce,
                                           .kith_only = flags & KI_EVENT_KITH_ONLY}};
    if (mark) {
        event.message.origin = (struct kith_str){(const char *)mark->origin.ptr, mark->origin.len};
        event.message.seq = event.message.seq_last = mark->seq;
    }
    ki_count(k, KI_COUNT_events_in);
    return ki_message_put(k, &event) == 0;
}

static bool event_query(struct kith *k, const struct ki_serf_event *msg)
{
    if (msg->payload.len > 0 && msg->payload.ptr[0] == KI_SERF_QUERY)
        (void)ki_handle_query(k, msg->payload, false); /* counted, if it is malformed */
    return true;
}

bool ki_event_tell(struct kith *k, struct ki_messages *m, const struct ki_serf_event *msg,
                   const struct ki_event_mark *mark)
{
    if (mark->flags & KI_EVENT_QUERY)
        return event_query(k, msg);
    uint64_t plain = event_hash(k, msg->name, msg->payload, false), now = k->event_clock.time;
    if (m->events && ki_seen_look(m->events, now, msg->ltime, plain) == KI_SEEN_BEFORE)
        return true; /* a full exchange brought it first */
    if (!event_put(k, msg, mark, mark->flags) || (KI_CANARY(TWICE) && !event_put(k, msg, mark, mark->flags)))
        return false;
    (void)ki_messages_note(k, &m->events, now, msg->ltime, event_hash(k, msg->name, msg->payload, true));
    if (!(mark->flags & KI_EVENT_KITH_ONLY))
        ki_replay_keep(&m->replay, msg->ltime, msg->name, msg->payload, msg->mark);
    return true;
}

/* One without a mark would be new, as far as it can be told now. */
static bool event_is_news(const struct kith *k, const struct ki_messages *m, const struct ki_serf_event *msg)
{
    if (msg->ltime < k->event_min)
        return false;
    for (int marked = 0; m->events && marked < 2; marked++) {
        uint64_t hash = event_hash(k, msg->name, msg->payload, marked);
        if (ki_seen_look(m->events, k->event_clock.time, msg->ltime, hash) != KI_SEEN_NEW)
            return false;
    }
    return true;
}

/* One without a mark, or whose number cannot be kept: of its mark only the flags count.  True if it is new: then it has
 * been told. */
static bool event_heard(struct kith *k, struct ki_messages *m, const struct ki_serf_event *msg, unsigned flags)
{
    ki_clock_witness(&k->event_clock, msg->ltime);
    uint64_t now = k->event_clock.time;
    if (!event_is_news(k, m, msg))
        return false;
    bool fits = ki_message_fits(k, m, msg->name.len + msg->payload.len); /* if not, it may still be told with its number */
    switch (ki_messages_note(k, &m->events, now, msg->ltime, event_hash(k, msg->name, msg->payload, !fits))) {
    case KI_SEEN_BEFORE:
    case KI_SEEN_OLD:
        return false;
    case KI_SEEN_FULL:
        ki_count(k, KI_COUNT_messages_dropped);
        return false;
    case KI_SEEN_NOMEM:
        ki_count(k, KI_COUNT_out_of_memory);
        return false;
    case KI_SEEN_NEW:
        break;
    }
    if (flags & KI_EVENT_QUERY)
        return event_query(k, msg);
    if (!(flags & KI_EVENT_KITH_ONLY))
        ki_replay_keep(&m->replay, msg->ltime, msg->name, msg->payload, ki_span(NULL, 0));
    (void)event_put(k, msg, NULL, flags); /* counted, if it is lost */
    return true;
}

int ki_handle_event(struct kith *k, struct ki_span message)
{
    struct ki_reader r = ki_reader(message.ptr + 1, message.len - 1);
    struct ki_serf_event msg;
    struct ki_event_mark mark;
    if (!ki_decode_serf_event(&r, &msg) || msg.ltime == UINT64_MAX) { /* a stock clock wraps at it */
        ki_count(k, KI_COUNT_malformed);
        return KITH_ERR_MALFORMED;
    }
    struct ki_messages *m = ki_messages(k);
    if (!m)
        return KITH_ERR_NOMEM;
    bool is_new;
    bool marked = !k->cfg.stock && msg.mark.len > 0 && ki_decode_event_mark(msg.mark, &mark);
    if (marked)
        ki_clock_witness(&k->event_clock, msg.ltime);
    if (!marked || !ki_numbered_event(k, m, &msg, &mark, message, &is_new))
        is_new = event_heard(k, m, &msg, marked ? mark.flags : 0);
    if (!is_new)
        return 0;
    ki_count(k, KI_COUNT_events_forwarded);
    if (!marked)
        return ki_gossip_message(k, KI_QUEUE_EVENTS, message);
    int error = ki_spread(k, m, KI_QUEUE_EVENTS, message, false, mark.flags & KI_EVENT_KITH_ONLY);
    return error == KITH_ERR_TOO_LONG ? ki_spread_head(k, m, &mark, false) : error;
}

/* ---- full exchanges ---- */

static void event_later_drop_first(struct kith *k, struct ki_messages *m)
{
    struct ki_later *later = m->later_first;
    m->later_first = later->next;
    if (!later->next)
        m->later_last = NULL;
    m->later_bytes -= sizeof *later + later->len;
    ki_mem_free(&k->mem, later);
}

void ki_events_later_free(struct kith *k, struct ki_messages *m)
{
    while (m->later_first)
        event_later_drop_first(k, m);
}

void ki_events_later(struct kith *k, struct ki_messages *m)
{
    while (m->later_first && m->later_first->at_us <= k->now.mono_us) {
        const struct ki_later *later = m->later_first;
        struct ki_serf_event msg = {.ltime = later->ltime,
                                    .name = ki_span(later->bytes, later->name_len),
                                    .payload = ki_span(later->bytes + later->name_len, later->len - later->name_len)};
        (void)event_heard(k, m, &msg, 0);
        event_later_drop_first(k, m);
    }
}

/* Members of Serf's kind tell it without its mark.  If it is of one of kith's kind, the numbered copy comes meanwhile. */
static void event_put_off(struct kith *k, struct ki_messages *m, const struct ki_serf_state_event *event)
{
    size_t len = event->name.len + event->payload.len;
    struct ki_later *later =
        m->later_bytes + sizeof *later + len <= EVENT_LATER_MAX ? ki_mem_resize(&k->mem, NULL, sizeof *later + len) : NULL;
    if (!later) {
        ki_count(k, KI_COUNT_messages_dropped); /* the next exchange tells it again */
        return;
    }
    *later = (struct ki_later){.at_us = k->now.mono_us + EVENT_LATER_US,
                               .ltime = event->ltime,
                               .name_len = (uint32_t)event->name.len,
                               .len = (uint32_t)len};
    struct ki_writer w = ki_writer(later->bytes, len);
    ki_put(&w, event->name.ptr, event->name.len);
    ki_put(&w, event->payload.ptr, event->payload.len);
    *(m->later_last ? &m->later_last->next : &m->later_first) = later;
    m->later_last = later;
    m->later_bytes += sizeof *later + len;
}

void ki_event_replayed(struct kith *k, const struct ki_serf_state_event *event)
{
    struct ki_messages *m = event->ltime == UINT64_MAX || event->name.len == 0 ? NULL : ki_messages(k);
    struct ki_serf_event msg = {.ltime = event->ltime, .name = event->name, .payload = event->payload};
    struct ki_event_mark mark;
    if (!m)
        return;
    if (!k->cfg.stock && event->mark.len > 0 && ki_decode_event_mark(event->mark, &mark))
        ki_numbered_heard_of(k, m, event->ltime, &mark);
    else if (ki_company(k, m)->kith_count == 0)
        (void)event_heard(k, m, &msg, 0);
    else if (event_is_news(k, m, &msg))
        event_put_off(k, m, event);
}

/* ---- ours ---- */

static int event_check(const struct kith *k, const struct kith_user_event *event)
{
    if (k->life != KI_LIFE_LIVE || k->bare)
        return KITH_ERR_STATE;
    if (event->name.len == 0 || event->name.len > EVENT_NAME_MAX)
        return KITH_ERR_ARG;
    bool fits = event->payload.len <= k->cfg.event_size_max &&
                event->name.len + event->payload.len <= k->cfg.event_size_max;
    return fits ? 0 : KITH_ERR_TOO_LONG;
}

/* It has its number and is told here: whoever is not sent it finds out, and asks (counted, if there was no memory). */
static void event_spread_numbered(struct kith *k, struct ki_messages *m, struct ki_span message,
                                  const struct ki_event_mark *mark)
{
    int error = ki_spread(k, m, KI_QUEUE_EVENTS, message, true, mark->flags & KI_EVENT_KITH_ONLY);
    if (error == KITH_ERR_TOO_LONG)
        (void)ki_spread_head(k, m, mark, true);
}

/* Encodes it and tells all; *mark is NULL for a stock node. */
static int event_out(struct kith *k, struct ki_messages *m, struct ki_serf_event *msg, const struct ki_event_mark *mark)
{
    uint8_t mark_bytes[KI_EVENT_MARK_MAX];
    if (mark)
        msg->mark = ki_span(mark_bytes, ki_encode_event_mark(mark_bytes, mark));
    size_t cap = EVENT_FRONT + sizeof mark_bytes + msg->name.len + msg->payload.len;
    uint8_t *buf = ki_mem_resize(&k->mem, NULL, cap);
    if (!buf) {
        ki_count(k, KI_COUNT_out_of_memory);
        return KITH_ERR_NOMEM;
    }
    struct ki_pack p = ki_pack(buf, cap, false);
    ki_encode_serf_event(&p, msg);
    KI_ASSERT(!p.w.full);
    struct ki_span message = ki_span(buf, p.w.len);
    int error = mark ? ki_numbered_own(k, m, msg, mark, message) : ki_spread(k, m, KI_QUEUE_EVENTS, message, true, false);
    if (mark && !error)
        event_spread_numbered(k, m, message, mark);
    if (!mark && !error)
        (void)event_heard(k, m, msg, 0);
    ki_mem_free(&k->mem, buf);
    return error;
}

static struct ki_event_mark event_mark(struct kith *k, struct ki_messages *m, unsigned flags)
{
    const struct ki_origin *origin = NULL;
    if (m->boot == 0)
        m->boot = ki_crng_u64(&k->crng) | 1;
    else
        origin = ki_origins_find(&m->origins, ki_name_of(k->cfg.name), m->boot);
    return (struct ki_event_mark){.boot = m->boot,
                                  .seq = m->seq + 1,
                                  .before = origin ? origin->last_ltime : 0,
                                  .flags = (uint8_t)flags,
                                  .origin = ki_name_of(k->cfg.name)};
}

int ki_event_query(struct kith *k, struct ki_messages *m, struct ki_span query)
{
    struct ki_serf_event msg = {.ltime = k->event_clock.time, .name = ki_span("query", 5), .payload = query};
    struct ki_event_mark mark = event_mark(k, m, KI_EVENT_KITH_ONLY | KI_EVENT_QUERY);
    int error = event_out(k, m, &msg, &mark);
    if (!error)
        ki_clock_witness(&k->event_clock, msg.ltime);
    return error;
}

static int event_send(struct kith *k, struct ki_messages *m, const struct kith_user_event *event, bool confirms)
{
    struct ki_serf_event msg = {.ltime = k->event_clock.time,
                                .name = ki_name_of(event->name),
                                .payload = ki_name_of(event->payload),
                                .coalesce = event->coalesce};
    unsigned flags = (confirms ? KI_EVENT_CONFIRM : 0) | (event->kith_only ? KI_EVENT_KITH_ONLY : 0);
    struct ki_event_mark mark = event_mark(k, m, flags);
    int error = event_out(k, m, &msg, k->cfg.stock ? NULL : &mark);
    if (!error) {
        ki_clock_witness(&k->event_clock, msg.ltime);
        ki_count(k, KI_COUNT_events_out);
    }
    return error;
}

int kith_send_event(struct kith *k, struct kith_time now, const struct kith_user_event *event, kith_ticket *ticket)
{
    ki_input(k, now);
    int error = event_check(k, event);
    struct ki_messages *m = error ? NULL : ki_messages(k);
    if (!m)
        return error ? error : KITH_ERR_NOMEM;
    bool confirms = ticket && event->confirm_timeout_ms > 0 && !k->cfg.stock;
    if (!ki_message_fits(k, m, k->cfg.name.len + event->name.len + event->payload.len))
        return KITH_ERR_FULL; /* we are to hear it, too */
    if (confirms && m->confirm_count >= k->cfg.tickets_max)
        return KITH_ERR_FULL;
    if (ticket && !ki_dones_reserve(k)) { /* what begins must be able to end */
        ki_count(k, KI_COUNT_out_of_memory);
        return KITH_ERR_NOMEM;
    }
    error = event_send(k, m, event, confirms);
    if (error || !ticket)
        return error;
    *ticket = ++k->last_ticket;
    if (confirms)
        return ki_confirm_begin(k, m, event->confirm_timeout_ms, *ticket);
    ki_done_event(k, &(struct ki_done){.kind = KITH_EVENT_DONE, .ticket = *ticket});
    return 0;
}
