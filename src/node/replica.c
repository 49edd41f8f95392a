/* Life of an instance's store.
 *
 * It is opened before the instance is ready, then loaded, row by row.  When the instance becomes ready, the store takes an
 * id of its own: what it has read stays, and what it writes from now on is written under a name that nobody has seen (R3).
 *
 * The store has its own account of memory, so that its limit is its own: when it is reached writes are refused, and
 * membership goes on.
 *
 * Deliberately not here: operations, reading, rows, and whatever concerns other nodes.
 */
#include "node/store_link.h"

#include "base/canary.h"
#include "store/delta.h"
#include "store/expiry.h"

#define REPLICA_KEY_MAX 65536
#define REPLICA_VALUE_MAX (512u << 20)
#define REPLICA_DELTA_CELLS_MAX 4096 /* and retired dots, of one delta: twice what we send */
#define REPLICA_EXPIRE_SLICE 256        /* cells a tick: well below a millisecond */

void kith_store_config_init(struct kith_store_config *c)
{
    *c = (struct kith_store_config){.size = sizeof *c,
                                    .key_max = REPLICA_KEY_MAX,
                                    .value_max = 16u << 20,
                                    .changes_max = 65536,
                                    .clock_warn_ms = 1000,
                                    .clock_clamp_ms = 60 * 1000,
                                    .clock_refuse_ms = 24ull * 3600 * 1000};
}

static bool replica_config_fine(const struct kith_store_config *c)
{
    return c->size == sizeof *c && c->key_max >= 1 && c->key_max <= REPLICA_KEY_MAX && c->value_max >= 64 &&
           c->value_max <= REPLICA_VALUE_MAX && c->changes_max >= 1 && c->clock_warn_ms <= c->clock_clamp_ms &&
           c->clock_clamp_ms <= c->clock_refuse_ms;
}

int kith_store_open(struct kith *k, const struct kith_store_config *c)
{
    if (k->life != KI_LIFE_LOADING || k->replica || k->bare || k->cfg.stock)
        return KITH_ERR_STATE;
    if (!replica_config_fine(c))
        return KITH_ERR_ARG;
    struct ki_replica *r = ki_mem_new(&k->mem, sizeof *r);
    if (!r)
        return KITH_ERR_NOMEM;
    if (ki_tags_store(k) != 0) {
        ki_mem_free(&k->mem, r);
        return KITH_ERR_ARG;
    }
    r->cfg = *c;
    r->push.at_us = r->held_ask_us = KITH_NEVER;
    ki_mem_init(&r->mem, k->cfg.memory.resize, k->cfg.memory.release, k->cfg.memory.arg, c->memory_max);
    struct ki_store_config rules = {
        .limits = {.key_max = c->key_max, .field_max = c->value_max, .value_max = c->value_max},
        .bounds = {.warn_ms = c->clock_warn_ms, .clamp_ms = c->clock_clamp_ms, .refuse_ms = c->clock_refuse_ms},
        .delta_cells_max = REPLICA_DELTA_CELLS_MAX};
    uint8_t hash_key[16];
    ki_crng_fill(&k->crng, hash_key, sizeof hash_key);
    ki_store_init(&r->store, &r->mem, &rules, ki_crng_u64(&k->crng), hash_key);
    ki_rows_init(&r->rows, &r->store);
    ki_changes_init(&r->changes, &r->mem, c->changes_max);
    if (c->watch)
        r->store.changes = &r->changes;
    k->replica = r;
    return 0;
}

void ki_replica_free(struct kith *k)
{
    struct ki_replica *r = k->replica;
    if (!r)
        return;
    ki_import_drop(k);
    ki_repairs_free(k);
    ki_store_links_free(k);
    ki_push_free(k);
    ki_peers_free(k);
    ki_mem_free(&r->mem, r->shown.runs);
    ki_mem_free(&r->mem, r->coming.runs);
    ki_changes_free(&r->changes);
    ki_rows_free(&r->rows);
    ki_store_free(&r->store);
    ki_mem_free(&k->mem, r);
    k->replica = NULL;
}

void ki_replica_renew(struct kith *k)
{
    ki_repairs_end(k);
    ki_push_end(k);
    ki_store_renew(&k->replica->store, ki_crng_u64(&k->crng));
    k->replica->store.version++;
}

void ki_replica_ready(struct kith *k)
{
    struct ki_replica *r = k->replica;
    if (!r)
        return;
    if (!r->cfg.keep_id && !KI_CANARY(SAME_ID))
        ki_replica_renew(k);
    if (!ki_secret_loaded(k))
        r->rows.has_secret = false; /* peers will tell it */
    k->link_owners[KI_LINK_STORE] = &ki_store_link_owner;
    r->is_ready = true;
}

int ki_replica_error(int store_error)
{
    switch ((enum ki_store_error)store_error) {
    case KI_STORE_FINE:
        return 0;
    case KI_STORE_MEMORY:
        return KITH_ERR_NOMEM;
    case KI_STORE_TYPE:
        return KITH_ERR_TYPE;
    case KI_STORE_NUMBER:
        return KITH_ERR_NUMBER;
    case KI_STORE_OVERFLOW:
        return KITH_ERR_OVERFLOW;
    case KI_STORE_TOO_LONG:
        return KITH_ERR_TOO_LONG;
    case KI_STORE_TOKEN:
        return KITH_ERR_ARG;
    case KI_STORE_MALFORMED:
    case KI_STORE_AHEAD:
        return KITH_ERR_MALFORMED;
    case KI_STORE_IMPERSONATED:
        return KITH_ERR_STATE;
    }
    KI_UNREACHABLE();
}

/* ---- time ---- */

void ki_replica_tick(struct kith *k)
{
    struct ki_replica *r = k->replica;
    if (!r || !r->is_ready || r->in_group)
        return;
    if (ki_expire_next_ms(&r->store) <= ki_wall_ms(k->now)) {
        (void)ki_expire_due(&r->store, ki_wall_ms(k->now), REPLICA_EXPIRE_SLICE);
        ki_replica_step_ends(k);
    }
    ki_peers_refresh(k);
    ki_secret_tick(k);
    ki_roots_tick(k);
    ki_held_tick(k);
    ki_repairs_tick(k);
}

static uint64_t replica_expiry_us(const struct kith *k)
{
    uint64_t next_ms = ki_expire_next_ms(&k->replica->store), wall_ms = ki_wall_ms(k->now);
    if (next_ms == KI_NEVER_MS)
        return KITH_NEVER;
    uint64_t wait_ms = next_ms > wall_ms ? next_ms - wall_ms : 0;
    return wait_ms > UINT64_MAX / 2000 - k->now.mono_us / 1000 ? KITH_NEVER : k->now.mono_us + wait_ms * 1000;
}

uint64_t ki_replica_deadline(const struct kith *k)
{
    const struct ki_replica *r = k->replica;
    if (!r || !r->is_ready || r->in_group) /* ki_replica_tick() waits for its end */
        return KITH_NEVER;
    uint64_t next_us = ki_min_u64(ki_min_u64(replica_expiry_us(k), ki_push_deadline(k)), ki_roots_deadline(k));
    next_us = ki_min_u64(ki_min_u64(next_us, ki_repairs_deadline(k)), ki_secret_deadline(k));
    return ki_min_u64(next_us, r->held_ask_us);
}

/* ---- how it is ---- */

int kith_store_read_gauges(struct kith *k, struct kith_store_gauges *out)
{
    struct ki_replica *r = k->replica;
    if (!r)
        return KITH_ERR_STATE;
    *out = (struct kith_store_gauges){.keys = r->store.cells.key_count,
                                      .cells = r->store.cells.cell_count,
                                      .replica = r->store.replica,
                                      .written = r->store.n,
                                      .expired = r->store.expired,
                                      .replicas = (uint32_t)r->store.context.replica_count,
                                      .runs = (uint32_t)r->store.context.run_count,
                                      .refused_ahead = r->store.quarantined,
                                      .rounds = r->rounds,
                                      .repairs = r->repairs,
                                      .repairs_failed = r->repairs_failed,
                                      .differences = r->differences,
                                      .is_partial = r->is_partial};
    struct ki_hash128 root;
    out->has_root = r->is_ready && ki_root(k, &root);
    if (out->has_root) {
        ki_store_be(out->root, root.first, 8);
        ki_store_be(out->root + 8, root.second, 8);
    }
    ki_peers_refresh(k);
    out->peers = r->peer_count;
    for (uint32_t i = 0; i < r->peer_count; i++)
        out->peers_in_sync += ki_in_sync(k, r->peers[i]);
    out->bytes = r->mem.used; /* a root may have been computed for this */
    return 0;
}
