/* Comparing views: what differs is told both ways and nothing else, whatever kind of difference it is; sums and items as a
 * stupid model has them; what a hostile member says is refused; memory may fail anywhere.
 * ctest: TIMEOUT 240 COST 10 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "duo.h"
#include "node/sync.h"

static const char kith_meta[] = "\xff\x81\xa5_kith\xa3" "1-1";

/* ---- two views ---- */

struct known { /* a member, and how a side holds it */
    unsigned number;
    enum kith_status status;
    uint32_t incarnation;
    const char *meta;
};

/* One that is known already is heard of. */
static void sync_hear(kith *k, const struct kith_member *m, uint32_t id)
{
    struct ki_identity identity = {.name = ki_name_of(m->name),
                                   .addr = ki_span(m->addr.ip, m->addr.ip_len),
                                   .port = m->addr.port,
                                   .meta = ki_name_of(m->meta),
                                   .incarnation = m->incarnation,
                                   .versions = m->versions};
    struct ki_suspect dead = {.incarnation = m->incarnation, .node = identity.name, .from = lone_span("nobody")};
    if (m->status == KITH_STATUS_LEFT)
        dead.from = dead.node;
    if (m->status == KITH_STATUS_ALIVE)
        LONE_CHECK(ki_apply_alive(k, NULL, id, &identity) == 0);
    else
        LONE_CHECK(ki_apply_dead(k, NULL, &dead) == 0);
}

static void sync_meet(struct duo *d, unsigned n, const struct known *known)
{
    char name[32];
    int len = snprintf(name, sizeof name, "member-%u", known->number);
    struct kith_member m = {.name = {name, (size_t)len},
                            .addr = {.ip = {10, 1, (uint8_t)(known->number >> 8), (uint8_t)known->number},
                                     .ip_len = 4, .port = 7946},
                            .meta = {known->meta ? known->meta : "\xff\x80", known->meta ? strlen(known->meta) : 2},
                            .status = known->status,
                            .state = known->status == KITH_STATUS_ALIVE    ? KITH_STATE_ALIVE
                                     : known->status == KITH_STATUS_FAILED ? KITH_STATE_DEAD
                                                                           : KITH_STATE_LEFT,
                            .incarnation = known->incarnation,
                            .versions = {1, 5, 2, 2, 5, 5}};
    uint32_t id = ki_table_find(&d->side[n].k->table, ki_name_of(m.name));
    if (id == KI_NO_MEMBER)
        LONE_CHECK(kith_import_members(d->side[n].k, d->now, &m, 1) == 0);
    else
        sync_hear(d->side[n].k, &m, id);
}

static void sync_meet_many(struct duo *d, unsigned n, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++)
        sync_meet(d, n, &(struct known){.number = i, .status = KITH_STATUS_ALIVE, .incarnation = 3});
}

static const struct ki_member *sync_member(const struct duo *d, unsigned n, unsigned number)
{
    char name[32];
    int len = snprintf(name, sizeof name, "member-%u", number);
    return ki_table_at(&d->side[n].k->table, ki_table_find(&d->side[n].k->table, ki_span(name, (size_t)len)));
}

static struct ki_about *sync_about(const struct duo *d, unsigned n, unsigned number)
{
    char name[32];
    int len = snprintf(name, sizeof name, "member-%u", number);
    return ki_about(d->side[n].k, ki_table_find(&d->side[n].k->table, ki_span(name, (size_t)len)));
}

/* Comparing is all that they do: no probe, no gossip, no exchange of their own. */
static struct duo *sync_duo(unsigned how)
{
    struct duo *d = duo_new();
    for (unsigned n = 0; n < 2; n++) {
        struct kith_config c;
        duo_config(&c, n);
        c.keys = &duo_key;
        c.key_count = how & DUO_KEYED;
        c.probe_interval_ms = 3600 * 1000;
        c.gossip_interval_ms = 3600 * 1000;
        c.push_pull_interval_ms = 0;
        d->side[n].memory.fail_from = UINT64_MAX;
        LONE_CHECK(kith_new(&d->side[n].k, &c) == 0 && kith_ready(d->side[n].k, d->now) == 0);
    }
    duo_acquaint(d);
    return d;
}

static void sync_compare(struct duo *d, unsigned n)
{
    struct kith_addr to = lone_addr((uint8_t)(2 - n), 7946);
    assert_true(ki_sync_begin(d->side[n].k, ki_find_addr(d->side[n].k, &to), false));
    duo_run(d, LONE_SECOND);
    assert_true(ki_list_empty(&d->side[0].k->sync_links) && ki_list_empty(&d->side[1].k->sync_links));
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(d->side[i].k->link_count, 0); /* it is not needed any more */
        assert_int_equal(duo_count(d, i, "links_failed") + duo_count(d, i, "malformed"), 0);
    }
}

static uint64_t sync_bytes(const struct duo *d)
{
    return duo_count(d, 0, "link_bytes_out") + duo_count(d, 1, "link_bytes_out");
}

/* ---- the model: a sum over all, by no order ---- */

static uint64_t sync_sum_of(const struct kith *k, unsigned list)
{
    static const struct ki_sync_salt salt = {9, 7};
    uint64_t sum = 0;
    for (uint32_t id = k->table.used; id-- > 0;) {
        if (!ki_table_at(&k->table, id))
            continue;
        struct ki_sync_place place = ki_sync_place(k, id, &salt, 0);
        LONE_CHECK(place.bucket == 0);
        sum += place.list == list ? place.sum : 0;
    }
    return sum;
}

static bool sync_same(const struct duo *d)
{
    return sync_sum_of(d->side[0].k, KI_SYNC_LIVING) == sync_sum_of(d->side[1].k, KI_SYNC_LIVING);
}

static const struct ki_sync_salt model_salt = {0x0123456789abcdef, 0xfedcba9876543211};

static struct ki_sync_place sync_place_of(struct duo *d, unsigned n, const struct known *known, unsigned bits)
{
    char name[32];
    int len = snprintf(name, sizeof name, "member-%u", known->number);
    sync_meet(d, n, known);
    return ki_sync_place(d->side[n].k, ki_table_find(&d->side[n].k->table, ki_span(name, (size_t)len)), &model_salt, bits);
}

/* As PROTOCOL.md has it: words, bytes beyond the last whole one with zeros behind them. */
static uint64_t model_words(uint64_t hash, const char *bytes, size_t len)
{
    for (size_t at = 0; at < len; at += 8) {
        uint64_t word = 0;
        for (size_t i = 8; i-- > 0;)
            word = word << 8 | (at + i < len ? (uint8_t)bytes[at + i] : 0);
        hash = (hash ^ word) * model_salt.factor;
        hash ^= hash >> 32;
    }
    return hash;
}

static uint64_t model_word(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * model_salt.factor;
    return hash ^ hash >> 32;
}

static uint64_t model_end(uint64_t h)
{
    h ^= h >> 33;
    h *= 0xff51afd7ed558ccdull;
    h ^= h >> 33;
    h *= 0xc4ceb9fe1a85ec53ull;
    return h ^ h >> 33;
}

static struct ki_sync_place sync_model(uint64_t ltime, bool gone, bool left, const char *name)
{
    uint64_t hash = model_words(model_word(model_salt.start, strlen(name)), name, strlen(name));
    uint64_t named = model_end(hash);
    bool apart = !gone && ltime < UINT32_MAX;
    if (!apart)
        hash = model_word(hash, ltime);
    if (gone) {
        hash = model_word(hash, left ? 2 : 1);
    } else {
        hash = model_word(hash, 5ull << 32 | 7946ull << 16 | 4ull << 8);
        hash = model_words(hash, "\x0a\1\0\1", 4);
        hash = model_words(hash, "\xff\x80", 2);
    }
    hash = model_end(hash);
    return (struct ki_sync_place){.bucket = (uint32_t)(named >> 58),
                                  .list = gone,
                                  .item = {(uint32_t)(named >> 32) / 2 * 2 + gone, (uint32_t)(hash >> 32),
                                           apart ? (uint32_t)ltime : UINT32_MAX},
                                  .sum = model_word(hash, apart ? ltime : UINT32_MAX)};
}

static bool place_equal(struct ki_sync_place a, struct ki_sync_place b)
{
    return a.bucket == b.bucket && a.list == b.list && a.item.name == b.item.name && a.item.content == b.item.content &&
           a.item.time == b.item.time && a.sum == b.sum;
}

/* What an exchange of views would settle makes a difference, what it would not makes none. */
static void hashes_are_of_what_can_be_settled(void **state)
{
    (void)state;
    static const struct {
        struct known a, b;
        bool same;
    } cases[] = {
        {{1, KITH_STATUS_ALIVE, 5, NULL}, {1, KITH_STATUS_ALIVE, 5, NULL}, true},
        {{1, KITH_STATUS_ALIVE, 5, NULL}, {1, KITH_STATUS_ALIVE, 6, NULL}, false},
        {{1, KITH_STATUS_ALIVE, 5, NULL}, {1, KITH_STATUS_ALIVE, 5, "\xff\x81\xa1x\xa1y"}, false},
        {{1, KITH_STATUS_ALIVE, 5, NULL}, {2, KITH_STATUS_ALIVE, 5, NULL}, false},
        {{1, KITH_STATUS_ALIVE, 5, NULL}, {1, KITH_STATUS_FAILED, 5, NULL}, false},
        {{1, KITH_STATUS_FAILED, 5, NULL}, {1, KITH_STATUS_FAILED, 7, NULL}, true},
        {{1, KITH_STATUS_FAILED, 5, NULL}, {1, KITH_STATUS_FAILED, 5, "\xff\x81\xa1x\xa1y"}, true},
        {{1, KITH_STATUS_FAILED, 5, NULL}, {1, KITH_STATUS_LEFT, 5, NULL}, false},
    };
    for (enum kith_status s = KITH_STATUS_ALIVE; s <= KITH_STATUS_FAILED; s++) {
        struct duo *d = sync_duo(DUO_PLAIN);
        bool gone = s == KITH_STATUS_LEFT || s == KITH_STATUS_FAILED;
        if (s != KITH_STATUS_LEAVING)
            assert_true(place_equal(sync_place_of(d, 0, &(struct known){1, s, 5, NULL}, 6),
                                    sync_model(0, gone, s == KITH_STATUS_LEFT, "member-1")));
        duo_free(d);
    }
    for (unsigned i = 0; i < KI_COUNT(cases); i++) {
        struct duo *d = sync_duo(DUO_PLAIN);
        struct ki_sync_place a = sync_place_of(d, 0, &cases[i].a, 6), b = sync_place_of(d, 1, &cases[i].b, 6);
        if (place_equal(a, b) != cases[i].same || (a.sum == b.sum) != cases[i].same)
            fail_msg("case %u", i);
        assert_true(a.bucket < 64 && (a.item.name & 1) == (a.list == KI_SYNC_GONE));
        assert_true(cases[i].a.number != cases[i].b.number || a.bucket == b.bucket);
        assert_int_equal(a.item.name >> 1 == b.item.name >> 1, cases[i].a.number == cases[i].b.number);
        duo_free(d);
    }
    struct duo *d = sync_duo(DUO_PLAIN); /* a suspect may be alive */
    struct known one = {.number = 1, .status = KITH_STATUS_ALIVE, .incarnation = 5};
    struct ki_sync_place before = sync_place_of(d, 0, &one, 6);
    kith *k = d->side[0].k;
    struct ki_suspect msg = {.incarnation = 5, .node = lone_span("member-1"), .from = lone_span("one")};
    assert_int_equal(ki_apply_suspect(k, NULL, &msg), 0);
    uint32_t id = ki_table_find(&k->table, lone_span("member-1"));
    static const struct ki_sync_salt other[] = {{0x0123456789abcdee, 0xfedcba9876543211},
                                                {0x0123456789abcdef, 0xfedcba9876543213}};
    assert_int_equal(ki_table_at(&k->table, id)->state, KI_SUSPECT);
    assert_true(place_equal(before, ki_sync_place(k, id, &model_salt, 6)));
    static const uint64_t times[] = {1, UINT32_MAX - 1, UINT32_MAX, (uint64_t)1 << 40}; /* of the newest intent */
    for (unsigned i = 0; i < KI_COUNT(times); i++) {
        ki_about(k, id)->standing.ltime = times[i];
        struct ki_sync_place place = ki_sync_place(k, id, &model_salt, 6);
        assert_true(place_equal(place, sync_model(times[i], false, false, "member-1")) && place.sum != before.sum);
        assert_int_equal(place.item.content == before.item.content, i < 2);
    }
    ki_about(k, id)->standing.ltime = 0;
    for (unsigned i = 0; i < 2; i++) {
        struct ki_sync_place place = ki_sync_place(k, id, &other[i], 6);
        assert_true(before.sum != place.sum && before.item.name != place.item.name);
    }
    duo_free(d);
}

static void buckets_are_few_and_bounded(void **state)
{
    (void)state;
    assert_int_equal(ki_sync_bits(1), 0);
    assert_int_equal(ki_sync_bits(16), 0);
    assert_int_equal(ki_sync_bits(50), 2);
    assert_int_equal(ki_sync_bits(1000), 6);
    assert_int_equal(ki_sync_bits(10000), 10);
    assert_int_equal(ki_sync_bits(UINT32_MAX), 10);
}

/* ---- comparing ---- */

static void views_become_one(void **state)
{
    (void)state;
    static const unsigned sizes[] = {1, 20, 300, 3000};
    for (unsigned how = 0; how < 2; how++) {
        for (unsigned i = 0; i < KI_COUNT(sizes); i++) {
            struct duo *d = sync_duo(how);
            sync_meet_many(d, 0, 0, 2 * sizes[i]);
            sync_meet_many(d, 1, sizes[i], 3 * sizes[i]);
            sync_meet(d, how, &(struct known){.number = 2 * sizes[i] - 1, .status = KITH_STATUS_ALIVE, .incarnation = 9,
                                              .meta = kith_meta});
            assert_false(sync_same(d));
            sync_compare(d, how);
            assert_true(sync_same(d));
            assert_int_equal(d->side[0].k->table.count, 2 + 3 * sizes[i]);
            const struct ki_member *m = sync_member(d, 1 - how, 2 * sizes[i] - 1);
            assert_true(m->incarnation == 9 && m->meta_len == sizeof kith_meta - 1);
            duo_free(d);
        }
    }
}

/* Of equal views sums are all that is said; of one difference a few items, and the member. */
static void little_is_said_of_little(void **state)
{
    (void)state;
    struct duo *d = sync_duo(DUO_PLAIN);
    sync_meet_many(d, 0, 0, 1000);
    sync_meet_many(d, 1, 0, 1000);
    sync_compare(d, 0); /* they hear of each other */
    uint64_t before = sync_bytes(d);
    sync_compare(d, 0);
    assert_int_equal(sync_bytes(d) - before, 16 + 2 + 64 * 8 + 1);
    before = sync_bytes(d);
    sync_meet(d, 1, &(struct known){.number = 500, .status = KITH_STATUS_ALIVE, .incarnation = 4});
    sync_compare(d, 0);
    assert_true(sync_same(d) && sync_member(d, 0, 500)->incarnation == 4);
    assert_in_range(sync_bytes(d) - before, 600, 1300);
    before = sync_bytes(d);
    for (unsigned n = 0; n < 2; n++) /* one of two does not know of somebody long dead: that is said of it, each time */
        sync_meet(d, n, &(struct known){.number = 600, .status = KITH_STATUS_FAILED, .incarnation = 4});
    sync_meet(d, 0, &(struct known){.number = 5000, .status = KITH_STATUS_FAILED, .incarnation = 4});
    for (unsigned i = 0; i < 3; i++)
        sync_compare(d, i % 2);
    assert_null(sync_member(d, 1, 5000));
    assert_in_range((sync_bytes(d) - before) / 3, 1000, 1150);
    duo_free(d);
}

/* More than one message of items, and several of members; all in slices. */
/* Where only the times of intents differ, they are told and no member is, both ways; but for times that are too late. */
static void times_are_told_alone(void **state)
{
    (void)state;
    struct duo *d = sync_duo(DUO_PLAIN);
    uint64_t want[200];
    sync_meet_many(d, 0, 0, 200);
    sync_compare(d, 0);
    assert_true(sync_same(d));
    for (unsigned i = 0; i < 200; i++) {
        uint64_t times[2] = {i % 3 ? 100 + i : 300, i % 3 == 1 ? 400 + i : 300};
        if (i % 100 == 7)
            times[i / 100] += (uint64_t)1 << 32;
        for (unsigned n = 0; n < 2; n++)
            sync_about(d, n, i)->standing.ltime = times[n];
        want[i] = ki_max_u64(times[0], times[1]);
    }
    uint64_t before = sync_bytes(d);
    sync_compare(d, 0);
    assert_true(sync_same(d));
    for (unsigned i = 0; i < 200; i++) {
        if (sync_about(d, 0, i)->standing.ltime != want[i] || sync_about(d, 1, i)->standing.ltime != want[i])
            fail_msg("%u", i);
    }
    assert_in_range(sync_bytes(d) - before, 200 * KI_SYNC_ITEM_LEN, 200 * (KI_SYNC_ITEM_LEN + KI_SYNC_TIME_LEN) + 1200);
    duo_free(d);
}

static void large_views_go_in_ranges(void **state)
{
    (void)state;
    struct duo *d = sync_duo(DUO_KEYED);
    sync_meet_many(d, 0, 0, 15000);
    sync_compare(d, 1); /* who knows nobody asks with one bucket, of which so many are listed; */
    assert_in_range(d->side[1].k->table.count, KI_SYNC_ITEMS_MAX, KI_SYNC_ITEMS_MAX + 2);
    sync_compare(d, 1); /* and then with more */
    assert_true(sync_same(d));
    assert_int_equal(d->side[1].k->table.count, 15002);
    for (unsigned i = 0; i < 15000; i++) /* now all differ, and both list them */
        sync_meet(d, i % 2, &(struct known){.number = i, .status = KITH_STATUS_ALIVE, .incarnation = 4});
    sync_compare(d, 0);
    assert_true(sync_same(d));
    for (unsigned i = 0; i < 15000; i += 99)
        assert_true(sync_member(d, 0, i)->incarnation == 4 && sync_member(d, 1, i)->incarnation == 4);
    assert_true(duo_count(d, 0, "slices") >= 4 && duo_count(d, 1, "slices") >= 4);
    duo_free(d);
}

/* ---- the rules of full exchanges ---- */

/* One held dead by one of two: the other suspects it, by the name of who tells. */
static void the_dead_get_their_chance(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 2; n++) {
        struct duo *d = sync_duo(DUO_PLAIN);
        sync_meet_many(d, 0, 0, 50);
        sync_meet_many(d, 1, 0, 50);
        sync_meet(d, 1, &(struct known){.number = 7, .status = KITH_STATUS_FAILED, .incarnation = 3});
        assert_int_equal(sync_member(d, 1, 7)->state, KI_DEAD);
        sync_compare(d, n);
        assert_int_equal(sync_member(d, 0, 7)->state, KI_SUSPECT);
        assert_int_equal(sync_member(d, 1, 7)->state, KI_DEAD);
        sync_compare(d, n); /* the same accuser adds nothing */
        assert_int_equal(duo_count(d, 0, "suspicions_confirmed"), 0);
        sync_meet(d, 0, &(struct known){.number = 7, .status = KITH_STATUS_ALIVE, .incarnation = 4});
        sync_compare(d, n); /* it has refuted */
        assert_true(sync_member(d, 1, 7)->state == KI_ALIVE && sync_same(d));
        duo_free(d);
    }
}

static void who_has_left_has_left(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 2; n++) {
        struct duo *d = sync_duo(DUO_PLAIN);
        sync_meet_many(d, 0, 0, 10);
        sync_meet_many(d, 1, 0, 10);
        sync_meet(d, 1, &(struct known){.number = 7, .status = KITH_STATUS_LEFT, .incarnation = 3});
        ki_about(d->side[1].k, ki_table_find(&d->side[1].k->table, lone_span("member-7")))->standing.ltime = 40;
        sync_compare(d, n);
        uint32_t id = ki_table_find(&d->side[0].k->table, lone_span("member-7"));
        assert_int_equal(ki_table_at(&d->side[0].k->table, id)->state, KI_LEFT);
        assert_int_equal(ki_about(d->side[0].k, id)->standing.status, KI_STATUS_LEFT);
        assert_true(ki_about(d->side[0].k, id)->standing.ltime >= 40 && d->side[0].k->clock.time > 40);
        /* failed for one, left for the other: the word of the newest intent */
        for (unsigned i = 0; i < 2; i++)
            sync_meet(d, i, &(struct known){.number = 8, .status = i ? KITH_STATUS_LEFT : KITH_STATUS_FAILED,
                                            .incarnation = 3});
        ki_about(d->side[1].k, ki_table_find(&d->side[1].k->table, lone_span("member-8")))->standing.ltime = 50;
        sync_compare(d, n);
        id = ki_table_find(&d->side[0].k->table, lone_span("member-8"));
        assert_int_equal(ki_about(d->side[0].k, id)->standing.status, KI_STATUS_LEFT);
        duo_free(d);
    }
}

/* Many at once are not passed on by gossip: everyone compares.  A few are. */
static void floods_are_no_news(void **state)
{
    (void)state;
    for (unsigned few = 0; few < 2; few++) {
        struct duo *d = sync_duo(DUO_PLAIN);
        sync_meet_many(d, 0, 0, few ? 5 : 500);
        sync_compare(d, 1); /* they hear of each other */
        sync_meet_many(d, 0, 1000, few ? 1005 : 1500);
        size_t before = d->side[1].k->queues[KI_QUEUE_MEMBERS].count;
        sync_compare(d, 1);
        assert_true(sync_same(d));
        assert_int_equal(d->side[1].k->queues[KI_QUEUE_MEMBERS].count - before, few ? 5 : 0);
        duo_free(d);
    }
}

/* ---- who compares ---- */

static void others_exchange_states(void **state)
{
    (void)state;
    struct duo *d = sync_duo(DUO_PLAIN);
    kith *k = d->side[0].k;
    duo_meet(k, d->now, "stock", 9, false);
    assert_false(ki_sync_begin(k, ki_table_find(&k->table, lone_span("stock")), true));
    assert_false(ki_sync_begin(k, KI_NO_MEMBER, true));
    assert_int_equal(duo_count(d, 0, "views_compared"), 0);
    duo_free(d);
    for (unsigned kith_tag = 0; kith_tag < 2; kith_tag++) {
        for (unsigned stock = 0; stock < 2; stock++) {
            d = duo_new();
            struct kith_config c;
            duo_config(&c, 0);
            c.stock = stock;
            c.probe_interval_ms = 3600 * 1000;
            d->side[0].memory.fail_from = UINT64_MAX;
            LONE_CHECK(kith_new(&d->side[0].k, &c) == 0 && kith_ready(d->side[0].k, d->now) == 0);
            duo_meet(d->side[0].k, d->now, "one", 2, kith_tag);
            lone_pass(d->side[0].k, d->now.mono_us, d->now.mono_us + 31 * LONE_SECOND);
            assert_int_equal(duo_count(d, 0, "views_compared") > 0, kith_tag && !stock);
            d->now = d->side[0].k->now;
            duo_free(d);
        }
    }
}

/* Who does not know us refuses a link.  When a whole state is due it is told that; else it is told of us, and the next
 * comparison is soon. */
static void strangers_hear_of_us(void **state)
{
    (void)state;
    for (unsigned is_turn = 0; is_turn < 2; is_turn++) {
        struct duo *d = sync_duo(DUO_KEYED);
        kith *k = d->side[0].k;
        struct kith_addr to = lone_addr(2, 7946);
        duo_run(d, 5 * LONE_SECOND); /* no news of us is under way any more */
        sync_meet_many(d, 0, 0, 1);
        ki_forget(d->side[1].k, ki_table_find(&d->side[1].k->table, lone_span("zero")));
        k->cfg.push_pull_interval_ms = 3600 * 1000; /* its own time never comes */
        assert_true(ki_sync_begin(k, ki_find_addr(k, &to), is_turn));
        duo_run(d, LONE_SECOND / 25);
        assert_true(ki_table_find(&d->side[1].k->table, lone_span("zero")) != KI_NO_MEMBER);
        assert_int_equal(duo_count(d, 0, "push_pulls_out"), is_turn);
        assert_int_equal(duo_count(d, 1, "links_refused"), 1);
        assert_int_equal(sync_same(d), is_turn);
        duo_run(d, LONE_SECOND);
        assert_true(sync_same(d));
        duo_free(d);
    }
}

/* What has brought something new is followed by two more, and then there is quiet. */
static void news_are_followed_up(void **state)
{
    (void)state;
    struct duo *d = sync_duo(DUO_PLAIN);
    sync_compare(d, 0); /* they hear of each other */
    uint64_t before = duo_count(d, 0, "views_compared");
    d->side[0].k->cfg.push_pull_interval_ms = 1000; /* for what follows; its own time never comes */
    duo_run(d, 5 * LONE_SECOND);
    kith *other = d->side[1].k;
    assert_int_equal(ki_announce_self(other, other->incarnation + 1, 0), 0);
    (void)ki_queue_drop_subject(&other->queues[KI_QUEUE_MEMBERS], other->self); /* gossip has failed */
    sync_compare(d, 0);
    duo_run(d, 5 * LONE_SECOND);
    assert_int_equal(duo_count(d, 0, "views_compared") - before, 3);
    duo_run(d, 20 * LONE_SECOND);
    assert_int_equal(duo_count(d, 0, "views_compared") - before, 3);
    duo_free(d);
}

/* ---- what nobody honest says ---- */

static const struct {
    uint8_t channel;
    bool asked; /* we have, and wait */
    const char *bytes;
    size_t len;
} hostile[] = {
    {KI_SYNC_SUMS, false, "0123456789abcdef\0\1" "1234567", 25},   /* short by a byte, */
    {KI_SYNC_SUMS, false, "0123456789abcdef\0\1" "123456789", 27}, /* or one too much */
    {KI_SYNC_SUMS, false, "0123456789abcdef\x0b\1", 18},           /* too many buckets */
    {KI_SYNC_SUMS, false, "0123456789abcdef\xff\1", 18},
    {KI_SYNC_SUMS, false, "0123456789abcdef\0\0", 18},             /* no list, or a third */
    {KI_SYNC_SUMS, false, "0123456789abcdef\0\3" "123456781234567812345678", 42},
    {KI_SYNC_ITEMS, false, "\0\0\0\1\1\0", 6},                     /* nobody has asked */
    {KI_SYNC_ITEMS, true, "\0\0\0\0", 4},                          /* no bucket, */
    {KI_SYNC_ITEMS, true, "\0\1\0\1\1\0", 6},
    {KI_SYNC_ITEMS, true, "\0\0\0\2\1\0", 6},                      /* or one that there is not */
    {KI_SYNC_ITEMS, true, "\0\0\xff\xff", 4},
    {KI_SYNC_ITEMS, true, "\0\0\0\1\1", 5},
    {KI_SYNC_ITEMS, true, "\0\0\0\1\1\0" "12345678901", 17},
    {KI_SYNC_ITEMS, true, "\0\0\0\1\1\0" "aaab1234timeaaac1235timeaaaa1236time", 42}, /* names that fall */
    {KI_SYNC_TIMES, false, "\0\0\0\0\0\1", 6},                    /* of nothing */
    {KI_SYNC_WANTED, false, "\0\0\0", 3},                          /* of nothing */
    {KI_SYNC_MEMBERS, false, "\0\0", 2},
    {KI_SYNC_MEMBERS, false, "\0\0\0\x81", 4},
    {KI_SYNC_MEMBERS, false, "\x80\0\0\0", 4},                     /* a number that is not as short as it could be */
    {KI_SYNC_DONE, false, "\0", 1},
};

static void nonsense_ends_the_link(void **state)
{
    (void)state;
    for (unsigned i = 0; i < KI_COUNT(hostile); i++) {
        struct duo *d = sync_duo(DUO_PLAIN);
        kith *k = d->side[0].k;
        struct kith_addr to = lone_addr(2, 7946);
        struct ki_link *link;
        assert_int_equal(ki_link_open(k, ki_find_addr(k, &to), KI_LINK_VIEW, &link), 0);
        duo_run(d, 1000);
        assert_true(ki_link_is_open(link, KI_LINK_VIEW));
        if (hostile[i].asked) { /* and the other is silent */
            d->mute[1] = true;
            assert_true(ki_sync_begin(k, link->member_id, false));
            duo_run(d, 1000);
            assert_int_equal(ki_sync_link_data(k, link)->runs[KI_SYNC_ASKS].step, KI_SYNC_WAIT);
        }
        uint32_t count = k->table.count;
        uint8_t *exact = malloc(hostile[i].len);
        assert_non_null(exact);
        memcpy(exact, hostile[i].bytes, hostile[i].len);
        ki_sync_link_owner.receive(k, link, hostile[i].channel, ki_span(exact, hostile[i].len));
        free(exact);
        if (!link->aborted || duo_count(d, 0, "malformed") != 1)
            fail_msg("case %u", i);
        duo_run(d, LONE_SECOND);
        assert_true(ki_list_empty(&k->sync_links) && k->table.count == count);
        duo_free(d);
    }
}

static struct ki_link *sync_link(struct duo *d)
{
    struct kith_addr to = lone_addr(2, 7946);
    struct ki_link *link;
    assert_int_equal(ki_link_open(d->side[0].k, ki_find_addr(d->side[0].k, &to), KI_LINK_VIEW, &link), 0);
    duo_run(d, 1000);
    return link;
}

/* Of the items that were listed, and of no others, a time may be told. */
static void times_are_of_what_was_listed(void **state)
{
    (void)state;
    static const uint8_t sums[26] = {[7] = 5, [17] = 1}; /* by which "one" is listed after "zero" */
    static const struct {
        const char *bytes;
        size_t len;
        bool fine;
    } cases[] = {
        {"\0\1\0\0\0\x63", 6, true},        {"", 0, true},
        {"\0\2\0\0\0\x63", 6, false},       {"\0\1\xff\xff\xff\xff", 6, false},
        {"\0\1\0\0\0\x63\0", 7, false},
    };
    for (unsigned i = 0; i < KI_COUNT(cases); i++) {
        struct duo *d = sync_duo(DUO_PLAIN);
        kith *k = d->side[0].k;
        struct ki_link *link = sync_link(d);
        struct ki_sync_run *run = &ki_sync_link_data(k, link)->runs[KI_SYNC_ANSWERS];
        uint32_t id = ki_table_find(&k->table, lone_span("one"));
        d->mute[1] = true;
        ki_sync_link_owner.receive(k, link, KI_SYNC_SUMS, ki_span(sums, sizeof sums));
        duo_run(d, 1000);
        assert_true(run->step == KI_SYNC_WAIT && run->listed_count == 2 && run->seen[run->listed[1]].id == id);
        ki_sync_link_owner.receive(k, link, KI_SYNC_TIMES, ki_span(cases[i].bytes, cases[i].len));
        if (link->aborted == cases[i].fine || (ki_about(k, id)->standing.ltime == 0x63) != (i == 0))
            fail_msg("case %u", i);
        assert_int_equal(run->step, KI_SYNC_WAIT); /* what is wanted comes after it */
        duo_free(d);
    }
}

/* Of the items that were listed, and of no others, members may be wanted; and not twice. */
static void what_is_wanted_was_listed(void **state)
{
    (void)state;
    static const uint8_t sums[26] = {[7] = 1, [17] = 1}, wanted[] = {0, 0, 0, 0, 1}, beyond[] = {0, 0, 0, 0, 2};
    for (unsigned i = 0; i < 3; i++) {
        struct duo *d = sync_duo(DUO_PLAIN);
        kith *k = d->side[0].k;
        struct kith_addr to = lone_addr(2, 7946);
        struct ki_link *link;
        assert_int_equal(ki_link_open(k, ki_find_addr(k, &to), KI_LINK_VIEW, &link), 0);
        duo_run(d, 1000);
        struct ki_sync_run *run = &ki_sync_link_data(k, link)->runs[KI_SYNC_ANSWERS];
        d->mute[1] = true;
        ki_sync_link_owner.receive(k, link, KI_SYNC_SUMS, ki_span(sums, sizeof sums));
        if (i == 2) /* before the list is made */
            ki_sync_link_owner.receive(k, link, KI_SYNC_WANTED, ki_span(wanted, 1));
        else
            duo_run(d, 1000);
        if (i < 2) {
            assert_true(run->step == KI_SYNC_WAIT && run->listed_count == 2); /* zero and one */
            ki_sync_link_owner.receive(k, link, KI_SYNC_WANTED, ki_span(i == 0 ? wanted : beyond, 5));
        }
        assert_int_equal(duo_count(d, 0, "malformed"), i > 0);
        assert_int_equal(link->aborted, i > 0);
        assert_int_equal(run->step == KI_SYNC_TELL, i == 0);
        duo_free(d);
    }
}

static size_t sync_says(uint8_t *buf, size_t cap, const char *name, enum ki_state as, uint32_t incarnation, uint8_t protocol)
{
    struct ki_pack p = ki_pack(buf, cap, false);
    const uint8_t versions[] = {1, 5, protocol, 2, 5, 5}, addr[] = {10, 0, 0, 7};
    ki_encode_sync_clocks(&p.w, &(struct ki_sync_clocks){.ltime = 10, .event_ltime = 20, .query_ltime = 30});
    ki_encode_sync_member(&p, &(struct ki_sync_member){.node = {.name = lone_span(name),
                                                                .addr = ki_span(addr, 4),
                                                                .port = 7946,
                                                                .meta = ki_span("\xff\x80", 2),
                                                                .incarnation = incarnation,
                                                                .state = as,
                                                                .versions = ki_span(versions, 6)},
                                                       .ltime = 5});
    LONE_CHECK(!p.w.full);
    return p.w.len;
}

/* Of a state whose versions do not go together with ours nothing is taken, not even clocks. */
static void versions_must_go_together(void **state)
{
    (void)state;
    for (uint8_t protocol = 2; protocol < 8; protocol += 5) {
        struct duo *d = sync_duo(DUO_PLAIN);
        kith *k = d->side[0].k;
        struct ki_link *link = sync_link(d);
        uint8_t buf[256];
        size_t len = sync_says(buf, sizeof buf, "stranger", KI_ALIVE, 3, protocol);
        ki_sync_link_owner.receive(k, link, KI_SYNC_MEMBERS, ki_span(buf, len));
        assert_int_equal(ki_table_find(&k->table, lone_span("stranger")) != KI_NO_MEMBER, protocol == 2);
        assert_int_equal(duo_count(d, 0, "version_mismatch"), protocol != 2);
        assert_true((k->clock.time >= 10) == (protocol == 2) && (k->query_clock.time == 30) == (protocol == 2));
        duo_free(d);
    }
}

/* Ours are those of all whom we know now: of one that has come since, of one that has changed, not of one that is gone. */
static void our_versions_are_those_of_now(void **state)
{
    (void)state;
    struct duo *d = sync_duo(DUO_PLAIN);
    kith *k = d->side[0].k;
    struct ki_link *link = sync_link(d);
    static const uint8_t usual[] = {1, 5, 2, 2, 5, 5}, odd[] = {1, 5, 7, 2, 5, 5};
    struct ki_identity odd_one = {.name = lone_span("odd"),
                                  .addr = ki_span("\x0a\0\0\x08", 4),
                                  .port = 7946,
                                  .meta = ki_span("\xff\x80", 2),
                                  .incarnation = 1,
                                  .versions = odd};
    static const bool fine[] = {true, true, false, true, true, false};
    for (unsigned i = 0; i < KI_COUNT(fine); i++) {
        uint8_t buf[256];
        char name[] = "new-0";
        uint32_t id = ki_table_find(&k->table, odd_one.name);
        name[4] = "012305"[i]; /* the fifth tells what is known, and leaves a free place */
        if (i == 1 || i == 5) { /* it comes: at the end, and where another was */
            struct kith_member m = {.name = lone_str("odd"), .addr = lone_addr(8, 7946), .incarnation = 1,
                                    .status = KITH_STATUS_ALIVE};
            memcpy(m.versions, i == 1 ? usual : odd, sizeof usual);
            assert_int_equal(kith_import_members(k, d->now, &m, 1), 0);
        } else if (i == 2) {
            assert_true(ki_table_update(&k->table, id, &odd_one));
        } else if (i == 3) {
            ki_forget(k, id);
        } else if (i == 4) {
            ki_forget(k, ki_table_find(&k->table, lone_span("new-3")));
        }
        ki_sync_link_owner.receive(k, link, KI_SYNC_MEMBERS,
                                   ki_span(buf, sync_says(buf, sizeof buf, name, KI_ALIVE, 3, 2)));
        if ((ki_table_find(&k->table, lone_span(name)) != KI_NO_MEMBER) != fine[i])
            fail_msg("step %u", i);
    }
    duo_free(d);
}

/* Who is accused refutes at once, and says so where it was asked. */
static void an_accusation_is_answered(void **state)
{
    (void)state;
    struct duo *d = sync_duo(DUO_PLAIN);
    kith *k = d->side[0].k;
    uint32_t before = k->incarnation;
    struct ki_link *link = sync_link(d);
    uint8_t buf[256];
    size_t len = sync_says(buf, sizeof buf, "zero", KI_SUSPECT, before + 6, 2);
    ki_sync_link_owner.receive(k, link, KI_SYNC_MEMBERS, ki_span(buf, len));
    assert_true(k->incarnation > before + 6);
    assert_true(ki_sync_link_data(k, link)->runs[KI_SYNC_ANSWERS].tells_self);
    assert_int_equal(duo_count(d, 0, "refutations"), 1);
    duo_free(d);
}

/* ---- memory ---- */

/* Each allocation of a comparison fails in turn, on either side: nothing breaks, and the next one does it. */
static void memory_may_be_out(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 2; n++) {
        bool reached = true;
        for (uint64_t at = 0; reached; at++) {
            struct duo *d = sync_duo(DUO_PLAIN);
            sync_meet_many(d, 0, 0, 40);
            sync_meet_many(d, 1, 20, 60);
            d->side[n].memory.fail_from = d->side[n].memory.calls + at;
            d->side[n].memory.fail_to = d->side[n].memory.fail_from + 1;
            struct kith_addr to = lone_addr(2, 7946);
            (void)ki_sync_begin(d->side[0].k, ki_find_addr(d->side[0].k, &to), false);
            duo_run(d, LONE_SECOND);
            reached = d->side[n].memory.calls > d->side[n].memory.fail_from;
            d->side[n].memory.fail_from = UINT64_MAX;
            duo_run(d, 30 * LONE_SECOND);
            assert_true(ki_list_empty(&d->side[0].k->sync_links) && ki_list_empty(&d->side[1].k->sync_links));
            assert_true(ki_sync_begin(d->side[0].k, ki_find_addr(d->side[0].k, &to), false));
            duo_run(d, LONE_SECOND);
            assert_true(sync_same(d));
            duo_free(d);
            assert_true(at < 10000);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_are_of_what_can_be_settled), cmocka_unit_test(buckets_are_few_and_bounded),
        cmocka_unit_test(views_become_one),                  cmocka_unit_test(little_is_said_of_little),
        cmocka_unit_test(large_views_go_in_ranges),          cmocka_unit_test(the_dead_get_their_chance),
        cmocka_unit_test(who_has_left_has_left),             cmocka_unit_test(floods_are_no_news),
        cmocka_unit_test(others_exchange_states),            cmocka_unit_test(nonsense_ends_the_link),
        cmocka_unit_test(versions_must_go_together),         cmocka_unit_test(an_accusation_is_answered),
        cmocka_unit_test(memory_may_be_out),                 cmocka_unit_test(what_is_wanted_was_listed),
        cmocka_unit_test(strangers_hear_of_us),            cmocka_unit_test(news_are_followed_up),
        cmocka_unit_test(times_are_told_alone),              cmocka_unit_test(times_are_of_what_was_listed),
        cmocka_unit_test(our_versions_are_those_of_now),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
