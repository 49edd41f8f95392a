/* Do we agree?  Roots ride on pings and acks.
 *
 * A node says its root with each of its probes of a peer, about once a second to one of them: the peer says that it has
 * the same one, or says its own.  Whom we have told who we are hears half a root, mixed with our id; should it have
 * forgotten us, the two differ, it says its own, and hears a whole one the next time.  Different roots are usual while
 * writes are under way, so a mismatch is looked at again one gossip interval later, and only the second in a row begins a
 * session.
 *
 * Equal roots are equal cells and equal contexts (R23): the peer holds all that we do.
 *
 * Under `withhold` the root of the last durable group is said, never that of what could still be lost (R22).
 *
 * Deliberately not here: sessions.
 */
#include "node/replica.h"

#define ROOTS_SETTLE 2048          /* cells a call: about 0.6 ms */
#define ROOTS_GAP_US 900000        /* between two roots to one peer */
#define ROOTS_STRIKES 2
#define ROOTS_PARTIAL_REST_US 60000000 /* a peer that refuses cells will not agree soon */

/* ---- our root ---- */

static bool root_of_now(struct ki_replica *r)
{
    if (!r->store.compare)
        return false;
    if (r->has_root && r->root_version == r->store.version)
        return true;
    r->is_settling = ki_compare_settle(&r->store, ROOTS_SETTLE) != KI_COMPARE_WHOLE;
    if (r->is_settling)
        return false;
    r->root = ki_compare_root(&r->store);
    r->root_version = r->store.version;
    r->has_root = true;
    return true;
}

bool ki_root(struct kith *k, struct ki_hash128 *root)
{
    struct ki_replica *r = k->replica;
    if (r->cfg.withhold && ki_rows_due(&r->rows) != r->rows.durable) {
        *root = r->shown.root;
        return r->shown.has_root;
    }
    bool has = root_of_now(r);
    *root = r->root;
    return has;
}

bool ki_in_sync(const struct kith *k, const struct ki_peer *peer)
{
    return peer->is_same && peer->same_version == k->replica->store.version;
}

/* ---- the exchange ---- */

void ki_root_on_ping(struct kith *k, uint32_t id)
{
    struct ki_peer *peer = k->replica && k->replica->is_ready ? ki_peer_of(k, id) : NULL;
    if (!peer || !k->replica->store.compare || (peer->said_us && k->now.mono_us - peer->said_us < ROOTS_GAP_US))
        return;
    if (peer->say == KI_SAY_NOTHING)
        peer->say = KI_SAY_ROOT;
}

static bool root_equal(const struct ki_hash128 *a, const struct ki_hash128 *b)
{
    return a->first == b->first && a->second == b->second;
}

/* Equal, as of this version of ours. */
static void root_agrees(struct kith *k, struct ki_peer *peer)
{
    const struct ki_replica *r = k->replica;
    peer->is_same = !r->cfg.withhold || ki_rows_due(&r->rows) == r->rows.durable;
    peer->same_version = r->store.version;
    peer->synced_us = k->now.mono_us;
    peer->strikes = peer->failures = 0;
    peer->ask_us = KITH_NEVER;
    ki_held_all(k, peer);
}

void ki_root_compared(struct kith *k, struct ki_peer *peer, bool has_root, bool is_equal)
{
    if (!has_root) {
        peer->say_late = KI_SAY_ROOT_BACK;
        return;
    }
    k->replica->rounds++;
    ki_count(k, KI_COUNT_roots_compared);
    if (is_equal)
        root_agrees(k, peer);
    else
        peer->is_same = false;
    bool knows_us = peer->told_replica == k->replica->store.replica;
    peer->say = is_equal && knows_us ? KI_SAY_SAME : KI_SAY_ROOT_BACK;
    ki_store_send(k, peer);
}

void ki_root_asked(struct kith *k, struct ki_peer *peer, const struct ki_kith_root *msg)
{
    struct ki_hash128 root;
    bool has = ki_root(k, &root);
    ki_root_compared(k, peer, has, has && root_equal(&root, &msg->root));
}

void ki_root_is_same(struct kith *k, struct ki_peer *peer)
{
    k->replica->rounds++;
    ki_count(k, KI_COUNT_roots_compared);
    root_agrees(k, peer);
}

void ki_root_answered(struct kith *k, struct ki_peer *peer, const struct ki_kith_root *msg)
{
    struct ki_hash128 root;
    peer->told_replica = 0; /* it may not know us */
    if (!ki_root(k, &root))
        return;
    if (root_equal(&root, &msg->root)) {
        root_agrees(k, peer);
        return;
    }
    peer->is_same = false;
    ki_count(k, KI_COUNT_roots_different);
    if (msg->is_partial)
        peer->rest_us = ki_max_u64(peer->rest_us, k->now.mono_us + ROOTS_PARTIAL_REST_US);
    else if (peer->was_partial)
        peer->rest_us = 0; /* it has room again */
    peer->was_partial = msg->is_partial;
    if (k->now.mono_us < peer->rest_us)
        return;
    peer->ask_us = KITH_NEVER;
    if (++peer->strikes < ROOTS_STRIKES) {
        peer->ask_us = k->now.mono_us + (uint64_t)k->cfg.gossip_interval_ms * 1000;
        return;
    }
    peer->strikes = 0;
    ki_repair_begin(k, peer);
}

/* ---- time ---- */

void ki_roots_late(struct kith *k)
{
    struct ki_replica *r = k->replica;
    for (uint32_t i = 0; i < r->peer_count; i++) {
        struct ki_peer *peer = r->peers[i];
        if (peer->say_late == KI_SAY_NOTHING)
            continue;
        peer->say = peer->say_late;
        peer->say_late = KI_SAY_NOTHING;
        ki_store_send(k, peer);
    }
}

/* While a store is written to without a pause its sketch is whole for moments only: what waits is said then. */
static void roots_settle(struct kith *k)
{
    struct ki_replica *r = k->replica;
    struct ki_hash128 root;
    if (!r->is_settling || !r->store.compare)
        return;
    enum ki_compare_state state = ki_compare_settle(&r->store, ROOTS_SETTLE);
    r->is_settling = state == KI_COMPARE_MORE;
    if (state == KI_COMPARE_WHOLE && ki_root(k, &root))
        ki_roots_late(k);
}

void ki_roots_tick(struct kith *k)
{
    struct ki_replica *r = k->replica;
    roots_settle(k);
    for (uint32_t i = 0; i < r->peer_count; i++) {
        struct ki_peer *peer = r->peers[i];
        if (peer->ask_us > k->now.mono_us)
            continue;
        peer->ask_us = KITH_NEVER;
        peer->say = KI_SAY_ROOT;
        ki_store_send(k, peer);
    }
}

uint64_t ki_roots_deadline(const struct kith *k)
{
    const struct ki_replica *r = k->replica;
    uint64_t next = r->is_settling ? k->now.mono_us : KITH_NEVER;
    for (uint32_t i = 0; i < r->peer_count; i++)
        next = ki_min_u64(next, r->peers[i]->ask_us);
    return next;
}
