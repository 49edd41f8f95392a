/* Two lists of items: who is told, what is wanted, which times are told; names that several share among them.  Later times
 * of the other's are taken in scenario/test_sync.c, where there are members. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "node/sync.h"

#define ITEMS_MAX 8
#define NONE KI_SYNC_TIME_NONE

/* One bucket.  Names that differ in their lowest bits are those of one member, living and gone; of two, if they collide. */
static const struct {
    const char *what;
    struct ki_sync_item ours[ITEMS_MAX], theirs[ITEMS_MAX]; /* in order; content 0: the end */
    unsigned lists;           /* that differ; bit 0: of the living */
    const char *told;         /* places among ours */
    const char *wanted;       /* numbers of theirs */
    const char *times;        /* number=time */
} cases[] = {
    {"nothing", {{0, 0, 0}}, {{0, 0, 0}}, 1, "", "", ""},
    {"the same", {{2, 5, 1}, {4, 6, 1}}, {{2, 5, 1}, {4, 6, 1}}, 1, "", "", ""},
    {"ours alone", {{2, 5, 1}, {4, 6, 1}, {6, 7, 1}}, {{4, 6, 1}}, 1, " 0 2", "", ""},
    {"theirs alone", {{4, 6, 1}}, {{2, 5, 1}, {4, 6, 1}, {6, 7, 1}}, 1, "", " 0 2", ""},
    {"nobody in common", {{2, 5, 1}, {8, 6, 1}}, {{4, 5, 1}, {6, 6, 1}, {10, 7, 1}}, 1, " 0 1", " 0 1 2", ""},
    {"both have changed", {{2, 5, 1}, {4, 6, 1}}, {{2, 9, 1}, {4, 6, 1}}, 1, " 0", " 0", ""},
    {"ours is later", {{2, 5, 9}, {4, 6, 1}}, {{2, 5, 1}, {4, 6, 0}}, 1, "", "", " 0=9 1=1"},
    {"ours has a time, theirs none", {{2, 5, 9}}, {{2, 5, NONE}}, 1, " 0", " 0", ""},
    {"theirs has a time, ours none", {{2, 5, NONE}}, {{2, 5, 9}}, 1, " 0", " 0", ""},
    {"alive here, gone there", {{2, 5, 1}}, {{3, 6, NONE}}, 3, " 0", " 0", ""},
    {"gone here, alive there", {{3, 6, NONE}}, {{2, 5, 1}}, 3, " 0", " 0", ""},
    {"gone here, unknown there", {{3, 6, NONE}}, {{8, 5, 1}}, 3, "", " 0", ""},
    {"gone there, unknown here", {{8, 5, 1}}, {{3, 6, NONE}}, 3, " 0", "", ""},
    {"gone otherwise", {{3, 6, NONE}}, {{3, 7, NONE}}, 2, " 0", " 0", ""},
    {"of a list that is the same nobody is looked at", {{2, 5, 1}, {5, 6, NONE}}, {{5, 7, NONE}}, 2, " 1", " 0", ""},
    {"two of one name, on both sides", {{2, 5, 1}, {2, 6, 1}}, {{2, 6, 1}, {2, 5, 1}}, 1, "", "", ""},
    {"two of one name, one there", {{2, 5, 1}, {2, 6, 1}}, {{2, 6, 1}}, 1, " 0", "", ""},
    {"two of one name, one here", {{2, 6, 1}}, {{2, 5, 1}, {2, 6, 1}}, 1, "", " 0", ""},
    {"two of one name, alive and gone", {{2, 5, 1}, {3, 6, NONE}}, {{2, 5, 1}, {3, 6, NONE}}, 3, "", "", ""},
    {"the same item twice here", {{2, 5, 9}, {2, 5, 9}}, {{2, 5, 1}}, 1, " 1", "", " 0=9"},
    {"the same item twice there", {{2, 5, 9}}, {{2, 5, 1}, {2, 5, 1}}, 1, "", " 1", " 0=9"},
    {"the first and the last", {{0, 5, 1}, {UINT32_MAX, 6, NONE}}, {{0, 5, 1}, {UINT32_MAX - 1, 6, 1}}, 3, " 1", " 1", ""},
};

static void says(const char *what, const char *kind, const char *said, const char *wanted)
{
    if (strcmp(said, wanted) != 0)
        fail_msg("%s: %s%s, not%s", what, kind, said, wanted);
}

static void check_result(const struct ki_sync_run *run, unsigned i)
{
    char told[128] = "", wanted[128] = "", times[128] = "";
    for (uint32_t at = 0; at < run->told_count; at++)
        snprintf(told + strlen(told), sizeof told - strlen(told), " %u", (unsigned)run->told[at] - 100);
    for (size_t at = 1; at < run->wanted.len; at += 2)
        snprintf(wanted + strlen(wanted), sizeof wanted - strlen(wanted), " %u",
                 (unsigned)ki_load_be(run->wanted.start + at, 2));
    for (size_t at = 0; at < run->times.len; at += KI_SYNC_TIME_LEN)
        snprintf(times + strlen(times), sizeof times - strlen(times), " %u=%u",
                 (unsigned)ki_load_be(run->times.start + at, 2), (unsigned)ki_load_be(run->times.start + at + 2, 4));
    says(cases[i].what, "told", told, cases[i].told);
    says(cases[i].what, "wanted", wanted, cases[i].wanted);
    says(cases[i].what, "times", times, cases[i].times);
    assert_false(run->wanted.full || run->times.full);
}

static void check(struct kith *k, struct ki_sync_run *run, unsigned i, uint32_t slice)
{
    struct ki_sync_seen seen[ITEMS_MAX];
    uint32_t starts[2] = {0, 0};
    uint64_t differs[2] = {cases[i].lists & 1, cases[i].lists & 2};
    uint8_t buf[256];
    struct ki_writer w = ki_writer(buf, sizeof buf);
    for (; cases[i].ours[starts[1]].content; starts[1]++)
        seen[starts[1]] = (struct ki_sync_seen){.item = cases[i].ours[starts[1]], .id = 100 + starts[1]};
    ki_encode_sync_items_front(&w, 0, 1, 0, differs);
    for (unsigned at = 0; cases[i].theirs[at].content; at++)
        ki_encode_sync_item(&w, cases[i].theirs[at]);
    struct ki_sync_items items;
    assert_true(ki_decode_sync_items(ki_span(buf, w.len), &items));
    run->seen = seen;
    run->starts = starts;
    assert_true(ki_sync_match_begin(k, run, ki_span(buf, w.len), &items));
    memset(buf, 0xee, sizeof buf); /* it has been copied */
    uint32_t slices = 1;
    for (; !ki_sync_match(k, NULL, run, slice); slices++)
        assert_true(slices < 100);
    assert_in_range(slices, starts[1] <= slice ? 1 : (starts[1] + slice - 1) / slice, starts[1] == 0 ? 1 : starts[1]);
    check_result(run, i);
}

static void each_finds_its_like(void **state)
{
    (void)state;
    static struct kith k;
    struct ki_sync_run run = {.bits = 0}; /* one for all: what one leaves, the next replaces */
    ki_mem_init(&k.mem, NULL, NULL, NULL, 0);
    for (unsigned i = 0; i < KI_COUNT(cases); i++) {
        for (uint32_t slice = 1; slice < 4; slice++)
            check(&k, &run, i, slice);
    }
    run.seen = NULL; /* not from there */
    run.starts = NULL;
    ki_sync_run_end(&k, &run);
    assert_int_equal(k.mem.used, 0);
}

#define SHARING 300

/* Names that somebody has prepared: each of ours is looked for among all of theirs, but not in one call. */
static void a_name_of_many_takes_many_slices(void **state)
{
    (void)state;
    static struct kith k;
    static struct ki_sync_seen seen[SHARING];
    static uint8_t buf[64 + SHARING * KI_SYNC_ITEM_LEN];
    uint32_t starts[2] = {0, SHARING}, slices = 1;
    uint64_t differs[2] = {1, 0};
    struct ki_sync_run run = {.bits = 0, .seen = seen, .starts = starts};
    struct ki_writer w = ki_writer(buf, sizeof buf);
    struct ki_sync_items items;
    ki_mem_init(&k.mem, NULL, NULL, NULL, 0);
    ki_chunks_init(&k.table.members, sizeof(struct ki_member)); /* nobody's, but they are fetched ahead */
    ki_chunks_init(&k.about, sizeof(struct ki_about));
    assert_true(ki_chunks_reserve(&k.table.members, &k.mem, SHARING) && ki_chunks_reserve(&k.about, &k.mem, SHARING));
    ki_encode_sync_items_front(&w, 0, 1, 0, differs);
    for (uint32_t i = 0; i < SHARING; i++) {
        seen[i] = (struct ki_sync_seen){.item = {2, i, 1}, .id = i};
        ki_encode_sync_item(&w, (struct ki_sync_item){2, SHARING - 1 - i, 1});
    }
    assert_true(ki_decode_sync_items(ki_span(buf, w.len), &items));
    assert_true(ki_sync_match_begin(&k, &run, ki_span(buf, w.len), &items));
    while (!ki_sync_match(&k, NULL, &run, 100))
        slices++;
    assert_in_range(slices, SHARING * SHARING / 2 / (100 + SHARING), SHARING * SHARING / 2 / 100 + 1);
    assert_true(run.told_count == 0 && run.wanted.len == 1 && run.times.len == 0);
    run.seen = NULL; /* not from there */
    run.starts = NULL;
    ki_sync_run_end(&k, &run);
    ki_chunks_free(&k.table.members, &k.mem);
    ki_chunks_free(&k.about, &k.mem);
    assert_int_equal(k.mem.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_finds_its_like),
                                       cmocka_unit_test(a_name_of_many_takes_many_slices)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
