/* Writing: public operations in groups.
 *
 * Each operation is one of src/store/ops.h with the clock read into it.  What a group has written is told to others and to
 * the disk as one (R5, R6); a write outside a group is a group of its own.
 *
 * Deliberately not here: what an operation does (store/ops.c).
 */
#include "node/replica.h"

#include "store/expiry.h"

/* Before a write: a store that may be written to.  NULL: there is none. */
static struct ki_replica *write_to(struct kith *k, struct kith_time now, struct kith_str key)
{
    struct ki_replica *r = k->replica;
    if (!r || !r->is_ready || !ki_active(k))
        return NULL;
    ki_input(k, now);
    if (r->store.is_impersonated && !r->in_group)
        ki_replica_renew(k);
    return ki_replica_for(k, now, ki_span_of(key));
}

void ki_replica_step_ends(struct kith *k)
{
    struct ki_replica *r = k->replica;
    k->counters[KI_COUNT_stamps_ahead] = r->store.ahead;
    k->counters[KI_COUNT_replica_id_met] = r->store.impersonated;
    k->counters[KI_COUNT_cells_damaged] = r->store.damaged;
    if (!r->store.changes)
        return;
    ki_changes_end(&r->changes, &r->store.cells);
    k->counters[KI_COUNT_changes_dropped] = r->changes.dropped;
}

static int write_ends(struct kith *k, struct ki_replica *r, int error)
{
    ki_replica_step_ends(k);
    if (!r->in_group)
        ki_replica_committed(k);
    return ki_replica_error(error);
}

int kith_store_begin(struct kith *k)
{
    struct ki_replica *r = k->replica;
    if (!r || !r->is_ready || r->in_group)
        return KITH_ERR_STATE;
    if (r->store.is_impersonated)
        ki_replica_renew(k); /* no group changes its id half way */
    r->in_group = true;
    return 0;
}

int kith_store_commit(struct kith *k, struct kith_time now)
{
    struct ki_replica *r = k->replica;
    if (!r || !r->in_group)
        return KITH_ERR_STATE;
    ki_input(k, now);
    r->in_group = false;
    ki_replica_committed(k);
    return 0;
}

int kith_set(struct kith *k, struct kith_time now, struct kith_str key, struct kith_str value, uint64_t expires_ms)
{
    struct ki_replica *r = write_to(k, now, key);
    if (!r)
        return KITH_ERR_STATE;
    uint64_t end_ms = expires_ms == KITH_NEVER_MS ? 0 : ki_max_u64(expires_ms, 1);
    return write_ends(k, r, ki_set(&r->store, ki_wall_ms(now), ki_span_of(key), ki_span_of(value), end_ms));
}

int kith_increase(struct kith *k, struct kith_time now, struct kith_str key, int64_t by, int64_t *result)
{
    struct ki_replica *r = write_to(k, now, key);
    if (!r)
        return KITH_ERR_STATE;
    return write_ends(k, r, ki_increase(&r->store, ki_wall_ms(now), ki_span_of(key), by, result));
}

int kith_increase_real(struct kith *k, struct kith_time now, struct kith_str key, double by, double *result)
{
    struct ki_replica *r = write_to(k, now, key);
    if (!r)
        return KITH_ERR_STATE;
    return write_ends(k, r, ki_increase_real(&r->store, ki_wall_ms(now), ki_span_of(key), by, result));
}

int kith_delete(struct kith *k, struct kith_time now, struct kith_str key, bool *existed)
{
    struct ki_replica *r = write_to(k, now, key);
    if (!r)
        return KITH_ERR_STATE;
    return write_ends(k, r, ki_delete(&r->store, ki_span_of(key), existed));
}

int kith_expire(struct kith *k, struct kith_time now, struct kith_str key, uint64_t at_ms, bool *changed)
{
    struct ki_replica *r = write_to(k, now, key);
    if (!r)
        return KITH_ERR_STATE;
    return write_ends(k, r, ki_expire_at(&r->store, ki_wall_ms(now), ki_span_of(key), at_ms, changed));
}

int kith_set_add(struct kith *k, struct kith_time now, struct kith_str key, struct kith_str member, bool *is_new)
{
    struct ki_replica *r = write_to(k, now, key);
    if (!r)
        return KITH_ERR_STATE;
    return write_ends(k, r, ki_set_add(&r->store, ki_wall_ms(now), ki_span_of(key), ki_span_of(member), is_new));
}

int kith_hash_set(struct kith *k, struct kith_time now, struct kith_str key, struct kith_str field, struct kith_str value,
                  bool *is_new)
{
    struct ki_replica *r = write_to(k, now, key);
    if (!r)
        return KITH_ERR_STATE;
    return write_ends(k, r, ki_hash_set(&r->store, ki_wall_ms(now), ki_span_of(key), ki_span_of(field),
                                        ki_span_of(value), is_new));
}

int kith_hash_increase(struct kith *k, struct kith_time now, struct kith_str key, struct kith_str field, int64_t by,
                       int64_t *result)
{
    struct ki_replica *r = write_to(k, now, key);
    if (!r)
        return KITH_ERR_STATE;
    return write_ends(k, r, ki_hash_increase(&r->store, ki_wall_ms(now), ki_span_of(key), ki_span_of(field), by, result));
}

int kith_hash_increase_real(struct kith *k, struct kith_time now, struct kith_str key, struct kith_str field, double by,
                            double *result)
{
    struct ki_replica *r = write_to(k, now, key);
    if (!r)
        return KITH_ERR_STATE;
    return write_ends(
        k, r, ki_hash_increase_real(&r->store, ki_wall_ms(now), ki_span_of(key), ki_span_of(field), by, result));
}

int kith_sorted_add(struct kith *k, struct kith_time now, struct kith_str key, struct kith_str member, double score,
                    bool *is_new)
{
    struct ki_replica *r = write_to(k, now, key);
    if (!r)
        return KITH_ERR_STATE;
    return write_ends(k, r,
                      ki_sorted_add(&r->store, ki_wall_ms(now), ki_span_of(key), ki_span_of(member), score, is_new));
}

int kith_sorted_increase(struct kith *k, struct kith_time now, struct kith_str key, struct kith_str member, double by,
                         double *result)
{
    struct ki_replica *r = write_to(k, now, key);
    if (!r)
        return KITH_ERR_STATE;
    return write_ends(k, r,
                      ki_sorted_increase(&r->store, ki_wall_ms(now), ki_span_of(key), ki_span_of(member), by, result));
}

int kith_remove(struct kith *k, struct kith_time now, struct kith_str key, enum kith_type type, struct kith_str field,
                bool *existed)
{
    if (type != KITH_TYPE_SET && type != KITH_TYPE_HASH && type != KITH_TYPE_SORTED)
        return KITH_ERR_ARG;
    struct ki_replica *r = write_to(k, now, key);
    if (!r)
        return KITH_ERR_STATE;
    return write_ends(k, r, ki_remove(&r->store, ki_span_of(key), (enum ki_type)type, ki_span_of(field), existed));
}

/* Whoever has seen more siblings than this has not read them here. */
#define WRITE_SEEN_MAX 65536

int kith_put_sibling(struct kith *k, struct kith_time now, struct kith_str key, struct kith_str value,
                     const struct kith_dot *seen, size_t count)
{
    struct ki_replica *r = write_to(k, now, key);
    if (!r)
        return KITH_ERR_STATE;
    if (!seen)
        return write_ends(k, r, ki_put_sibling(&r->store, ki_wall_ms(now), ki_span_of(key), ki_span_of(value), NULL, 0));
    if (count > WRITE_SEEN_MAX)
        return KITH_ERR_ARG;
    struct ki_dot *token = ki_mem_resize(&r->mem, NULL, count * sizeof *token);
    if (!token)
        return KITH_ERR_NOMEM;
    bool valid = true;
    for (size_t i = 0; i < count; i++) {
        token[i] = (struct ki_dot){seen[i].replica, seen[i].n};
        valid = valid && ki_dot_is_valid(token[i]);
    }
    int error = KI_STORE_TOKEN;
    if (valid)
        error = ki_put_sibling(&r->store, ki_wall_ms(now), ki_span_of(key), ki_span_of(value), token, count);
    ki_mem_free(&r->mem, token);
    return write_ends(k, r, error);
}
