/* Two stores that have missed much of each other repair it: over datagrams, over streams, by sketches and by lists; while
 * both go on writing; over streams that break. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/repair_pair.h"

static struct pair pair;

static void differ(uint64_t seed, unsigned writes, unsigned keys, unsigned lost_one_in)
{
    pair_begin(&pair, seed);
    for (unsigned i = 0; i < writes; i++)
        pair_write(&pair, i % 2, keys, ki_rng_below(&pair.rng, lost_one_in) == 0);
}

static void expire_some(void)
{
    for (unsigned i = 0; i < 2; i++) {
        while (ki_expire_due(&pair.stores[i], PAIR_WALL_MS + 100 + 500 * i, 16)) {
        }
    }
}

static void must_be_done(void)
{
    for (unsigned i = 0; i < 2; i++) {
        if (pair.results[i] != KI_REPAIR_DONE)
            fprintf(stderr, "side %u: result %d reason %d phase %d\n", i, (int)pair.results[i], (int)pair.sides[i].reason,
                    (int)pair.sides[i].phase);
        assert_int_equal(pair.results[i], KI_REPAIR_DONE);
    }
    assert_true(pair_is_over(&pair));
}

static void must_be_the_truth(struct pair_state truth)
{
    assert_true(pair_is_state(&pair.stores[0], truth));
    assert_true(pair_is_state(&pair.stores[1], truth));
    assert_true(pair_agrees(&pair));
    free(truth.bytes);
}

static void datagrams(unsigned loss_percent, bool is_chaotic, unsigned seeds)
{
    unsigned done = 0;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        struct ki_repair_config config = pair_config(false);
        differ(seed, 400, 300, 4 + (unsigned)seed % 60);
        expire_some();
        config.first_cells = 1 + (uint32_t)(seed * 7 % 60);
        config.has_parity = seed % 3 != 0;
        struct pair_state truth = pair_truth(&pair);
        assert_true(pair_open(&pair, &config));
        pair_datagrams(&pair, loss_percent, is_chaotic);
        bool has_failed = pair.results[0] == KI_REPAIR_FAILED || pair.results[1] == KI_REPAIR_FAILED;
        if (loss_percent > 0 && has_failed) {
            assert_true(pair.sides[0].reason == KI_REPAIR_TIMEOUT || pair.sides[1].reason == KI_REPAIR_TIMEOUT);
            free(truth.bytes);
        } else {
            must_be_done();
            must_be_the_truth(truth);
            done++;
        }
        pair_end(&pair);
    }
    assert_true(done * 20 >= seeds * 19);
}

static void datagrams_that_all_come(void **state)
{
    (void)state;
    datagrams(0, false, 60);
    datagrams(0, true, 60);
}

static void datagrams_that_get_lost(void **state)
{
    (void)state;
    datagrams(10, true, 100);
    datagrams(30, true, 200);
}

/* Coded cells and names take many messages; what is lost of them is asked for again. */
static void many_datagrams(void **state)
{
    (void)state;
    unsigned done = 0;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct ki_repair_config config = pair_config(false);
        differ(seed, 4000, 3000, 10);
        struct pair_state truth = pair_truth(&pair);
        assert_true(pair_open(&pair, &config));
        pair_datagrams(&pair, 20, true);
        if (pair.results[0] == KI_REPAIR_DONE && pair.results[1] == KI_REPAIR_DONE) {
            assert_true(pair.sides[0].stats.only_mine + pair.sides[0].stats.only_theirs > 150);
            assert_int_equal(pair.sides[0].stats.only_mine, pair.sides[1].stats.only_theirs);
            must_be_the_truth(truth);
            done++;
        } else {
            free(truth.bytes);
        }
        pair_end(&pair);
    }
    assert_true(done > 25);
}

static void streams(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct ki_repair_config config = pair_config(true);
        differ(seed, 1500, 1000, 1 + (unsigned)seed % 30);
        expire_some();
        config.message_max = seed % 2 ? KI_REPAIR_MESSAGE_MIN : 16384;
        config.has_parity = seed % 3 != 0;
        config.asking = seed % 4 ? KI_REPAIR_ASK_ONCE : KI_REPAIR_ASK_IN_STEPS;
        struct pair_state truth = pair_truth(&pair);
        assert_true(pair_open(&pair, &config));
        pair_stream(&pair);
        must_be_done();
        must_be_the_truth(truth);
        pair_end(&pair);
    }
}

static void one_side_is_empty(void **state)
{
    (void)state;
    for (unsigned empty = 0; empty < 2; empty++) {
        struct ki_repair_config config = pair_config(true);
        pair_begin(&pair, empty);
        for (unsigned i = 0; i < 3000; i++)
            pair_write(&pair, !empty, 1500, true);
        struct pair_state truth = pair_truth(&pair);
        assert_true(pair_open(&pair, &config));
        pair_stream(&pair);
        must_be_done();
        assert_true(pair.sides[0].is_list && pair.sides[1].is_list);
        assert_true(pair.sides[empty].stats.cells_sent == 0 && pair.sides[!empty].stats.cells_sent > 500);
        must_be_the_truth(truth);
        pair_end(&pair);
    }
}

/* No cell differs, and yet they do not agree (R23). */
static void only_the_contexts_differ(void **state)
{
    (void)state;
    for (unsigned is_stream = 0; is_stream < 2; is_stream++) {
        struct ki_repair_config config = pair_config(is_stream);
        differ(1, 100, 50, 1000);
        assert_int_equal(ki_set_add(&pair.stores[0], PAIR_WALL_MS, pair_text("k"), pair_text("e"), NULL), 0);
        assert_int_equal(ki_remove(&pair.stores[0], pair_text("k"), KI_TYPE_SET, pair_text("e"), NULL), 0);
        pair_tell(&pair, 0, true);
        assert_false(pair_agrees(&pair));
        struct pair_state truth = pair_truth(&pair);
        uint64_t version = pair.stores[1].version;
        assert_true(pair_open(&pair, &config));
        if (is_stream)
            pair_stream(&pair);
        else
            pair_datagrams(&pair, 0, false);
        must_be_done();
        must_be_the_truth(truth);
        assert_true(pair.stores[1].version > version); /* or neither root nor disk would hear of it */
        pair_end(&pair);
    }
}

static void equal_stores(void **state)
{
    (void)state;
    struct ki_repair_config config = pair_config(false);
    differ(1, 100, 50, 1000000);
    struct pair_state truth = pair_truth(&pair);
    assert_true(pair_open(&pair, &config));
    pair_datagrams(&pair, 0, false);
    must_be_done();
    must_be_the_truth(truth);
    pair_end(&pair);
}

static void write_meanwhile(struct pair *p)
{
    if (p->rounds > 40)
        return;
    for (unsigned i = 0; i < 10; i++)
        pair_write(p, (unsigned)ki_rng_below(&p->rng, 2), 1000, ki_rng_below(&p->rng, 2));
}

/* Both sides write while it lasts; the next repair, undisturbed, makes them equal. */
static void writes_meanwhile(void **state)
{
    (void)state;
    unsigned lists = 0, seeds = 90;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        bool is_stream = seed % 3 != 0;
        struct ki_repair_config config = pair_config(is_stream);
        differ(seed, 1500, 1000, is_stream ? 2 + (unsigned)seed % 40 : 40);
        config.message_max = is_stream ? KI_REPAIR_MESSAGE_MIN : config.message_max;
        assert_true(pair_open(&pair, &config));
        pair.between = write_meanwhile;
        if (is_stream)
            pair_stream(&pair);
        else
            pair_datagrams(&pair, 5, true);
        pair.between = NULL;
        must_be_done();
        lists += pair.sides[0].is_list;
        config = pair_config(true);
        struct pair_state truth = pair_truth(&pair);
        assert_true(pair_open(&pair, &config));
        pair_stream(&pair);
        must_be_done();
        must_be_the_truth(truth);
        pair_end(&pair);
    }
    assert_true(lists > 5 && lists < seeds - 30);
}

/* The snapshot is taken, much is written, and only then what it was is told. */
static void a_snapshot_told_later(void **state)
{
    (void)state;
    struct ki_repair_config config = pair_config(true);
    differ(5, 1000, 500, 10);
    pair_settle(&pair);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(pair_open_side(&pair, i, &config, 7));
        for (unsigned k = 0; k < 200; k++)
            pair_write(&pair, k % 2, 500, k % 3);
    }
    for (unsigned i = 0; i < 2; i++)
        ki_repair_start(&pair.sides[i], 0);
    pair_stream(&pair);
    must_be_done();
    config = pair_config(true);
    struct pair_state truth = pair_truth(&pair);
    assert_true(pair_open(&pair, &config));
    pair_stream(&pair);
    must_be_done();
    must_be_the_truth(truth);
    pair_end(&pair);
}

/* A third replica's cell comes to one side. */
static void third_writes(struct pair *p, unsigned side)
{
    uint8_t bytes[64];
    struct ki_writer w = ki_writer(bytes, sizeof bytes);
    struct ki_cell_image image = {.dot = {9, 1}, .kind = KI_KIND_SET, .stamp = 1};
    image.key = image.field = pair_text("third");
    ki_put_u8(&w, 1);
    ki_cell_encode(&w, &image);
    assert_int_equal(ki_store_merge(&p->stores[side], PAIR_WALL_MS, ki_span(bytes, w.len)), 0);
}

/* The responder has forgotten the session, and takes part again with what it knows now: also a cell that the initiator has
 * come to know since its own snapshot. */
static void answers_anew(struct pair *p)
{
    struct ki_repair_config config = pair_config(false);
    ki_repair_free(&p->sides[1]);
    third_writes(p, 0);
    third_writes(p, 1);
    pair_settle(p);
    assert_true(pair_open_side(p, 1, &config, 8));
    ki_repair_start(&p->sides[1], p->now_ms);
}

/* Takes verdicts and contexts out of a message, as if they had stood in another datagram. */
static size_t without_verdict(uint8_t *bytes, size_t len)
{
    size_t to = KI_REPAIR_HEAD_LEN;
    for (size_t at = to, piece_len; at < len; at += piece_len) {
        piece_len = 3 + (size_t)(bytes[at + 1] << 8 | bytes[at + 2]);
        if (bytes[at] == KI_PIECE_VERDICT || bytes[at] == KI_PIECE_CONTEXT)
            continue;
        memmove(bytes + to, bytes + at, piece_len);
        to += piece_len;
    }
    return to;
}

/* The first snapshot's verdict and context are lost, and its dots and cells are not: the dots lack the third cell, which the
 * second snapshot's context has.  Together they would say that it is dead. */
static void a_responder_answers_anew(void **state)
{
    (void)state;
    struct ki_repair_config config = pair_config(false);
    bool is_anew = false;
    pair_begin(&pair, 1);
    for (unsigned i = 0; i < 60; i++) { /* on both sides, on one, on the other */
        char key[16];
        snprintf(key, sizeof key, "k%u", i);
        assert_int_equal(ki_set(&pair.stores[i % 2], PAIR_WALL_MS, pair_text(key), pair_text("v"), 0), 0);
        pair_tell(&pair, i % 2, i % 6 < 2);
    }
    assert_true(pair_open(&pair, &config));
    for (unsigned turn = 0; turn < 20000 && !pair_is_over(&pair); turn++, pair.now_ms += 20) {
        uint8_t bytes[2048];
        unsigned from = turn % 2;
        size_t len, budget = 1 + turn % 7;
        pair.results[from] = ki_repair_step(&pair.sides[from], pair.now_ms, &budget);
        if (!ki_repair_poll(&pair.sides[from], bytes, sizeof bytes, &len))
            continue;
        if (from == 1 && !is_anew)
            len = without_verdict(bytes, len);
        pair.results[!from] = ki_repair_receive(&pair.sides[!from], PAIR_WALL_MS, pair.now_ms, ki_span(bytes, len));
        if (!is_anew && pair.sides[0].has_set && pair.stores[0].cells.cell_count == 60) {
            answers_anew(&pair);
            is_anew = true;
        }
    }
    assert_true(is_anew);
    struct ki_store *a = &pair.stores[0], *b = &pair.stores[1];
    assert_true(ki_cells_by_dot(&a->cells, (struct ki_dot){9, 1}) != KI_NO_CELL);
    assert_true(a->cells.cell_count == 61); /* nothing was deleted */
    for (uint32_t id = 0; id < a->cells.cells_used; id++) {
        struct ki_dot dot = ki_cells_dot(&a->cells, id);
        bool is_known = ki_cells_at(&a->cells, id)->kind != 0 && ki_context_has(&b->context, dot);
        assert_true(!is_known || ki_cells_by_dot(&b->cells, dot) != KI_NO_CELL);
    }
    pair_end(&pair);
}

/* Cells that came stay, so each attempt has less to carry, and drops wait for the one that ends. */
static void broken_streams_are_resumed(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct ki_repair_config config = pair_config(true);
        differ(seed, 4000, 3000, 1 + (unsigned)seed % 2);
        config.message_max = KI_REPAIR_MESSAGE_MIN;
        struct pair_state truth = pair_truth(&pair);
        unsigned tries = 0;
        uint64_t sent = 0, all = 0;
        for (pair.break_after = 40; !all; tries++) {
            assert_true(tries < 100);
            assert_true(pair_open(&pair, &config));
            pair_stream(&pair);
            sent += pair.sides[0].stats.cells_sent + pair.sides[1].stats.cells_sent;
            all = pair_is_over(&pair);
            if (!all)
                pair_close(&pair);
        }
        assert_true(tries > 1);
        assert_true(sent < 5000); /* hardly anything twice */
        must_be_done();
        must_be_the_truth(truth);
        pair_end(&pair);
    }
}

static void a_cell_larger_than_a_message(void **state)
{
    (void)state;
    static char value[PAIR_VALUE_MAX];
    struct ki_repair_config config = pair_config(true);
    differ(1, 200, 100, 5);
    for (size_t i = 0; i < sizeof value; i++)
        value[i] = (char)('a' + i % 23);
    assert_int_equal(ki_set(&pair.stores[0], PAIR_WALL_MS, pair_text("big"), ki_span(value, sizeof value), 0), 0);
    pair_tell(&pair, 0, true);
    assert_int_equal(ki_set(&pair.stores[1], PAIR_WALL_MS, pair_text("bigger"), ki_span(value, sizeof value), 0), 0);
    pair_tell(&pair, 1, true);
    struct pair_state truth = pair_truth(&pair);
    assert_true(pair_open(&pair, &config));
    pair_stream(&pair);
    must_be_done();
    must_be_the_truth(truth);
    pair_end(&pair);
    /* and a datagram cannot */
    config = pair_config(false);
    differ(1, 200, 100, 5);
    assert_int_equal(ki_set(&pair.stores[0], PAIR_WALL_MS, pair_text("big"), ki_span(value, sizeof value), 0), 0);
    pair_tell(&pair, 0, true);
    assert_true(pair_open(&pair, &config));
    pair_datagrams(&pair, 0, false);
    for (unsigned i = 0; i < 2; i++)
        assert_true(pair.results[i] == KI_REPAIR_FAILED && pair.sides[i].reason == KI_REPAIR_TOO_LARGE);
    pair_end(&pair);
}

static void too_large_for_datagrams(void **state)
{
    (void)state;
    struct ki_repair_config config = pair_config(false);
    differ(1, 6000, 4000, 1);
    assert_true(pair_open(&pair, &config));
    pair_datagrams(&pair, 10, true);
    assert_int_equal(pair.results[1], KI_REPAIR_FAILED);
    assert_int_equal(pair.sides[1].reason, KI_REPAIR_TOO_LARGE);
    config = pair_config(true);
    struct pair_state truth = pair_truth(&pair);
    assert_true(pair_open(&pair, &config));
    pair_stream(&pair);
    must_be_done();
    must_be_the_truth(truth);
    pair_end(&pair);
}

/* More differs than the kept coded cells tell, and less than would make lists cheaper. */
static void longer_prefixes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct ki_repair_config config = pair_config(true);
        pair_begin(&pair, seed);
        for (unsigned i = 0; i < 80000; i++) {
            char key[16];
            snprintf(key, sizeof key, "k%u", i);
            assert_int_equal(ki_set(&pair.stores[0], PAIR_WALL_MS, pair_text(key), pair_text("v"), 0), 0);
            pair_tell(&pair, 0, i % 16 == 0);
        }
        config.asking = seed == 2 ? KI_REPAIR_ASK_IN_STEPS : config.asking;
        struct pair_state truth = pair_truth(&pair);
        assert_true(pair_open(&pair, &config));
        pair.between = seed == 3 ? write_meanwhile : NULL;
        pair_stream(&pair);
        pair.between = NULL;
        must_be_done();
        assert_true(pair.sides[0].has_longer && !pair.sides[0].is_list);
        if (seed == 3) {
            free(truth.bytes);
            truth = pair_truth(&pair);
            assert_true(pair_open(&pair, &config));
            pair_stream(&pair);
        }
        must_be_the_truth(truth);
        pair_end(&pair);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(datagrams_that_all_come),     cmocka_unit_test(datagrams_that_get_lost),
        cmocka_unit_test(many_datagrams),
        cmocka_unit_test(streams),                     cmocka_unit_test(one_side_is_empty),
        cmocka_unit_test(only_the_contexts_differ),    cmocka_unit_test(equal_stores),
        cmocka_unit_test(writes_meanwhile),            cmocka_unit_test(a_snapshot_told_later),
        cmocka_unit_test(a_responder_answers_anew),
        cmocka_unit_test(broken_streams_are_resumed),  cmocka_unit_test(a_cell_larger_than_a_message),
        cmocka_unit_test(too_large_for_datagrams),     cmocka_unit_test(longer_prefixes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
