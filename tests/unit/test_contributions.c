/* aggregate/contributions.c against a stupid model: owners tell values in generations, what is told comes in any order,
 * twice or not at all; after each step owners, heads, gaps, values, bytes and uses of schemas are what the model says.  In
 * the end, when everything has come, each owner's table is what it told last, whatever came first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "aggregate/contributions.h"
#include "base/rng.h"
#include "unit/failing.h"

#define OWNERS 6
#define SCHEMAS 5
#define TOLD_MAX 40 /* versions in a generation */

struct model_owner {
    bool exists;
    uint64_t generation, head, heard;
    uint64_t versions[SCHEMAS]; /* 0: nothing is known */
    double values[SCHEMAS];
};

static struct model_owner model[OWNERS];
static struct ki_schema *schemas[SCHEMAS];

static struct ki_span name_of(uint32_t id)
{
    static const char names[OWNERS][8] = {"a", "b", "node-2", "node-3", "d", "e"};
    return ki_span(names[id], strlen(names[id]));
}

static struct ki_meaning meaning_of(unsigned i)
{
    static const char names[SCHEMAS][8] = {"load", "load", "memory", "rtt", "x"};
    return (struct ki_meaning){
        .name = ki_span(names[i], strlen(names[i])), .max = 1 + i, .interval_ms = 1000};
}

static void open_all(struct ki_contributions *c)
{
    for (unsigned i = 0; i < SCHEMAS; i++) {
        struct ki_meaning m = meaning_of(i);
        schemas[i] = ki_schemas_use(&c->schemas, &m);
        assert_non_null(schemas[i]);
    }
}

/* ---- comparing ---- */

static void same_owner(const struct ki_contributor *owner, const struct model_owner *m)
{
    uint32_t count = 0;
    assert_true(owner->generation == m->generation && owner->head == m->head && owner->heard == m->heard);
    for (unsigned i = 0; i < SCHEMAS; i++) {
        const struct ki_contribution *known = ki_contributor_find(owner, schemas[i]);
        count += m->versions[i] > 0;
        assert_int_equal(known != NULL, m->versions[i] > 0);
        if (known)
            assert_true(known->version == m->versions[i] && known->value == m->values[i]);
    }
    assert_int_equal(owner->count, count);
    for (uint32_t at = 0; at < count; at++) {
        assert_true(at == 0 || owner->list[at].version > owner->list[at - 1].version);
        assert_int_equal(ki_contributor_after(owner, owner->list[at].version), at + 1);
        assert_int_equal(ki_contributor_after(owner, owner->list[at].version - 1), at);
    }
}

static void same_all(const struct ki_contributions *c)
{
    uint32_t owners = 0, gaps = 0, uses[SCHEMAS] = {0};
    uint64_t bytes = 0;
    for (uint32_t id = 0; id < OWNERS; id++) {
        const struct ki_contributor *owner = ki_contributions_of(c, id);
        assert_int_equal(owner != NULL, model[id].exists);
        if (!owner)
            continue;
        same_owner(owner, &model[id]);
        owners++;
        gaps += owner->head < owner->heard;
        bytes += sizeof *owner + owner->count * sizeof *owner->list;
        for (unsigned i = 0; i < SCHEMAS; i++)
            uses[i] += model[id].versions[i] > 0;
    }
    assert_int_equal(c->count, owners);
    assert_int_equal(c->gaps, gaps);
    assert_int_equal(c->bytes, bytes);
    assert_int_equal(c->schemas.count, SCHEMAS);
    for (unsigned i = 0; i < SCHEMAS; i++)
        assert_int_equal(schemas[i]->uses, uses[i] + 1);
}

/* ---- steps ---- */

static void step_take(struct ki_contributions *c, struct ki_rng *rng, uint32_t id)
{
    struct model_owner *m = &model[id];
    unsigned i = (unsigned)ki_rng_below(rng, SCHEMAS);
    uint64_t version = ki_rng_below(rng, TOLD_MAX) + 1;
    double value = (double)ki_rng_below(rng, 100);
    bool taken = version > m->head && version > m->versions[i];
    for (unsigned other = 0; other < SCHEMAS; other++) /* a version is of one value: the first that came */
        taken = taken && m->versions[other] != version;
    assert_int_equal(ki_contributor_take(c, ki_contributions_of(c, id), schemas[i], version, value),
                     taken ? KI_TAKING_NEW : KI_TAKING_OLD);
    if (!taken)
        return;
    m->versions[i] = version;
    m->values[i] = value;
    m->heard = ki_max_u64(m->heard, version);
}

static void step_reach(struct ki_contributions *c, struct ki_rng *rng, uint32_t id)
{
    struct model_owner *m = &model[id];
    uint64_t base = ki_rng_below(rng, TOLD_MAX), last = base + ki_rng_below(rng, 5);
    ki_contributor_reach(c, ki_contributions_of(c, id), base, last);
    if (base <= m->head)
        m->head = ki_max_u64(m->head, last);
    m->heard = ki_max_u64(m->heard, m->head);
}

static void step(struct ki_contributions *c, struct ki_rng *rng)
{
    uint32_t id = (uint32_t)ki_rng_below(rng, OWNERS);
    struct model_owner *m = &model[id];
    uint64_t dice = ki_rng_below(rng, 100);
    if (!m->exists) {
        assert_non_null(ki_contributions_enter(c, id, name_of(id), dice));
        *m = (struct model_owner){.exists = true, .generation = dice};
    } else if (dice < 60) {
        step_take(c, rng, id);
    } else if (dice < 85) {
        step_reach(c, rng, id);
    } else if (dice < 90) {
        uint64_t last = ki_rng_below(rng, TOLD_MAX);
        ki_contributor_hear(c, ki_contributions_of(c, id), last);
        m->heard = ki_max_u64(m->heard, last);
    } else if (dice < 93) {
        ki_contributor_renew(c, ki_contributions_of(c, id), m->generation + dice);
        *m = (struct model_owner){.exists = true, .generation = m->generation + dice};
    } else if (dice < 95) {
        ki_contributor_doubt(c, ki_contributions_of(c, id));
        m->head = 0;
    } else if (dice < 97) {
        unsigned i = (unsigned)ki_rng_below(rng, SCHEMAS);
        ki_contributions_clear(c, schemas[i]);
        for (uint32_t owner = 0; owner < OWNERS; owner++)
            model[owner].versions[i] = 0;
    } else {
        ki_contributions_forget(c, id);
        *m = (struct model_owner){.exists = false};
    }
}

static void random_histories(void **state)
{
    (void)state;
    struct ki_mem mem;
    struct ki_contributions c;
    struct ki_rng rng;
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_rng_init(&rng, 5);
    for (unsigned round = 0; round < 20; round++) {
        memset(model, 0, sizeof model);
        ki_contributions_init(&c, &mem);
        open_all(&c);
        for (unsigned i = 0; i < 2000; i++) {
            step(&c, &rng);
            same_all(&c);
        }
        ki_contributions_forget(&c, 77); /* nobody */
        ki_contributions_free(&c);
        assert_int_equal(mem.used, 0);
    }
}

/* ---- whatever the order ---- */

struct told {
    uint64_t generation, version;
    unsigned schema;
    double value;
};

static void deliver(struct ki_contributions *c, const struct told *told)
{
    struct ki_contributor *owner = ki_contributions_of(c, 0);
    if (told->generation < owner->generation)
        return;
    if (told->generation > owner->generation)
        ki_contributor_renew(c, owner, told->generation);
    (void)ki_contributor_take(c, owner, schemas[told->schema], told->version, told->value);
    ki_contributor_reach(c, owner, told->version - 1, told->version);
}

/* An owner's 60 values in three generations: two members get them in other orders, some twice. */
static void any_order_ends_alike(void **state)
{
    (void)state;
    struct ki_mem mem;
    struct ki_rng rng;
    struct told story[60];
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_rng_init(&rng, 6);
    for (unsigned round = 0; round < 200; round++) {
        struct ki_contributions c;
        struct told last[SCHEMAS] = {{0}};
        for (unsigned i = 0; i < 60; i++) {
            story[i] = (struct told){.generation = 1 + i / 20, .version = 1 + i % 20,
                                     .schema = (unsigned)ki_rng_below(&rng, SCHEMAS), .value = i};
            if (i >= 40)
                last[story[i].schema] = story[i];
        }
        for (unsigned left = 60; left > 1; left--) {
            unsigned at = (unsigned)ki_rng_below(&rng, left);
            struct told swapped = story[left - 1];
            story[left - 1] = story[at];
            story[at] = swapped;
        }
        ki_contributions_init(&c, &mem);
        open_all(&c);
        ki_contributions_enter(&c, 0, name_of(0), 0);
        for (unsigned i = 0; i < 60; i++) {
            deliver(&c, &story[i]);
            deliver(&c, &story[ki_rng_below(&rng, i + 1)]);
        }
        for (unsigned again = 0; again < 60; again++) /* what is missing of the head is asked for */
            for (unsigned i = 0; i < 60; i++)
                deliver(&c, &story[i]);
        const struct ki_contributor *owner = ki_contributions_of(&c, 0);
        assert_true(owner->generation == 3 && owner->head == 20 && owner->heard == 20 && c.gaps == 0);
        for (unsigned i = 0; i < SCHEMAS; i++) {
            const struct ki_contribution *known = ki_contributor_find(owner, schemas[i]);
            assert_int_equal(known != NULL, last[i].generation == 3);
            if (known)
                assert_true(known->version == last[i].version && known->value == last[i].value);
        }
        ki_contributions_free(&c);
    }
    assert_int_equal(mem.used, 0);
}

/* ---- roots, memory ---- */

static void roots_tell_owners_apart(void **state)
{
    (void)state;
    struct ki_contributor a = {.hash = UINT64_C(0xf123456789abcdef), .generation = 5, .head = 7}, b = a;
    assert_int_equal(ki_contributor_bucket(&a, 0), 0);
    assert_int_equal(ki_contributor_bucket(&a, 1), 1);
    assert_int_equal(ki_contributor_bucket(&a, 12), 0xf12);
    assert_true(ki_contributor_root(&a) == ki_contributor_root(&b));
    b.heard = 9; /* what is not here does not count */
    assert_true(ki_contributor_root(&a) == ki_contributor_root(&b));
    b.head = 8;
    assert_true(ki_contributor_root(&a) != ki_contributor_root(&b));
    b = a;
    b.generation = 6;
    assert_true(ki_contributor_root(&a) != ki_contributor_root(&b));
    b = a;
    b.hash++;
    assert_true(ki_contributor_root(&a) != ki_contributor_root(&b));
}

static void without_memory(void **state)
{
    (void)state;
    bool whole = false;
    for (int until = 0; !whole; until++) {
        struct failing failing = {.until = 1000};
        struct ki_mem mem;
        struct ki_contributions c;
        memset(model, 0, sizeof model);
        ki_mem_init(&mem, failing_resize, failing_release, &failing, 0);
        ki_contributions_init(&c, &mem);
        open_all(&c);
        failing.until = until;
        for (uint32_t id = 0; id < OWNERS; id++) {
            struct ki_contributor *owner = ki_contributions_enter(&c, id, name_of(id), 1);
            if (owner)
                model[id] = (struct model_owner){.exists = true, .generation = 1};
            for (unsigned i = 0; owner && i < SCHEMAS; i++) {
                enum ki_taking taking = ki_contributor_take(&c, owner, schemas[i], i + 1, i);
                assert_int_not_equal(taking, KI_TAKING_OLD);
                if (taking == KI_TAKING_NEW) {
                    model[id].versions[i] = i + 1;
                    model[id].values[i] = i;
                    model[id].heard = i + 1;
                }
            }
            same_all(&c);
        }
        ki_contributions_free(&c);
        assert_int_equal(mem.used, 0);
        whole = failing.until > 0; /* nothing was left to fail */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_histories),
        cmocka_unit_test(any_order_ends_alike),
        cmocka_unit_test(roots_tell_owners_apart),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
