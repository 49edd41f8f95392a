/* Operations: what each of them writes, and what it supersedes (R8 to R15).
 *
 * Each collects the cells that it has seen and replaces, then writes one cell, or none.  A count is a share: this replica's
 * own share so far and the amount, replacing the own share only, so that counts of different replicas add up (R11).
 *
 * Deliberately not here: atomicity (store.c), many elements in one command (the caller's loop, in one group), expiry of
 * whole keys (expiry.c).
 */
#include "store/ops.h"

#include "base/real.h"
#include "store/kinds.h"

/* ---- finding, collecting ---- */

/* The key, which may not be there, if it is of this type or of none. */
static int ops_need(const struct ki_store *store, struct ki_span name, enum ki_type type, uint32_t *key)
{
    *key = ki_cells_key(&store->cells, name);
    enum ki_type is = *key != KI_NO_KEY ? ki_key_type(&store->cells, *key) : KI_TYPE_NONE;
    return is == KI_TYPE_NONE || is == type ? 0 : KI_STORE_TYPE;
}

static uint32_t ops_element(const struct ki_store *store, uint32_t key, enum ki_type type, struct ki_span field)
{
    return key == KI_NO_KEY ? KI_NO_CELL : ki_cells_element(&store->cells, key, type, field);
}

static int ops_supersede_chain(struct ki_store *store, uint32_t first, enum ki_type type)
{
    int error = 0;
    for (uint32_t id = first; !error && id != KI_NO_CELL; id = ki_cells_at(&store->cells, id)->next) {
        enum ki_kind kind = (enum ki_kind)ki_cells_at(&store->cells, id)->kind;
        if (type == KI_TYPE_NONE || ki_kind_rule(kind)->type == type)
            error = ki_store_supersede(store, id);
    }
    return error;
}

static int ops_supersede_key(struct ki_store *store, uint32_t key)
{
    if (key == KI_NO_KEY)
        return 0;
    const struct ki_key *owner = ki_cells_key_at(&store->cells, key);
    int error = ops_supersede_chain(store, owner->single, KI_TYPE_NONE);
    for (const struct ki_group *group = owner->groups; !error && group; group = group->next) {
        for (uint32_t i = 0; !error && i < group->count; i++)
            error = ops_supersede_chain(store, group->list[i], group->type);
    }
    return error;
}

/* ---- strings and whole keys ---- */

int ki_set(struct ki_store *store, uint64_t wall_ms, struct ki_span key, struct ki_span value, uint64_t expires_ms)
{
    ki_store_begin(store);
    int error = ops_supersede_key(store, ki_cells_key(&store->cells, key));
    struct ki_write write = {.kind = KI_KIND_REGISTER, .key = key, .value = value, .expires_ms = expires_ms};
    return error ? error : ki_store_write(store, wall_ms, &write);
}

int ki_delete(struct ki_store *store, struct ki_span key, bool *existed)
{
    ki_store_begin(store);
    uint32_t id = ki_cells_key(&store->cells, key);
    bool seen = id != KI_NO_KEY && ki_key_type(&store->cells, id) != KI_TYPE_NONE;
    int error = ops_supersede_key(store, id);
    if (!error)
        error = ki_store_retire_only(store);
    if (!error && existed)
        *existed = seen;
    return error;
}

/* The siblings that a token names.  It may name one twice, and others than these. */
static int ops_supersede_named(struct ki_store *store, uint32_t first, const struct ki_dot *token, size_t count)
{
    int error = 0;
    for (uint32_t id = first; !error && id != KI_NO_CELL; id = ki_cells_at(&store->cells, id)->next) {
        bool is_named = false;
        for (size_t i = 0; i < count && !is_named; i++)
            is_named = ki_dot_compare(ki_cells_dot(&store->cells, id), token[i]) == 0;
        if (is_named && ki_cells_at(&store->cells, id)->kind == KI_KIND_SIBLING)
            error = ki_store_supersede(store, id);
    }
    return error;
}

int ki_put_sibling(struct ki_store *store, uint64_t wall_ms, struct ki_span key, struct ki_span value,
                   const struct ki_dot *token, size_t token_count)
{
    uint32_t id;
    int error = ops_need(store, key, KI_TYPE_SIBLINGS, &id);
    ki_store_begin(store);
    if (!error && !token)
        error = ops_supersede_chain(store, ops_element(store, id, KI_TYPE_SIBLINGS, ki_span(NULL, 0)), KI_TYPE_SIBLINGS);
    for (size_t i = 0; !error && token && i < token_count; i++) {
        if (!ki_context_has(&store->context, token[i]))
            return KI_STORE_TOKEN;
    }
    if (!error && token)
        error = ops_supersede_named(store, ops_element(store, id, KI_TYPE_SIBLINGS, ki_span(NULL, 0)), token, token_count);
    struct ki_write write = {.kind = KI_KIND_SIBLING, .key = key, .value = value};
    return error ? error : ki_store_write(store, wall_ms, &write);
}

/* ---- elements ---- */

/* Whether an element has a cell of ours that nobody has seen: nobody can have removed it elsewhere, so that adding it again
 * would say nothing. */
static bool ops_is_unseen(const struct ki_store *store, uint32_t first)
{
    for (uint32_t id = first; id != KI_NO_CELL; id = ki_cells_at(&store->cells, id)->next) {
        struct ki_dot dot = ki_cells_dot(&store->cells, id);
        if (dot.replica == store->replica && dot.n > store->shown_n)
            return true;
    }
    return false;
}

static int ops_put(struct ki_store *store, uint64_t wall_ms, const struct ki_write *write, bool *is_new)
{
    uint32_t key;
    enum ki_type type = ki_kind_rule(write->kind)->type;
    int error = ops_need(store, write->key, type, &key);
    if (error)
        return error;
    uint32_t first = ops_element(store, key, type, write->field);
    bool says_nothing = write->kind == KI_KIND_SET && ops_is_unseen(store, first);
    ki_store_begin(store);
    if (!says_nothing)
        error = ops_supersede_chain(store, first, type);
    if (!error && !says_nothing)
        error = ki_store_write(store, wall_ms, write);
    if (!error && is_new)
        *is_new = first == KI_NO_CELL;
    return error;
}

int ki_set_add(struct ki_store *store, uint64_t wall_ms, struct ki_span key, struct ki_span member, bool *is_new)
{
    return ops_put(store, wall_ms, &(struct ki_write){.kind = KI_KIND_SET, .key = key, .field = member}, is_new);
}

int ki_hash_set(struct ki_store *store, uint64_t wall_ms, struct ki_span key, struct ki_span field, struct ki_span value,
                bool *is_new)
{
    return ops_put(store, wall_ms,
                   &(struct ki_write){.kind = KI_KIND_HASH, .key = key, .field = field, .value = value}, is_new);
}

static struct ki_span ops_real(double value, uint8_t bytes[8])
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    ki_store_be(bytes, bits, 8);
    return ki_span(bytes, 8);
}

int ki_sorted_add(struct ki_store *store, uint64_t wall_ms, struct ki_span key, struct ki_span member, double score,
                  bool *is_new)
{
    uint8_t bytes[8];
    struct ki_write write = {.kind = KI_KIND_SORTED, .key = key, .field = member, .value = ops_real(score, bytes)};
    return ki_real_is_number(score) ? ops_put(store, wall_ms, &write, is_new) : KI_STORE_NUMBER;
}

/* Whether the element that begins here is all that the key has, but for when it ends. */
static bool ops_is_last(const struct ki_store *store, uint32_t key, uint32_t first)
{
    const struct ki_key *owner = ki_cells_key_at(&store->cells, key);
    bool is_alone = first != KI_NO_CELL && owner->groups->count == 1 && !owner->groups->next;
    for (uint32_t id = owner->single; is_alone && id != KI_NO_CELL; id = ki_cells_at(&store->cells, id)->next)
        is_alone = ki_cells_at(&store->cells, id)->kind == KI_KIND_EXPIRY;
    return is_alone;
}

int ki_remove(struct ki_store *store, struct ki_span key, enum ki_type type, struct ki_span field, bool *existed)
{
    uint32_t id;
    int error = ops_need(store, key, type, &id);
    if (error)
        return error;
    uint32_t first = ops_element(store, id, type, field);
    ki_store_begin(store);
    error = ops_supersede_chain(store, first, type);
    if (!error && id != KI_NO_KEY && ops_is_last(store, id, first)) /* a key made anew must not inherit its end */
        error = ops_supersede_chain(store, ki_cells_key_at(&store->cells, id)->single, KI_TYPE_NONE);
    if (!error)
        error = ki_store_retire_only(store);
    if (!error && existed)
        *existed = first != KI_NO_CELL;
    return error;
}

/* ---- shares ---- */

/* What an increase made is told as it is read afterwards: shares are added in an order of their own, and rounded or held
 * at an end there, so adding to what was shown before may give another number. */

/* Collects this replica's own shares of one kind, and finds the newest. */
static int ops_own_share(struct ki_store *store, uint32_t first, enum ki_kind kind, const struct ki_cell **newest)
{
    int error = 0;
    *newest = NULL;
    for (uint32_t id = first; !error && id != KI_NO_CELL; id = ki_cells_at(&store->cells, id)->next) {
        const struct ki_cell *cell = ki_cells_at(&store->cells, id);
        if (cell->kind != kind || store->cells.replicas[cell->replica] != store->replica)
            continue;
        error = ki_store_supersede(store, id);
        if (!*newest || cell->n > (*newest)->n)
            *newest = cell;
    }
    return error;
}

/* Before a share is added: what is shown must be a number, and stay one. */
static int ops_count_on(const struct ki_shown *shown, bool real)
{
    int64_t integer;
    double number;
    if (shown->as != KI_SHOWS_BYTES)
        return 0;
    if (ki_text_integer(shown->bytes, &integer))
        return 0;
    return real && ki_text_real(shown->bytes, &number) ? 0 : KI_STORE_NUMBER;
}

static double ops_number(const struct ki_shown *shown)
{
    int64_t integer;
    double real = 0;
    if (shown->as == KI_SHOWS_INTEGER)
        return (double)shown->integer;
    if (shown->as == KI_SHOWS_REAL)
        return shown->real;
    if (shown->as == KI_SHOWS_BYTES && ki_text_integer(shown->bytes, &integer))
        return (double)integer;
    return shown->as == KI_SHOWS_BYTES && ki_text_real(shown->bytes, &real) ? real : 0;
}

static int ops_add_integer(struct ki_store *store, uint64_t wall_ms, struct ki_write write, uint32_t first,
                           const struct ki_shown *shown, int64_t by)
{
    uint8_t bytes[8];
    const struct ki_cell *own;
    int64_t share = 0, sum, base = shown->integer;
    int error = ops_count_on(shown, false);
    if (error || shown->as == KI_SHOWS_REAL)
        return KI_STORE_NUMBER;
    if (shown->as == KI_SHOWS_BYTES)
        (void)ki_text_integer(shown->bytes, &base);
    if (!ki_add_integers(base, by, &sum))
        return KI_STORE_OVERFLOW;
    ki_store_begin(store);
    error = ops_own_share(store, first, write.kind, &own);
    if (error)
        return error;
    if (!ki_add_integers(own ? ki_value_integer(own) : 0, by, &share))
        return KI_STORE_OVERFLOW;
    ki_store_be(bytes, (uint64_t)share, 8);
    write.value = ki_span(bytes, 8);
    return ki_store_write(store, wall_ms, &write);
}

static int ops_add_real(struct ki_store *store, uint64_t wall_ms, struct ki_write write, uint32_t first, double shown,
                        double by)
{
    uint8_t bytes[8];
    const struct ki_cell *own;
    ki_store_begin(store);
    int error = ops_own_share(store, first, write.kind, &own);
    if (error)
        return error;
    double share = (own ? ki_value_real(own) : 0) + by;
    if (!ki_is_finite(share) || !ki_is_finite(shown + by))
        return KI_STORE_OVERFLOW;
    write.value = ops_real(share, bytes);
    return ki_store_write(store, wall_ms, &write);
}

static struct ki_shown ops_shown_at(const struct ki_store *store, uint32_t id, enum ki_type type, struct ki_span field)
{
    return type == KI_TYPE_HASH ? ki_field_shown(store, id, field) : ki_string_shown(store, id);
}

/* The key that was written to: it was there, or is new. */
static uint32_t ops_made(const struct ki_store *store, uint32_t id, struct ki_span key)
{
    return id != KI_NO_KEY ? id : ki_cells_key(&store->cells, key);
}

static int ops_increase(struct ki_store *store, uint64_t wall_ms, struct ki_write write, int64_t by, int64_t *result)
{
    uint32_t id;
    enum ki_type type = ki_kind_rule(write.kind)->type;
    int error = ops_need(store, write.key, type, &id);
    if (error)
        return error;
    struct ki_shown shown = ops_shown_at(store, id, type, write.field);
    error = ops_add_integer(store, wall_ms, write, ops_element(store, id, type, write.field), &shown, by);
    if (!error && result)
        *result = ops_shown_at(store, ops_made(store, id, write.key), type, write.field).integer;
    return error;
}

static int ops_increase_real(struct ki_store *store, uint64_t wall_ms, struct ki_write write, double by, double *result)
{
    uint32_t id;
    enum ki_type type = ki_kind_rule(write.kind)->type;
    int error = ops_need(store, write.key, type, &id);
    if (error)
        return error;
    struct ki_shown shown = ops_shown_at(store, id, type, write.field);
    error = ops_count_on(&shown, true);
    if (!error)
        error = ops_add_real(store, wall_ms, write, ops_element(store, id, type, write.field), ops_number(&shown), by);
    if (!error && result)
        *result = ops_shown_at(store, ops_made(store, id, write.key), type, write.field).real;
    return error;
}

int ki_increase(struct ki_store *store, uint64_t wall_ms, struct ki_span key, int64_t by, int64_t *result)
{
    return ops_increase(store, wall_ms, (struct ki_write){.kind = KI_KIND_COUNT, .key = key}, by, result);
}

int ki_increase_real(struct ki_store *store, uint64_t wall_ms, struct ki_span key, double by, double *result)
{
    return ops_increase_real(store, wall_ms, (struct ki_write){.kind = KI_KIND_REAL, .key = key}, by, result);
}

int ki_hash_increase(struct ki_store *store, uint64_t wall_ms, struct ki_span key, struct ki_span field, int64_t by,
                     int64_t *result)
{
    struct ki_write write = {.kind = KI_KIND_HASH_COUNT, .key = key, .field = field};
    return ops_increase(store, wall_ms, write, by, result);
}

int ki_hash_increase_real(struct ki_store *store, uint64_t wall_ms, struct ki_span key, struct ki_span field, double by,
                          double *result)
{
    struct ki_write write = {.kind = KI_KIND_HASH_REAL, .key = key, .field = field};
    return ops_increase_real(store, wall_ms, write, by, result);
}

int ki_sorted_increase(struct ki_store *store, uint64_t wall_ms, struct ki_span key, struct ki_span member, double by,
                       double *result)
{
    uint32_t id;
    int error = ops_need(store, key, KI_TYPE_SORTED, &id);
    if (error)
        return error;
    uint32_t first = ops_element(store, id, KI_TYPE_SORTED, member);
    double score = first != KI_NO_CELL ? ki_element_score(&store->cells, first) : 0;
    error = ops_add_real(store, wall_ms, (struct ki_write){.kind = KI_KIND_SORTED_REAL, .key = key, .field = member},
                         first, score, by);
    if (!error && result) {
        first = ops_element(store, ki_cells_key(&store->cells, key), KI_TYPE_SORTED, member);
        *result = ki_element_score(&store->cells, first);
    }
    return error;
}

/* ---- bounding rivals ---- */

int ki_collapse(struct ki_store *store, struct ki_span key, enum ki_type type, struct ki_span field)
{
    enum ki_kind kind = type == KI_TYPE_HASH ? KI_KIND_HASH : KI_KIND_REGISTER;
    uint32_t first = ops_element(store, ki_cells_key(&store->cells, key), type, field);
    uint32_t winner = ki_element_winner(&store->cells, first, kind);
    int error = 0;
    ki_store_begin(store);
    for (uint32_t id = first; !error && id != KI_NO_CELL; id = ki_cells_at(&store->cells, id)->next) {
        if (id != winner && ki_cells_at(&store->cells, id)->kind == kind)
            error = ki_store_supersede(store, id);
    }
    return error || store->retiring_count == 0 ? error : ki_store_retire_for(store, winner);
}

/* ---- reading ---- */

static struct ki_shown ops_shown(const struct ki_store *store, uint32_t first, enum ki_kind base, enum ki_kind integer,
                                 enum ki_kind real)
{
    struct ki_shown shown = {.as = KI_SHOWS_NOTHING};
    uint32_t winner = ki_element_winner(&store->cells, first, base);
    struct ki_shares shares = ki_element_shares(&store->cells, first, integer, real);
    if (winner != KI_NO_CELL) {
        const struct ki_cell *cell = ki_cells_at(&store->cells, winner);
        shown.as = KI_SHOWS_BYTES;
        shown.bytes = ki_cells_value(cell);
        shown.expires_ms = base == KI_KIND_REGISTER ? cell->expires_ms : 0;
    }
    if (shares.count == 0)
        return shown;
    int64_t number = 0;
    double fraction = 0;
    bool is_integer = winner == KI_NO_CELL || ki_text_integer(shown.bytes, &number);
    if (!is_integer && !ki_text_real(shown.bytes, &fraction))
        return shown; /* no number: it hides the shares */
    (void)ki_add_integers(number, shares.integer, &shown.integer);
    shown.as = shares.has_real || !is_integer ? KI_SHOWS_REAL : KI_SHOWS_INTEGER;
    shown.real = (is_integer ? (double)shown.integer : fraction + (double)shares.integer) + shares.real;
    return shown;
}

struct ki_shown ki_string_shown(const struct ki_store *store, uint32_t key)
{
    uint32_t first = ops_element(store, key, KI_TYPE_STRING, ki_span(NULL, 0));
    return ops_shown(store, first, KI_KIND_REGISTER, KI_KIND_COUNT, KI_KIND_REAL);
}

struct ki_shown ki_field_shown(const struct ki_store *store, uint32_t key, struct ki_span field)
{
    uint32_t first = ops_element(store, key, KI_TYPE_HASH, field);
    return ops_shown(store, first, KI_KIND_HASH, KI_KIND_HASH_COUNT, KI_KIND_HASH_REAL);
}
