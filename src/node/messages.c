/* What waits for the application: user events, queries, answers.
 *
 * Each is one block with its strings behind it, in the order in which it came.  At most messages_max wait, with at most
 * message_bytes_max bytes; one that comes beyond is refused, and whoever put it knows.  What was polled last lives until
 * the next is polled, since its strings are borrowed.
 *
 * Nothing of all this exists before the first message: of ten thousand instances in a simulation most never see one.
 * Deliberately not here: what the messages mean. */
#include "node/folded.h"

struct ki_messages *ki_messages(struct kith *k)
{
    if (k->messages)
        return k->messages;
    struct ki_messages *m = ki_mem_new(&k->mem, sizeof *m);
    if (!m) {
        ki_count(k, KI_COUNT_out_of_memory);
        return NULL;
    }
    ki_origins_init(&m->origins, &k->mem, k->cfg.event_log_max);
    m->replay.mem = &k->mem;
    m->debts.mem = m->fold_debts.mem = &k->mem;
    m->missing_us = KITH_NEVER;
    m->heads_whom = KI_NO_MEMBER;
    k->messages = m;
    return m;
}

void ki_messages_free(struct kith *k)
{
    struct ki_messages *m = k->messages;
    if (!m)
        return;
    while (m->first) {
        struct ki_waiting *waiting = m->first;
        m->first = waiting->next;
        ki_mem_free(&k->mem, waiting);
    }
    ki_mem_free(&k->mem, m->shown);
    while (m->in)
        ki_query_in_free(k, m->in);
    while (m->out)
        ki_query_out_free(k, m->out);
    ki_folded_free(k, m);
    ki_eager_free(k, m);
    ki_confirms_free(k, m);
    ki_events_later_free(k, m);
    ki_event_links_free(k);
    ki_origins_free(&m->origins);
    ki_debts_free(&m->debts);
    if (m->events)
        ki_seen_free(m->events);
    if (m->queries)
        ki_seen_free(m->queries);
    ki_mem_free(&k->mem, m->events);
    ki_mem_free(&k->mem, m->queries);
    ki_replay_free(&m->replay);
    ki_mem_free(&k->mem, m->company.kith);
    ki_mem_free(&k->mem, m);
    k->messages = NULL;
}

enum ki_seen_result ki_messages_note(struct kith *k, struct ki_seen **seen, uint64_t now, uint64_t ltime, uint64_t hash)
{
    if (!*seen) {
        *seen = ki_mem_new(&k->mem, sizeof **seen);
        if (!*seen)
            return KI_SEEN_NOMEM;
        ki_seen_init(*seen, &k->mem);
    }
    return ki_seen_note(*seen, now, ltime, hash);
}

static struct kith_str messages_copy(struct ki_writer *w, struct kith_str from)
{
    struct kith_str copy = {.ptr = (const char *)w->start + w->len, .len = from.len};
    ki_put(w, from.ptr, from.len);
    return copy;
}

bool ki_message_fits(const struct kith *k, const struct ki_messages *m, size_t len)
{
    return m->count < k->cfg.messages_max && m->bytes + len <= k->cfg.message_bytes_max;
}

int ki_message_put(struct kith *k, const struct kith_event *event)
{
    struct ki_messages *m = ki_messages(k);
    if (!m)
        return KITH_ERR_NOMEM;
    size_t len = event->message.origin.len + event->message.name.len + event->message.payload.len;
    if (!ki_message_fits(k, m, len)) {
        ki_count(k, KI_COUNT_messages_dropped);
        return KITH_ERR_FULL;
    }
    struct ki_waiting *waiting = ki_mem_resize(&k->mem, NULL, sizeof *waiting + len);
    if (!waiting) {
        ki_count(k, KI_COUNT_out_of_memory);
        return KITH_ERR_NOMEM;
    }
    struct ki_writer w = ki_writer(waiting->bytes, len);
    *waiting = (struct ki_waiting){.event = *event, .len = len};
    waiting->event.message.origin = messages_copy(&w, event->message.origin);
    waiting->event.message.name = messages_copy(&w, event->message.name);
    waiting->event.message.payload = messages_copy(&w, event->message.payload);
    *(m->last ? &m->last->next : &m->first) = waiting;
    m->last = waiting;
    m->count++;
    m->bytes += len;
    return 0;
}

bool ki_message_poll(struct kith *k, struct kith_event *out)
{
    struct ki_messages *m = k->messages;
    if (!m)
        return false;
    ki_mem_free(&k->mem, m->shown);
    m->shown = m->first;
    if (!m->shown)
        return false;
    m->first = m->shown->next;
    if (!m->first)
        m->last = NULL;
    m->count--;
    m->bytes -= m->shown->len;
    *out = m->shown->event;
    return true;
}

void ki_messages_tick(struct kith *k)
{
    struct ki_messages *m = k->messages;
    if (!m)
        return;
    ki_queries_check(k);
    ki_folded_tick(k, m);
    ki_numbered_tick(k, m);
    ki_confirms_check(k, m);
    ki_events_later(k, m);
}

uint64_t ki_messages_deadline(const struct kith *k)
{
    const struct ki_messages *m = k->messages;
    if (!m)
        return KITH_NEVER;
    uint64_t next = ki_min_u64(ki_eager_deadline(k), ki_min_u64(ki_numbered_deadline(m), ki_confirms_deadline(m)));
    next = ki_min_u64(next, ki_folded_deadline(m));
    if (m->later_first)
        next = ki_min_u64(next, m->later_first->at_us);
    for (const struct ki_query_out *out = m->out; out; out = out->next)
        next = ki_min_u64(next, ki_min_u64(out->deadline_us, out->again_us));
    for (const struct ki_query_in *in = m->in; in; in = in->next)
        next = ki_min_u64(next, in->deadline_us);
    return next;
}
