/* Repairs that cannot go well: memory that fails, peers that lie, cells from the future, other secrets, dots with two
 * contents, limits.  Whatever happens, the stores stay whole, and the next repair makes them equal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/failing.h"
#include "unit/repair_pair.h"

static struct pair pair;

static void differ(uint64_t seed, unsigned writes, unsigned keys, unsigned lost_one_in)
{
    pair_begin(&pair, seed);
    for (unsigned i = 0; i < writes; i++)
        pair_write(&pair, i % 2, keys, ki_rng_below(&pair.rng, lost_one_in) == 0);
}

static void run(const struct ki_repair_config *config)
{
    if (config->is_stream)
        pair_stream(&pair);
    else
        pair_datagrams(&pair, 0, false);
}

static void repair_well(bool is_stream)
{
    struct ki_repair_config config = pair_config(is_stream);
    struct pair_state truth = pair_truth(&pair);
    assert_true(pair_open(&pair, &config));
    run(&config);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pair.results[i], KI_REPAIR_DONE);
    assert_true(pair_is_state(&pair.stores[0], truth) && pair_is_state(&pair.stores[1], truth));
    assert_true(pair_agrees(&pair));
    free(truth.bytes);
}

/* ---- memory ---- */

struct failing_once {
    int until;
};

static void *once_resize(void *arg, void *ptr, size_t size)
{
    struct failing_once *once = arg;
    return once->until-- == 0 ? NULL : realloc(ptr, size);
}

/* Each allocation of one side's fails in turn, and only that one. */
static bool memory_fails_once(unsigned side, int until, bool is_stream, unsigned lost_one_in)
{
    static const uint8_t hash_key[16] = "of one instance";
    struct failing_once once = {.until = -1};
    struct ki_repair_config config = pair_config(is_stream);
    struct ki_store_config store_config;
    pair_begin(&pair, 3);
    store_config = pair.stores[side].config;
    ki_store_free(&pair.stores[side]);
    ki_mem_init(&pair.mems[side], once_resize, failing_release, &once, 0);
    ki_store_init(&pair.stores[side], &pair.mems[side], &store_config, 1 + side, hash_key);
    pair_secret(&pair.stores[side], "a secret");
    for (unsigned i = 0; i < 200; i++)
        pair_write(&pair, i % 2, 150, ki_rng_below(&pair.rng, lost_one_in) == 0);
    struct pair_state truth = pair_truth(&pair);
    pair_settle(&pair);
    once.until = until;
    if (pair_open(&pair, &config))
        run(&config);
    bool has_failed = once.until < 0;
    once.until = -1;
    for (unsigned i = 0; i < 2; i++) {
        bool is_open = pair.sides[i].is_open;
        if (is_open && pair.results[i] == KI_REPAIR_FAILED)
            assert_true(pair.sides[i].reason == KI_REPAIR_MEMORY || pair.sides[i].reason == KI_REPAIR_PEER_FAILED ||
                        pair.sides[i].reason == KI_REPAIR_TIMEOUT);
        else if (is_open && !has_failed)
            assert_int_equal(pair.results[i], KI_REPAIR_DONE);
    }
    pair_close(&pair);
    repair_well(is_stream);
    assert_true(pair_is_state(&pair.stores[0], truth));
    free(truth.bytes);
    pair_end(&pair);
    return has_failed;
}

static void every_allocation_fails(void **state)
{
    (void)state;
    for (unsigned k = 0; k < 6; k++) { /* datagrams, a stream by sketches, a stream by lists; each side */
        int until = 0;
        while (memory_fails_once(k % 2, until, k / 2 > 0, k / 2 == 2 ? 1 : 12))
            until++;
        assert_true(until > 20);
    }
}

static void no_room_for_limbo(void **state)
{
    (void)state;
    struct ki_repair_config config = pair_config(true);
    differ(2, 400, 200, 8);
    config.session_limits.limbo_bytes_max = 60;
    assert_true(pair_open(&pair, &config));
    for (unsigned i = 0; i < 100; i++)
        pair_write(&pair, 0, 200, false);
    run(&config);
    assert_true(pair.results[0] == KI_REPAIR_FAILED && pair.results[1] == KI_REPAIR_FAILED);
    assert_true(pair.sides[0].reason == KI_REPAIR_MEMORY || pair.sides[1].reason == KI_REPAIR_MEMORY);
    repair_well(true);
    pair_end(&pair);
}

/* ---- what does not go together ---- */

static void another_secret(void **state)
{
    (void)state;
    struct ki_repair_config config = pair_config(false);
    differ(2, 100, 50, 8);
    pair_secret(&pair.stores[1], "another");
    assert_true(pair_open(&pair, &config));
    run(&config);
    for (unsigned i = 0; i < 2; i++)
        assert_true(pair.results[i] == KI_REPAIR_FAILED && pair.sides[i].reason == KI_REPAIR_SECRET);
    pair_secret(&pair.stores[1], "a secret");
    pair_settle(&pair);
    assert_true(pair_open(&pair, &config));
    pair_secret(&pair.stores[1], "another"); /* in the midst of it */
    run(&config);
    assert_true(pair.results[1] == KI_REPAIR_FAILED && pair.sides[1].reason == KI_REPAIR_SECRET);
    pair_secret(&pair.stores[1], "a secret");
    repair_well(false);
    pair_end(&pair);
}

static void a_cell_from_the_future(void **state)
{
    (void)state;
    for (unsigned is_stream = 0; is_stream < 2; is_stream++) {
        struct ki_repair_config config = pair_config(is_stream);
        differ(2, 100, 50, 8);
        assert_int_equal(ki_set(&pair.stores[0], PAIR_WALL_MS + 4000000, pair_text("k"), pair_text("v"), 0), 0);
        pair_tell(&pair, 0, true);
        assert_true(pair_open(&pair, &config));
        run(&config);
        assert_true(pair.results[1] == KI_REPAIR_FAILED && pair.sides[1].reason == KI_REPAIR_AHEAD);
        assert_false(ki_context_has(&pair.stores[1].context, (struct ki_dot){1, pair.stores[0].n}));
        pair_end(&pair);
    }
}

/* R19: one dot, two contents.  Both end with the greater item. */
static void damage(void **state)
{
    (void)state;
    for (unsigned is_stream = 0; is_stream < 2; is_stream++) {
        differ(2, 300, 250, 8);
        for (unsigned i = 0; i < 5; i++) {
            char key[8];
            snprintf(key, sizeof key, "d%u", i);
            assert_int_equal(ki_set(&pair.stores[i % 2], PAIR_WALL_MS, pair_text(key), pair_text("right"), 0), 0);
            struct ki_dot dot = {pair.stores[i % 2].replica, pair.stores[i % 2].n};
            pair_tell(&pair, i % 2, false);
            struct ki_store *rotten = &pair.stores[1];
            struct ki_cell_image image = ki_cells_image(&rotten->cells, ki_cells_by_dot(&rotten->cells, dot));
            image.value = pair_text("wrong");
            assert_int_equal(ki_store_replace(rotten, &image), 0);
        }
        struct ki_repair_config config = pair_config(is_stream);
        config.first_cells = is_stream ? 400 : config.first_cells; /* lists would not show it */
        assert_true(pair_open(&pair, &config));
        run(&config);
        assert_true(pair.results[0] == KI_REPAIR_DONE && pair.results[1] == KI_REPAIR_DONE);
        assert_int_equal(pair.sides[0].session.damaged_count, 5);
        assert_int_equal(pair.sides[1].session.damaged_count, 5);
        assert_true(pair_agrees(&pair));
        pair_end(&pair);
    }
}

static void bounded(void **state)
{
    (void)state;
    struct ki_repair_config config = pair_config(true);
    differ(2, 2000, 1000, 3);
    config.send_max = 3000;
    assert_true(pair_open(&pair, &config));
    run(&config);
    assert_true(pair.results[0] == KI_REPAIR_FAILED || pair.results[1] == KI_REPAIR_FAILED);
    config.send_max = 0;
    config.runs_max = 10;
    assert_true(pair_open(&pair, &config));
    run(&config);
    for (unsigned i = 0; i < 2; i++)
        assert_true(pair.results[i] == KI_REPAIR_FAILED && pair.sides[i].reason == KI_REPAIR_LIMIT);
    repair_well(true);
    pair_end(&pair);
}

/* The most that is compared is too little: a stream lists, datagrams leave it to a stream. */
static void more_than_can_be_compared(void **state)
{
    (void)state;
    for (unsigned k = 0; k < 4; k++) {
        bool is_stream = k % 2;
        struct ki_repair_config config = pair_config(is_stream);
        differ(3, 2500, 2000, 25);
        config.coded_max = 32 + 8 * k;
        config.has_parity = k > 1;
        assert_true(pair_open(&pair, &config));
        run(&config);
        for (unsigned i = 0; i < 2; i++) {
            assert_int_equal(pair.results[i], is_stream ? KI_REPAIR_DONE : KI_REPAIR_FAILED);
            assert_true(is_stream ? pair.sides[i].is_list : pair.sides[i].reason == KI_REPAIR_TOO_LARGE);
        }
        repair_well(true);
        pair_end(&pair);
    }
}

static void long_contexts(void **state)
{
    (void)state;
    struct ki_repair_config config = pair_config(false);
    differ(3, 100, 50, 8);
    for (uint64_t n = 1; n < 200; n++) /* gaps that nothing fills */
        assert_true(ki_context_add(&pair.stores[1].context, (struct ki_dot){9, 3 * n}));
    assert_true(pair_open(&pair, &config));
    run(&config);
    for (unsigned i = 0; i < 2; i++)
        assert_true(pair.results[i] == KI_REPAIR_FAILED && pair.sides[i].reason == KI_REPAIR_TOO_LARGE);
    repair_well(true);
    pair_end(&pair);
}

/* One side would make a longer prefix than the other allows, or has memory for. */
static void longer_than_the_other_likes(void **state)
{
    (void)state;
    struct ki_repair_config config = pair_config(true);
    pair_begin(&pair, 1);
    for (unsigned i = 0; i < 50000; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%u", i);
        assert_int_equal(ki_set(&pair.stores[1], PAIR_WALL_MS, pair_text(key), pair_text("v"), 0), 0);
        pair_tell(&pair, 1, i % 13 == 0);
    }
    assert_true(pair_open(&pair, &config));
    pair.sides[0].config.coded_max = 5000;
    run(&config);
    for (unsigned i = 0; i < 2; i++)
        assert_true(pair.results[i] == KI_REPAIR_FAILED && pair.sides[i].reason == KI_REPAIR_LIMIT);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(pair_open(&pair, &config));
        pair.mems[i].max = pair.mems[i].used + (i == 0 ? 100000 : 600000); /* what a decoder of 4,096 takes is less */
        run(&config);
        pair.mems[i].max = 0;
        assert_true(pair.results[i] == KI_REPAIR_FAILED && pair.sides[i].reason == KI_REPAIR_MEMORY);
        assert_true(pair.results[!i] == KI_REPAIR_FAILED && pair.sides[!i].reason == KI_REPAIR_PEER_FAILED);
    }
    repair_well(true);
    pair_end(&pair);
}

/* ---- lies ---- */

enum { HEAD = KI_REPAIR_HEAD_LEN, PIECE_HEAD = 3 };

/* One piece to one side, as if the other had said it. */
static void say(unsigned to, uint8_t kind, const void *bytes, size_t len)
{
    uint8_t message[4096];
    struct ki_writer w = ki_writer(message, sizeof message);
    ki_put_u8(&w, to == 0 ? KI_REPAIR_RESPONDER : KI_REPAIR_INITIATOR);
    ki_put_be(&w, pair.sides[to].config.session, 8);
    ki_put_be(&w, pair.sides[1].config.answering, 4);
    ki_put_u8(&w, kind);
    ki_put_be(&w, len, 2);
    ki_put(&w, bytes, len);
    assert_false(w.full);
    (void)ki_repair_receive(&pair.sides[to], PAIR_WALL_MS, 0, ki_span(message, w.len));
    pair_work(&pair, to);
}

static void must_see_through(unsigned side)
{
    assert_int_equal(pair.results[side], KI_REPAIR_FAILED);
    assert_int_equal(pair.sides[side].reason, KI_REPAIR_PEER_LIES);
    pair_close(&pair);
}

static void begin_lie(void)
{
    struct ki_repair_config config = pair_config(true);
    assert_true(pair_open(&pair, &config));
}

static void say_hello(uint64_t count)
{
    uint8_t bytes[32];
    struct ki_writer w = ki_writer(bytes, sizeof bytes);
    ki_put_be(&w, 0, 4);
    static const char purpose[] = "the tag of a repair";
    ki_store_be(bytes, ki_siphash(pair.sides[0].item_key, purpose, sizeof purpose - 1), 4);
    ki_put_be(&w, pair.sides[0].kept.root.sum.first, 8);
    ki_put_be(&w, pair.sides[0].kept.root.sum.second, 8);
    ki_put_u8(&w, (uint8_t)count);
    say(1, KI_PIECE_HELLO, bytes, w.len);
}

static void lies_about_items(void **state)
{
    (void)state;
    uint8_t bytes[64] = {KI_PIECE_END};
    differ(2, 100, 50, 8);
    begin_lie(); /* more of our items are told than we have */
    memcpy(bytes, "\x01\xff\xff\x7f\0", 5);
    say(0, KI_PIECE_VERDICT, bytes, 5);
    must_see_through(0);
    begin_lie(); /* an item is said to be ours */
    memcpy(bytes, "\x01\x02\0", 3);
    say(0, KI_PIECE_VERDICT, bytes, 3);
    memset(bytes, 0, sizeof bytes);
    say(0, KI_PIECE_NAMED, bytes, 17);
    must_see_through(0);
    begin_lie(); /* an index beyond the total */
    memcpy(bytes, "\x01\x02\0", 3);
    say(0, KI_PIECE_VERDICT, bytes, 3);
    bytes[0] = 2;
    say(0, KI_PIECE_NAMED, bytes, 17);
    must_see_through(0);
    begin_lie(); /* no such verdict */
    say(0, KI_PIECE_VERDICT, "\x03", 1);
    must_see_through(0);
    begin_lie(); /* cells that are not below their end */
    say(0, KI_PIECE_ASK_CODED, "\x20\x10\x30\x01\x01", 5);
    must_see_through(0);
    pair_end(&pair);
}

/* A coded cell that says that one of the responder's own items is the initiator's alone. */
static void lies_about_sides(void **state)
{
    (void)state;
    differ(2, 100, 50, 8);
    begin_lie();
    say_hello((uint8_t)pair.sides[0].kept.root.count);
    struct ki_repair *r = &pair.sides[1];
    assert_int_equal(r->phase, KI_PHASE_SEEK);
    uint32_t id = 0;
    while (ki_cells_at(&pair.stores[1].cells, id)->kind == 0)
        id++;
    struct ki_item item = ki_cells_at(&pair.stores[1].cells, id)->item;
    struct ki_coded cell = r->kept.cells[0];
    ki_coded_toggle(&cell, item, ki_item_hash(r->kept.key, item).second, 1);
    r->peel.rest = (struct ki_root){ki_item_hash(r->kept.key, item), UINT64_MAX}; /* as it would be with such a root */
    uint8_t bytes[32];
    struct ki_writer w = ki_writer(bytes, sizeof bytes);
    ki_put_u8(&w, 0);
    ki_put_u8(&w, 1);
    ki_coded_write(&w, &cell);
    say(1, KI_PIECE_CODED, bytes, w.len);
    must_see_through(1);
    pair_end(&pair);
}

static void lies_about_dots(void **state)
{
    (void)state;
    uint8_t bytes[32] = {1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2};
    differ(2, 100, 50, 8);
    begin_lie(); /* live there, and not known there */
    say(0, KI_PIECE_VERDICT, "\x01\x00\x00", 3);
    say(0, KI_PIECE_CONTEXT, bytes, 11);
    bytes[8] = 8;
    say(0, KI_PIECE_SET, bytes, 11);
    must_see_through(0);
    begin_lie(); /* replicas out of order */
    memcpy(bytes + 11, bytes + 1, 10);
    say(0, KI_PIECE_CONTEXT, bytes, 21);
    must_see_through(0);
    begin_lie(); /* it ends where another run must follow */
    bytes[10] = 3;
    say(0, KI_PIECE_CONTEXT, bytes, 11);
    must_see_through(0);
    begin_lie(); /* a cell in parts larger than cells can be */
    say(0, KI_PIECE_PART, "\xff\xff\xff\xff\x0f", 5);
    must_see_through(0);
    begin_lie(); /* nothing that can be read */
    say(1, 99, "", 0);
    must_see_through(1);
    pair_end(&pair);
}

/* Over datagrams rubbish is left aside: anybody may have sent it. */
static void rubbish(void **state)
{
    (void)state;
    struct ki_repair_config config = pair_config(false);
    differ(2, 100, 50, 8);
    struct pair_state truth = pair_truth(&pair);
    assert_true(pair_open(&pair, &config));
    uint8_t bytes[64] = {0};
    for (uint8_t kind = 0; kind < 20; kind++) {
        if (kind == KI_PIECE_DONE || kind == KI_PIECE_CONTEXT || kind == KI_PIECE_SET || kind == KI_PIECE_VERDICT ||
            kind == KI_PIECE_HELLO || kind == KI_PIECE_PARITY || kind == KI_PIECE_ASK_CODED)
            continue;
        say(0, kind, bytes, 0);
        say(1, kind, bytes, 0);
    }
    assert_int_equal(ki_repair_receive(&pair.sides[0], PAIR_WALL_MS, 0, ki_span(bytes, 3)), KI_REPAIR_RUNNING);
    assert_int_equal(ki_repair_receive(&pair.sides[0], PAIR_WALL_MS, 0, ki_span(bytes, 60)), KI_REPAIR_RUNNING);
    pair_datagrams(&pair, 0, false);
    assert_true(pair.results[0] == KI_REPAIR_DONE && pair.results[1] == KI_REPAIR_DONE);
    assert_true(pair_is_state(&pair.stores[0], truth) && pair_is_state(&pair.stores[1], truth));
    free(truth.bytes);
    pair_end(&pair);
}

/* Nobody answers: it asks so often, ever less often, and gives up. */
static void silence(void **state)
{
    (void)state;
    struct ki_repair_config config = pair_config(false);
    differ(2, 100, 50, 8);
    assert_true(pair_open(&pair, &config));
    uint64_t begin_ms = pair.now_ms;
    pair_datagrams(&pair, 100, false);
    for (unsigned i = 0; i < 2; i++)
        assert_true(pair.results[i] == KI_REPAIR_FAILED && pair.sides[i].reason == KI_REPAIR_TIMEOUT);
    assert_int_equal(pair.sides[0].stats.messages_sent, 1 + config.tries_max + 1); /* and that it has failed */
    assert_int_equal(pair.now_ms - begin_ms, config.retry_ms * (((uint64_t)2 << config.tries_max) - 1));
    pair_end(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_fails), cmocka_unit_test(no_room_for_limbo),
        cmocka_unit_test(another_secret),         cmocka_unit_test(a_cell_from_the_future),
        cmocka_unit_test(damage),                 cmocka_unit_test(bounded),
        cmocka_unit_test(lies_about_items),       cmocka_unit_test(lies_about_sides),
        cmocka_unit_test(lies_about_dots),        cmocka_unit_test(rubbish),
        cmocka_unit_test(silence),                cmocka_unit_test(more_than_can_be_compared),
        cmocka_unit_test(long_contexts),          cmocka_unit_test(longer_than_the_other_likes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
