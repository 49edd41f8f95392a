/* The folded queries of this node: those that our application asks, and those that others bring us.
 *
 *   ours:     kith_ask() --> our own duty --all have answered, or the time is over--> told: SILENT ..., FOLDED, DONE
 *   another's: ASK --> QUERY to the application, a duty to whoever asked --> its part, and kept for a while: it may be lost
 *
 * Each asks our application once, whoever brings it and however often; what it says counts for all of them.  Whom the
 * filters leave out is not asked, and counted as such: only the member itself knows its present tags.  The query
 * _kith_gauge we answer ourselves, with what we contribute to the aggregate that it names.
 *
 * A query is known again by its Lamport time and its number, within the window of Serf's queries: one that is said again
 * when it is over, by whoever has heard it, is old.
 *
 * Invariant: one of ours in the list is told once, in the end.
 * Deliberately not here: messages, and the tree. */
#include "node/folded.h"

#include "base/decimal.h"
#include "node/aggregate.h"
#include "serf/filter.h"

/* ---- the list ---- */

struct ki_folded *ki_folded_find(const struct ki_messages *m, uint64_t id)
{
    struct ki_folded *f = m->folded;
    while (f && f->ask.id != id)
        f = f->next;
    return f;
}

void ki_folded_drop(struct kith *k, struct ki_messages *m, struct ki_folded *f)
{
    struct ki_folded **at = &m->folded;
    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    m->folded_count--;
    while (f->duties)
        ki_folded_duty_free(k, f, f->duties);
    ki_mem_free(&k->mem, f);
}

void ki_folded_free(struct kith *k, struct ki_messages *m)
{
    while (m->folded)
        ki_folded_drop(k, m, m->folded);
    ki_debts_free(&m->fold_debts);
}

static struct ki_span folded_copy(struct ki_writer *w, struct ki_span from)
{
    struct ki_span copy = ki_span(w->start + w->len, from.len);
    ki_put(w, from.ptr, from.len);
    return copy;
}

static struct ki_folded *folded_new(struct kith *k, struct ki_messages *m, const struct ki_fold_ask *ask)
{
    size_t len = ask->asker.len + ask->name.len + ask->filters.len + ask->payload.len;
    struct ki_folded *f = ki_mem_resize(&k->mem, NULL, sizeof *f + len);
    if (!f) {
        ki_count(k, KI_COUNT_out_of_memory);
        return NULL;
    }
    struct ki_writer w = ki_writer(f->bytes, len);
    *f = (struct ki_folded){.next = m->folded, .handle = ++m->last_handle, .ask = *ask};
    f->ask.asker = folded_copy(&w, ask->asker);
    f->ask.name = folded_copy(&w, ask->name);
    if (ask->filters.len > 0)
        f->ask.filters = folded_copy(&w, ask->filters);
    f->ask.payload = folded_copy(&w, ask->payload);
    f->position = ki_fold_position(ask->id, ki_name_of(k->cfg.name));
    m->folded = f;
    m->folded_count++;
    return f;
}

struct ki_folded *ki_folded_enter(struct kith *k, struct ki_messages *m, const struct ki_fold_ask *ask)
{
    ki_clock_witness(&k->query_clock, ask->ltime);
    enum ki_seen_result seen =
        m->queries ? ki_seen_look(m->queries, k->query_clock.time, ask->ltime, ask->id) : KI_SEEN_NEW;
    if (ask->ltime < k->query_min || seen == KI_SEEN_BEFORE || seen == KI_SEEN_OLD)
        return NULL;
    if (seen == KI_SEEN_FULL || m->folded_count >= k->cfg.queries_max) {
        ki_count(k, KI_COUNT_messages_dropped);
        return NULL;
    }
    return folded_new(k, m, ask);
}

int ki_folded_note(struct kith *k, struct ki_messages *m, const struct ki_folded *f)
{
    enum ki_seen_result seen = ki_messages_note(k, &m->queries, k->query_clock.time, f->ask.ltime, f->ask.id);
    if (seen == KI_SEEN_NEW)
        return 0;
    ki_count(k, KI_COUNT_messages_dropped);
    return seen == KI_SEEN_NOMEM ? KITH_ERR_NOMEM : KITH_ERR_FULL;
}

/* ---- what we say ---- */

/* Who contributes nothing is not meant. */
static void folded_own_gauge(const struct kith *k, struct ki_folded *f)
{
    const struct ki_aggregate *open = ki_aggregates_open_at(k->aggregates, f->ask.payload);
    bool has = open && open->has_value;
    f->own = has ? KI_FOLD_NUMBER : KI_FOLD_UNCONCERNED;
    f->value = has ? open->value : 0;
}

static void folded_own_tell(struct kith *k, struct ki_folded *f)
{
    const struct ki_fold_ask *ask = &f->ask;
    struct kith_event event = {.kind = KITH_EVENT_QUERY,
                               .message = {.origin = {(const char *)ask->asker.ptr, ask->asker.len},
                                           .name = {(const char *)ask->name.ptr, ask->name.len},
                                           .payload = {(const char *)ask->payload.ptr, ask->payload.len},
                                           .ltime = ask->ltime,
                                           .query = f->handle,
                                           .until_us = f->deadline_us}};
    f->own = ki_message_put(k, &event) == 0 ? KI_FOLD_WAITING : KI_FOLD_SILENT;
}

void ki_folded_own_begin(struct kith *k, struct ki_folded *f)
{
    switch (ki_filters_match(&k->mem, f->ask.filters, ki_name_of(k->cfg.name), ki_span(k->meta, k->meta_len))) {
    case KI_FILTER_PASS:
        if (ki_query_is_gauge(f->ask.name))
            folded_own_gauge(k, f);
        else
            folded_own_tell(k, f);
        return;
    case KI_FILTER_REJECT:
        f->own = KI_FOLD_UNCONCERNED;
        return;
    case KI_FILTER_BAD:
    case KI_FILTER_TOO_DEAR:
        ki_count(k, KI_COUNT_filters_refused);
        f->own = KI_FOLD_SILENT;
        return;
    }
}

int ki_folded_respond(struct kith *k, uint64_t handle, struct kith_str payload)
{
    struct ki_folded *f = k->messages ? k->messages->folded : NULL;
    while (f && f->handle != handle)
        f = f->next;
    if (!f || f->own != KI_FOLD_WAITING || f->deadline_us <= k->now.mono_us || !ki_active(k))
        return KITH_ERR_NOT_FOUND;
    if (payload.len > k->cfg.response_size_max)
        return KITH_ERR_TOO_LONG;
    bool fine = ki_decimal_read(ki_name_of(payload), &f->value) && f->value >= -KI_FOLD_VALUE_MAX &&
                f->value <= KI_FOLD_VALUE_MAX;
    f->own = fine ? KI_FOLD_NUMBER : KI_FOLD_UNUSABLE;
    ki_folded_step_all(k, f);
    return 0;
}

/* ---- ours ---- */

static int folded_begin(struct kith *k, struct ki_messages *m, const struct ki_fold_ask *ask, uint64_t wait_us,
                        kith_ticket *ticket)
{
    struct ki_folded *f = folded_new(k, m, ask);
    struct ki_fold_duty *duty = f ? ki_folded_duty(k, f, k->self, UINT64_MAX, wait_us) : NULL;
    bool room = duty && ki_folded_unable(k, f, &duty->partial);
    int error = room ? ki_folded_note(k, m, f) : KITH_ERR_NOMEM;
    if (error) {
        if (f)
            ki_folded_drop(k, m, f);
        return error;
    }
    ki_clock_witness(&k->query_clock, ask->ltime);
    f->is_ours = true;
    f->deadline_us = duty->deadline_us;
    f->forget_us = KITH_NEVER;
    f->ticket = *ticket = ++k->last_ticket; /* it may be over at once */
    ki_count(k, KI_COUNT_folds_out);
    ki_folded_own_begin(k, f);
    ki_folded_step(k, f, duty);
    return 0;
}

static bool folded_fits(const struct kith *k, const struct ki_fold_ask *ask)
{
    size_t room = ki_message_room(k) - 1;
    return ki_fold_ask_cap(ask) <= room && KI_FOLD_REPLY_CAP((size_t)ask->top) <= room;
}

int ki_folded_ask(struct kith *k, const struct kith_query *query, kith_ticket *ticket)
{
    struct ki_messages *m = ki_messages(k);
    if (k->cfg.stock)
        return KITH_ERR_STATE;
    if (query->fold_top > KI_FOLD_TOP_MAX)
        return KITH_ERR_ARG;
    size_t filters_cap = ki_query_filters_len(query);
    uint8_t *filters = m ? ki_mem_resize(&k->mem, NULL, filters_cap) : NULL;
    if (!filters) {
        ki_count(k, KI_COUNT_out_of_memory);
        return KITH_ERR_NOMEM;
    }
    struct ki_pack p = ki_pack(filters, filters_cap, false);
    if (query->node_count + query->tag_count > 0)
        ki_query_filters(query, &p);
    KI_ASSERT(!p.w.full);
    struct ki_fold_ask ask = {.id = ki_crng_u64(&k->crng),
                              .ltime = k->query_clock.time,
                              .top = query->fold_top,
                              .asker = ki_name_of(k->cfg.name),
                              .name = ki_name_of(query->name),
                              .filters = p.w.len > 0 ? ki_span(filters, p.w.len) : ki_span(NULL, 0),
                              .payload = ki_name_of(query->payload)};
    int error = !folded_fits(k, &ask)                     ? KITH_ERR_TOO_LONG
                : m->folded_count >= k->cfg.queries_max ? KITH_ERR_FULL
                                                          : folded_begin(k, m, &ask, ki_query_wait_us(k, query), ticket);
    ki_mem_free(&k->mem, filters);
    return error;
}

bool ki_folded_cancel(struct kith *k, kith_ticket ticket)
{
    struct ki_folded *f = k->messages ? k->messages->folded : NULL;
    while (f && !(f->is_ours && f->ticket == ticket))
        f = f->next;
    if (!f)
        return false;
    ki_folded_close(k, f, ki_folded_duty_of(f, k->self));
    return true;
}

/* ---- time ---- */

void ki_folded_tick(struct kith *k, struct ki_messages *m)
{
    for (struct ki_folded *f = m->folded, *next; f; f = next) {
        next = f->next;
        ki_folded_step_all(k, f);
        if (f->forget_us <= k->now.mono_us)
            ki_folded_drop(k, m, f);
    }
}

uint64_t ki_folded_deadline(const struct ki_messages *m)
{
    uint64_t next = KITH_NEVER;
    for (const struct ki_folded *f = m->folded; f; f = f->next) {
        next = ki_min_u64(next, f->forget_us);
        for (const struct ki_fold_duty *duty = f->duties; duty; duty = duty->next)
            next = ki_min_u64(next, duty->is_over ? KITH_NEVER : ki_folded_due_us(duty));
    }
    return next;
}

void ki_folded_forget(struct ki_messages *m, uint32_t id)
{
    ki_debts_forget(&m->fold_debts, id);
    for (struct ki_folded *f = m->folded; f; f = f->next) {
        for (struct ki_fold_duty *duty = f->duties; duty; duty = duty->next)
            ki_folded_duty_forget(duty, id);
    }
}
