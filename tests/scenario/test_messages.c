/* User events, queries and keys between members of both kinds: each hears each once, answers come back, the keyring of the
 * pool is changed, and nobody can be aimed at by what is forged. */
#include "messages_pool.h"

#include "wire/memberlist.h"
#include "wire/serf_event.h"
#include "wire/serf_query.h"

/* ---- events ---- */

static void each_hears_each_event_once(void **state)
{
    (void)state;
    for (unsigned stock = 0; stock <= 8; stock += 4) {
        struct world *w = pool(&ear, 8, stock, NULL);
        for (unsigned n = 0; n < 8; n++) {
            char name[16];
            snprintf(name, sizeof name, "deploy-%u", n);
            struct kith_user_event event = {.name = {name, strlen(name)}, .payload = STR("v1.2.3"), .coalesce = n % 2};
            assert_int_equal(kith_send_event(world_node(w, n), world_now(w), &event, NULL), 0);
        }
        world_run(w, stock ? 90 * SECOND : SECOND); /* what gossip misses, a full exchange tells */
        for (unsigned n = 0; n < 8; n++) {
            for (unsigned from = 0; from < 8; from++) {
                char name[16];
                snprintf(name, sizeof name, "deploy-%u", from);
                assert_int_equal(ear_count(&ear, KITH_EVENT_USER, n, name), 1);
            }
        }
        for (size_t i = 0; i < ear.count; i++) {
            assert_string_equal(ear.all[i].payload, "v1.2.3");
            assert_int_equal(ear.all[i].event.message.coalesce, (ear.all[i].name[7] - '0') % 2);
        }
        world_free(w);
    }
}

static void what_was_said_before_is_replayed_only_if_asked_for(void **state)
{
    (void)state;
    struct kith_user_event event = {.name = STR("early"), .payload = STR("bird")};
    for (int replay = 0; replay < 2; replay++) {
        struct world *w = pool(&ear, 3, 3, NULL);
        struct kith_addr to = world_addr(0);
        struct kith_config c;
        assert_int_equal(kith_send_event(world_node(w, 1), world_now(w), &event, NULL), 0);
        world_run(w, 20 * SECOND);
        world_config(&c, 3);
        c.stock = true;
        world_add(w, 3, &c);
        assert_int_equal(kith_join(world_node(w, 3), world_now(w), &to, 1, replay, NULL), 0);
        world_run(w, 90 * SECOND);
        assert_int_equal(ear_count(&ear, KITH_EVENT_USER, 3, "early"), replay);
        event.name = STR("late");
        assert_int_equal(kith_send_event(world_node(w, 2), world_now(w), &event, NULL), 0);
        event.name = STR("early");
        world_run(w, 5 * SECOND);
        assert_int_equal(ear_count(&ear, KITH_EVENT_USER, 3, "late"), 1);
        assert_int_equal(ear_count(&ear, KITH_EVENT_USER, WORLD_NODES, "early"), 3 + (size_t)replay);
        world_free(w);
    }
}

static void wrong_events_are_refused(void **state)
{
    (void)state;
    struct world *w = pool(&ear, 1, 0, NULL);
    static char large[(1 << 20) + 1];
    kith *k = world_node(w, 0);
    struct kith_user_event none = {.payload = STR("x")}, too_large = {.name = STR("e"), .payload = {large, sizeof large}};
    struct kith_user_event long_name = {.name = {large, 256}};
    assert_int_equal(kith_send_event(k, world_now(w), &none, NULL), KITH_ERR_ARG);
    assert_int_equal(kith_send_event(k, world_now(w), &long_name, NULL), KITH_ERR_ARG);
    assert_int_equal(kith_send_event(k, world_now(w), &too_large, NULL), KITH_ERR_TOO_LONG);
    assert_int_equal(ear.count, 0);
    world_free(w);
}

static void few_wait(struct kith_config *c, unsigned n)
{
    if (n == 0)
        c->messages_max = 4;
}

static bool only_the_first(unsigned n)
{
    return n == 0;
}

/* Nobody polls in between: the queue is full, and that is counted. */
static void a_slow_reader_loses_what_is_too_much(void **state)
{
    (void)state;
    struct world *w = pool(&ear, 2, 2, few_wait);
    struct kith_user_event event = {.name = STR("e")};
    kith *k = world_node(w, 0);
    world_pause_events(w, only_the_first);
    for (int i = 0; i < 6; i++)
        assert_int_equal(kith_send_event(world_node(w, 1), world_now(w), &event, NULL), 0);
    world_run(w, 5 * SECOND);
    assert_int_equal(kith_send_event(k, world_now(w), &event, NULL), KITH_ERR_FULL); /* none of its own is lost */
    world_pause_events(w, NULL);
    world_run(w, SECOND);
    assert_int_equal(ear_count(&ear, KITH_EVENT_USER, 0, "e"), 4);
    for (size_t i = 0; i < kith_counter_count(); i++) {
        if (strcmp(kith_counter_name(i), "messages_dropped") == 0)
            assert_int_equal(kith_counter(k, i), 2);
    }
    world_free(w);
}

/* ---- queries ---- */

static void every_third_is_web(struct kith_config *c, unsigned n)
{
    static const struct kith_tag web = {TEXT("role"), TEXT("web-server")};
    c->tags = &web;
    c->tag_count = n % 3 == 0;
}

static void those_whom_the_filters_let_through_answer(void **state)
{
    (void)state;
    static const struct kith_str nodes[] = {TEXT("node-1"), TEXT("node-3"), TEXT("node-6")};
    static const struct kith_tag role = {TEXT("role"), TEXT("^web.s")}, absent = {TEXT("none"), TEXT("^$")};
    static const struct {
        const struct kith_str *nodes;
        size_t node_count;
        const struct kith_tag *tags;
        size_t tag_count, answers;
    } rows[] = {{NULL, 0, NULL, 0, 8}, {nodes, 3, NULL, 0, 3}, {NULL, 0, &role, 1, 3}, {nodes, 3, &role, 1, 2},
                {NULL, 0, &absent, 1, 8}};
    struct world *w = pool(&ear, 8, 0, every_third_is_web);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (unsigned from = 0; from < 8; from += 7) {
            ear.count = 0;
            ear.answers = true;
            kith_ticket ticket;
            struct kith_query query = {.name = STR("load"),
                                       .payload = STR("15"),
                                       .nodes = rows[i].nodes,
                                       .node_count = rows[i].node_count,
                                       .tags = rows[i].tags,
                                       .tag_count = rows[i].tag_count,
                                       .ack = true,
                                       .relay_factor = (uint8_t)i};
            assert_int_equal(kith_ask(world_node(w, from), world_now(w), &query, &ticket), 0);
            world_run(w, 10 * SECOND);
            assert_int_equal(ear_answers(&ear, ticket, true), rows[i].answers);
            assert_int_equal(ear_answers(&ear, ticket, false), rows[i].answers);
            assert_int_equal(ear_count(&ear, KITH_EVENT_QUERY, WORLD_NODES, "load"), rows[i].answers);
            ends_with(&ear, ticket, 0, rows[i].answers);
        }
    }
    world_free(w);
}

/* Gossip alone misses one member in a hundred in so small a pool: memberlist sends each piece of news 4 times. */
static void members_of_both_kinds_answer_each_other(void **state)
{
    (void)state;
    struct world *w = pool(&ear, 8, 4, NULL);
    size_t answers = 0;
    for (unsigned i = 0; i < 16; i++) {
        kith_ticket ticket;
        struct kith_query query = {.name = STR("load"), .ack = true, .relay_factor = 2};
        ear.count = 0;
        ear.answers = true;
        assert_int_equal(kith_ask(world_node(w, i % 8), world_now(w), &query, &ticket), 0);
        world_run(w, 10 * SECOND);
        assert_int_equal(ear_answers(&ear, ticket, true), ear_answers(&ear, ticket, false));
        assert_in_range(ear_answers(&ear, ticket, true), 6, 8);
        answers += ear_answers(&ear, ticket, true);
    }
    assert_in_range(answers, 120, 128);
    world_free(w);
}

static void who_is_silent_and_who_is_late(void **state)
{
    (void)state;
    struct world *w = pool(&ear, 4, 0, NULL);
    kith_ticket ticket;
    struct kith_event done;
    struct kith_query query = {.name = STR("load"), .timeout_ms = 1000};
    ear.answers = true;
    ear.silent = 2;
    assert_int_equal(kith_ask(world_node(w, 1), world_now(w), &query, &ticket), 0);
    world_run(w, 3 * SECOND);
    assert_int_equal(ear_answers(&ear, ticket, false), 3);
    assert_int_equal(ear_answers(&ear, ticket, true), 0); /* nobody asked for them */
    ends_with(&ear, ticket, 0, 3);
    for (size_t i = 0; i < ear.count; i++) {
        if (ear.all[i].event.kind == KITH_EVENT_QUERY && ear.all[i].n == 2)
            assert_int_equal(kith_respond(world_node(w, 2), world_now(w), ear.all[i].event.message.query, STR("late")),
                             KITH_ERR_NOT_FOUND);
    }
    query.timeout_ms = 60000;
    assert_int_equal(kith_ask(world_node(w, 1), world_now(w), &query, &ticket), 0);
    world_run(w, SECOND);
    assert_int_equal(ear_ends(&ear, ticket, &done), 0);
    assert_int_equal(kith_ask_cancel(world_node(w, 1), world_now(w), ticket), 0);
    assert_int_equal(kith_ask_cancel(world_node(w, 1), world_now(w), ticket), KITH_ERR_NOT_FOUND);
    world_run(w, SECOND);
    ends_with(&ear, ticket, 0, 3);
    world_free(w);
}

static void acknowledgements_come_whatever_is_lost(void **state)
{
    (void)state;
    static const struct kith_tag role = {TEXT("role"), TEXT("web")};
    struct world *w = pool(&ear, 9, 0, every_third_is_web);
    world_chance(w, 11, 300000);
    for (unsigned i = 0; i < 5; i++) {
        kith_ticket ticket;
        ear.count = 0; /* tickets of two nodes may be equal */
        struct kith_query query = {.name = STR("load"), .ack = true, .tags = &role, .tag_count = i % 2};
        assert_int_equal(kith_ask(world_node(w, i), world_now(w), &query, &ticket), 0);
        world_run(w, 10 * SECOND);
        assert_int_equal(ear_answers(&ear, ticket, true), i % 2 ? 3 : 9);
    }
    world_free(w);
}

static void wrong_queries_are_refused(void **state)
{
    (void)state;
    static const struct kith_str stranger = TEXT("nobody");
    static const struct kith_tag bad = {TEXT("role"), TEXT("(")};
    struct world *w = pool(&ear, 2, 0, NULL);
    kith *k = world_node(w, 0);
    kith_ticket ticket;
    struct kith_query query = {.name = STR("q"), .nodes = &stranger, .node_count = 1};
    assert_int_equal(kith_ask(k, world_now(w), &query, &ticket), KITH_ERR_NOT_FOUND);
    query = (struct kith_query){.name = STR("q"), .tags = &bad, .tag_count = 1};
    assert_int_equal(kith_ask(k, world_now(w), &query, &ticket), KITH_ERR_ARG);
    query = (struct kith_query){.name = STR("_serf_conflict")};
    assert_int_equal(kith_ask(k, world_now(w), &query, &ticket), KITH_ERR_ARG);
    query = (struct kith_query){.name = STR("_serf_ping"), .ack = true, .timeout_ms = 500};
    assert_int_equal(kith_ask(k, world_now(w), &query, &ticket), 0);
    world_run(w, SECOND);
    assert_int_equal(ear_answers(&ear, ticket, true), 2);
    assert_int_equal(ear_count(&ear, KITH_EVENT_QUERY, WORLD_NODES, NULL), 0); /* Serf's own are not told */
    world_free(w);
}

/* ---- keys ---- */

static const struct kith_key first_key = {.bytes = {1, 2, 3}, .len = 16}, second_key = {.bytes = {4, 5, 6}, .len = 32};

static void encrypted(struct kith_config *c, unsigned n)
{
    c->keys = &first_key;
    c->key_count = 1;
    c->keys_kept = n % 2;
}

static void change_keys(struct world *w, enum kith_key_change change, const struct kith_key *key, int result, unsigned yes)
{
    kith_ticket ticket;
    ear.count = 0;
    assert_int_equal(kith_change_keys(world_node(w, 1), world_now(w), change, key, &ticket), 0);
    world_run(w, 8 * SECOND);
    ends_with(&ear, ticket, result, yes);
}

static void keys_change_on_all_and_nobody_is_lost(void **state)
{
    (void)state;
    struct world *w = pool(&ear, 6, 3, encrypted);
    struct kith_key keys[4];
    change_keys(w, KITH_KEY_USE, &second_key, KITH_ERR_REFUSED, 0);
    change_keys(w, KITH_KEY_INSTALL, &second_key, 0, 6);
    change_keys(w, KITH_KEY_USE, &second_key, 0, 6);
    change_keys(w, KITH_KEY_REMOVE, &second_key, KITH_ERR_REFUSED, 0);
    change_keys(w, KITH_KEY_LIST, NULL, 0, 6);
    assert_int_equal(ear.key_count, 2);
    assert_memory_equal(ear.keys[0].bytes, second_key.bytes, 32);
    assert_memory_equal(ear.keys[1].bytes, first_key.bytes, 16);
    change_keys(w, KITH_KEY_REMOVE, &first_key, 0, 6);
    world_run(w, 20 * SECOND);
    for (unsigned n = 0; n < 6; n++) {
        assert_int_equal(kith_keys(world_node(w, n), keys, 4), 1);
        assert_memory_equal(keys[0].bytes, second_key.bytes, 32);
        assert_int_equal(world_alive_seen(w, n), 6);
    }
    ear.fails_writing = true;
    change_keys(w, KITH_KEY_INSTALL, &first_key, KITH_ERR_REFUSED, 3);
    for (size_t i = 0; i < ear.count; i++) {
        if (ear.all[i].event.kind == KITH_EVENT_ANSWER && ear.all[i].event.result != 0)
            assert_string_equal(ear.all[i].payload, "no space on the disk");
    }
    world_free(w);
}

static void who_does_not_encrypt_says_so(void **state)
{
    (void)state;
    struct world *w = pool(&ear, 2, 1, NULL);
    change_keys(w, KITH_KEY_LIST, NULL, KITH_ERR_REFUSED, 0);
    assert_int_equal(ear_count(&ear, KITH_EVENT_ANSWER, 1, NULL), 2);
    assert_string_equal(ear.all[0].payload, "Keyring is empty (encryption not enabled)");
    world_free(w);
}

/* ---- what is forged ---- */

static unsigned to_stranger;

static void count_to_stranger(void *arg, unsigned from, const struct kith_addr *to, const uint8_t *buf, size_t len)
{
    (void)arg, (void)from, (void)buf, (void)len;
    to_stranger += to->port != 7946;
}

static void nobody_is_aimed_at_a_stranger(void **state)
{
    (void)state;
    static const uint8_t inner[] = {5, 0x80};
    struct world *w = pool(&ear, 4, 0, NULL);
    struct kith_addr victim = world_addr(1);
    uint8_t buf[512];
    to_stranger = 0;
    world_set_tap(w, count_to_stranger, NULL);
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    ki_put_u8(&p.w, KI_MSG_USER);
    ki_encode_serf_query(&p, &(struct ki_serf_query){.ltime = 9,
                                                     .id = 1,
                                                     .addr = {victim.ip, victim.ip_len},
                                                     .port = 9999,
                                                     .source_node = {(const uint8_t *)"node-1", 6},
                                                     .flags = 1,
                                                     .timeout_ns = 5000000000,
                                                     .relay_factor = 3,
                                                     .name = {(const uint8_t *)"q", 1}});
    world_inject(w, 0, 1, buf, p.w.len);
    p = ki_pack(buf, sizeof buf, false);
    ki_put_u8(&p.w, KI_MSG_USER);
    ki_encode_serf_relay_front(&p, &(struct ki_serf_relay){.ip = {victim.ip, victim.ip_len},
                                                           .port = 9999,
                                                           .name = {(const uint8_t *)"node-1", 6}});
    ki_put(&p.w, inner, sizeof inner);
    world_inject(w, 0, 1, buf, p.w.len);
    world_run(w, 10 * SECOND);
    assert_int_equal(to_stranger, 0);
    assert_int_equal(ear_count(&ear, KITH_EVENT_QUERY, WORLD_NODES, "q"), 0); /* nobody could be answered */
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_hears_each_event_once),
        cmocka_unit_test(what_was_said_before_is_replayed_only_if_asked_for),
        cmocka_unit_test(wrong_events_are_refused),
        cmocka_unit_test(a_slow_reader_loses_what_is_too_much),
        cmocka_unit_test(those_whom_the_filters_let_through_answer),
        cmocka_unit_test(members_of_both_kinds_answer_each_other),
        cmocka_unit_test(who_is_silent_and_who_is_late),
        cmocka_unit_test(acknowledgements_come_whatever_is_lost),
        cmocka_unit_test(wrong_queries_are_refused),
        cmocka_unit_test(keys_change_on_all_and_nobody_is_lost),
        cmocka_unit_test(who_does_not_encrypt_says_so),
        cmocka_unit_test(nobody_is_aimed_at_a_stranger),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
