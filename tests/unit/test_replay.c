/* serf/replay.c against a model that keeps everything and counts backwards: which events are left, how many bytes they are,
 * and what memory that fails leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/rng.h"
#include "serf/replay.h"
#include "unit/failing.h"

#define MODEL_MAX 8192

/* What was kept: its number is its time. */
static struct {
    uint32_t name_len, payload_len, mark_len;
} model[MODEL_MAX];

static uint8_t text[KI_REPLAY_BYTES + 1];

static void check(const struct ki_replay *replay, size_t said, const size_t *kept, size_t kept_count)
{
    size_t bytes = 0, count = 0;
    while (count < kept_count && count < KI_REPLAY_COUNT) { /* from the newest back, as long as there is room */
        size_t i = kept[kept_count - 1 - count];
        size_t size = sizeof(struct ki_replay_event) + model[i].name_len + model[i].payload_len + model[i].mark_len;
        if (bytes + size > KI_REPLAY_BYTES)
            break;
        bytes += size;
        count++;
    }
    assert_int_equal(replay->count, count);
    assert_int_equal(replay->bytes, bytes);
    assert_true((replay->first == NULL) == (count == 0) && (replay->last == NULL) == (count == 0));
    const struct ki_replay_event *event = replay->first;
    for (size_t at = kept_count - count; at < kept_count; at++, event = event->next) {
        size_t i = kept[at];
        assert_non_null(event);
        assert_true(event->ltime == i && i < said);
        assert_int_equal(event->name_len, model[i].name_len);
        assert_int_equal(event->payload_len, model[i].payload_len);
        assert_int_equal(event->len, model[i].name_len + model[i].payload_len + model[i].mark_len);
        for (uint32_t b = 0; b < event->len && b < 8; b++)
            assert_int_equal(event->bytes[b],
                             b < event->name_len ? 'n' : b < event->name_len + event->payload_len ? 'p' : 'm');
        assert_true(event->next != NULL || event == replay->last);
    }
    assert_null(event);
}

static void keep(struct ki_replay *replay, size_t i)
{
    uint8_t *at = text;
    memset(at, 'n', model[i].name_len);
    memset(at + model[i].name_len, 'p', model[i].payload_len);
    memset(at + model[i].name_len + model[i].payload_len, 'm', model[i].mark_len);
    struct ki_span name = ki_span(at, model[i].name_len), payload = ki_span(at + name.len, model[i].payload_len);
    ki_replay_keep(replay, i, name, payload, ki_span(payload.ptr + payload.len, model[i].mark_len));
}

/* Sizes of three sorts, so that now the count is the limit and now the bytes are; and memory that fails now and then. */
static void the_last_ones_are_kept(void **state)
{
    (void)state;
    static size_t kept[MODEL_MAX];
    for (unsigned round = 0; round < 3; round++) {
        struct flaky flaky = {.one_in = round == 2 ? 5 : 0};
        struct ki_mem mem;
        struct ki_replay replay = {.mem = &mem};
        struct ki_rng rng;
        size_t kept_count = 0;
        ki_rng_init(&flaky.rng, 3);
        ki_rng_init(&rng, round);
        ki_mem_init(&mem, flaky_resize, flaky_release, &flaky, 0);
        for (size_t i = 0; i < MODEL_MAX / 4; i++) {
            model[i].name_len = 1 + (uint32_t)ki_rng_below(&rng, 20);
            model[i].payload_len = (uint32_t)ki_rng_below(&rng, round == 0 ? 60 : 3000);
            model[i].mark_len = ki_rng_below(&rng, 3) ? 0 : 40;
            const struct ki_replay_event *last = replay.last;
            keep(&replay, i);
            if (replay.last != last)
                kept[kept_count++] = i;
            assert_true(replay.last != last || round == 2);
            check(&replay, i + 1, kept, kept_count);
        }
        assert_true(round == 2 || kept_count == MODEL_MAX / 4);
        assert_true(round < 2 || kept_count < MODEL_MAX / 4);
        assert_int_equal(replay.count == KI_REPLAY_COUNT, round == 0);
        ki_replay_free(&replay);
        assert_true(flaky.blocks == 0 && mem.used == 0 && !replay.last && replay.count == 0 && replay.bytes == 0);
    }
}

/* One as large as all of the room pushes out the rest; a larger one nothing. */
static void one_that_is_too_large(void **state)
{
    (void)state;
    struct ki_mem mem;
    struct ki_replay replay = {.mem = &mem};
    const uint32_t most = KI_REPLAY_BYTES - (uint32_t)sizeof(struct ki_replay_event) - 1;
    size_t kept[3] = {0, 2};
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    for (size_t i = 0; i < 3; i++) {
        model[i].name_len = 1;
        model[i].payload_len = i == 0 ? 10 : i == 1 ? most + 1 : most;
        model[i].mark_len = 0;
        keep(&replay, i);
        check(&replay, i + 1, kept, i < 2 ? 1 : 2);
    }
    assert_int_equal(replay.count, 1);
    ki_replay_free(&replay);
    assert_int_equal(mem.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_ones_are_kept),
        cmocka_unit_test(one_that_is_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
