/* Reading: what the live cells show.  Nothing is asked of anybody.
 * A key whose time has come is ended before it is looked at, so a read may change the store.
 *
 * Deliberately not here: what they show (store/kinds.c, store/ops.c); evidence.
 */
#include "node/replica.h"

#include "store/expiry.h"
#include "store/kinds.h"

struct ki_replica *ki_replica_for(struct kith *k, struct kith_time now, struct ki_span key)
{
    struct ki_replica *r = k->replica;
    if (!r || !r->is_ready)
        return NULL;
    if (r->store.cells.expiring.count > 0) {
        ki_expire_key(&r->store, ki_wall_ms(now), key);
        ki_replica_step_ends(k);
    }
    return r;
}

/* The key, and what it shows. */
static uint32_t read_key(const struct ki_replica *r, struct ki_span name, enum ki_type *type)
{
    uint32_t key = r ? ki_cells_key(&r->store.cells, name) : KI_NO_KEY;
    *type = key != KI_NO_KEY ? ki_key_type(&r->store.cells, key) : KI_TYPE_NONE;
    return key;
}

static struct kith_value read_value(struct ki_shown shown)
{
    struct kith_value value = {.shape = KITH_SHAPE_NOTHING};
    switch (shown.as) {
    case KI_SHOWS_NOTHING:
        break;
    case KI_SHOWS_BYTES:
        value.shape = KITH_SHAPE_BYTES;
        value.bytes = ki_str_of(shown.bytes);
        break;
    case KI_SHOWS_INTEGER:
        value.shape = KITH_SHAPE_INTEGER;
        value.integer = shown.integer;
        break;
    case KI_SHOWS_REAL:
        value.shape = KITH_SHAPE_REAL;
        value.real = shown.real;
        break;
    }
    return value;
}

/* ---- whole keys ---- */

enum kith_type kith_type_of(struct kith *k, struct kith_time now, struct kith_str key)
{
    enum ki_type type;
    (void)read_key(ki_replica_for(k, now, ki_span_of(key)), ki_span_of(key), &type);
    return (enum kith_type)type;
}

int kith_get(struct kith *k, struct kith_time now, struct kith_str key, struct kith_value *out)
{
    enum ki_type type;
    struct ki_replica *r = ki_replica_for(k, now, ki_span_of(key));
    uint32_t id = read_key(r, ki_span_of(key), &type);
    *out = (struct kith_value){.shape = KITH_SHAPE_NOTHING};
    if (type == KI_TYPE_NONE)
        return 0;
    if (type != KI_TYPE_STRING)
        return KITH_ERR_TYPE;
    *out = read_value(ki_string_shown(&r->store, id));
    return 0;
}

int kith_expiry(struct kith *k, struct kith_time now, struct kith_str key, uint64_t *at_ms)
{
    enum ki_type type;
    struct ki_replica *r = ki_replica_for(k, now, ki_span_of(key));
    uint32_t id = read_key(r, ki_span_of(key), &type);
    if (type == KI_TYPE_NONE)
        return KITH_ERR_NOT_FOUND;
    *at_ms = ki_key_expiry_ms(&r->store, id);
    return 0;
}

/* Places are walked downwards: what is removed meanwhile is replaced by the last, which has been shown. */
static bool read_step(uint64_t *cursor, uint32_t count, uint32_t *place)
{
    uint64_t left = *cursor == 0 ? count : ki_min_u64(*cursor - 1, count);
    if (left == 0)
        return false;
    *place = (uint32_t)(left - 1);
    *cursor = left;
    return true;
}

bool kith_next_key(struct kith *k, struct kith_time now, uint64_t *cursor, struct kith_str *key)
{
    struct ki_replica *r = k->replica;
    uint32_t place;
    while (r && r->is_ready && read_step(cursor, r->store.cells.key_count, &place)) {
        const struct ki_key *found = ki_cells_key_at(&r->store.cells, r->store.cells.key_list[place]);
        uint32_t id = r->store.cells.key_list[place];
        if (r->store.cells.expiring.count > 0 && ki_key_expiry_ms(&r->store, id) <= ki_wall_ms(now))
            continue; /* nothing is ended while somebody walks */
        if (ki_key_type(&r->store.cells, id) == KI_TYPE_NONE)
            continue;
        *key = ki_str_of(ki_span(found->name, found->name_len));
        return true;
    }
    return false;
}

/* ---- elements ---- */

/* The elements of a key.  0, and *group NULL when there are none; or KITH_ERR_TYPE. */
static int read_group(struct kith *k, struct kith_time now, struct kith_str name, enum kith_type type, uint32_t *key,
                      struct ki_group **group)
{
    enum ki_type is;
    struct ki_replica *r = ki_replica_for(k, now, ki_span_of(name));
    *key = read_key(r, ki_span_of(name), &is);
    *group = NULL;
    if (is == KI_TYPE_NONE)
        return 0;
    if (is != (enum ki_type)type)
        return KITH_ERR_TYPE;
    *group = ki_cells_group(&r->store.cells, *key, is);
    return 0;
}

static struct kith_element read_element(const struct ki_store *store, uint32_t key, enum ki_type type, uint32_t first)
{
    struct ki_span field = ki_cells_field(ki_cells_at(&store->cells, first));
    struct kith_element element = {.field = ki_str_of(field)};
    if (type == KI_TYPE_HASH)
        element.value = read_value(ki_field_shown(store, key, field));
    else if (type == KI_TYPE_SORTED)
        element.score = ki_element_score(&store->cells, first);
    return element;
}

int kith_count(struct kith *k, struct kith_time now, struct kith_str key, enum kith_type type, uint32_t *count)
{
    uint32_t id;
    struct ki_group *group;
    int error = read_group(k, now, key, type, &id, &group);
    *count = group ? group->count : 0;
    return error;
}

int kith_element(struct kith *k, struct kith_time now, struct kith_str key, enum kith_type type, struct kith_str field,
                 struct kith_element *out)
{
    uint32_t id;
    struct ki_group *group;
    int error = read_group(k, now, key, type, &id, &group);
    if (error || !group)
        return error ? error : KITH_ERR_NOT_FOUND;
    struct ki_store *store = &k->replica->store;
    uint32_t first = ki_cells_element(&store->cells, id, group->type, ki_span_of(field));
    if (first == KI_NO_CELL)
        return KITH_ERR_NOT_FOUND;
    *out = read_element(store, id, group->type, first);
    return 0;
}

bool kith_next_element(struct kith *k, struct kith_time now, struct kith_str key, enum kith_type type, uint64_t *cursor,
                       struct kith_element *out)
{
    uint32_t id, place;
    struct ki_group *group;
    if (read_group(k, now, key, type, &id, &group) != 0 || !group || !read_step(cursor, group->count, &place))
        return false;
    *out = read_element(&k->replica->store, id, group->type, group->list[place]);
    return true;
}

/* ---- sorted sets ---- */

static int read_sorted(struct kith *k, struct kith_time now, struct kith_str key, uint32_t *id, struct ki_group **group)
{
    int error = read_group(k, now, key, KITH_TYPE_SORTED, id, group);
    if (!error && *group && !ki_cells_put_in_order(&k->replica->store.cells, *group))
        error = KITH_ERR_NOMEM;
    return error;
}

int kith_sorted_at(struct kith *k, struct kith_time now, struct kith_str key, uint32_t rank, struct kith_element *out)
{
    uint32_t id;
    struct ki_group *group;
    int error = read_sorted(k, now, key, &id, &group);
    if (error)
        return error;
    uint32_t first = group ? ki_order_at(&group->order, rank) : KI_ORDER_NONE;
    if (first == KI_ORDER_NONE)
        return KITH_ERR_NOT_FOUND;
    *out = read_element(&k->replica->store, id, KI_TYPE_SORTED, first);
    return 0;
}

int kith_sorted_rank(struct kith *k, struct kith_time now, struct kith_str key, struct kith_str member, uint32_t *rank)
{
    uint32_t id;
    struct ki_group *group;
    int error = read_sorted(k, now, key, &id, &group);
    if (error || !group)
        return error ? error : KITH_ERR_NOT_FOUND;
    const struct ki_cells *cells = &k->replica->store.cells;
    uint32_t first = ki_cells_element(cells, id, KI_TYPE_SORTED, ki_span_of(member));
    if (first == KI_NO_CELL)
        return KITH_ERR_NOT_FOUND;
    *rank = ki_order_rank(&group->order, cells, first);
    return 0;
}

struct read_bound {
    double score;
    bool above;
};

static int read_side(const void *owner, uint32_t value, const void *key)
{
    const struct read_bound *bound = key;
    double score = ki_cells_at(owner, value)->score;
    return score < bound->score || (bound->above && score == bound->score) ? -1 : 1;
}

int kith_sorted_bound(struct kith *k, struct kith_time now, struct kith_str key, double score, bool above, uint32_t *rank)
{
    uint32_t id;
    struct ki_group *group;
    int error = read_sorted(k, now, key, &id, &group);
    struct read_bound bound = {.score = score, .above = above};
    if (!error)
        *rank = group ? ki_order_bound(&group->order, &k->replica->store.cells, read_side, &bound) : 0;
    return error;
}

/* ---- siblings ---- */

int kith_sibling(struct kith *k, struct kith_time now, struct kith_str key, uint32_t place, struct kith_str *value,
                 struct kith_dot *dot)
{
    enum ki_type type;
    struct ki_replica *r = ki_replica_for(k, now, ki_span_of(key));
    uint32_t id = read_key(r, ki_span_of(key), &type);
    if (type == KI_TYPE_NONE)
        return KITH_ERR_NOT_FOUND;
    if (type != KI_TYPE_SIBLINGS)
        return KITH_ERR_TYPE;
    const struct ki_cells *cells = &r->store.cells;
    for (uint32_t at = ki_cells_key_at(cells, id)->single; at != KI_NO_CELL; at = ki_cells_at(cells, at)->next) {
        const struct ki_cell *cell = ki_cells_at(cells, at);
        if (cell->kind != KI_KIND_SIBLING || place-- > 0)
            continue;
        struct ki_dot found = ki_cells_dot(cells, at);
        *value = ki_str_of(ki_cells_value(cell));
        *dot = (struct kith_dot){.replica = found.replica, .n = found.n};
        return 0;
    }
    return KITH_ERR_NOT_FOUND;
}
