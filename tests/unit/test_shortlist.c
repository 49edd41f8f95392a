/* Shortlists: each step of random histories against a stupid model that sorts everything anew; a few tables that tell each
 * other, with loss and a digest, until they agree and are right; what is told to whom; memory that fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "aggregate/shortlist.h"
#include "base/rng.h"
#include "unit/failing.h"

#define OWNERS 40
#define KEEP_US 60000000

/* Names whose order is not that of the numbers. */
static struct ki_span name_of(const void *arg, uint32_t owner)
{
    static char names[OWNERS][3];
    (void)arg;
    names[owner][0] = (char)('a' + owner * 7 % 26);
    names[owner][1] = (char)('A' + owner / 26);
    return ki_span(names[owner], 2);
}

static const struct ki_short_names names = {name_of, NULL};

static struct ki_short_claim claim_of(uint32_t owner, uint64_t version, double value)
{
    return (struct ki_short_claim){.hash = ki_shortlist_hash(name_of(NULL, owner)),
                                   .version = version,
                                   .value = value,
                                   .owner = owner,
                                   .generation = 1};
}

/* ---- the model ---- */

struct model_entry {
    bool is_here, gone;
    struct ki_short_claim claim;
    uint64_t taken, keep_us;
    unsigned known;
};

struct model {
    struct model_entry of[OWNERS];
    unsigned ends, sample, gone_max;
    uint64_t taken;
};

static int model_order(const struct ki_short_claim *a, const struct ki_short_claim *b, bool by_hash)
{
    if (by_hash ? a->hash != b->hash : (a->value > b->value || a->value < b->value))
        return by_hash ? (a->hash < b->hash ? -1 : 1) : (a->value < b->value ? -1 : 1);
    return ki_span_compare(name_of(NULL, a->owner), name_of(NULL, b->owner));
}

static bool model_belongs(const struct model *m, const struct ki_short_claim *claim)
{
    unsigned smaller = 0, larger = 0, hashes = 0;
    for (uint32_t i = 0; i < OWNERS; i++) {
        const struct model_entry *e = &m->of[i];
        if (!e->is_here || e->gone || i == claim->owner)
            continue;
        *(model_order(&e->claim, claim, false) < 0 ? &smaller : &larger) += 1;
        hashes += model_order(&e->claim, claim, true) < 0;
    }
    return !claim->cleared && (smaller < m->ends || larger < m->ends || hashes < m->sample);
}

static unsigned model_gone(const struct model *m, uint32_t *first)
{
    unsigned count = 0;
    for (uint32_t i = 0; i < OWNERS; i++) {
        if (!m->of[i].is_here || !m->of[i].gone)
            continue;
        if (count++ == 0 || m->of[i].taken < m->of[*first].taken)
            *first = i;
    }
    return count;
}

static enum ki_short_result model_offer(struct model *m, uint64_t now_us, const struct ki_short_claim *claim, unsigned from)
{
    struct model_entry *e = &m->of[claim->owner];
    unsigned bit = from < KI_SHORT_NEIGHBOURS ? 1u << from : 0;
    bool was_here = e->is_here;
    if (!was_here && !model_belongs(m, claim))
        return KI_SHORT_UNFIT;
    if (was_here && e->claim.version == claim->version && !(e->gone && model_belongs(m, claim))) {
        e->known |= bit;
        return KI_SHORT_SAME;
    }
    if (was_here && e->claim.version > claim->version) {
        e->known &= ~bit;
        e->taken = ++m->taken;
        return KI_SHORT_OLD;
    }
    *e = (struct model_entry){
        .claim = *claim, .taken = ++m->taken, .known = bit, .keep_us = was_here ? now_us + KEEP_US : 0};
    e->is_here = true;
    e->gone = !model_belongs(m, claim);
    bool stays[OWNERS];
    for (uint32_t i = 0; i < OWNERS; i++)
        stays[i] = !m->of[i].is_here || m->of[i].gone || model_belongs(m, &m->of[i].claim);
    for (uint32_t i = 0; i < OWNERS; i++) {
        m->of[i].gone = m->of[i].gone || !stays[i];
        m->of[i].is_here = m->of[i].is_here && (stays[i] || m->of[i].keep_us > now_us);
    }
    for (uint32_t first = 0; model_gone(m, &first) > m->gone_max;)
        m->of[first].is_here = false;
    return KI_SHORT_TAKEN;
}

static void model_tidy(struct model *m, uint64_t now_us)
{
    for (uint32_t i = 0; i < OWNERS; i++) {
        if (m->of[i].gone && m->of[i].keep_us <= now_us)
            m->of[i].is_here = false;
    }
}

static void check_sampled(const struct model *m, const struct ki_shortlist *list, const struct ki_short_entry *found)
{
    unsigned before = 0;
    for (uint32_t i = 0; i < OWNERS; i++) {
        const struct model_entry *e = &m->of[i];
        before += e->is_here && !e->gone && model_order(&e->claim, &found->claim, true) < 0;
    }
    assert_int_equal(ki_shortlist_is_sampled(list, found), before < m->sample);
}

static void check_all(const struct model *m, const struct ki_shortlist *list)
{
    unsigned live = 0, gone = 0;
    for (uint32_t i = 0; i < OWNERS; i++) {
        const struct model_entry *e = &m->of[i];
        const struct ki_short_entry *found = ki_shortlist_find(list, i);
        bool is_live = e->is_here && !e->gone;
        assert_int_equal(found != NULL, is_live);
        live += is_live;
        gone += e->is_here && e->gone;
        if (!found)
            continue;
        assert_true(found->claim.version == e->claim.version && found->taken == e->taken && found->known == e->known);
        check_sampled(m, list, found);
    }
    assert_int_equal(list->live, live);
    assert_int_equal(list->gone, gone);
    for (uint32_t i = 1; i < live; i++)
        assert_true(model_order(&ki_shortlist_at(list, i - 1)->claim, &ki_shortlist_at(list, i)->claim, false) < 0);
    assert_int_equal(ki_shortlist_sampled(list), live < m->sample ? live : m->sample);
    assert_int_equal(ki_shortlist_is_whole(list), live < m->sample);
}

/* What one neighbour is to be told: in order, what it is not known to have. */
static void check_newer(const struct model *m, const struct ki_shortlist *list, uint64_t after, unsigned neighbour)
{
    const struct ki_short_entry *told = ki_shortlist_newer(list, after, neighbour);
    for (;;) {
        const struct model_entry *next = NULL;
        for (uint32_t i = 0; i < OWNERS; i++) {
            const struct model_entry *e = &m->of[i];
            if (e->is_here && e->taken > after && !(e->known >> neighbour & 1) && (!next || e->taken < next->taken))
                next = e;
        }
        assert_int_equal(told != NULL, next != NULL);
        if (!told)
            return;
        assert_true(told->claim.owner == next->claim.owner && told->gone == next->gone);
        assert_true(told->claim.cleared == next->claim.cleared);
        after = told->taken;
        told = ki_shortlist_next(list, told, neighbour);
    }
}

static void step(struct model *m, struct ki_shortlist *list, struct ki_rng *rng, uint64_t now_us)
{
    uint32_t owner = (uint32_t)ki_rng_below(rng, OWNERS);
    unsigned neighbour = (unsigned)ki_rng_below(rng, 3);
    uint64_t what = ki_rng_below(rng, 100);
    if (what < 85) {
        uint64_t version = now_us / 4000000 + ki_rng_below(rng, 3);
        struct ki_short_claim claim = claim_of(owner, version, 0);
        uint64_t luck = claim.hash * (version + 1) >> 40; /* one version says one thing */
        claim.value = (double)(luck % 9);
        claim.cleared = luck % 17 == 0;
        unsigned from = ki_rng_below(rng, 2) ? neighbour : KI_SHORT_NOBODY;
        assert_int_equal(ki_shortlist_offer(list, now_us, &claim, from), model_offer(m, now_us, &claim, from));
    } else if (what < 92) {
        ki_shortlist_drop(list, owner);
        m->of[owner].is_here = false;
    } else if (what < 97) {
        uint64_t upto = m->taken - ki_rng_below(rng, m->taken + 1), after = ki_rng_below(rng, upto + 1);
        ki_shortlist_told(list, after, upto, neighbour);
        for (uint32_t i = 0; i < OWNERS; i++)
            m->of[i].known |= (unsigned)(m->of[i].taken > after && m->of[i].taken <= upto) << neighbour;
    } else {
        ki_shortlist_unknown(list, neighbour);
        for (uint32_t i = 0; i < OWNERS; i++)
            m->of[i].known &= ~(1u << neighbour);
    }
    ki_shortlist_tidy(list, now_us);
    model_tidy(m, now_us);
}

static void each_step_is_the_models(void **state)
{
    (void)state;
    static const uint16_t limits[][3] = {{1, 1, 1}, {2, 3, 2}, {3, 10, 5}, {5, 2, 40}, {20, 20, 40}, {4, 100, 8}};
    for (size_t i = 0; i < KI_COUNT(limits); i++) {
        struct ki_mem mem;
        struct ki_shortlist list;
        struct ki_rng rng;
        struct model m = {.ends = limits[i][0], .sample = limits[i][1], .gone_max = limits[i][2]};
        ki_mem_init(&mem, NULL, NULL, NULL, 0);
        ki_rng_init(&rng, i);
        ki_shortlist_init(&list, &mem, names, limits[i][0], limits[i][1], limits[i][2]);
        for (uint64_t now_us = 0; now_us < 20000ull * 100000; now_us += 100000) {
            step(&m, &list, &rng, now_us);
            check_all(&m, &list);
            check_newer(&m, &list, m.taken - ki_rng_below(&rng, m.taken + 1), (unsigned)ki_rng_below(&rng, 3));
        }
        ki_shortlist_free(&list);
        assert_int_equal(mem.used, 0);
    }
}

/* ---- tables that tell each other ---- */

#define TABLES 8 /* in a circle, and each tells two */
#define ENDS 3
#define SAMPLE 6

struct circle {
    struct ki_mem mem;
    struct ki_rng rng;
    struct ki_shortlist lists[TABLES];
    uint64_t acked[TABLES][2]; /* what the one before and the one behind have confirmed */
    unsigned differs[TABLES][2]; /* so often in a row, with nothing left to tell */
    struct ki_short_claim own[OWNERS]; /* owner i says what it says at table i % TABLES */
    bool is_dead[OWNERS];
    uint64_t now_us;
    unsigned loss; /* in a hundred */
};

static void circle_tell(struct circle *c, unsigned teller, unsigned side)
{
    struct ki_shortlist *list = &c->lists[teller];
    unsigned hearer = (teller + (side ? 1 : TABLES - 1)) % TABLES;
    uint64_t upto = list->taken;
    if (ki_rng_below(&c->rng, 100) < c->loss)
        return;
    const struct ki_short_entry *e = ki_shortlist_newer(list, c->acked[teller][side], side);
    unsigned *differs = &c->differs[teller][side];
    *differs = !e && list->digest != c->lists[hearer].digest ? *differs + 1 : 0;
    if (*differs == 3) { /* what a table has pushed out may fit again, and all who have it believe that it is there */
        ki_shortlist_unknown(list, side);
        c->acked[teller][side] = *differs = 0;
        e = ki_shortlist_newer(list, 0, side);
    }
    for (; e; e = ki_shortlist_next(list, e, side)) {
        uint32_t owner = e->claim.owner;
        if (c->is_dead[owner])
            continue;
        ki_shortlist_offer(&c->lists[hearer], c->now_us, &e->claim, !side);
        if (hearer == owner % TABLES && e->claim.version < c->own[owner].version) /* it says what is true */
            ki_shortlist_offer(&c->lists[hearer], c->now_us, &c->own[owner], KI_SHORT_NOBODY);
    }
    if (ki_rng_below(&c->rng, 100) < c->loss)
        return;
    ki_shortlist_told(list, c->acked[teller][side], upto, side);
    c->acked[teller][side] = upto;
}

static void circle_run(struct circle *c, unsigned ticks)
{
    while (ticks-- > 0) {
        c->now_us += 500000;
        for (uint32_t i = 0; i < OWNERS; i++) {
            if (!c->is_dead[i])
                ki_shortlist_offer(&c->lists[i % TABLES], c->now_us, &c->own[i], KI_SHORT_NOBODY);
        }
        for (unsigned i = 0; i < 2 * TABLES; i++)
            circle_tell(c, (unsigned)ki_rng_below(&c->rng, TABLES), (unsigned)ki_rng_below(&c->rng, 2));
        for (unsigned i = 0; i < TABLES; i++)
            ki_shortlist_tidy(&c->lists[i], c->now_us);
    }
}

/* Every table has the same, and the ends and the sample of what is true. */
static void circle_check(const struct circle *c)
{
    struct ki_shortlist all;
    struct ki_mem mem;
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_shortlist_init(&all, &mem, names, ENDS, SAMPLE, 4);
    for (uint32_t i = 0; i < OWNERS; i++) {
        if (!c->is_dead[i])
            ki_shortlist_offer(&all, 0, &c->own[i], KI_SHORT_NOBODY);
    }
    for (unsigned i = 0; i < TABLES; i++) {
        assert_int_equal(c->lists[i].live, all.live);
        for (uint32_t at = 0; at < all.live; at++)
            assert_memory_equal(&ki_shortlist_at(&c->lists[i], at)->claim, &ki_shortlist_at(&all, at)->claim,
                                sizeof(struct ki_short_claim));
        assert_true(c->lists[i].digest == all.digest);
    }
    ki_shortlist_free(&all);
}

static void circle_change(struct circle *c, uint32_t owner)
{
    struct ki_short_claim claim = claim_of(owner, c->own[owner].version + 1, (double)ki_rng_below(&c->rng, 100));
    claim.cleared = ki_rng_below(&c->rng, 8) == 0;
    if (claim.cleared)
        claim.value = 0;
    c->own[owner] = claim;
}

static void circle_dies(struct circle *c, uint32_t owner, bool dies)
{
    c->is_dead[owner] = dies;
    for (unsigned i = 0; i < TABLES && dies; i++)
        ki_shortlist_drop(&c->lists[i], owner);
}

static void tables_agree_and_are_right(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 12; round++) {
        static struct circle c;
        memset(&c, 0, sizeof c);
        c.loss = round % 4 * 20;
        ki_mem_init(&c.mem, NULL, NULL, NULL, 0);
        ki_rng_init(&c.rng, round);
        for (unsigned i = 0; i < TABLES; i++)
            ki_shortlist_init(&c.lists[i], &c.mem, names, ENDS, SAMPLE, 4);
        for (uint32_t i = 0; i < OWNERS; i++)
            c.own[i] = claim_of(i, 1, i);
        for (unsigned change = 0; change < 30; change++) {
            for (unsigned i = 0; i < change % 7; i++) {
                circle_change(&c, (uint32_t)ki_rng_below(&c.rng, OWNERS));
                circle_run(&c, 1);
            }
            uint32_t owner = (uint32_t)ki_rng_below(&c.rng, OWNERS);
            circle_dies(&c, owner, change % 2 == 0 && !c.is_dead[owner]);
            circle_run(&c, 60);
            circle_check(&c);
        }
        for (unsigned i = 0; i < TABLES; i++)
            ki_shortlist_free(&c.lists[i]);
        assert_int_equal(c.mem.used, 0);
    }
}

/* ---- single questions ---- */

/* Two claims of one version: all take the same one, and see that they differ until they have. */
static void a_lie_is_settled_alike(void **state)
{
    (void)state;
    struct ki_mem mem;
    struct ki_shortlist a, b;
    struct ki_short_claim high = claim_of(3, 5, 9), low = claim_of(3, 5, 2), none = claim_of(3, 5, 0);
    none.cleared = true;
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_shortlist_init(&a, &mem, names, ENDS, SAMPLE, 4);
    ki_shortlist_init(&b, &mem, names, ENDS, SAMPLE, 4);
    assert_int_equal(ki_shortlist_offer(&a, 0, &low, 0), KI_SHORT_TAKEN);
    assert_int_equal(ki_shortlist_offer(&b, 0, &high, 0), KI_SHORT_TAKEN);
    assert_true(a.digest != b.digest);
    assert_int_equal(ki_shortlist_offer(&b, 0, &low, 0), KI_SHORT_OLD);
    assert_int_equal(ki_shortlist_offer(&b, 0, &none, 0), KI_SHORT_OLD);
    assert_int_equal(ki_shortlist_offer(&a, 0, &high, 0), KI_SHORT_TAKEN);
    assert_true(a.digest == b.digest);
    struct ki_short_claim later = claim_of(3, 1, 1);
    later.generation = 2; /* a new life begins its versions anew */
    assert_int_equal(ki_shortlist_offer(&a, 0, &later, 0), KI_SHORT_TAKEN);
    assert_true(ki_shortlist_find(&a, 3)->claim.value < 2);
    struct ki_short_claim zero = claim_of(4, 1, 0.0), other_zero = claim_of(4, 1, -0.0);
    ki_shortlist_drop(&a, 3);
    ki_shortlist_drop(&b, 3);
    assert_int_equal(a.digest, 0);
    ki_shortlist_offer(&a, 0, &zero, 0);
    ki_shortlist_offer(&b, 0, &other_zero, 0);
    assert_true(a.digest == b.digest);
    ki_shortlist_free(&a);
    ki_shortlist_free(&b);
}

/* Every allocation fails once; what was there stays, and the next try does it. */
static void memory_that_fails_changes_nothing(void **state)
{
    (void)state;
    for (int until = 0;; until++) {
        struct failing failing = {.until = until};
        struct ki_mem mem;
        struct ki_shortlist list;
        struct model m = {.ends = 8, .sample = OWNERS, .gone_max = 4};
        unsigned failures = 0;
        ki_mem_init(&mem, failing_resize, failing_release, &failing, 0);
        ki_shortlist_init(&list, &mem, names, 8, OWNERS, 4);
        for (uint32_t i = 0; i < OWNERS; i++) {
            struct ki_short_claim claim = claim_of(i, 1, i % 5);
            if (ki_shortlist_offer(&list, 0, &claim, 0) == KI_SHORT_NOMEM) {
                failures++;
                check_all(&m, &list);
                failing.until = INT32_MAX;
                assert_int_equal(ki_shortlist_offer(&list, 0, &claim, 0), KI_SHORT_TAKEN);
            }
            model_offer(&m, 0, &claim, 0);
            check_all(&m, &list);
        }
        ki_shortlist_free(&list);
        assert_int_equal(mem.used, 0);
        if (failures == 0)
            return;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_step_is_the_models),
        cmocka_unit_test(tables_agree_and_are_right),
        cmocka_unit_test(a_lie_is_settled_alike),
        cmocka_unit_test(memory_that_fails_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
