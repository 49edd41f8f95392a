/* Watches: a measure of an aggregate and a limit, looked at each 200 ms.
 *
 * An edge is not queued: a watch knows what the application has been told last, and is due as long as it holds and that
 * differ.  So a slow reader is told how it is, and costs nothing.  Looking may mean to put thousands of values in order, so
 * one call looks at one watch, and the next follows at once.
 *
 * Invariant: the first event of a watch says 1, and they alternate.
 * Deliberately not here: what an edge is (aggregate/watch.c), answers. */
#include "node/aggregate.h"

#include "base/canary.h"
#include "base/real.h"

#define WATCH_LOOK_US 200000

/* ---- life ---- */

static bool watch_fine(const struct kith_watch *watch)
{
    bool q = watch->measure != KITH_MEASURE_QUANTILE || (watch->q >= 0 && watch->q <= 1);
    return ki_is_finite(watch->limit) && q && (unsigned)watch->measure <= KITH_MEASURE_QUANTILE &&
           (unsigned)watch->engine <= KITH_ENGINE_NETWORK;
}

int kith_aggregate_watch(struct kith *k, struct kith_time now, struct kith_str name, const struct kith_watch *watch,
                         kith_ticket *ticket)
{
    struct kith_aggregate known;
    ki_input(k, now);
    if (!ki_active(k) || k->bare || k->cfg.stock)
        return KITH_ERR_STATE;
    if (!watch_fine(watch))
        return KITH_ERR_ARG;
    if (kith_aggregate_find(k, name, &known) != 0)
        return KITH_ERR_NOT_FOUND;
    struct ki_aggregates *a = k->aggregates;
    if (a->watch_count >= k->cfg.watches_max)
        return KITH_ERR_FULL;
    if (!ki_list_room(&k->mem, (void **)&a->watches, sizeof *a->watches, a->watch_count, &a->watch_cap)) {
        ki_count(k, KI_COUNT_out_of_memory);
        return KITH_ERR_NOMEM;
    }
    struct ki_watch *to = &a->watches[a->watch_count++];
    *to = (struct ki_watch){.ticket = ++k->last_ticket,
                            .watch = *watch,
                            .holding = ki_holding(),
                            .look_us = now.mono_us,
                            .name_len = (uint8_t)name.len};
    memcpy(to->name, name.ptr, name.len); /* it is that of an aggregate, so it fits */
    *ticket = to->ticket;
    return 0;
}

int kith_aggregate_unwatch(struct kith *k, struct kith_time now, kith_ticket ticket)
{
    struct ki_aggregates *a = k->aggregates;
    ki_input(k, now);
    for (uint32_t i = 0; a && i < a->watch_count; i++) {
        if (a->watches[i].ticket != ticket)
            continue;
        a->watches[i] = a->watches[--a->watch_count];
        return 0;
    }
    return KITH_ERR_NOT_FOUND;
}

/* ---- looking ---- */

/* The measure, if there is any. */
static bool watch_measure(struct kith *k, const struct ki_watch *at, double *out)
{
    struct kith_str name = {(const char *)at->name, at->name_len};
    struct kith_aggregate_answer answer;
    double rank_error;
    if (at->watch.measure == KITH_MEASURE_QUANTILE)
        return kith_aggregate_quantile(k, k->now, name, at->watch.engine, at->watch.q, out, &rank_error) == 0;
    if (kith_aggregate_read(k, k->now, name, at->watch.engine, &answer) != 0)
        return false;
    switch (at->watch.measure) {
    case KITH_MEASURE_COUNT:
        *out = answer.count;
        return true;
    case KITH_MEASURE_SUM:
        *out = answer.sum;
        break;
    case KITH_MEASURE_AVERAGE:
        *out = answer.average;
        break;
    case KITH_MEASURE_MIN:
        *out = answer.min;
        break;
    case KITH_MEASURE_MAX:
        *out = answer.max;
        break;
    case KITH_MEASURE_QUANTILE:
        KI_UNREACHABLE();
    }
    return answer.count > 0;
}

void ki_watches_tick(struct kith *k, struct ki_aggregates *a)
{
    for (uint32_t i = 0; i < a->watch_count; i++) {
        struct ki_watch *at = &a->watches[(a->watch_turn + i) % a->watch_count];
        double measure;
        if (at->look_us > k->now.mono_us)
            continue;
        a->watch_turn = (a->watch_turn + i + 1) % a->watch_count; /* the one after it is looked at first next time */
        at->look_us = k->now.mono_us + WATCH_LOOK_US;
        if (!watch_measure(k, at, &measure)) {
            ki_holding_break(&at->holding);
            return;
        }
        bool is_so = at->watch.below ? measure < at->watch.limit : measure > at->watch.limit;
        uint64_t hold_us = KI_CANARY(JUMPY) ? 0 : (uint64_t)at->watch.hold_ms * 1000;
        (void)ki_holding_look(&at->holding, k->now.mono_us, is_so, hold_us);
        return;
    }
}

uint64_t ki_watches_deadline(const struct ki_aggregates *a)
{
    uint64_t next = KITH_NEVER;
    for (uint32_t i = 0; i < a->watch_count; i++)
        next = ki_min_u64(next, a->watches[i].look_us);
    return next;
}

bool ki_watches_poll(struct kith *k, struct kith_event *out)
{
    struct ki_aggregates *a = k->aggregates;
    for (uint32_t i = 0; a && i < a->watch_count; i++) {
        struct ki_watch *at = &a->watches[i];
        if (at->holding.holds == at->told)
            continue;
        at->told = at->holding.holds;
        *out = (struct kith_event){.kind = KITH_EVENT_WATCH, .ticket = at->ticket, .result = at->told};
        return true;
    }
    return false;
}
