/* Kith messages: heeded from living kith members at their addresses, given to the subject that they are of, and what is a
 * store's only between stores. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <kith/store.h>

#include "duo.h"
#include "wire/kith.h"

static const struct ki_kith_root root = {.replica = 77, .root = {1, 2}};

static void channel_say(struct duo *d, uint8_t last, uint16_t port, const uint8_t *message, size_t len)
{
    uint8_t buf[128] = {KI_MSG_USER, KI_SERF_KITH};
    struct kith_addr from = lone_addr(last, port);
    memcpy(buf + 2, message, len);
    assert_int_equal(kith_datagram(d->side[0].k, d->now, &from, buf, len + 2), 0);
}

static void channel_say_root(struct duo *d, uint8_t last, uint16_t port)
{
    uint8_t buf[KI_KITH_SMALL_MAX];
    struct ki_writer w = ki_writer(buf, sizeof buf);
    ki_encode_kith_root(&w, KI_KITH_ROOT, &root);
    channel_say(d, last, port, buf + 1, w.len - 1);
}

/* Node zero, with a store or without, in a pool of a kith member with a store, one without, and a stock one. */
static struct duo *channel_pool(bool has_store)
{
    static const char meta[] = "\xff\x81\xa5_kith\xa4" "1-1s";
    struct duo *d = duo_new();
    struct kith_config c;
    struct kith_store_config store;
    duo_config(&c, 0);
    d->side[0].memory.fail_from = UINT64_MAX;
    assert_int_equal(kith_new(&d->side[0].k, &c), 0);
    kith_store_config_init(&store);
    if (has_store)
        assert_int_equal(kith_store_open(d->side[0].k, &store), 0);
    assert_int_equal(kith_ready(d->side[0].k, d->now), 0);
    duo_meet(d->side[0].k, d->now, "storeless", 3, true);
    duo_meet(d->side[0].k, d->now, "stock", 4, false);
    struct kith_member m = {.name = lone_str("store"),
                            .addr = lone_addr(5, 7946),
                            .meta = {meta, sizeof meta - 1},
                            .status = KITH_STATUS_ALIVE,
                            .incarnation = 5,
                            .versions = {1, 5, 2, 2, 5, 5}};
    assert_int_equal(kith_import_members(d->side[0].k, d->now, &m, 1), 0);
    return d;
}

static void stores_are_heeded_between_stores(void **state)
{
    (void)state;
    static const struct {
        bool has_store;
        uint8_t last;
        uint16_t port;
        unsigned heeded;
    } cases[] = {
        {true, 5, 7946, 1},
        {true, 5, 7947, 0}, /* from elsewhere */
        {true, 3, 7946, 0}, /* from a kith member without a store, */
        {true, 4, 7946, 0}, /* a stock one, */
        {true, 1, 7946, 0}, /* and ourselves */
        {false, 5, 7946, 0},
        {false, 3, 7946, 0},
    };
    for (unsigned i = 0; i < KI_COUNT(cases); i++) {
        struct duo *d = channel_pool(cases[i].has_store);
        channel_say_root(d, cases[i].last, cases[i].port);
        if (duo_count(d, 0, "kith_messages_in") != cases[i].heeded || duo_count(d, 0, "kith_refused") != !cases[i].heeded)
            fail_msg("case %u", i);
        assert_int_equal(duo_count(d, 0, "unknown_serf_type") + duo_count(d, 0, "malformed"), 0);
        duo_free(d);
    }
}

/* Kinds of subjects that nobody here has, from a member that may speak; from another they are not even looked at. */
static void other_subjects_are_counted(void **state)
{
    (void)state;
    static const uint8_t kinds[] = {0x50, 0x5f, 0x7f, 0xff};
    for (unsigned i = 0; i < KI_COUNT(kinds); i++) {
        struct duo *d = channel_pool(i % 2);
        channel_say(d, 3, 7946, &kinds[i], 1);
        assert_int_equal(duo_count(d, 0, "unknown_serf_type"), 1);
        channel_say(d, 4, 7946, &kinds[i], 1);
        channel_say(d, 3, 7946, &kinds[i], 0); /* nothing */
        assert_true(duo_count(d, 0, "unknown_serf_type") == 1 && duo_count(d, 0, "kith_refused") == 2);
        duo_free(d);
    }
}

static void from_the_dead_nothing_is_heeded(void **state)
{
    (void)state;
    struct duo *d = channel_pool(true);
    uint8_t buf[256];
    struct kith_addr from = lone_addr(4, 7946);
    size_t len = lone_accuse(buf, sizeof buf, true, "store", "stock", 0x7fffffff);
    assert_int_equal(kith_datagram(d->side[0].k, d->now, &from, buf, len), 0);
    channel_say_root(d, 5, 7946);
    assert_int_equal(duo_count(d, 0, "kith_refused"), 1);
    duo_free(d);
}

/* ---- the store's part of a hello ---- */

static size_t other_poll(struct kith *k, struct ki_link *link, uint8_t *channel, uint8_t *buf, size_t cap, bool *more)
{
    LONE_CHECK(k && link && channel && buf && cap && more);
    return 0;
}

static bool other_hello(struct kith *k, struct ki_link *link, struct ki_writer *w)
{
    LONE_CHECK(k && link);
    ki_put_u8(w, 'x');
    return true;
}

static const struct ki_link_owner other_owner = {.poll = other_poll, .hello = other_hello};

/* A member that announces no store is not told the secret of stores, whatever else there is to talk about with it. */
static void the_secret_is_for_stores(void **state)
{
    (void)state;
    for (unsigned last = 3; last <= 5; last += 2) {
        struct duo *d = channel_pool(true);
        kith *k = d->side[0].k;
        struct kith_addr to = lone_addr((uint8_t)last, 7946);
        struct kith_stream_action action;
        struct ki_link *link;
        uint8_t buf[KI_LINK_OPENING_MAX];
        size_t len;
        k->link_owners[KI_LINK_EVENTS] = &other_owner;
        assert_int_equal(ki_link_open(k, ki_find_addr(k, &to), KI_LINK_EVENTS, &link), 0);
        link->told = 0; /* its owner has no closed() */
        assert_true(kith_poll_stream(k, &action) && action.kind == KITH_STREAM_OPEN);
        kith_stream_opened(k, d->now, action.id);
        assert_int_equal(kith_stream_write(k, d->now, action.id, buf, sizeof buf, &len), 0);
        struct ki_reader r = ki_reader(buf + 1, len - 1);
        struct ki_user_header header;
        struct ki_link_hello hello;
        struct ki_span parts[KI_LINK_SUBJECTS];
        assert_true(ki_decode_user_header(&r, &header) && ki_take_be(&r, 1) == KI_LINK_TYPE);
        assert_true(ki_decode_link_hello(&r, &hello) && ki_decode_link_parts(hello.payload, parts));
        assert_true(parts[KI_LINK_EVENTS].len == 1 && parts[KI_LINK_EVENTS].ptr[0] == 'x');
        assert_int_equal(parts[KI_LINK_STORE].ptr != NULL, last == 5);
        assert_int_equal(ki_link_in(link->subjects, KI_LINK_STORE), last == 5);
        duo_free(d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stores_are_heeded_between_stores),
        cmocka_unit_test(other_subjects_are_counted),
        cmocka_unit_test(from_the_dead_nothing_is_heeded),
        cmocka_unit_test(the_secret_is_for_stores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
