/* Who else has a store, and what each is known to have held.
 *
 * The list follows the member table: it is made anew, lazily, when that has changed.  A peer that is no longer alive is
 * forgotten with all that is known of it; when it comes back, it may be another life of its data.
 *
 * What a replica was known to hold, it has held: a cell is lost by nobody, and what it retired it had retired knowingly.
 * Another replica id of the same member begins empty-handed.
 *
 * Invariant: peers are in order of id, each a member that lives and announces a store.
 * Deliberately not here: how it becomes known what they hold (held.c, compare_roots.c).
 */
#include "node/replica.h"

#include "base/canary.h"

#define PEERS_REFRESH_US 50000 /* in a pool that is too large to look through after each change of a member */
#define PEERS_SMALL 256
#define PEERS_HELD_MAX 4096    /* origins remembered for each */

static void peers_drop(struct ki_replica *r, struct ki_peer *peer)
{
    ki_mem_free(&r->mem, peer->held);
    ki_mem_free(&r->mem, peer);
}

void ki_peers_free(struct kith *k)
{
    struct ki_replica *r = k->replica;
    for (uint32_t i = 0; i < r->peer_count; i++)
        peers_drop(r, r->peers[i]);
    ki_mem_free(&r->mem, r->peers);
}

static bool peers_fit(const struct kith *k, uint32_t id)
{
    const struct ki_member *m = id == k->self ? NULL : ki_table_at(&k->table, id);
    return m && (m->state == KI_ALIVE || m->state == KI_SUSPECT) && ki_has_store(m);
}

/* The place of an id, or where it would be. */
static uint32_t peers_place(const struct ki_replica *r, uint32_t id)
{
    uint32_t from = 0, to = r->peer_count;
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        if (r->peers[middle]->id < id)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static void peers_forget(struct kith *k, struct ki_peer *peer)
{
    ki_repairs_gone(k, peer->id);
    peers_drop(k->replica, peer);
}

static void peers_remove_gone(struct kith *k)
{
    struct ki_replica *r = k->replica;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < r->peer_count; i++) {
        struct ki_peer *peer = r->peers[i];
        if (peers_fit(k, peer->id) &&
            ki_table_hash(&k->table, ki_member_name(ki_table_at(&k->table, peer->id))) == peer->name_hash)
            r->peers[kept++] = peer;
        else
            peers_forget(k, peer);
    }
    r->peer_count = kept;
}

static bool peers_add(struct kith *k, uint32_t id)
{
    struct ki_replica *r = k->replica;
    uint32_t place = peers_place(r, id);
    if (place < r->peer_count && r->peers[place]->id == id)
        return true;
    struct ki_peer *peer = ki_mem_new(&r->mem, sizeof *peer);
    if (!peer || !ki_list_room(&r->mem, (void **)&r->peers, sizeof(struct ki_peer *), r->peer_count, &r->peer_cap)) {
        ki_mem_free(&r->mem, peer);
        ki_count(k, KI_COUNT_out_of_memory);
        return false;
    }
    peer->id = id;
    peer->name_hash = ki_table_hash(&k->table, ki_member_name(ki_table_at(&k->table, id)));
    peer->ask_us = KITH_NEVER;
    memmove(&r->peers[place + 1], &r->peers[place], (r->peer_count - place) * sizeof(struct ki_peer *));
    r->peers[place] = peer;
    r->peer_count++;
    return true;
}

void ki_peers_refresh(struct kith *k)
{
    struct ki_replica *r = k->replica;
    bool is_same = r->peers_epoch == k->table.epoch && r->peers_members == k->table.count;
    bool is_late = k->now.mono_us >= r->peers_us + PEERS_REFRESH_US;
    bool is_cheap = k->table.count <= PEERS_SMALL && (r->peers_known || !is_same);
    if ((r->peers_known && is_same) || (r->peers_us && !is_late && !is_cheap)) /* no memory: not at each datagram again */
        return;
    peers_remove_gone(k);
    bool whole = true;
    for (uint32_t id = 0; id < k->table.used; id++) {
        if (peers_fit(k, id))
            whole = peers_add(k, id) && whole;
    }
    r->peers_us = k->now.mono_us;
    r->peers_known = whole;
    r->peers_epoch = k->table.epoch;
    r->peers_members = k->table.count;
    ki_held_check(k); /* those that are left may be all that were waited for */
}

struct ki_peer *ki_peer_known(const struct ki_replica *r, uint32_t id)
{
    uint32_t place = peers_place(r, id);
    return place < r->peer_count && r->peers[place]->id == id ? r->peers[place] : NULL;
}

struct ki_peer *ki_peer_of(struct kith *k, uint32_t id)
{
    ki_peers_refresh(k);
    return ki_table_at(&k->table, id) ? ki_peer_known(k->replica, id) : NULL;
}

void ki_peer_is(struct kith *k, struct ki_peer *peer, uint64_t replica)
{
    if (replica == k->replica->store.replica)
        return; /* somebody repeats our own words in its name */
    if (peer->replica == replica)
        return;
    for (uint32_t i = 0; i < k->replica->peer_count; i++) { /* it is one member's: whoever says so last */
        struct ki_peer *other = k->replica->peers[i];
        if (other->replica == replica) {
            other->replica = 0;
            other->held_count = 0;
        }
    }
    peer->replica = replica;
    peer->held_count = 0;
    peer->is_same = false;
    peer->strikes = peer->failures = 0;
    peer->synced_us = peer->differences = peer->rest_us = 0;
}

/* The place of an origin, or where it would be.  Often they come in order. */
static uint32_t peers_held_place(const struct ki_peer *peer, uint64_t origin)
{
    uint32_t from = 0, to = peer->held_count;
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        if (peer->held[middle].replica < origin)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static struct ki_run *peers_held(const struct ki_peer *peer, uint64_t origin)
{
    uint32_t place = peers_held_place(peer, origin);
    return place < peer->held_count && peer->held[place].replica == origin ? &peer->held[place] : NULL;
}

bool ki_peer_holds(const struct ki_peer *peer, struct ki_dot dot)
{
    const struct ki_run *run = peers_held(peer, dot.replica);
    return (run && run->low <= dot.n && dot.n <= run->high) || KI_CANARY(BOAST);
}

void ki_peer_held(struct kith *k, struct ki_peer *peer, struct ki_run run)
{
    struct ki_replica *r = k->replica;
    struct ki_run *known = peers_held(peer, run.replica);
    if (known) {
        bool touches = run.low <= known->high + 1 && known->low <= run.high + 1;
        known->low = touches ? ki_min_u64(known->low, run.low) : run.low;
        known->high = touches ? ki_max_u64(known->high, run.high) : run.high;
        return;
    }
    if (peer->held_count == PEERS_HELD_MAX ||
        !ki_list_room(&r->mem, (void **)&peer->held, sizeof *peer->held, peer->held_count, &peer->held_cap))
        return; /* less is known than could be: no harm */
    uint32_t place = peers_held_place(peer, run.replica);
    memmove(&peer->held[place + 1], &peer->held[place], (peer->held_count - place) * sizeof *peer->held);
    peer->held[place] = run;
    peer->held_count++;
}

/* ---- for programs ---- */

bool kith_next_store_peer(const struct kith *k, uint32_t *cursor, struct kith_store_peer *out)
{
    const struct ki_replica *r = k->replica;
    while (r && *cursor < r->peer_count) {
        const struct ki_peer *peer = r->peers[(*cursor)++];
        const struct ki_member *m = ki_table_at(&k->table, peer->id);
        if (!m)
            continue;
        *out = (struct kith_store_peer){.member = ki_str_of(ki_member_name(m)),
                                        .replica = peer->replica,
                                        .in_sync = ki_in_sync(k, peer),
                                        .synced_us = peer->synced_us,
                                        .differences = peer->differences};
        return true;
    }
    return false;
}
