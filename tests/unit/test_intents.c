/* serf/intents.c against a stupid model (a plain array) under random operations, with every allocation failing at
 * times; a call that fails for want of memory has changed nothing the model would notice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/rng.h"
#include "serf/intents.h"
#include "unit/failing.h"

#define MAX 12

struct model {
    struct {
        char name[8];
        bool leave;
        uint64_t ltime, heard_us;
    } items[MAX];
    unsigned count;
};

static int model_find(const struct model *m, const char *name)
{
    for (unsigned i = 0; i < m->count; i++) {
        if (strcmp(m->items[i].name, name) == 0)
            return (int)i;
    }
    return -1;
}

static void model_remove(struct model *m, int at)
{
    m->items[at] = m->items[--m->count];
}

static enum ki_intent_result model_note(struct model *m, const char *name, bool leave, uint64_t ltime, uint64_t now)
{
    int at = model_find(m, name);
    if (at >= 0 && ltime <= m->items[at].ltime)
        return KI_INTENT_OLD;
    if (at < 0 && m->count == MAX) {
        int oldest = 0;
        for (unsigned i = 1; i < m->count; i++)
            oldest = m->items[i].heard_us < m->items[oldest].heard_us ? (int)i : oldest;
        model_remove(m, oldest);
    }
    if (at < 0) {
        at = (int)m->count++;
        snprintf(m->items[at].name, sizeof m->items[at].name, "%s", name);
    }
    m->items[at].leave = leave;
    m->items[at].ltime = ltime;
    m->items[at].heard_us = now;
    return KI_INTENT_NEW;
}

static void same(const struct ki_intents *t, const struct model *m)
{
    assert_int_equal(t->count, m->count);
    for (uint32_t i = 0; i < t->count; i++) {
        char name[8] = {0};
        assert_true(t->items[i].name_len < sizeof name);
        memcpy(name, t->items[i].name, t->items[i].name_len);
        int at = model_find(m, name);
        assert_true(at >= 0);
        assert_true(m->items[at].leave == t->items[i].leave && m->items[at].ltime == t->items[i].ltime &&
                    m->items[at].heard_us == t->items[i].heard_us);
    }
}

/* The places are linked in the order of hearing, both ways. */
static void linked(const struct ki_intents *t)
{
    uint32_t at = t->oldest, older = UINT32_MAX, seen = 0;
    for (; at != UINT32_MAX; older = at, at = t->items[at].newer, seen++) {
        assert_true(seen < t->count && at < t->count && t->items[at].older == older);
        assert_true(older == UINT32_MAX || t->items[older].heard_us <= t->items[at].heard_us);
    }
    assert_true(seen == t->count && t->newest == older);
}

static void random_operations(unsigned one_in, uint64_t seed)
{
    struct flaky f = {.one_in = one_in};
    struct ki_rng rng;
    struct ki_mem mem;
    struct ki_intents t;
    struct model m = {.count = 0};
    ki_rng_init(&f.rng, seed);
    ki_rng_init(&rng, seed + 1);
    ki_mem_init(&mem, flaky_resize, flaky_release, &f, 0);
    ki_intents_init(&t, &mem, MAX, (const uint8_t[16]){0});
    unsigned nomem = 0;
    for (uint64_t now = 1; now < 20000; now++) {
        char name[8];
        snprintf(name, sizeof name, "n%u", (unsigned)ki_rng_below(&rng, 20));
        struct ki_span span = ki_span(name, strlen(name));
        uint64_t what = ki_rng_below(&rng, 100);
        if (what < 80) {
            bool leave = ki_rng_below(&rng, 2) == 0;
            uint64_t ltime = ki_rng_below(&rng, 50) + now / 100;
            enum ki_intent_result got = ki_intents_note(&t, span, leave, ltime, now);
            if (got == KI_INTENT_NOMEM)
                nomem++;
            else
                assert_int_equal(got, model_note(&m, name, leave, ltime, now));
        } else if (what < 97) {
            bool leave = false;
            uint64_t ltime = 0;
            int at = model_find(&m, name);
            assert_true(ki_intents_take(&t, span, &leave, &ltime) == (at >= 0));
            if (at >= 0) {
                assert_true(leave == m.items[at].leave && ltime == m.items[at].ltime);
                model_remove(&m, at);
            }
        } else {
            uint64_t before = now > 30 ? now - 30 : 0;
            ki_intents_expire(&t, before);
            for (int i = (int)m.count - 1; i >= 0; i--) {
                if (m.items[i].heard_us < before)
                    model_remove(&m, i);
            }
        }
        same(&t, &m);
        linked(&t);
    }
    assert_true((nomem > 0) == (one_in > 0) && t.dropped > 0);
    ki_intents_free(&t);
    assert_int_equal(f.blocks, 0);
    assert_int_equal(mem.used, 0);
}

static void agrees_with_a_model(void **state)
{
    (void)state;
    random_operations(0, 1);
}

static void agrees_when_memory_fails(void **state)
{
    (void)state;
    for (uint64_t seed = 2; seed < 8; seed++)
        random_operations((unsigned)seed, seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_model),
        cmocka_unit_test(agrees_when_memory_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
