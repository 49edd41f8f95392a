/* What a command reads of a key: the store's, or an aggregate, which looks like a key that nobody can write to.
 *
 *     kith:aggregate:NAME   a hash: engine, converged, count, sum, average, min, max and so on
 *     kith:order:NAME       a sorted set: members with their values, while the exact engine answers
 *
 * Every command that reads hashes or sorted sets reads these too, because all of them read through the functions here.  An
 * aggregate is read once for a command, into elements like the store's; so what one command shows belongs together.  What is
 * lent stays until the command has ended.
 *
 * These keys are in no walk over keys (KEYS, SCAN, DBSIZE): they are no part of what the pool keeps, and one that copies all
 * keys should not meet any that it cannot write back.  What an application writes under such a name by other means is hidden
 * here, which is why the prefix is one that nobody takes by chance.
 *
 * Not here: which commands are refused (redis_run.c). */
#include "agent/redis_conn.h"
#include "kith/aggregate.h"

#include <math.h>

#define VIEW_FIELDS_MAX 16

struct ki_redis_view {
    struct ki_redis_view *next;
    struct kith_str key; /* borrowed from the arguments */
    enum kith_type type; /* NONE: there is no such aggregate */
    int error;           /* why it cannot be read, or 0 */
    uint32_t count;
    struct kith_element *items;
    char *names; /* what the items borrow */
};

static const char view_hash[] = "kith:aggregate:", view_order[] = "kith:order:";

/* The rest of the key, or ptr NULL. */
static struct kith_str view_behind(struct kith_str key, const char *prefix)
{
    size_t len = strlen(prefix);
    bool is_one = key.len >= len && memcmp(key.ptr, prefix, len) == 0;
    return is_one ? (struct kith_str){key.ptr + len, key.len - len} : (struct kith_str){NULL, 0};
}

bool ki_redis_is_aggregate(struct kith_str key)
{
    return view_behind(key, view_hash).ptr || view_behind(key, view_order).ptr;
}

/* ---- making views ---- */

static void view_put(struct ki_redis_view *view, const char *field, struct kith_value value)
{
    KI_ASSERT(view->count < VIEW_FIELDS_MAX);
    view->items[view->count++] = (struct kith_element){.field = {field, strlen(field)}, .value = value};
}

static void view_put_real(struct ki_redis_view *view, const char *field, double value)
{
    if (isfinite(value)) /* a sum may be more than a double holds */
        view_put(view, field, (struct kith_value){.shape = KITH_SHAPE_REAL, .real = value});
}

static void view_put_integer(struct ki_redis_view *view, const char *field, uint64_t value)
{
    int64_t integer = (int64_t)ki_min_u64(value, INT64_MAX);
    view_put(view, field, (struct kith_value){.shape = KITH_SHAPE_INTEGER, .integer = integer});
}

static void view_put_text(struct ki_redis_view *view, const char *field, struct kith_str text)
{
    view_put(view, field, (struct kith_value){.shape = KITH_SHAPE_BYTES, .bytes = text});
}

/* Its unit, ours. */
static struct kith_str view_unit(struct ki_redis_call *call, struct ki_redis_view *view, struct kith_str name)
{
    struct kith_aggregate known;
    size_t len = 0;
    if (kith_aggregate_find(call->k, name, &known) == 0)
        len = ki_min_size(known.schema.unit.len, KITH_UNIT_MAX);
    if (len > 0)
        memcpy(view->names, known.schema.unit.ptr, len);
    return (struct kith_str){view->names, len};
}

/* The fields are shown from the last to the first, as the store shows its own. */
static int view_fill_hash(struct ki_redis_call *call, struct ki_redis_view *view, struct kith_str name,
                          const struct kith_aggregate_answer *answer)
{
    static const char *const engines[] = KI_ENGINE_WORDS;
    view->items = calloc(VIEW_FIELDS_MAX, sizeof *view->items);
    view->names = malloc(KITH_UNIT_MAX);
    if (!view->items || !view->names)
        return KITH_ERR_NOMEM;
    view_put_integer(view, "age_ms", answer->age_us / 1000);
    view_put_integer(view, "conflicts", answer->conflicts);
    view_put_real(view, "coverage", answer->coverage_ppm / 1e6);
    view_put_real(view, "effective_n", answer->effective_n);
    if (answer->count > 0) {
        view_put_real(view, "max", answer->max);
        view_put_real(view, "min", answer->min);
        view_put_real(view, "variance", answer->variance);
        view_put_real(view, "error", answer->error);
        view_put_real(view, "average", answer->average);
    }
    view_put_real(view, "sum", answer->sum);
    view_put_real(view, "count", answer->count);
    view_put_integer(view, "converged", answer->converged);
    view_put_text(view, "unit", view_unit(call, view, name));
    view_put_text(view, "engine", (struct kith_str){engines[answer->engine], strlen(engines[answer->engine])});
    return 0;
}

/* All places in their order; their names are copied, because the core lends them until the next call. */
static int view_fill_order(struct ki_redis_call *call, struct ki_redis_view *view, struct kith_str name, size_t cap)
{
    struct kith_place *places = calloc(cap + 1, sizeof *places);
    size_t count = 0, len = 0;
    int error = places ? 0 : KITH_ERR_NOMEM;
    if (!error && cap > 0)
        error = kith_aggregate_list(call->k, call->now, name, KITH_ENGINE_EXACT, false, 0, places, cap, &count);
    for (size_t i = 0; i < count && !error; i++)
        len += places[i].member.len;
    if (!error) {
        view->items = calloc(count + 1, sizeof *view->items);
        view->names = malloc(len + 1);
        error = view->items && view->names ? 0 : KITH_ERR_NOMEM;
    }
    for (char *at = view->names; view->count < count && !error; view->count++) {
        const struct kith_place *place = &places[view->count];
        if (place->member.len > 0)
            memcpy(at, place->member.ptr, place->member.len);
        view->items[view->count] = (struct kith_element){.field = {at, place->member.len}, .score = place->value};
        at += place->member.len;
    }
    free(places);
    return error;
}

static void view_fill(struct ki_redis_call *call, struct ki_redis_view *view)
{
    struct kith_str name = view_behind(view->key, view_hash);
    bool is_order = !name.ptr;
    struct kith_aggregate_answer answer;
    if (is_order)
        name = view_behind(view->key, view_order);
    int error = kith_aggregate_read(call->k, call->now, name, KITH_ENGINE_AUTO, &answer);
    view->error = error == KITH_ERR_NOMEM ? error : 0;
    if (error)
        return; /* unknown, or there are none in this pool: there is no such key */
    view->type = is_order ? KITH_TYPE_SORTED : KITH_TYPE_HASH;
    if (!is_order)
        view->error = view_fill_hash(call, view, name, &answer);
    else if (answer.engine != KITH_ENGINE_EXACT)
        view->error = KITH_ERR_STATE;
    else
        view->error = view_fill_order(call, view, name, (size_t)answer.count);
}

/* The view of a key that is an aggregate's, for as long as the command lasts; NULL: it is the store's. */
static const struct ki_redis_view *view_of(struct ki_redis_call *call, struct kith_str key)
{
    static const struct ki_redis_view none = {.type = KITH_TYPE_HASH, .error = KITH_ERR_NOMEM};
    if (!ki_redis_is_aggregate(key))
        return NULL;
    for (struct ki_redis_view *view = call->views; view; view = view->next) {
        if (ki_span_equal(ki_span(view->key.ptr, view->key.len), ki_span(key.ptr, key.len)))
            return view;
    }
    struct ki_redis_view *view = calloc(1, sizeof *view);
    if (!view)
        return &none;
    *view = (struct ki_redis_view){.next = call->views, .key = key};
    call->views = view;
    view_fill(call, view);
    return view;
}

void ki_redis_views_end(struct ki_redis_call *call)
{
    while (call->views) {
        struct ki_redis_view *view = call->views;
        call->views = view->next;
        free(view->items);
        free(view->names);
        free(view);
    }
}

/* ---- reading ---- */

/* 0, with what is looked at being of this type or nothing at all. */
static int view_check(const struct ki_redis_view *view, enum kith_type type)
{
    return view->error ? view->error : view->type != type && view->type != KITH_TYPE_NONE ? KITH_ERR_TYPE : 0;
}

enum kith_type ki_redis_type_of(struct ki_redis_call *call, struct kith_str key)
{
    const struct ki_redis_view *view = view_of(call, key);
    return view ? view->type : kith_type_of(call->k, call->now, key);
}

int ki_redis_expiry(struct ki_redis_call *call, struct kith_str key, uint64_t *at_ms)
{
    const struct ki_redis_view *view = view_of(call, key);
    if (!view)
        return kith_expiry(call->k, call->now, key, at_ms);
    *at_ms = KITH_NEVER_MS;
    return view->type == KITH_TYPE_NONE ? KITH_ERR_NOT_FOUND : 0;
}

int ki_redis_element_count(struct ki_redis_call *call, struct kith_str key, enum kith_type type, uint32_t *count)
{
    const struct ki_redis_view *view = view_of(call, key);
    if (!view)
        return kith_count(call->k, call->now, key, type, count);
    *count = view->count;
    return view_check(view, type);
}

/* The place of the element with this name, or the count. */
static uint32_t view_find(const struct ki_redis_view *view, struct kith_str field)
{
    uint32_t at = 0;
    while (at < view->count && !ki_span_equal(ki_span(view->items[at].field.ptr, view->items[at].field.len),
                                              ki_span(field.ptr, field.len)))
        at++;
    return at;
}

int ki_redis_element(struct ki_redis_call *call, struct kith_str key, enum kith_type type, struct kith_str field,
                     struct kith_element *out)
{
    const struct ki_redis_view *view = view_of(call, key);
    if (!view)
        return kith_element(call->k, call->now, key, type, field, out);
    int error = view_check(view, type);
    uint32_t at = error ? 0 : view_find(view, field);
    if (error || at == view->count)
        return error ? error : KITH_ERR_NOT_FOUND;
    *out = view->items[at];
    return 0;
}

bool ki_redis_next_element(struct ki_redis_call *call, struct kith_str key, enum kith_type type, uint64_t *cursor,
                           struct kith_element *out)
{
    const struct ki_redis_view *view = view_of(call, key);
    if (!view)
        return kith_next_element(call->k, call->now, key, type, cursor, out);
    uint64_t left = *cursor == 0 ? view->count : *cursor - 1; /* as the store counts */
    if (view_check(view, type) != 0 || left == 0 || left > view->count)
        return false;
    *out = view->items[left - 1];
    *cursor = left;
    return true;
}

int ki_redis_sorted_at(struct ki_redis_call *call, struct kith_str key, uint32_t rank, struct kith_element *out)
{
    const struct ki_redis_view *view = view_of(call, key);
    if (!view)
        return kith_sorted_at(call->k, call->now, key, rank, out);
    int error = view_check(view, KITH_TYPE_SORTED);
    if (error || rank >= view->count)
        return error ? error : KITH_ERR_NOT_FOUND;
    *out = view->items[rank];
    return 0;
}

int ki_redis_sorted_rank(struct ki_redis_call *call, struct kith_str key, struct kith_str member, uint32_t *rank)
{
    const struct ki_redis_view *view = view_of(call, key);
    if (!view)
        return kith_sorted_rank(call->k, call->now, key, member, rank);
    int error = view_check(view, KITH_TYPE_SORTED);
    *rank = error ? 0 : view_find(view, member);
    return error ? error : *rank == view->count ? KITH_ERR_NOT_FOUND : 0;
}

int ki_redis_sorted_bound(struct ki_redis_call *call, struct kith_str key, double score, bool above, uint32_t *rank)
{
    const struct ki_redis_view *view = view_of(call, key);
    if (!view)
        return kith_sorted_bound(call->k, call->now, key, score, above, rank);
    uint32_t from = 0, to = view->count;
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        double at = view->items[middle].score;
        if (at < score || (above && at <= score))
            from = middle + 1;
        else
            to = middle;
    }
    *rank = from;
    return view_check(view, KITH_TYPE_SORTED);
}
