/* aggregate/overlay.c against the definition: the rings written down in full, and the neighbours read off them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregate/overlay.h"
#include "base/rng.h"

#define MOST 300

struct member {
    char text[16];
    struct ki_overlay_name name;
};

static struct member members[MOST];
static uint32_t sorting; /* the ring that is being sorted */

static void make(uint32_t count, bool same_hash)
{
    for (uint32_t i = 0; i < count; i++) {
        snprintf(members[i].text, sizeof members[i].text, "node-%u", (unsigned)i);
        struct ki_span name = ki_span(members[i].text, strlen(members[i].text));
        members[i].name = (struct ki_overlay_name){.name = name, .hash = same_hash ? i / 3 : ki_overlay_hash(name)};
    }
}

static int by_place(const void *a, const void *b)
{
    const struct ki_overlay_name *x = &members[*(const uint32_t *)a].name, *y = &members[*(const uint32_t *)b].name;
    uint64_t at_x = ki_overlay_place(x->hash, sorting), at_y = ki_overlay_place(y->hash, sorting);
    return at_x != at_y ? (at_x > at_y) - (at_x < at_y) : ki_span_compare(x->name, y->name);
}

struct stupid { /* per member */
    bool before[MOST], after[MOST];
};

static struct stupid truth[MOST];

static void write_rings(uint32_t count)
{
    uint32_t ring[MOST];
    memset(truth, 0, sizeof truth);
    for (sorting = 0; sorting < KI_OVERLAY_RINGS; sorting++) {
        for (uint32_t i = 0; i < count; i++)
            ring[i] = i;
        qsort(ring, count, sizeof *ring, by_place);
        for (uint32_t i = 0; i < count && count > 1; i++) {
            uint32_t a = ring[i], b = ring[(i + 1) % count];
            truth[a].after[b] = true;
            truth[b].before[a] = true;
        }
    }
}

static uint32_t neighbours_of(uint32_t self, uint32_t count, struct ki_rng *rng, struct ki_overlay_neighbour *out)
{
    struct ki_overlay o;
    uint32_t order[MOST];
    for (uint32_t i = 0; i < count; i++) { /* in any order, ourselves among them */
        uint32_t at = (uint32_t)ki_rng_below(rng, i + 1);
        order[i] = order[at];
        order[at] = i;
    }
    ki_overlay_begin(&o, members[self].name);
    for (uint32_t i = 0; i < count; i++)
        ki_overlay_offer(&o, members[order[i]].name, order[i]);
    return ki_overlay_end(&o, out);
}

static void check(uint32_t count, bool same_hash)
{
    static bool initiates[MOST][MOST];
    struct ki_rng rng;
    ki_rng_init(&rng, count);
    make(count, same_hash);
    write_rings(count);
    memset(initiates, 0, sizeof initiates);
    for (uint32_t self = 0; self < count; self++) {
        struct ki_overlay_neighbour got[KI_OVERLAY_NEIGHBOURS];
        uint32_t found = neighbours_of(self, count, &rng, got), wanted = 0;
        for (uint32_t i = 0; i < count; i++)
            wanted += truth[self].before[i] || truth[self].after[i];
        assert_int_equal(found, wanted);
        for (uint32_t i = 0; i < found; i++) {
            uint32_t other = got[i].member;
            bool both = truth[self].before[other] && truth[self].after[other];
            assert_true(other != self && (truth[self].before[other] || truth[self].after[other]));
            for (uint32_t j = 0; j < i; j++)
                assert_true(got[j].member != other);
            if (!both)
                assert_true(got[i].initiates == truth[self].after[other]);
            else
                assert_true(got[i].initiates == (strcmp(members[self].text, members[other].text) < 0));
            initiates[self][other] = got[i].initiates;
        }
    }
    for (uint32_t a = 0; a < count; a++) { /* of every pair exactly one asks */
        for (uint32_t b = 0; b < a; b++)
            assert_true(initiates[a][b] + initiates[b][a] == (truth[a].before[b] || truth[a].after[b]));
    }
}

static void neighbours_are_those_of_the_rings(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 2, 3, 4, 5, 7, 20, MOST};
    for (size_t i = 0; i < KI_COUNT(counts); i++)
        check(counts[i], false);
}

static void equal_hashes_are_told_apart_by_names(void **state)
{
    (void)state;
    for (uint32_t count = 1; count <= 40; count++)
        check(count, true);
}

/* One member more moves at most two neighbours a ring. */
static void a_change_stays_local(void **state)
{
    (void)state;
    struct ki_rng rng;
    uint32_t moved = 0;
    ki_rng_init(&rng, 1);
    make(MOST, false);
    for (uint32_t self = 0; self < MOST - 1; self++) {
        struct ki_overlay_neighbour was[KI_OVERLAY_NEIGHBOURS], is[KI_OVERLAY_NEIGHBOURS];
        uint32_t count = neighbours_of(self, MOST - 1, &rng, was), now = neighbours_of(self, MOST, &rng, is);
        for (uint32_t i = 0; i < now; i++)
            moved += is[i].member == MOST - 1;
        assert_true(count >= 4 && now >= 4); /* of 300 rings' neighbours few coincide */
    }
    assert_in_range(moved, 1, KI_OVERLAY_NEIGHBOURS);
}

/* The rings are part of the protocol: members that order them otherwise do not find each other. */
static void places_are_for_ever(void **state)
{
    (void)state;
    assert_true(ki_overlay_hash(ki_span("node-1", 6)) == 0x72cd0eb72a27db67);
    assert_true(ki_overlay_place(1, 0) == 0x910a2dec89025cc1);
    assert_true(ki_overlay_place(1, 1) == 0xbeeb8da1658eec67);
    assert_true(ki_overlay_place(1, 2) == 0xf893a2eefb32555e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(neighbours_are_those_of_the_rings),
        cmocka_unit_test(equal_hashes_are_told_apart_by_names),
        cmocka_unit_test(a_change_stays_local),
        cmocka_unit_test(places_are_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
