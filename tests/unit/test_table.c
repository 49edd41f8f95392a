/* swim/table.c against a stupid model (a plain array searched from front to back) under random operations, with
 * allocations failing; after each operation the model agrees and the invariants of table.c hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "scenario/lone.h"
#include "unit/failing.h"

#define NAMES 60
#define MAX 40

struct known { /* of one name; absent: id is KI_NO_MEMBER */
    uint32_t id;
    uint32_t incarnation;
    uint16_t port;
    uint8_t addr_len, meta_len, version;
    enum ki_state state;
    uint64_t changed_us;
};

struct run {
    struct flaky f;
    struct ki_rng rng;
    struct ki_mem mem;
    struct ki_table t;
    struct known names[NAMES];
    uint32_t count;
    unsigned nomem, full, shared, indexed;
};

static const uint8_t filler[KITH_META_MAX] = {7, 7, 7};

static struct ki_identity run_identity(struct run *r, char name[8], unsigned which, uint8_t versions[6])
{
    snprintf(name, 8, "name%u", which);
    memset(versions, (int)ki_rng_below(&r->rng, 9), 6);
    return (struct ki_identity){.name = ki_span(name, strlen(name)),
                                .addr = ki_span(filler, ki_rng_below(&r->rng, 2) ? 4 : 16),
                                .port = (uint16_t)ki_rng_below(&r->rng, ki_rng_below(&r->rng, 2) ? 65536 : 20),
                                .meta = ki_span(filler, (size_t)ki_rng_below(&r->rng, 60)),
                                .incarnation = (uint32_t)ki_rng_next(&r->rng),
                                .versions = ki_rng_below(&r->rng, 4) ? versions : NULL};
}

static void run_learn(struct known *k, const struct ki_identity *identity)
{
    k->incarnation = identity->incarnation;
    k->port = identity->port;
    k->addr_len = (uint8_t)identity->addr.len;
    k->meta_len = (uint8_t)identity->meta.len;
    if (identity->versions)
        k->version = identity->versions[3];
}

static void run_add(struct run *r, unsigned which, uint64_t now)
{
    char name[8];
    uint8_t versions[6];
    struct ki_identity identity = run_identity(r, name, which, versions);
    enum ki_state state = ki_rng_below(&r->rng, 4) ? KI_ALIVE : KI_DEAD;
    uint32_t id = KI_NO_MEMBER;
    int error = ki_table_add(&r->t, &identity, state, now, &r->rng, &id);
    if (r->count == MAX) {
        assert_int_equal(error, -1);
        r->full++;
    } else if (error) {
        assert_true(error == -2 && r->f.one_in > 0);
        r->nomem++;
    } else {
        struct known *k = &r->names[which];
        *k = (struct known){.id = id, .state = state, .changed_us = now};
        run_learn(k, &identity);
        r->count++;
    }
}

static void run_update(struct run *r, unsigned which)
{
    char name[8];
    uint8_t versions[6];
    struct ki_identity identity = run_identity(r, name, which, versions);
    if (ki_table_update(&r->t, r->names[which].id, &identity))
        run_learn(&r->names[which], &identity);
    else
        r->nomem++;
}

static void run_state(struct run *r, unsigned which, uint64_t now)
{
    struct known *k = &r->names[which];
    enum ki_state state = (enum ki_state)ki_rng_below(&r->rng, 4);
    if (state == KI_SUSPECT && !ki_table_suspicion(&r->t, k->id) && !ki_table_accuse(&r->t, k->id)) {
        r->nomem++;
        return;
    }
    ki_table_set_state(&r->t, k->id, state, now);
    if (k->state != state)
        k->changed_us = now;
    k->state = state;
}

static void run_same(const struct run *r)
{
    lone_check_table(&r->t);
    assert_int_equal(r->t.count, r->count);
    for (unsigned i = 0; i < NAMES; i++) {
        char name[8];
        snprintf(name, sizeof name, "name%u", i);
        const struct known *k = &r->names[i];
        assert_int_equal(ki_table_find(&r->t, lone_span(name)), k->id);
        if (k->id == KI_NO_MEMBER)
            continue;
        const struct ki_member *m = ki_table_at(&r->t, k->id);
        assert_true(m->incarnation == k->incarnation && m->port == k->port && m->addr_len == k->addr_len &&
                    m->meta_len == k->meta_len && m->state == k->state && m->changed_us == k->changed_us &&
                    m->versions[3] == k->version);
        assert_true(ki_span_equal(ki_member_name(m), lone_span(name)));
        assert_memory_equal(ki_member_meta(m).ptr, filler, k->meta_len);
        assert_memory_equal(ki_member_addr(m).ptr, filler, k->addr_len);
    }
}

/* Somebody is found at an address exactly when somebody is there, whether there is an index, memory for one, or not. */
static void run_ask_addr(struct run *r)
{
    struct ki_span addr = ki_span(filler, ki_rng_below(&r->rng, 2) ? 4 : 16);
    uint16_t port = (uint16_t)ki_rng_below(&r->rng, 20);
    bool there = false;
    for (unsigned i = 0; i < NAMES; i++) {
        const struct known *k = &r->names[i];
        there = there || (k->id != KI_NO_MEMBER && k->port == port && k->addr_len == addr.len);
    }
    uint32_t id = ki_table_find_addr(&r->t, addr, port);
    assert_int_equal(id != KI_NO_MEMBER, there);
    if (there)
        assert_true(ki_table_at(&r->t, id)->port == port && ki_table_at(&r->t, id)->addr_len == addr.len);
    r->shared += there && ki_table_shares_addr(&r->t, id);
    r->indexed += r->t.by_addr_made;
}

static void run_random(unsigned one_in, uint64_t seed)
{
    static const uint8_t key[16] = {3};
    struct run r = {.f.one_in = one_in};
    ki_rng_init(&r.f.rng, seed);
    ki_rng_init(&r.rng, seed + 100);
    ki_mem_init(&r.mem, flaky_resize, flaky_release, &r.f, 0);
    ki_table_init(&r.t, &r.mem, MAX, key);
    for (unsigned i = 0; i < NAMES; i++)
        r.names[i].id = KI_NO_MEMBER;
    for (uint64_t now = 1; now < 6000; now++) {
        unsigned which = (unsigned)ki_rng_below(&r.rng, NAMES);
        bool known = r.names[which].id != KI_NO_MEMBER;
        uint64_t what = ki_rng_below(&r.rng, 10);
        if (!known) {
            run_add(&r, which, now);
        } else if (what < 3) {
            run_update(&r, which);
        } else if (what < 7) {
            run_state(&r, which, now);
        } else if (what < 9) {
            ki_table_remove(&r.t, r.names[which].id);
            r.names[which] = (struct known){.id = KI_NO_MEMBER};
            r.count--;
        } else {
            ki_table_shuffle(&r.t, &r.rng);
        }
        /* whoever goes is replaced in the index: making it again would be work that a stranger can ask for at will */
        assert_true(r.t.by_addr_made || now == 1 || one_in > 0);
        run_ask_addr(&r);
        run_same(&r);
    }
    assert_true((r.nomem > 0) == (one_in > 0) && r.full > 0 && r.shared > 0 && r.indexed > 0);
    assert_true(r.t.used <= 2 * MAX); /* ids of the forgotten are used again */
    ki_table_free(&r.t);
    assert_true(r.f.blocks == 0 && r.mem.used == 0);
}

static void agrees_with_a_model(void **state)
{
    (void)state;
    run_random(0, 1);
}

static void agrees_when_memory_fails(void **state)
{
    (void)state;
    for (uint64_t seed = 2; seed < 7; seed++)
        run_random((unsigned)seed * 2, seed);
}

/* A node cannot choose when it is probed: over many tables the newest is everywhere in the order about as often. */
static void newcomers_stand_anywhere(void **state)
{
    (void)state;
    static const uint8_t key[16] = {3};
    unsigned at[8] = {0};
    for (uint64_t seed = 0; seed < 8000; seed++) {
        struct ki_mem mem;
        struct ki_table t;
        struct ki_rng rng;
        ki_mem_init(&mem, NULL, NULL, NULL, 0);
        ki_rng_init(&rng, seed);
        ki_table_init(&t, &mem, 8, key);
        uint32_t id = 0;
        for (unsigned i = 0; i < 8; i++) {
            char name[8];
            snprintf(name, sizeof name, "n%u", i);
            struct ki_identity identity = {.name = lone_span(name), .addr = ki_span(filler, 4), .port = 1};
            assert_int_equal(ki_table_add(&t, &identity, KI_ALIVE, 0, &rng, &id), 0);
        }
        for (unsigned i = 0; i < 8; i++)
            at[i] += t.order[i] == id;
        ki_table_free(&t);
    }
    for (unsigned i = 0; i < 8; i++) /* 1000 expected, standard deviation 30 */
        assert_in_range(at[i], 850, 1150);
}

/* Wherever one begins to look, a name is found where it is; in order, the next one is the one expected. */
static void near_or_not_it_is_found(void **state)
{
    (void)state;
    static const uint8_t key[16] = {3};
    struct ki_mem mem;
    struct ki_table t;
    struct ki_rng rng;
    char name[8];
    uint32_t id;
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_rng_init(&rng, 1);
    ki_table_init(&t, &mem, 100, key);
    ki_table_reserve(&t, 90);
    uint64_t reserved = mem.used;
    for (unsigned i = 0; i < 90; i++) {
        snprintf(name, sizeof name, "n%u", i);
        struct ki_identity identity = {.name = lone_span(name), .addr = ki_span(filler, 4), .port = 1};
        assert_int_equal(ki_table_add(&t, &identity, KI_ALIVE, 0, &rng, &id), 0);
    }
    assert_int_equal(mem.used, reserved); /* there was room for all of it */
    ki_table_remove(&t, 40);
    for (unsigned i = 0; i < 95; i++) {
        snprintf(name, sizeof name, "n%u", i);
        uint32_t wanted = i < 90 && i != 40 ? i : KI_NO_MEMBER;
        for (uint32_t from = 0; from < 100; from++) {
            uint32_t near = from;
            assert_int_equal(ki_table_find_near(&t, lone_span(name), &near), wanted);
            assert_int_equal(near, wanted == KI_NO_MEMBER ? from : wanted + 1);
        }
    }
    ki_table_free(&t);
    assert_int_equal(mem.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_model),
        cmocka_unit_test(agrees_when_memory_fails),
        cmocka_unit_test(newcomers_stand_anywhere),
        cmocka_unit_test(near_or_not_it_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
