/* Asks: what the application wants and what takes time.  Each has a ticket and ends with one event.
 *
 * A join contacts its addresses a few at a time, each by one push/pull; it ends when all have been tried.  The others
 * end when their news has been sent as often as the pool's size asks for, or at their deadline.
 *
 * The table is an array without gaps: ending an ask moves the last one into its place, so a pointer to an ask does not
 * outlive a call that may end another.  Whoever needs it longer keeps the ticket and finds it again. */
#include "base/canary.h"
#include "node/node.h"
#include "node/replica.h"

#define ASK_JOIN_PARALLEL 4 /* streams one join has open: enough to hide one that hangs, few enough for streams_max */

int ki_ask_new(struct kith *k, enum ki_ask_kind kind, bool quiet, struct ki_ask **out)
{
    if (k->ask_count >= k->cfg.tickets_max)
        return KITH_ERR_FULL;
    bool room = k->asks || (k->asks = ki_mem_resize(&k->mem, NULL, k->cfg.tickets_max * sizeof *k->asks));
    if (!room || !ki_dones_reserve(k)) { /* what begins must be able to end */
        ki_count(k, KI_COUNT_out_of_memory);
        return KITH_ERR_NOMEM;
    }
    *out = &k->asks[k->ask_count++];
    **out = (struct ki_ask){
        .ticket = ++k->last_ticket, .kind = kind, .quiet = quiet, .deadline_us = KITH_NEVER};
    return 0;
}

struct ki_ask *ki_ask_find(struct kith *k, kith_ticket ticket)
{
    for (uint32_t i = 0; i < k->ask_count; i++) {
        if (k->asks[i].ticket == ticket)
            return &k->asks[i];
    }
    return NULL;
}

void ki_ask_end(struct kith *k, struct ki_ask *ask, int result, uint32_t count)
{
    if (!ask->quiet)
        ki_done_event(k, &(struct ki_done){
                             .kind = KITH_EVENT_DONE, .ticket = ask->ticket, .result = result, .count = count});
    if (!KI_CANARY(LEAK))
        ki_mem_free(&k->mem, ask->addrs);
    *ask = k->asks[--k->ask_count];
}

void ki_news_done(struct kith *k, kith_ticket ticket)
{
    if (ticket == 0)
        return;
    if (ticket == k->leave_news) {
        ki_leave_advance(k, false);
        return;
    }
    struct ki_ask *ask = ki_ask_find(k, ticket);
    if (ask && ask->kind != KI_ASK_LEAVE) /* that one goes by its own steps */
        ki_ask_end(k, ask, 0, 0);
}

void ki_asks_check(struct kith *k)
{
    for (uint32_t i = k->ask_count; i-- > 0;) {
        struct ki_ask *ask = &k->asks[i];
        if (ask->deadline_us <= k->now.mono_us)
            ki_ask_end(k, ask, KITH_ERR_TIMEOUT, ask->kind == KI_ASK_WAIT ? ki_held_count(k, ask) : 0);
    }
}

/* ---- joining ---- */

void ki_join_advance(struct kith *k, struct ki_ask *ask)
{
    kith_ticket ticket = ask->ticket;
    while (ask->addr_next < ask->addr_count && ask->open < ASK_JOIN_PARALLEL) {
        const struct kith_addr *to = &ask->addrs[ask->addr_next];
        int error = ki_stream_dial(k, to, KI_PURPOSE_JOIN, ticket);
        if (error == KITH_ERR_FULL && ask->open > 0)
            return; /* one of ours will end and make room */
        ask->addr_next++;
        if (error)
            ask->last_error = error;
        else
            ask->open++;
    }
    if (ask->open == 0 && ask->addr_next == ask->addr_count)
        ki_ask_end(k, ask, ask->reached > 0 ? 0 : ask->last_error, ask->reached);
}

void ki_join_result(struct kith *k, kith_ticket ticket, int result)
{
    struct ki_ask *ask = ki_ask_find(k, ticket);
    if (!ask)
        return;
    ask->open--;
    if (result)
        ask->last_error = result;
    else
        ask->reached++;
    if (result == 0 && ask->reached == 1 && k->life == KI_LIFE_LIVE) { /* a join said now would undo our leaving */
        ki_say_join(k);
        ask = ki_ask_find(k, ticket); /* news that it pushed out may have ended another ask and moved ours */
    }
    if (ask)
        ki_join_advance(k, ask);
}

int kith_join(struct kith *k, struct kith_time now, const struct kith_addr *addrs, size_t count, bool replay,
              kith_ticket *ticket)
{
    ki_input(k, now);
    if (k->life != KI_LIFE_LIVE)
        return KITH_ERR_STATE;
    if (count == 0 || count > UINT32_MAX / sizeof *addrs)
        return KITH_ERR_ARG;
    for (size_t i = 0; i < count; i++) {
        if ((addrs[i].ip_len != 4 && addrs[i].ip_len != 16) || addrs[i].port == 0)
            return KITH_ERR_ARG;
    }
    struct kith_addr *copy = ki_mem_copy(&k->mem, addrs, count * sizeof *addrs);
    if (!copy)
        return KITH_ERR_NOMEM;
    struct ki_ask *ask;
    int error = ki_ask_new(k, KI_ASK_JOIN, !ticket, &ask);
    if (error) {
        ki_mem_free(&k->mem, copy);
        return error;
    }
    ask->addrs = copy;
    ask->addr_count = (uint32_t)count;
    ask->replay = replay;
    ask->last_error = KITH_ERR_UNREACHABLE;
    if (ticket)
        *ticket = ask->ticket;
    ki_join_advance(k, ask);
    return 0;
}
