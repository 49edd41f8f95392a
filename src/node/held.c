/* Evidence: who is known to hold what.
 *
 * It comes from two sources.  Equal roots: the peer holds all that our context has.  And asking: while somebody waits for
 * our writes to arrive, peers are asked what they hold of us, again and again until enough have said so.
 *
 * What is known is kept as one run of dots for each origin and replica.  Under `withhold` a node tells, and takes equal
 * roots to mean, what its last durable group had.
 *
 * Invariant: what is known of a replica id, it has held since it began (ki_peer_is() forgets the former id's).
 * Deliberately not here: what a wait is for.
 */
#include "node/replica.h"

#define HELD_ASK_FIRST_US 10000 /* doubling, */
#define HELD_ASK_LAST_US 640000 /* up to this */
#define HELD_RUNS_MAX 4096      /* origins that equal roots tell about */

/* ---- what is shown under withhold ---- */

static bool held_runs(struct kith *k, struct ki_published *shown)
{
    struct ki_replica *r = k->replica;
    struct ki_run run;
    shown->run_count = 0;
    for (struct ki_dot at = {0, 0}; ki_context_next(&r->store.context, at, &run);
         at = (struct ki_dot){run.replica, run.high + 1}) {
        bool is_next = shown->run_count > 0 && shown->runs[shown->run_count - 1].replica == run.replica;
        if (!is_next && (shown->run_count == HELD_RUNS_MAX ||
                         !ki_list_room(&r->mem, (void **)&shown->runs, sizeof *shown->runs, shown->run_count,
                                       &shown->run_cap)))
            return false;
        shown->run_count += !is_next;
        shown->runs[shown->run_count - 1] = run; /* the last one of each */
    }
    return true;
}

void ki_shown_group(struct kith *k)
{
    struct ki_replica *r = k->replica;
    r->coming.seq = r->rows.seq;
    r->coming.has_root = false;
    if (!held_runs(k, &r->coming))
        r->coming.run_count = 0;
    if (r->store.compare && ki_compare_settle(&r->store, HELD_RUNS_MAX) == KI_COMPARE_WHOLE) {
        r->coming.root = ki_compare_root(&r->store);
        r->coming.has_root = true;
    }
}

void ki_shown_durable(struct kith *k)
{
    struct ki_replica *r = k->replica;
    struct ki_published before = r->shown;
    r->shown = r->coming;
    r->coming = before;
}

/* The last run of an origin in what others may see. */
static bool held_shown(struct kith *k, uint64_t origin, uint64_t n, struct ki_run *out)
{
    const struct ki_replica *r = k->replica;
    if (!r->cfg.withhold || ki_rows_due(&r->rows) == r->rows.durable)
        return ki_context_next(&r->store.context, (struct ki_dot){origin, n}, out) && out->replica == origin &&
               out->low <= n;
    for (uint32_t i = 0; i < r->shown.run_count; i++) {
        *out = r->shown.runs[i];
        if (out->replica == origin)
            return out->low <= n && n <= out->high;
    }
    return false;
}

/* ---- roots ---- */

void ki_held_all(struct kith *k, struct ki_peer *peer)
{
    struct ki_replica *r = k->replica;
    bool is_now = !r->cfg.withhold || ki_rows_due(&r->rows) == r->rows.durable;
    if (!peer->replica)
        return;
    if (is_now && !held_runs(k, &r->coming)) /* a place that is free meanwhile */
        r->coming.run_count = 0;
    const struct ki_published *shown = is_now ? &r->coming : &r->shown;
    for (uint32_t i = 0; i < shown->run_count; i++)
        ki_peer_held(k, peer, shown->runs[i]);
    ki_held_check(k);
}

/* ---- asking ---- */

void ki_held_asked(struct kith *k, struct ki_peer *peer, const struct ki_kith_held_ask *msg)
{
    peer->answers_held = true;
    peer->answer_origin = msg->origin;
    peer->answer_n = msg->n;
    ki_store_send(k, peer);
}

bool ki_held_answer(struct kith *k, const struct ki_peer *peer, struct ki_kith_held *msg)
{
    struct ki_run run;
    if (!held_shown(k, peer->answer_origin, peer->answer_n, &run))
        return false; /* not yet: it will ask again */
    *msg = (struct ki_kith_held){
        .replica = k->replica->store.replica, .origin = run.replica, .low = run.low, .high = run.high};
    return true;
}

void ki_held_told(struct kith *k, struct ki_peer *peer, const struct ki_kith_held *msg)
{
    ki_peer_held(k, peer, (struct ki_run){.replica = msg->origin, .low = msg->low, .high = msg->high});
    ki_held_check(k);
}

/* ---- waits ---- */

uint32_t ki_held_count(struct kith *k, const struct ki_ask *ask)
{
    const struct ki_replica *r = k->replica;
    uint32_t count = 0;
    for (uint32_t i = 0; i < r->peer_count; i++) {
        const struct ki_peer *peer = r->peers[i];
        struct ki_dot first = {ask->upto.replica, 1};
        count += ask->upto.n == 0 || (ki_peer_holds(peer, first) && ki_peer_holds(peer, ask->upto));
    }
    return count;
}

void ki_held_check(struct kith *k)
{
    for (uint32_t i = k->replica->held_ask_us == KITH_NEVER ? 0 : k->ask_count; i-- > 0;) {
        struct ki_ask *ask = &k->asks[i];
        if (ask->kind != KI_ASK_WAIT)
            continue;
        uint32_t count = ki_held_count(k, ask);
        if (count >= ask->members)
            ki_ask_end(k, ask, 0, count);
    }
}

int kith_store_wait(struct kith *k, struct kith_time now, uint32_t members, uint32_t timeout_ms, kith_ticket *ticket)
{
    struct ki_replica *r = k->replica;
    struct ki_ask *ask;
    if (!r || !r->is_ready || !ki_active(k))
        return KITH_ERR_STATE;
    ki_input(k, now);
    ki_peers_refresh(k);
    int error = ki_ask_new(k, KI_ASK_WAIT, !ticket, &ask);
    if (error)
        return error;
    ask->deadline_us = timeout_ms ? k->now.mono_us + (uint64_t)timeout_ms * 1000 : KITH_NEVER;
    ask->members = members;
    ask->upto = (struct ki_dot){.replica = r->store.replica, .n = r->store.n};
    if (ticket)
        *ticket = ask->ticket;
    r->held_ask_us = k->now.mono_us; /* at once; in the datagrams behind those with what is waited for */
    r->held_asks = 0;
    ki_held_check(k);
    return 0;
}

void ki_held_tick(struct kith *k)
{
    struct ki_replica *r = k->replica;
    bool waits = false;
    if (r->held_ask_us > k->now.mono_us)
        return;
    for (uint32_t i = 0; i < k->ask_count; i++)
        waits = waits || k->asks[i].kind == KI_ASK_WAIT;
    r->held_ask_us = KITH_NEVER;
    if (!waits)
        return;
    for (uint32_t i = 0; r->store.n > 0 && i < r->peer_count; i++) {
        struct ki_peer *peer = r->peers[i];
        if (ki_peer_holds(peer, (struct ki_dot){r->store.replica, r->store.n}))
            continue;
        peer->asks_held = true;
        ki_store_send(k, peer);
    }
    uint64_t wait_us = (uint64_t)HELD_ASK_FIRST_US << ki_min_u64(r->held_asks++, 16);
    r->held_ask_us = k->now.mono_us + ki_min_u64(wait_us, HELD_ASK_LAST_US);
}

/* ---- for programs ---- */

/* Whether a peer has held every live cell under the key. */
static bool held_key(const struct ki_cells *cells, const struct ki_peer *peer, uint32_t key)
{
    const struct ki_key *owner = ki_cells_key_at(cells, key);
    bool holds = true;
    for (uint32_t id = owner->single; holds && id != KI_NO_CELL; id = ki_cells_at(cells, id)->next)
        holds = ki_peer_holds(peer, ki_cells_dot(cells, id));
    for (const struct ki_group *group = owner->groups; holds && group; group = group->next) {
        for (uint32_t i = 0; holds && i < group->count; i++) {
            for (uint32_t id = group->list[i]; holds && id != KI_NO_CELL; id = ki_cells_at(cells, id)->next)
                holds = ki_peer_holds(peer, ki_cells_dot(cells, id));
        }
    }
    return holds;
}

bool kith_next_holder(struct kith *k, struct kith_time now, struct kith_str key, uint64_t *cursor, struct kith_holder *out)
{
    if (kith_type_of(k, now, key) == KITH_TYPE_NONE)
        return false;
    struct ki_replica *r = k->replica;
    uint32_t id = ki_cells_key(&r->store.cells, ki_span_of(key));
    ki_peers_refresh(k);
    if (*cursor == 0) {
        *cursor = 1;
        *out = (struct kith_holder){.replica = r->store.replica, .member = k->cfg.name, .is_self = true};
        return true;
    }
    while (*cursor <= r->peer_count) {
        const struct ki_peer *peer = r->peers[(*cursor)++ - 1];
        const struct ki_member *m = ki_table_at(&k->table, peer->id);
        if (!m || !peer->replica || !held_key(&r->store.cells, peer, id))
            continue;
        *out = (struct kith_holder){.replica = peer->replica, .member = ki_str_of(ki_member_name(m))};
        return true;
    }
    return false;
}
