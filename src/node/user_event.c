/* User events, out and in, by Serf's rules (PROTOCOL.md "user events").
 *
 * An event is known again by its Lamport time and content, in a window of 512 ticks; what is new moves the clock, is told
 * to the application once, kept for full exchanges, and passed on byte for byte.
 *
 * Deliberately not here: how it travels (company.c). */
#include "base/hash.h"
#include "node/messages.h"

#define EVENT_NAME_MAX 255
#define EVENT_FRONT 64 /* bytes of a message around name and payload, without the mark */

static uint64_t event_hash(const struct kith *k, struct ki_span name, struct ki_span payload)
{
    uint64_t inner = ki_siphash(k->table.hash_key, payload.ptr, payload.len);
    return ki_siphash(k->table.hash_key, name.ptr, name.len) ^ (inner << 1 | inner >> 63);
}

static void event_tell(struct kith *k, const struct ki_serf_event *msg)
{
    struct kith_event event = {.kind = KITH_EVENT_USER,
                               .message = {.name = {(const char *)msg->name.ptr, msg->name.len},
                                           .payload = {(const char *)msg->payload.ptr, msg->payload.len},
                                           .ltime = msg->ltime,
                                           .coalesce = msg->coalesce}};
    (void)ki_message_put(k, &event); /* counted, if it is lost */
}

/* True if it is new: then it has been told. */
static bool event_heard(struct kith *k, struct ki_messages *m, const struct ki_serf_event *msg)
{
    ki_clock_witness(&k->event_clock, msg->ltime);
    if (msg->ltime < k->event_min)
        return false;
    switch (ki_seen_note(&m->events, k->event_clock.time, msg->ltime, event_hash(k, msg->name, msg->payload))) {
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
    ki_count(k, KI_COUNT_events_in);
    ki_replay_keep(&m->replay, msg->ltime, msg->name, msg->payload);
    event_tell(k, msg);
    return true;
}

int ki_handle_event(struct kith *k, struct ki_span message)
{
    struct ki_reader r = ki_reader(message.ptr + 1, message.len - 1);
    struct ki_serf_event msg;
    if (!ki_decode_serf_event(&r, &msg) || msg.ltime == UINT64_MAX) { /* a stock clock wraps at it */
        ki_count(k, KI_COUNT_malformed);
        return KITH_ERR_MALFORMED;
    }
    struct ki_messages *m = ki_messages(k);
    if (!m)
        return KITH_ERR_NOMEM;
    if (!event_heard(k, m, &msg))
        return 0;
    ki_count(k, KI_COUNT_events_forwarded);
    return ki_gossip_message(k, KI_QUEUE_EVENTS, message);
}

void ki_event_replayed(struct kith *k, uint64_t ltime, struct ki_span name, struct ki_span payload)
{
    struct ki_messages *m = ltime == UINT64_MAX || name.len == 0 ? NULL : ki_messages(k);
    if (m)
        (void)event_heard(k, m, &(struct ki_serf_event){.ltime = ltime, .name = name, .payload = payload});
}

/* ---- ours ---- */

static int event_check(const struct kith *k, const struct kith_user_event *event)
{
    if (k->life != KI_LIFE_LIVE || k->bare)
        return KITH_ERR_STATE;
    if (event->name.len == 0 || event->name.len > EVENT_NAME_MAX)
        return KITH_ERR_ARG;
    return event->payload.len > k->cfg.event_size_max || event->name.len + event->payload.len > k->cfg.event_size_max
               ? KITH_ERR_TOO_LONG
               : 0;
}

static int event_send(struct kith *k, struct ki_messages *m, const struct kith_user_event *event)
{
    size_t cap = EVENT_FRONT + event->name.len + event->payload.len;
    uint8_t *buf = ki_mem_resize(&k->mem, NULL, cap);
    if (!buf) {
        ki_count(k, KI_COUNT_out_of_memory);
        return KITH_ERR_NOMEM;
    }
    struct ki_serf_event msg = {.ltime = k->event_clock.time,
                                .name = ki_name_of(event->name),
                                .payload = ki_name_of(event->payload),
                                .coalesce = event->coalesce};
    struct ki_pack p = ki_pack(buf, cap, false);
    ki_encode_serf_event(&p, &msg);
    KI_ASSERT(!p.w.full);
    int error = ki_spread(k, m, KI_QUEUE_EVENTS, ki_span(buf, p.w.len), true, event->kith_only);
    if (!error) {
        ki_clock_witness(&k->event_clock, msg.ltime);
        ki_count(k, KI_COUNT_events_out);
        (void)event_heard(k, m, &msg);
    }
    ki_mem_free(&k->mem, buf);
    return error;
}

int kith_send_event(struct kith *k, struct kith_time now, const struct kith_user_event *event, kith_ticket *ticket)
{
    ki_input(k, now);
    int error = event_check(k, event);
    if (error)
        return error;
    struct ki_messages *m = ki_messages(k);
    if (!m)
        return KITH_ERR_NOMEM;
    struct ki_ask *ask = NULL;
    if (ticket) {
        error = ki_ask_new(k, KI_ASK_EVENT, false, &ask);
        if (error)
            return error;
        *ticket = ask->ticket;
    }
    error = event_send(k, m, event);
    if (ask) {
        ask = ki_ask_find(k, *ticket); /* news that was pushed out may have ended another and moved it */
        ask->quiet = error != 0;
        ki_ask_end(k, ask, error, 0);
    }
    return error;
}
