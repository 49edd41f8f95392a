/* serf/seen.c against a model that keeps everything: what is new, and what the window of 512 ticks forgets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/rng.h"
#include "serf/seen.h"
#include "unit/failing.h"

static void a_window(void **state)
{
    (void)state;
    struct ki_mem mem;
    struct ki_seen seen;
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_seen_init(&seen, &mem);
    assert_int_equal(ki_seen_note(&seen, 2, 1, 77), KI_SEEN_NEW);
    assert_int_equal(ki_seen_note(&seen, 2, 1, 77), KI_SEEN_BEFORE);
    assert_int_equal(ki_seen_note(&seen, 2, 1, 0), KI_SEEN_NEW); /* no hash is special */
    assert_int_equal(ki_seen_note(&seen, 2, 1, 0), KI_SEEN_BEFORE);
    assert_int_equal(ki_seen_look(&seen, 512, 2, 77), KI_SEEN_NEW); /* a tick not heard of */
    assert_int_equal(ki_seen_look(&seen, 513, 1, 77), KI_SEEN_BEFORE);
    assert_int_equal(ki_seen_look(&seen, 514, 1, 77), KI_SEEN_OLD); /* 1 < 514 - 512 */
    assert_int_equal(ki_seen_note(&seen, 514, 513, 5), KI_SEEN_NEW); /* its tick takes the place of 1 */
    assert_int_equal(ki_seen_note(&seen, 514, 513, 77), KI_SEEN_NEW);
    ki_seen_free(&seen);
    assert_int_equal(mem.used, 0);
}

static void a_tick_has_a_limit(void **state)
{
    (void)state;
    struct ki_mem mem;
    struct ki_seen seen;
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_seen_init(&seen, &mem);
    for (uint64_t i = 0; i < KI_SEEN_TICK_MAX; i++)
        assert_int_equal(ki_seen_note(&seen, 10, 9, i), KI_SEEN_NEW);
    assert_int_equal(ki_seen_note(&seen, 10, 9, UINT64_MAX), KI_SEEN_FULL);
    assert_int_equal(ki_seen_note(&seen, 10, 9, 3), KI_SEEN_BEFORE);
    ki_seen_free(&seen);
}

static void memory_runs_out(void **state)
{
    (void)state;
    struct failing failing = {.until = 0};
    struct ki_mem mem;
    struct ki_seen seen;
    ki_mem_init(&mem, failing_resize, failing_release, &failing, 0);
    ki_seen_init(&seen, &mem);
    assert_int_equal(ki_seen_note(&seen, 2, 1, 1), KI_SEEN_NEW); /* the first of a tick needs none */
    assert_int_equal(ki_seen_note(&seen, 2, 1, 2), KI_SEEN_NOMEM);
    assert_int_equal(ki_seen_look(&seen, 2, 1, 2), KI_SEEN_NEW);
    failing.until = 1;
    assert_int_equal(ki_seen_note(&seen, 2, 1, 2), KI_SEEN_NEW);
    assert_int_equal(ki_seen_note(&seen, 2, 1, 1), KI_SEEN_BEFORE);
    ki_seen_free(&seen);
}

struct heard {
    uint64_t ltime, hash;
};

static void as_the_model_has_it(void **state)
{
    (void)state;
    static struct heard all[20000];
    struct ki_mem mem;
    struct ki_seen seen;
    struct ki_rng rng;
    ki_rng_init(&rng, 7);
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_seen_init(&seen, &mem);
    uint64_t now = 1;
    for (size_t count = 0; count < KI_COUNT(all); count++) {
        uint64_t back = ki_rng_below(&rng, 700), ahead = ki_rng_below(&rng, 3);
        struct heard h = {.ltime = now + ahead > back ? now + ahead - back : 1, .hash = ki_rng_below(&rng, 4)};
        now = h.ltime >= now ? h.ltime + 1 : now;
        bool before = false, replaced = false;
        for (size_t i = 0; i < count; i++) {
            before = before || (all[i].ltime == h.ltime && all[i].hash == h.hash);
            replaced = replaced || (all[i].ltime > h.ltime && all[i].ltime % KI_SEEN_TICKS == h.ltime % KI_SEEN_TICKS);
        }
        bool old = replaced || (now > KI_SEEN_TICKS && h.ltime < now - KI_SEEN_TICKS);
        enum ki_seen_result want = old ? KI_SEEN_OLD : before ? KI_SEEN_BEFORE : KI_SEEN_NEW;
        assert_int_equal(ki_seen_note(&seen, now, h.ltime, h.hash), want);
        all[count] = old ? (struct heard){0, 0} : h;
    }
    ki_seen_free(&seen);
    assert_int_equal(mem.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_window), cmocka_unit_test(a_tick_has_a_limit),
                                       cmocka_unit_test(memory_runs_out), cmocka_unit_test(as_the_model_has_it)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
