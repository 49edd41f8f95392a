/* Live cells against a stupid model: an array of them that is searched whole for everything.  ctest: TIMEOUT 300 COST 30 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "store/groups.h"
#include "store/kinds.h"

enum { STEPS = 100000, BATCH = 100, MODEL_MAX = 600, KEYS = 5, FIELDS = 7, REPLICAS = 5 };

static const char *const KEY_NAMES[KEYS] = {"", "a", "b", "key", "a key that is longer than the others"};
static const char *const FIELD_NAMES[FIELDS] = {"", "f", "g", "ff", "a\xff", "field", "member"};
static const double SCORES[] = {0, -0.0, 1, 1.5, -2, 1e300, -1e300, 7};

struct model {
    struct ki_cell_image cells[MODEL_MAX];
    uint32_t ids[MODEL_MAX];
    uint8_t values[MODEL_MAX][8];
    size_t count;
    uint64_t next_n;
    struct ki_rng rng;
};

struct table {
    struct ki_mem mem;
    struct ki_cells cells;
    struct model model;
    bool fails; /* one allocation in two */
};

static void *table_resize(void *arg, void *ptr, size_t size)
{
    struct table *t = arg;
    return t->fails && ki_rng_below(&t->model.rng, 2) ? NULL : realloc(ptr, size);
}

static void table_release(void *arg, void *ptr)
{
    (void)arg;
    free(ptr);
}

static enum ki_type type_of(const struct ki_cell_image *image)
{
    return ki_kind_rule(image->kind)->type;
}

static uint64_t expiry_of(const struct ki_cell_image *image)
{
    if (image->kind == KI_KIND_EXPIRY)
        return ki_load_be(image->value.ptr, 8);
    return image->expires_ms;
}

/* ---- steps ---- */

static void draw_value(struct model *m, struct ki_cell_image *image, uint8_t value[8])
{
    const struct ki_kind_rule *rule = ki_kind_rule(image->kind);
    double score = SCORES[ki_rng_below(&m->rng, KI_COUNT(SCORES))];
    uint64_t bits;
    memcpy(&bits, &score, sizeof bits);
    bool is_real = image->kind == KI_KIND_REAL || image->kind == KI_KIND_SORTED || image->kind == KI_KIND_SORTED_REAL ||
                   image->kind == KI_KIND_HASH_REAL;
    ki_store_be(value, is_real ? bits : ki_rng_below(&m->rng, 4), 8);
    size_t len = rule->value_len >= 0 ? (size_t)rule->value_len : (size_t)ki_rng_below(&m->rng, 9);
    image->value = ki_span(value, len);
}

static void step_add(struct table *t)
{
    struct model *m = &t->model;
    size_t at = m->count;
    struct ki_cell_image *image = &m->cells[at];
    *image = (struct ki_cell_image){.kind = (enum ki_kind)(1 + ki_rng_below(&m->rng, KI_KIND_END - 1))};
    image->dot = (struct ki_dot){.replica = ki_rng_below(&m->rng, REPLICAS) * 1000, .n = m->next_n};
    m->next_n += 1 + ki_rng_below(&m->rng, 3);
    image->stamp = 1 + ki_rng_below(&m->rng, 5);
    const char *key = KEY_NAMES[ki_rng_below(&m->rng, KEYS)], *field = FIELD_NAMES[ki_rng_below(&m->rng, FIELDS)];
    image->key = ki_span(key, strlen(key));
    if (ki_kind_rule(image->kind)->has_field)
        image->field = ki_span(field, strlen(field));
    if (ki_kind_rule(image->kind)->may_expire)
        image->expires_ms = ki_rng_below(&m->rng, 4);
    draw_value(m, image, m->values[at]);
    uint32_t id;
    t->fails = ki_rng_below(&m->rng, 10) == 0;
    bool fits = ki_cells_add(&t->cells, image, KI_NO_KEY, &id);
    assert_true(fits || t->fails);
    if (fits && ki_rng_below(&m->rng, 2))
        assert_true(ki_cells_sketched(&t->cells, id, (struct ki_item){image->dot.n % 16, image->dot.n}) || t->fails);
    t->fails = false;
    m->ids[at] = id;
    m->count += fits;
}

static void step_remove(struct table *t)
{
    struct model *m = &t->model;
    size_t at = (size_t)ki_rng_below(&m->rng, m->count), last = --m->count;
    if (ki_cells_is_sketched(&t->cells, m->ids[at]))
        ki_cells_unsketched(&t->cells, m->ids[at]);
    t->fails = ki_rng_below(&m->rng, 10) == 0;
    ki_cells_remove(&t->cells, m->ids[at]);
    t->fails = false;
    if (at == last)
        return;
    m->cells[at] = m->cells[last];
    m->ids[at] = m->ids[last];
    memcpy(m->values[at], m->values[last], 8);
    m->cells[at].value.ptr = m->values[at];
}

/* ---- what must be so ---- */

static void check_cell(const struct table *t, size_t at)
{
    const struct ki_cell_image *wanted = &t->model.cells[at];
    uint32_t id = t->model.ids[at];
    assert_int_equal(ki_cells_by_dot(&t->cells, wanted->dot), id);
    struct ki_cell_image found = ki_cells_image(&t->cells, id);
    assert_int_equal(ki_dot_compare(found.dot, wanted->dot), 0);
    assert_int_equal(found.kind, wanted->kind);
    assert_int_equal(found.stamp, wanted->stamp);
    assert_int_equal(found.expires_ms, wanted->expires_ms);
    assert_true(ki_span_equal(found.key, wanted->key) && ki_span_equal(found.field, wanted->field) &&
                ki_span_equal(found.value, wanted->value));
    const struct ki_cell *cell = ki_cells_at(&t->cells, id);
    if (cell->sketch == t->cells.sketch)
        assert_int_equal(ki_cells_by_item(&t->cells, (struct ki_item){wanted->dot.n % 16, wanted->dot.n}), id);
    else
        assert_int_equal(ki_cells_by_item(&t->cells, (struct ki_item){wanted->dot.n % 16, wanted->dot.n}), KI_NO_CELL);
}

/* The model's score: the base with the greatest (stamp, dot), and of each replica the newest share, in order of ids. */
static double model_score(const struct model *m, struct ki_span key, struct ki_span field)
{
    const struct ki_cell_image *base = NULL, *shares[REPLICAS] = {NULL};
    bool any = false;
    double score = 0, sum = 0;
    uint64_t bits;
    for (size_t i = 0; i < m->count; i++) {
        const struct ki_cell_image *image = &m->cells[i];
        if (type_of(image) != KI_TYPE_SORTED || !ki_span_equal(image->key, key) || !ki_span_equal(image->field, field))
            continue;
        const struct ki_cell_image **place = image->kind == KI_KIND_SORTED ? &base : &shares[image->dot.replica / 1000];
        bool is_better = !*place || (image->kind == KI_KIND_SORTED
                                         ? ki_rival_compare(image->stamp, image->dot, base->stamp, base->dot) > 0
                                         : image->dot.n > (*place)->dot.n);
        if (is_better)
            *place = image;
    }
    for (size_t i = 0; i < REPLICAS; i++) {
        double share;
        if (!shares[i])
            continue;
        bits = ki_load_be(shares[i]->value.ptr, 8);
        memcpy(&share, &bits, sizeof share);
        sum = any ? sum + share : share;
        any = true;
    }
    if (base) {
        bits = ki_load_be(base->value.ptr, 8);
        memcpy(&score, &bits, sizeof score);
    }
    return any ? (base ? score + sum : sum) : score;
}

/* How many cells the model has of an element; of the single ones, if the type is below sorted sets. */
static uint32_t model_chain(const struct model *m, struct ki_span key, enum ki_type type, struct ki_span field)
{
    uint32_t count = 0;
    for (size_t i = 0; i < m->count; i++) {
        const struct ki_cell_image *image = &m->cells[i];
        enum ki_type of = type_of(image);
        bool is_type = type < KI_TYPE_SORTED ? of < KI_TYPE_SORTED : of == type;
        count += is_type && ki_span_equal(image->key, key) && ki_span_equal(image->field, field);
    }
    return count;
}

static uint32_t chain_len(const struct ki_cells *cells, uint32_t first)
{
    uint32_t count = 0;
    for (uint32_t id = first; id != KI_NO_CELL; id = ki_cells_at(cells, id)->next) {
        uint32_t after = ki_cells_at(cells, id)->next;
        if (after != KI_NO_CELL)
            assert_true(ki_dot_compare(ki_cells_dot(cells, id), ki_cells_dot(cells, after)) < 0);
        count++;
    }
    return count;
}

static void check_order(struct table *t, struct ki_group *group, struct ki_span key)
{
    struct ki_cells *cells = &t->cells;
    assert_true(ki_cells_put_in_order(cells, group));
    assert_int_equal(group->order.count, group->count);
    double last = 0;
    struct ki_span last_field = ki_span(NULL, 0);
    for (uint32_t rank = 0; rank < group->count; rank++) {
        const struct ki_cell *cell = ki_cells_at(cells, ki_order_at(&group->order, rank));
        double score = model_score(&t->model, key, ki_cells_field(cell));
        assert_true(cell->score == score);
        if (rank > 0)
            assert_true(last < score || (last == score && ki_span_compare(last_field, ki_cells_field(cell)) < 0));
        last = score;
        last_field = ki_cells_field(cell);
    }
}

static void check_group(struct table *t, uint32_t key, struct ki_span name, enum ki_type type)
{
    struct ki_cells *cells = &t->cells;
    struct ki_group *group = ki_cells_group(cells, key, type);
    uint32_t elements = 0;
    for (size_t i = 0; i < FIELDS; i++) {
        struct ki_span field = ki_span(FIELD_NAMES[i], strlen(FIELD_NAMES[i]));
        uint32_t wanted = model_chain(&t->model, name, type, field);
        uint32_t first = ki_cells_element(cells, key, type, field);
        assert_int_equal(chain_len(cells, first), wanted);
        elements += wanted > 0;
        if (wanted > 0) {
            assert_non_null(group);
            assert_true(ki_cells_at(cells, first)->place < group->count);
            assert_int_equal(group->list[ki_cells_at(cells, first)->place], first);
        }
    }
    assert_true(group ? group->count == elements && elements > 0 : elements == 0);
    if (group && type == KI_TYPE_SORTED)
        check_order(t, group, name);
}

static uint32_t check_key(struct table *t, struct ki_span name)
{
    struct ki_cells *cells = &t->cells;
    uint32_t id = ki_cells_key(cells, name), in_model = 0;
    enum ki_type type = KI_TYPE_NONE;
    for (size_t i = 0; i < t->model.count; i++) {
        if (!ki_span_equal(t->model.cells[i].key, name))
            continue;
        in_model++;
        type = type_of(&t->model.cells[i]) > type ? type_of(&t->model.cells[i]) : type;
    }
    assert_int_equal(id != KI_NO_KEY, in_model > 0);
    if (id == KI_NO_KEY)
        return 0;
    const struct ki_key *key = ki_cells_key_at(cells, id);
    assert_true(ki_span_equal(ki_span(key->name, key->name_len), name));
    assert_int_equal(cells->key_list[key->place], id);
    assert_int_equal(ki_key_type(cells, id), type);
    assert_int_equal(chain_len(cells, key->single), model_chain(&t->model, name, KI_TYPE_STRING, ki_span(NULL, 0)));
    check_group(t, id, name, KI_TYPE_SORTED);
    check_group(t, id, name, KI_TYPE_SET);
    check_group(t, id, name, KI_TYPE_HASH);
    return 1;
}

static void check_expiring(const struct table *t)
{
    uint32_t wanted = 0;
    uint64_t last = 0;
    for (size_t i = 0; i < t->model.count; i++)
        wanted += expiry_of(&t->model.cells[i]) != 0;
    assert_int_equal(t->cells.expiring.count, wanted);
    for (uint32_t rank = 0; rank < wanted; rank++) {
        uint64_t ms = ki_cell_expiry_ms(&t->cells, ki_order_at(&t->cells.expiring, rank));
        assert_true(ms != 0 && ms >= last);
        last = ms;
    }
}

static void check_all(struct table *t)
{
    const struct ki_cells *cells = &t->cells;
    uint64_t bytes = 0;
    uint32_t keys = 0, places = 0;
    for (size_t i = 0; i < t->model.count; i++) {
        check_cell(t, i);
        bytes += t->model.cells[i].field.len + t->model.cells[i].value.len;
    }
    for (size_t i = 0; i < KEYS; i++)
        keys += check_key(t, ki_span(KEY_NAMES[i], strlen(KEY_NAMES[i])));
    for (uint32_t id = 0; id < cells->cells_used; id++)
        places += ki_cells_at(cells, id)->kind != 0;
    assert_int_equal(cells->cell_count, t->model.count);
    assert_int_equal(places, t->model.count);
    assert_int_equal(cells->body_bytes, bytes);
    assert_int_equal(cells->key_count, keys);
    assert_int_equal(ki_cells_by_dot(cells, (struct ki_dot){0, t->model.next_n}), KI_NO_CELL);
    assert_int_equal(ki_cells_by_dot(cells, (struct ki_dot){1, 1}), KI_NO_CELL);
    assert_int_equal(ki_cells_key(cells, ki_span("c", 1)), KI_NO_KEY);
    check_expiring(t);
}

/* Grows and shrinks in turn, at last to nothing. */
static void test_against_model(void **unused)
{
    (void)unused;
    static const uint8_t hash_key[16] = "a key for a test";
    static struct table t;
    t.model.next_n = 1;
    ki_rng_init(&t.model.rng, 1);
    ki_mem_init(&t.mem, table_resize, table_release, &t, 0);
    ki_cells_init(&t.cells, &t.mem, hash_key);
    for (uint32_t step = 0; step < STEPS; step++) {
        uint64_t adds = step / 2000 % 2 == 0 ? 6 : 4; /* in ten */
        if (t.model.count < MODEL_MAX && (t.model.count == 0 || ki_rng_below(&t.model.rng, 10) < adds))
            step_add(&t);
        else
            step_remove(&t);
        if (step % BATCH == 0)
            check_all(&t);
    }
    while (t.model.count > 0) {
        step_remove(&t);
        if (t.model.count % 16 == 0)
            check_all(&t);
    }
    assert_int_equal(t.cells.expiring.count + t.cells.by_dot.count + t.cells.by_key.count + t.cells.by_element.count +
                         t.cells.by_item.count,
                     0);
    ki_cells_free(&t.cells);
    assert_int_equal(t.mem.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
