/* Leaving, for ourselves and on behalf of a failed member.
 *
 *   LIVE --leave--> LEAVE_INTENT --sent/time--> LEAVE_DEAD --sent/time--> LEAVE_LINGER --time--> LEFT
 *                        '----- nobody else alive: straight to LEFT -------'
 *
 * The leave intent goes first, so that others take the death notice for a leaving; the notice goes second, so that
 * they stop probing us; then we stay a while to pass both on.  Each step waits broadcast_timeout_ms at most: a leave
 * never hangs.  Bare memberlist pools have no intents: the notice alone, said by ourselves, means left. */
#include "node/node.h"

static uint64_t leave_after(const struct kith *k, uint32_t ms)
{
    return k->now.mono_us + (uint64_t)ms * 1000;
}

static void leave_end(struct kith *k)
{
    k->life = KI_LIFE_LEFT;
    k->leave_next_us = KITH_NEVER;
    k->leave_news = 0;
    k->left_record_due = true;
    while (k->ask_count > 0) { /* nothing goes on from here: what was asked besides ends too */
        struct ki_ask *ask = &k->asks[k->ask_count - 1];
        int result = ask->kind != KI_ASK_LEAVE ? KITH_ERR_STATE : k->leave_late ? KITH_ERR_TIMEOUT : 0;
        ki_ask_end(k, ask, result, ask->reached);
    }
}

static void leave_die(struct kith *k)
{
    k->life = KI_LIFE_LEAVE_DEAD;
    k->leave_news = ++k->last_ticket; /* of its own: the intent may still be on its way */
    k->leave_next_us = leave_after(k, k->cfg.broadcast_timeout_ms);
    const struct ki_member *self = ki_table_at(&k->table, k->self);
    struct ki_span name = ki_name_of(k->cfg.name);
    struct ki_suspect dead = {.incarnation = self->incarnation, .node = name, .from = name};
    bool alone = !ki_anyone_else(k);
    if (ki_apply_dead(k, NULL, &dead) != 0)
        k->leave_late = true;
    if (alone)
        leave_end(k);
}

void ki_leave_advance(struct kith *k, bool timed_out)
{
    if (timed_out && k->life != KI_LIFE_LEAVE_LINGER) /* that wait is meant to run out */
        k->leave_late = true;
    switch (k->life) {
    case KI_LIFE_LEAVE_INTENT:
        leave_die(k);
        return;
    case KI_LIFE_LEAVE_DEAD:
        k->life = KI_LIFE_LEAVE_LINGER;
        k->leave_news = 0;
        k->leave_next_us = leave_after(k, k->cfg.leave_propagate_ms);
        return;
    case KI_LIFE_LEAVE_LINGER:
        leave_end(k);
        return;
    case KI_LIFE_LOADING:
    case KI_LIFE_LIVE:
    case KI_LIFE_LEFT:
        return;
    }
    KI_UNREACHABLE();
}

int kith_leave(struct kith *k, struct kith_time now, kith_ticket *ticket)
{
    ki_input(k, now);
    if (k->life != KI_LIFE_LIVE)
        return KITH_ERR_STATE;
    struct ki_ask *ask;
    int error = ki_ask_new(k, KI_ASK_LEAVE, !ticket, &ask);
    if (error)
        return error;
    k->leave_news = ask->ticket;
    if (ticket)
        *ticket = ask->ticket;
    k->life = KI_LIFE_LEAVE_INTENT;
    k->leave_next_us = leave_after(k, k->cfg.broadcast_timeout_ms);
    k->push_pull_next_us = k->again_us = KITH_NEVER;
    k->reconnect_next_us = KITH_NEVER;
    if (k->bare || !ki_anyone_else(k)) {
        if (!k->bare)
            ki_say_leave(k, ki_name_of(k->cfg.name), false, 0);
        ki_leave_advance(k, false);
        return 0;
    }
    if (ki_say_leave(k, ki_name_of(k->cfg.name), false, k->leave_news) != 0)
        ki_leave_advance(k, true); /* memory is out: leave all the same */
    return 0;
}

int kith_force_leave(struct kith *k, struct kith_time now, struct kith_str name, bool prune, kith_ticket *ticket)
{
    ki_input(k, now);
    if (!ki_active(k) || k->bare)
        return KITH_ERR_STATE;
    if (name.len == 0 || name.len > KITH_NAME_MAX)
        return KITH_ERR_ARG;
    struct ki_span span = ki_name_of(name);
    uint32_t id = ki_table_find(&k->table, span);
    bool known = id != KI_NO_MEMBER;
    bool nothing_to_wait_for = !ki_anyone_else(k) || id == k->self; /* we refute it on the spot */
    struct ki_ask *ask;
    int error = ki_ask_new(k, KI_ASK_FORCE_LEAVE, !ticket || !known, &ask);
    if (error)
        return error;
    kith_ticket mine = ask->ticket;
    ask->deadline_us = leave_after(k, k->cfg.broadcast_timeout_ms);
    error = ki_say_leave(k, span, prune, mine);
    ask = ki_ask_find(k, mine);
    if (error && ask) {
        ask->quiet = true;
        ki_ask_end(k, ask, error, 0);
    }
    if (error)
        return error;
    if (ticket && known)
        *ticket = mine;
    if (nothing_to_wait_for && ask)
        ki_ask_end(k, ask, 0, 0);
    return known ? 0 : KITH_ERR_NOT_FOUND;
}
