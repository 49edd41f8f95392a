/* What survives a restart: records polled, written, loaded again; the first incarnation; a disk that fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lone.h"

/* ---- a disk: what a driver has made of the records so far ---- */

#define DISK_NAMES 64

struct disk {
    char alive[DISK_NAMES][16];
    unsigned alive_count;
    uint64_t numbers[KITH_RECORD_COMMIT + 1]; /* of clocks and incarnation, by kind */
    bool left;
    uint64_t last_seq;
    unsigned records; /* in the last group, without its mark */
};

static int disk_find(const struct disk *d, const char *name)
{
    for (unsigned i = 0; i < d->alive_count; i++) {
        if (strcmp(d->alive[i], name) == 0)
            return (int)i;
    }
    return -1;
}

static void disk_write(struct disk *d, const struct kith_record *r)
{
    char name[16] = {0};
    int at;
    switch (r->kind) {
    case KITH_RECORD_MEMBER:
    case KITH_RECORD_GONE:
        assert_in_range(r->name.len, 1, sizeof name - 1);
        memcpy(name, r->name.ptr, r->name.len);
        at = disk_find(d, name);
        if (r->kind == KITH_RECORD_GONE && at >= 0)
            memcpy(d->alive[at], d->alive[--d->alive_count], sizeof name);
        if (r->kind == KITH_RECORD_MEMBER && at < 0)
            memcpy(d->alive[d->alive_count++], name, sizeof name);
        assert_true(r->kind == KITH_RECORD_GONE || r->addr.port != 0);
        return;
    case KITH_RECORD_CLOCK:
    case KITH_RECORD_EVENT_CLOCK:
    case KITH_RECORD_QUERY_CLOCK:
    case KITH_RECORD_INCARNATION:
        d->numbers[r->kind] = r->value;
        return;
    case KITH_RECORD_LEFT:
        d->left = true;
        return;
    case KITH_RECORD_COMMIT:
        fail_msg("a mark is no record");
    }
    fail_msg("a record of kind %d", (int)r->kind);
}

/* Takes one group and writes it, or (failing) loses it.  Returns false when there is none. */
static bool disk_group(struct disk *d, kith *k, struct kith_time now, bool failing)
{
    struct kith_record r;
    d->records = 0;
    while (kith_poll_record(k, &r)) {
        if (r.kind == KITH_RECORD_COMMIT) {
            assert_true(d->records > 0 && r.value > d->last_seq); /* no empty groups, seq rises */
            d->last_seq = r.value;
            kith_durable(k, now, r.value, failing ? KITH_ERR_NOMEM : 0);
            return true;
        }
        d->records++;
        if (!failing)
            disk_write(d, &r);
    }
    assert_int_equal(d->records, 0); /* a group always ends */
    return false;
}

static void disk_sync(struct disk *d, kith *k, struct kith_time now)
{
    for (unsigned groups = 0; disk_group(d, k, now, false); groups++)
        assert_true(groups < 10);
}

static void tell_dead(kith *k, struct kith_time now, const char *name)
{
    uint8_t buf[128];
    struct kith_addr from = lone_addr(2, 7946);
    size_t len = lone_accuse(buf, sizeof buf, true, name, "a", 5);
    assert_int_equal(kith_datagram(k, now, &from, buf, len), 0);
}

static void tell_intent(kith *k, struct kith_time now, uint64_t ltime)
{
    uint8_t buf[128] = {KI_MSG_USER};
    struct kith_addr from = lone_addr(2, 7946);
    struct ki_pack p = ki_pack(buf + 1, sizeof buf - 1, false);
    ki_encode_serf_join(&p, &(struct ki_serf_join){.ltime = ltime, .node = lone_span("a")});
    assert_int_equal(kith_datagram(k, now, &from, buf, p.w.len + 1), 0);
}

/* ---- the round trip ---- */

static void records_tell_who_is_alive(void **state)
{
    (void)state;
    struct kith_config c;
    struct kith_time now = lone_time(LONE_SECOND);
    struct disk d = {.alive_count = 0};
    lone_config(&c);
    kith *k = lone_new(&c);
    disk_sync(&d, k, now);
    assert_int_equal(d.alive_count, 0); /* we are not a record of ours */
    assert_int_equal(d.numbers[KITH_RECORD_INCARNATION], 1800000001); /* the wall clock's seconds */
    lone_meet(k, now, "a", 2);
    lone_meet(k, now, "b", 3);
    disk_sync(&d, k, now);
    assert_true(d.alive_count == 2 && disk_find(&d, "a") >= 0 && disk_find(&d, "b") >= 0);
    assert_false(disk_group(&d, k, now, false)); /* nothing new: no group */
    tell_dead(k, now, "b");
    disk_sync(&d, k, now);
    assert_true(d.alive_count == 1 && disk_find(&d, "a") >= 0);
    tell_intent(k, now, 41);
    disk_sync(&d, k, now);
    assert_int_equal(d.numbers[KITH_RECORD_CLOCK], 41);
    lone_meet(k, now, "c", 4); /* came and went between two polls: the disk need not hear */
    tell_dead(k, now, "c");
    assert_false(disk_group(&d, k, now, false));
    lone_check(k);
    kith_free(k);
}

static void a_member_forgotten_is_gone_from_the_disk(void **state)
{
    (void)state;
    struct kith_config c;
    struct kith_time now = lone_time(LONE_SECOND);
    struct disk d = {.alive_count = 0};
    lone_config(&c);
    kith *k = lone_new(&c);
    lone_meet(k, now, "a", 2);
    disk_sync(&d, k, now);
    assert_int_equal(d.alive_count, 1);
    tell_dead(k, now, "a");
    assert_int_equal(kith_force_leave(k, now, lone_str("a"), true, NULL), 0); /* pruned before it was polled */
    assert_int_equal(kith_find(k, lone_str("a"), &(struct kith_member){.id = 0}), KITH_ERR_NOT_FOUND);
    disk_sync(&d, k, now);
    assert_int_equal(d.alive_count, 0);
    kith_free(k);
}

static const struct restart {
    int line;
    uint64_t stored; /* last own incarnation; 0: none */
    uint64_t wall_s;
    uint32_t first;
} restarts[] = {
#define R(...) {__LINE__, __VA_ARGS__}
    R(0, 1800000000, 1800000000),
    R(5, 1800000000, 1800000000),
    R(1800000000, 1800000000, 1800000001), /* restarted within the second */
    R(1900000000, 1800000000, 1900000001), /* the wall clock went back, or refutations went ahead */
    R(7, 0, 8),                            /* no clock at all */
    R(0, 0, 1),
    R(0, 5000000000, UINT32_MAX - 65536), /* a clock beyond 32 bits: headroom for refutations stays */
    R(UINT32_MAX, 1800000000, 1800000000), /* not believed */
    R((uint64_t)1 << 40, 1800000000, 1800000000),
#undef R
};

static void first_incarnation_outranks_the_last(void **state)
{
    (void)state;
    for (const struct restart *r = restarts; r < restarts + KI_COUNT(restarts); r++) {
        struct kith_config c;
        lone_config(&c);
        kith *k;
        assert_int_equal(kith_new(&k, &c), 0);
        struct kith_record record = {.kind = KITH_RECORD_INCARNATION, .value = r->stored};
        if (r->stored)
            assert_int_equal(kith_load(k, &record), 0);
        struct kith_time now = {.mono_us = LONE_SECOND, .wall_us = r->wall_s * LONE_SECOND};
        assert_int_equal(kith_ready(k, now), 0);
        struct kith_member self;
        kith_self(k, &self);
        if (self.incarnation != r->first)
            fail_msg("row of line %d: %u", r->line, self.incarnation);
        kith_free(k);
    }
}

static void clocks_go_on_where_they_were(void **state)
{
    (void)state;
    struct kith_config c;
    lone_config(&c);
    kith *k;
    assert_int_equal(kith_new(&k, &c), 0);
    const struct kith_record records[] = {{.kind = KITH_RECORD_CLOCK, .value = 41},
                                          {.kind = KITH_RECORD_EVENT_CLOCK, .value = 7},
                                          {.kind = KITH_RECORD_QUERY_CLOCK, .value = 9},
                                          {.kind = KITH_RECORD_CLOCK, .value = 40}, /* older: not back */
                                          {.kind = KITH_RECORD_MEMBER, .name = {"a", 1}},
                                          {.kind = KITH_RECORD_GONE, .name = {"a", 1}},
                                          {.kind = KITH_RECORD_LEFT},
                                          {.kind = KITH_RECORD_COMMIT, .value = 3}};
    for (size_t i = 0; i < KI_COUNT(records); i++)
        assert_int_equal(kith_load(k, &records[i]), 0);
    struct kith_record unknown = {.kind = (enum kith_record_kind)99};
    assert_int_equal(kith_load(k, &unknown), KITH_ERR_ARG);
    assert_false(kith_poll_record(k, &unknown)); /* nothing before ready */
    assert_int_equal(kith_ready(k, lone_time(LONE_SECOND)), 0);
    struct kith_gauges g;
    kith_read_gauges(k, &g);
    assert_true(g.member_ltime == 42 && g.event_ltime == 8 && g.query_ltime == 10 && g.members == 1);
    assert_int_equal(kith_load(k, &records[0]), KITH_ERR_STATE);
    kith_free(k);
}

/* ---- a disk that fails ---- */

/* Whatever the group held is offered again: after one that fails and one that does not, the disk is as if none had
 * failed. */
static void a_failed_group_is_offered_again(void **state)
{
    (void)state;
    for (unsigned failing = 0; failing < 5; failing++) {
        struct kith_config c;
        struct kith_time now = lone_time(LONE_SECOND);
        struct disk d = {.alive_count = 0};
        lone_config(&c);
        kith *k = lone_new(&c);
        for (unsigned step = 0; step < 5; step++) {
            if (step == 0)
                lone_meet(k, now, "a", 2);
            if (step == 1)
                lone_meet(k, now, "b", 3);
            if (step == 2)
                tell_dead(k, now, "a"); /* the disk may hold it as alive */
            if (step == 3)
                tell_intent(k, now, 77);
            if (step == 4) {
                tell_dead(k, now, "b"); /* so that we are alone, and gone at once */
                assert_int_equal(kith_leave(k, now, NULL), 0);
            }
            if (step == failing) {
                assert_true(disk_group(&d, k, now, true));
                assert_true(disk_group(&d, k, now, false)); /* at once, and all of it */
            }
            disk_sync(&d, k, now);
            assert_int_equal(d.alive_count, step == 0 ? 1 : step == 1 ? 2 : step == 4 ? 0 : 1);
        }
        if (d.numbers[KITH_RECORD_CLOCK] < 77 || !d.left ||
            d.numbers[KITH_RECORD_INCARNATION] != 1800000001)
            fail_msg("after step %u failed: clock %llu, left %d", failing,
                     (unsigned long long)d.numbers[KITH_RECORD_CLOCK], d.left);
        lone_check(k);
        kith_free(k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_tell_who_is_alive),
        cmocka_unit_test(a_member_forgotten_is_gone_from_the_disk),
        cmocka_unit_test(first_incarnation_outranks_the_last),
        cmocka_unit_test(clocks_go_on_where_they_were),
        cmocka_unit_test(a_failed_group_is_offered_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
