/* serf/origins.c against a stupid model: events of several origins come in any order, are settled, skipped, forgotten, and
 * after each step every list, byte count, gap and root is what the model says, the root being that of a fresh table with the
 * same origins.  And the limits: too many origins, forgotten ones, memory that fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/rng.h"
#include "serf/origins.h"
#include "unit/failing.h"

#define NAMES 4
#define BOOTS 2
#define ORIGINS (NAMES * BOOTS)
#define EARLY_MAX 32
#define ROOM 1500

struct model_event {
    unsigned origin;
    uint64_t seq, ltime;
    uint32_t len;
    bool told;
};

struct model_origin {
    bool exists;
    struct ki_settled finished; /* next 0: it was never forgotten */
    uint64_t next, known, gap_first, gap_last, last_ltime;
    struct model_event early[EARLY_MAX]; /* in no order */
    unsigned early_count;
};

static struct model {
    struct model_origin origins[ORIGINS];
    struct model_event kept[4096]; /* in the order in which they were settled */
    unsigned first, last;          /* [first, last) are still kept */
    uint64_t ltime;
} model;

static struct ki_span name_of(unsigned i)
{
    static const char names[NAMES][8] = {"a", "b", "node-12", "c"};
    return ki_span(names[i % NAMES], strlen(names[i % NAMES]));
}

static uint64_t boot_of(unsigned i)
{
    return i / NAMES == 0 ? 5 : UINT64_MAX;
}

static struct ki_origin *enter(struct ki_origins *o, struct ki_span name, uint64_t boot, uint64_t next)
{
    return ki_origins_enter(o, name, boot, (struct ki_settled){next, 0}, next);
}

static uint64_t size_of(const struct model_event *e)
{
    return sizeof(struct ki_kept) + e->len;
}

/* ---- comparing ---- */

static uint64_t fresh_root(void)
{
    struct ki_mem mem;
    struct ki_origins fresh;
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_origins_init(&fresh, &mem, ROOM);
    for (unsigned i = ORIGINS; i-- > 0;) { /* in another order */
        if (model.origins[i].exists)
            assert_non_null(enter(&fresh, name_of(i), boot_of(i), model.origins[i].next));
    }
    uint64_t root = fresh.root;
    ki_origins_free(&fresh);
    assert_int_equal(mem.used, 0);
    return root;
}

static void check_event(const struct ki_kept *kept, const struct model_event *e)
{
    if (!kept || !e)
        fail_msg("there is one too many, or one is lacking");
    else
        assert_true(kept->seq == e->seq && kept->ltime == e->ltime && kept->len == e->len);
    for (uint32_t i = 0; kept && e && i < e->len; i++)
        assert_int_equal(kept->bytes[i], (uint8_t)(e->seq + e->origin));
}

static const struct model_event *model_early(const struct model_origin *o, uint64_t from)
{
    const struct model_event *least = NULL;
    for (unsigned i = 0; i < o->early_count; i++) {
        if (o->early[i].seq >= from && (!least || o->early[i].seq < least->seq))
            least = &o->early[i];
    }
    return least;
}

static void check_origin(const struct ki_origins *o, unsigned i)
{
    const struct model_origin *want = &model.origins[i];
    const struct ki_origin *got = ki_origins_find(o, name_of(i), boot_of(i));
    assert_int_equal(got != NULL, want->exists);
    if (!got)
        return;
    assert_true(got->next == want->next && got->known == want->known && got->last_ltime == want->last_ltime);
    assert_true(got->gap_first == want->gap_first && got->gap_last == want->gap_last);
    uint64_t from = 0;
    for (const struct ki_kept *early = got->early; early; early = early->next, from++) {
        const struct model_event *least = model_early(want, from);
        check_event(early, least);
        from = early->seq;
    }
    assert_null(model_early(want, from));
    const struct model_event *least = model_early(want, 0);
    bool is_ready = least && least->seq == want->next;
    uint64_t last;
    assert_int_equal(ki_origin_ready(got) != NULL, is_ready);
    assert_int_equal(ki_origin_missing(got, &last), want->known >= want->next && !is_ready);
    if (want->known >= want->next && !is_ready)
        assert_true(last == (least ? least->seq - 1 : want->known));
    const struct ki_kept *early_last = got->early;
    while (early_last && early_last->next)
        early_last = early_last->next;
    assert_ptr_equal(got->early_last, early_last);
    const struct ki_kept *kept = got->first, *before = NULL;
    for (unsigned at = model.first; at < model.last; at++) {
        if (model.kept[at].origin != i)
            continue;
        check_event(kept, &model.kept[at]);
        assert_int_equal(kept->told, model.kept[at].told);
        assert_ptr_equal(ki_origin_kept(got, kept->seq), kept);
        assert_ptr_equal(ki_origin_kept(got, before ? before->seq + 1 : 0), kept); /* the first of at least this number */
        before = kept;
        kept = kept->next;
    }
    assert_true(kept == NULL && got->last == before);
    assert_null(ki_origin_kept(got, want->next));
}

static void check(const struct ki_origins *o)
{
    uint64_t bytes = 0, early_bytes = 0;
    uint32_t count = 0;
    const struct ki_kept *kept = o->oldest;
    for (unsigned at = model.first; at < model.last; at++, kept = kept->newer) {
        bytes += size_of(&model.kept[at]);
        check_event(kept, &model.kept[at]);
        assert_true(kept->newer ? kept->newer->older == kept : o->newest == kept);
        assert_true(kept->older != NULL || o->oldest == kept);
        assert_ptr_equal(kept->origin, ki_origins_find(o, name_of(model.kept[at].origin), boot_of(model.kept[at].origin)));
    }
    assert_true(kept == NULL && (o->newest != NULL) == (o->oldest != NULL));
    for (unsigned i = 0; i < ORIGINS; i++) {
        check_origin(o, i);
        count += model.origins[i].exists;
        for (unsigned e = 0; e < model.origins[i].early_count; e++)
            early_bytes += size_of(&model.origins[i].early[e]);
        uint64_t settled = model.origins[i].finished.next;
        assert_false(ki_origins_are_finished(o, name_of(i), boot_of(i), settled));
        assert_true(settled == 0 || ki_origins_are_finished(o, name_of(i), boot_of(i), settled - 1));
    }
    assert_true(o->by_hash.count == count);
    assert_true(o->count == count && o->bytes == bytes && o->early_bytes == early_bytes && bytes <= ROOM);
    assert_true(o->root == fresh_root());
}

/* ---- steps ---- */

static void step_enter(struct ki_origins *o, unsigned i, struct ki_rng *rng, bool flaky)
{
    struct model_origin *m = &model.origins[i];
    struct ki_settled settled = {.next = 1 + ki_rng_below(rng, 4), .ltime = ki_rng_below(rng, 3)};
    uint64_t last = m->finished.next + ki_rng_below(rng, 3) - (m->finished.next > 0);
    struct ki_origin *origin = ki_origins_enter(o, name_of(i), boot_of(i), settled, last);
    assert_true(last < m->finished.next ? origin == NULL : flaky || origin != NULL);
    if (m->finished.next > settled.next)
        settled = m->finished; /* it goes on from where it was */
    if (!origin)
        return;
    assert_true(origin->lost_ltime == settled.ltime); /* nothing of it is kept */
    *m = (struct model_origin){.exists = true,
                               .finished = m->finished,
                               .next = settled.next,
                               .known = settled.next - 1,
                               .last_ltime = settled.ltime};
}

static void step_arrive(struct ki_origins *o, unsigned i, struct ki_rng *rng, bool flaky)
{
    struct model_origin *m = &model.origins[i];
    struct model_event e = {.origin = i,
                            .seq = m->next + ki_rng_below(rng, 7) - (m->next > 2 ? 2 : 0),
                            .ltime = ++model.ltime,
                            .len = 1 + (uint32_t)ki_rng_below(rng, 40)};
    uint8_t bytes[64];
    memset(bytes, (int)(uint8_t)(e.seq + i), e.len);
    bool before = e.seq < m->next;
    for (unsigned at = 0; at < m->early_count; at++)
        before = before || m->early[at].seq == e.seq;
    bool room = e.seq == m->next || o->early_bytes + size_of(&e) <= ROOM;
    struct ki_origin *origin = ki_origins_find(o, name_of(i), boot_of(i));
    enum ki_arrival got = ki_origin_arrive(o, origin, e.seq, e.ltime, ki_span(bytes, e.len));
    if (before)
        assert_int_equal(got, KI_ARRIVAL_BEFORE);
    else if (!room)
        assert_int_equal(got, KI_ARRIVAL_NO_ROOM);
    else
        assert_true(got == KI_ARRIVAL_NEW || (flaky && got == KI_ARRIVAL_NO_ROOM));
    if (got != KI_ARRIVAL_NEW)
        return;
    assert_true(m->early_count < EARLY_MAX);
    m->early[m->early_count++] = e;
    m->known = m->known > e.seq ? m->known : e.seq;
}

static void model_gap(struct model_origin *m, uint64_t first, uint64_t last)
{
    m->gap_first = m->gap_first ? m->gap_first : first;
    m->gap_last = last;
}

static void model_move(struct model_origin *m, uint64_t next)
{
    m->next = next;
    m->known = m->known >= next - 1 ? m->known : next - 1;
    for (unsigned at = 0; at < m->early_count; at++) {
        while (at < m->early_count && m->early[at].seq < next)
            m->early[at] = m->early[--m->early_count];
    }
}

static void step_settle(struct ki_origins *o, unsigned i, struct ki_rng *rng)
{
    struct ki_origin *origin = ki_origins_find(o, name_of(i), boot_of(i));
    struct model_origin *m = &model.origins[i];
    bool told = ki_rng_below(rng, 4) > 0;
    const struct model_event *ready = model_early(m, 0);
    uint64_t bytes = o->bytes;
    if (!ki_origin_ready(origin) || !ready)
        return;
    struct model_event e = *ready;
    origin->missing_us = origin->ask_us = 5, origin->asks = 3; /* the next is not missing yet */
    ki_origin_settle(o, origin, told);
    assert_true(origin->missing_us == UINT64_MAX && origin->ask_us == UINT64_MAX && origin->asks == 0);
    e.told = told;
    model.kept[model.last++] = e;
    m->last_ltime = e.ltime;
    if (!told)
        model_gap(m, e.seq, e.seq);
    model_move(m, e.seq + 1);
    for (bytes += size_of(&e); bytes > ROOM; model.first++)
        bytes -= size_of(&model.kept[model.first]);
}

static void step_skip(struct ki_origins *o, unsigned i, struct ki_rng *rng)
{
    struct model_origin *m = &model.origins[i];
    uint64_t next = m->next + ki_rng_below(rng, 6) - (m->next > 2 ? 2 : 0);
    bool lost = ki_rng_below(rng, 2);
    ki_origin_skip(o, ki_origins_find(o, name_of(i), boot_of(i)), next, lost, lost ? UINT64_MAX : 0);
    if (next <= m->next)
        return;
    if (lost)
        model_gap(m, m->next, next - 1);
    m->last_ltime = lost ? UINT64_MAX : m->last_ltime;
    model_move(m, next);
}

static void step_forget(struct ki_origins *o, unsigned i, bool flaky)
{
    unsigned to = model.first;
    struct model_origin *m = &model.origins[i];
    ki_origins_forget(o, ki_origins_find(o, name_of(i), boot_of(i)));
    for (unsigned at = model.first; at < model.last; at++) {
        if (model.kept[at].origin != i)
            model.kept[to++] = model.kept[at];
    }
    model.last = to;
    *m = (struct model_origin){.finished = {m->next, m->last_ltime}};
    if (flaky && !o->finished)
        m->finished.next = 0; /* there was no memory to remember it */
}

static void step(struct ki_origins *o, struct ki_rng *rng, bool flaky)
{
    unsigned i = (unsigned)ki_rng_below(rng, ORIGINS), what = (unsigned)ki_rng_below(rng, 100);
    struct model_origin *m = &model.origins[i];
    if (!m->exists)
        step_enter(o, i, rng, flaky);
    else if (what < 60)
        step_arrive(o, i, rng, flaky);
    else if (what < 90)
        step_settle(o, i, rng);
    else if (what < 98)
        step_skip(o, i, rng);
    else if (ki_rng_below(rng, 20) == 0)
        step_forget(o, i, flaky);
    else if (m->gap_first) /* what the caller does when it has told a gap */
        ki_origins_find(o, name_of(i), boot_of(i))->gap_first = m->gap_first = 0;
}

static void random_lives(void **state)
{
    (void)state;
    unsigned evicted = 0;
    for (unsigned seed = 0; seed < 60; seed++) {
        struct flaky flaky = {.one_in = seed % 3 == 2 ? 6 : 0};
        struct ki_rng rng;
        struct ki_mem mem;
        struct ki_origins o;
        ki_rng_init(&rng, seed);
        ki_rng_init(&flaky.rng, seed + 1000);
        ki_mem_init(&mem, flaky_resize, flaky_release, &flaky, 0);
        ki_origins_init(&o, &mem, ROOM);
        memset(&model, 0, sizeof model);
        for (unsigned steps = 0; steps < 600; steps++) {
            step(&o, &rng, flaky.one_in != 0);
            check(&o);
        }
        evicted += model.first;
        ki_origins_free(&o);
        assert_true(mem.used == 0 && flaky.blocks == 0);
    }
    assert_true(evicted > 1000); /* had to make room */
}

/* ---- the order in which they come ---- */

static void any_order_ends_alike(void **state)
{
    (void)state;
    struct ki_rng rng;
    uint64_t root = 0;
    ki_rng_init(&rng, 1);
    for (unsigned round = 0; round < 200; round++) {
        struct ki_mem mem;
        struct ki_origins o;
        uint64_t order[20];
        ki_mem_init(&mem, NULL, NULL, NULL, 0);
        ki_origins_init(&o, &mem, 1 << 20);
        struct ki_origin *origin = enter(&o, name_of(0), 1, 1);
        assert_non_null(enter(&o, name_of(1), 1, 7));
        for (size_t i = 0; i < 20; i++)
            order[i] = i + 1;
        for (size_t i = 20; round > 0 && i-- > 1;) {
            size_t other = (size_t)ki_rng_below(&rng, i + 1);
            uint64_t swap = order[i];
            order[i] = order[other];
            order[other] = swap;
        }
        for (size_t i = 0; i < 20; i++) {
            uint8_t byte = (uint8_t)order[i];
            assert_int_equal(ki_origin_arrive(&o, origin, order[i], order[i], ki_span(&byte, 1)), KI_ARRIVAL_NEW);
            while (ki_origin_ready(origin))
                ki_origin_settle(&o, origin, true);
        }
        uint64_t seq = 0;
        for (const struct ki_kept *kept = o.oldest; kept; kept = kept->newer)
            assert_true(kept->seq == ++seq && kept->bytes[0] == seq && kept->len == 1);
        assert_true(seq == 20 && origin->next == 21 && o.early_bytes == 0);
        root = round == 0 ? o.root : root;
        assert_true(o.root == root);
        ki_origins_free(&o);
        assert_int_equal(mem.used, 0);
    }
}

/* ---- limits ---- */

static void too_many(void **state)
{
    (void)state;
    struct ki_mem mem;
    struct ki_origins o;
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_origins_init(&o, &mem, ROOM);
    for (uint64_t boot = 0; boot < KI_ORIGINS_MAX; boot++)
        assert_non_null(enter(&o, name_of(0), boot, 2));
    assert_null(enter(&o, name_of(0), KI_ORIGINS_MAX, 2));
    ki_origins_forget(&o, ki_origins_find(&o, name_of(0), 0));
    assert_null(enter(&o, name_of(0), 0, 1)); /* that is over */
    assert_non_null(enter(&o, name_of(0), KI_ORIGINS_MAX, 2));
    assert_null(enter(&o, name_of(0), 0, 2)); /* it could go on, but there are too many */
    for (uint64_t boot = 1; boot <= KI_ORIGINS_MAX; boot++) /* each is still found after others have gone */
        assert_true(ki_origins_find(&o, name_of(0), boot)->boot == boot);
    for (uint64_t boot = 1; boot <= KI_ORIGINS_FINISHED; boot++) {
        assert_true(ki_origins_are_finished(&o, name_of(0), 0, 1));
        ki_origins_forget(&o, ki_origins_find(&o, name_of(0), boot));
    }
    assert_false(ki_origins_are_finished(&o, name_of(0), 0, 1)); /* so many later it is forgotten that it was */
    assert_true(ki_origins_are_finished(&o, name_of(0), 1, 1) && !ki_origins_are_finished(&o, name_of(0), 1, 2));
    ki_origins_free(&o);
    assert_int_equal(mem.used, 0);
}

/* Whoever sends high numbers takes the room of what comes early, and nobody's past; the next one always has room. */
static void what_comes_early_has_room_of_its_own(void **state)
{
    (void)state;
    static uint8_t bytes[ROOM];
    struct ki_mem mem;
    struct ki_origins o;
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_origins_init(&o, &mem, ROOM);
    struct ki_origin *good = enter(&o, name_of(0), 1, 1), *bad = enter(&o, name_of(1), 1, 1);
    assert_int_equal(ki_origin_arrive(&o, good, 1, 1, ki_span(bytes, 100)), KI_ARRIVAL_NEW);
    ki_origin_settle(&o, good, true);
    uint64_t seq = UINT64_C(1) << 62;
    while (ki_origin_arrive(&o, bad, seq, 9, ki_span(bytes, 100)) == KI_ARRIVAL_NEW)
        seq++;
    assert_true(o.early_bytes <= ROOM && o.early_bytes + 100 + sizeof(struct ki_kept) > ROOM);
    assert_true(good->first != NULL && bad->known == seq - 1);
    assert_int_equal(ki_origin_arrive(&o, good, 3, 3, ki_span(bytes, 100)), KI_ARRIVAL_NO_ROOM);
    assert_int_equal(ki_origin_arrive(&o, good, 2, 2, ki_span(bytes, sizeof bytes)), KI_ARRIVAL_NEW);
    ki_origin_settle(&o, good, true); /* larger than all of the room: told, and not kept */
    assert_true(o.bytes == 0 && o.oldest == NULL && good->first == NULL && good->next == 3);
    assert_true(good->lost_ltime == 2);
    assert_int_equal(ki_origin_arrive(&o, good, 3, 3, ki_span(bytes, 100)), KI_ARRIVAL_NEW);
    ki_origin_settle(&o, good, true);
    assert_true(o.oldest == good->first && o.newest == good->first && good->last == good->first && good->first->seq == 3);
    ki_origins_free(&o);
    assert_int_equal(mem.used, 0);
}

/* However many wait: the next in order is put behind them at once, and no other looks for its place for long. */
static void places_are_found_at_once(void **state)
{
    (void)state;
    struct ki_mem mem;
    struct ki_origins o;
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_origins_init(&o, &mem, 64 << 20);
    struct ki_origin *origin = enter(&o, name_of(0), 1, 1);
    for (uint64_t seq = 2; seq <= 200000; seq += 2)
        assert_int_equal(ki_origin_arrive(&o, origin, seq, seq, ki_span("", 0)), KI_ARRIVAL_NEW);
    assert_int_equal(ki_origin_arrive(&o, origin, 200001, 1, ki_span("", 0)), KI_ARRIVAL_NEW);
    assert_int_equal(ki_origin_arrive(&o, origin, 2 * KI_ORIGINS_LOOK + 1, 1, ki_span("", 0)), KI_ARRIVAL_NEW);
    assert_int_equal(ki_origin_arrive(&o, origin, 2 * KI_ORIGINS_LOOK + 2, 1, ki_span("", 0)), KI_ARRIVAL_NO_ROOM);
    assert_int_equal(ki_origin_arrive(&o, origin, 100001, 1, ki_span("", 0)), KI_ARRIVAL_NO_ROOM);
    assert_int_equal(ki_origin_arrive(&o, origin, 2 * KI_ORIGINS_LOOK, 1, ki_span("", 0)), KI_ARRIVAL_BEFORE);
    assert_int_equal(ki_origin_arrive(&o, origin, 1, 1, ki_span("", 0)), KI_ARRIVAL_NEW);
    uint64_t count = 0;
    for (; ki_origin_ready(origin); count++)
        ki_origin_settle(&o, origin, true);
    assert_int_equal(count, 2); /* 3 is missing */
    ki_origins_free(&o);
    assert_int_equal(mem.used, 0);
}

/* What is told to others of what is not here: it may be as new as what was settled behind it. */
static void a_gap_is_lost_for_others_too(void **state)
{
    (void)state;
    struct ki_mem mem;
    struct ki_origins o;
    uint8_t bytes[100] = {0};
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_origins_init(&o, &mem, ROOM);
    struct ki_origin *origin = enter(&o, name_of(0), 1, 1);
    assert_int_equal(ki_origin_arrive(&o, origin, 1, 10, ki_span(bytes, 100)), KI_ARRIVAL_NEW);
    ki_origin_settle(&o, origin, true);
    ki_origin_skip(&o, origin, 4, false, 0); /* old for us, and so for whoever asks us: nothing is lost */
    assert_int_equal(origin->lost_ltime, 0);
    ki_origin_skip(&o, origin, 6, true, UINT64_MAX);
    assert_true(origin->lost_ltime == UINT64_MAX); /* nobody knows how new they were */
    assert_int_equal(ki_origin_arrive(&o, origin, 6, 30, ki_span(bytes, 100)), KI_ARRIVAL_NEW);
    ki_origin_settle(&o, origin, true);
    assert_int_equal(origin->lost_ltime, 30); /* older than this */
    for (uint64_t seq = 7; o.oldest->seq != 6; seq++) { /* what goes before the gap was older */
        assert_int_equal(ki_origin_arrive(&o, origin, seq, seq + 30, ki_span(bytes, 100)), KI_ARRIVAL_NEW);
        ki_origin_settle(&o, origin, true);
    }
    assert_int_equal(origin->lost_ltime, 30);
    ki_origins_free(&o);
    assert_int_equal(mem.used, 0);
}

static void memory_fails_in_turn(void **state)
{
    (void)state;
    bool done = false;
    for (int until = 0; !done; until++) {
        struct failing failing = {.until = until};
        struct ki_mem mem;
        struct ki_origins o;
        uint8_t byte = 0;
        ki_mem_init(&mem, failing_resize, failing_release, &failing, 0);
        ki_origins_init(&o, &mem, ROOM);
        for (uint64_t boot = 0; boot < 20; boot++) {
            uint64_t root = o.root;
            uint32_t count = o.count;
            struct ki_origin *origin = enter(&o, name_of(0), boot, 1);
            assert_ptr_equal(ki_origins_find(&o, name_of(0), boot), origin);
            if (!origin) {
                assert_true(o.root == root && o.count == count);
                continue;
            }
            done = ki_origin_arrive(&o, origin, 1, 1, ki_span(&byte, 1)) == KI_ARRIVAL_NEW;
            assert_int_equal(o.early_bytes, done ? sizeof(struct ki_kept) + 1 : 0);
            assert_int_equal(origin->known, done);
            if (done)
                ki_origin_settle(&o, origin, true);
            if (boot % 3 == 0)
                ki_origins_forget(&o, origin);
        }
        ki_origins_free(&o);
        assert_true(mem.used == 0 && until < 200);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_lives),
        cmocka_unit_test(any_order_ends_alike),
        cmocka_unit_test(too_many),
        cmocka_unit_test(what_comes_early_has_room_of_its_own),
        cmocka_unit_test(places_are_found_at_once),
        cmocka_unit_test(a_gap_is_lost_for_others_too),
        cmocka_unit_test(memory_fails_in_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
