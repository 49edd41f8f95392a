/* Two stores that have missed much of each other come to agree by what they really use: kept sketches, their decoder, and
 * sessions, while both go on writing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/rng.h"
#include "session_steps.h"
#include "store/compare.h"
#include "store/delta.h"
#include "store/ops.h"
#include "store/peel.h"

enum { CELLS = 2048 };

static const struct ki_store_config config = {.limits = {.key_max = 100, .field_max = 100, .value_max = 100},
                                              .bounds = {.warn_ms = 250, .clamp_ms = 5000, .refuse_ms = 3600000},
                                              .delta_cells_max = 100};
static const uint8_t secret[KI_SECRET_LEN] = "a secret that the pool has, 32 b";

static void begin(struct ki_store *store, struct ki_mem *mem, uint64_t replica)
{
    static const uint8_t hash_key[16] = "of one instance";
    ki_mem_init(mem, NULL, NULL, NULL, 0);
    ki_store_init(store, mem, &config, replica, hash_key);
    assert_true(ki_compare_begin(store, secret, CELLS));
}

static void end(struct ki_store *store)
{
    struct ki_mem *mem = store->mem;
    ki_store_free(store);
    assert_int_equal(mem->used, 0);
}

static struct ki_span text(const char *word)
{
    return ki_span(word, strlen(word));
}

/* One operation; its delta goes to the other, or is lost. */
static void write_something(struct ki_store *store, struct ki_store *other, struct ki_rng *rng, bool lost)
{
    char key[16], word[16];
    uint64_t now_ms = 1000 + ki_rng_below(rng, 100);
    snprintf(key, sizeof key, "k%u", (unsigned)ki_rng_below(rng, 300));
    snprintf(word, sizeof word, "w%u", (unsigned)ki_rng_below(rng, 20));
    switch (ki_rng_below(rng, 8)) {
    case 0:
        (void)ki_delete(store, text(key), NULL);
        break;
    case 1:
        (void)ki_increase(store, now_ms, text(key), 3, NULL);
        break;
    case 2:
        (void)ki_set_add(store, now_ms, text(key), text(word), NULL);
        break;
    case 3:
        (void)ki_remove(store, text(key), KI_TYPE_SET, text(word), NULL);
        break;
    case 4:
        (void)ki_sorted_increase(store, now_ms, text(key), text(word), 0.5, NULL);
        break;
    case 5:
        (void)ki_put_sibling(store, now_ms, text(key), text(word), NULL, 0);
        break;
    default:
        assert_int_equal(ki_set(store, now_ms, text(key), text(word), 0), 0);
    }
    uint8_t bytes[8192];
    struct ki_writer w = ki_writer(bytes, sizeof bytes);
    ki_delta_encode(store, &w);
    assert_false(w.full);
    ki_delta_end(store);
    if (!lost)
        assert_int_equal(ki_store_merge(other, now_ms, ki_span(bytes, w.len)), 0);
}

static void settle(struct ki_store *store)
{
    while (ki_compare_settle(store, 7) == KI_COMPARE_MORE) {
    }
}

static bool roots_agree(struct ki_store *a, struct ki_store *b)
{
    settle(a);
    settle(b);
    struct ki_hash128 x = ki_compare_root(a), y = ki_compare_root(b);
    return x.first == y.first && x.second == y.second;
}

/* The sketch, and what is found by item, is what a new one over the live cells would be. */
static void check_kept(struct ki_store *store)
{
    struct ki_sketch fresh;
    settle(store);
    assert_true(ki_sketch_init(&fresh, store->mem, store->compare->sketch.key, CELLS));
    for (uint32_t i = 0; i < store->cells.cells_used; i++) {
        if (ki_cells_at(&store->cells, i)->kind == 0)
            continue;
        struct ki_cell_image image = ki_cells_image(&store->cells, i);
        struct ki_item item = ki_cell_item(&image, store->compare->item_key);
        assert_int_equal(ki_cells_by_item(&store->cells, item), i);
        ki_sketch_add(&fresh, item);
    }
    assert_memory_equal(fresh.cells, store->compare->sketch.cells, CELLS * sizeof *fresh.cells);
    assert_memory_equal(&fresh.root, &store->compare->sketch.root, sizeof fresh.root);
    ki_sketch_free(&fresh);
}

struct side {
    struct ki_store *store;
    struct ki_session session;
    struct ki_sketch sketch; /* as at the snapshot */
};

static void open_side(struct side *side, struct ki_store *store)
{
    settle(store);
    *side = (struct side){.store = store};
    assert_true(ki_sketch_copy(&side->sketch, store->mem, &store->compare->sketch));
    assert_true(ki_session_open(&side->session, store, &(struct ki_session_limits){.limbo_bytes_max = 1 << 20}));
}

/* Decodes; each side names the dots of the items that only it has. */
static void find_difference(struct side *mine, struct side *theirs)
{
    struct ki_peel peel;
    const struct ki_found *found;
    assert_true(ki_peel_init(&peel, mine->store->mem, &mine->sketch, CELLS, &theirs->sketch.root));
    for (uint32_t i = 0; i < CELLS; i++)
        assert_true(ki_peel_cell(&peel, i, &theirs->sketch.cells[i]));
    assert_int_equal(ki_peel_run(&peel, UINT32_MAX), KI_PEEL_DONE);
    while ((found = ki_peel_next(&peel))) {
        struct ki_session *session = found->mine ? &mine->session : &theirs->session;
        struct ki_dot dot;
        assert_true(ki_session_dot(session, found->item, &dot));
        assert_true(ki_context_add(&session->runs.mine, dot));
    }
    ki_peel_free(&peel);
}

static void learn(struct side *side, const struct side *peer)
{
    assert_int_equal(session_learn(&side->session, &peer->session.runs.mine, &peer->session.context), 0);
}

static void send_all(const struct side *from, struct side *to)
{
    for (struct ki_dot dot = {0, 0}; session_next(&from->session, &dot); dot.n++) {
        uint8_t bytes[512];
        struct ki_writer w = ki_writer(bytes, sizeof bytes);
        struct ki_cell_image image;
        assert_true(ki_session_image(&from->session, dot, &image));
        ki_cell_encode(&w, &image);
        struct ki_reader r = ki_reader(bytes, w.len);
        ki_cell_decode(&r, &config.limits, &image);
        assert_false(r.bad);
        assert_int_equal(ki_session_take(&to->session, 1000, &image, to->store->compare->item_key), 0);
    }
}

static void finish_side(struct side *side)
{
    assert_true(session_is_complete(&side->session));
    assert_int_equal(session_whole(&side->session, ki_session_end), 0);
    ki_session_close(&side->session);
    ki_sketch_free(&side->sketch);
}

static void exchange(struct ki_store *a, struct ki_store *b, struct ki_rng *rng, unsigned writes)
{
    static struct side x, y;
    open_side(&x, a);
    for (unsigned i = 0; i < writes; i++)
        write_something(b, a, rng, ki_rng_below(rng, 2));
    open_side(&y, b);
    for (unsigned i = 0; i < writes; i++)
        write_something(a, b, rng, ki_rng_below(rng, 2));
    find_difference(&x, &y);
    learn(&x, &y);
    learn(&y, &x);
    for (unsigned i = 0; i < writes; i++)
        write_something(i % 2 ? a : b, i % 2 ? b : a, rng, ki_rng_below(rng, 2));
    send_all(&x, &y);
    send_all(&y, &x);
    finish_side(&x);
    finish_side(&y);
}

static void two_stores_come_to_agree(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct ki_mem mem[2];
        struct ki_store a, b;
        struct ki_rng rng;
        ki_rng_init(&rng, seed);
        begin(&a, &mem[0], 1);
        begin(&b, &mem[1], 2);
        for (unsigned i = 0; i < 400; i++)
            write_something(i % 2 ? &a : &b, i % 2 ? &b : &a, &rng, ki_rng_below(&rng, 4) == 0);
        assert_false(roots_agree(&a, &b));
        exchange(&a, &b, &rng, 30);
        check_kept(&a);
        check_kept(&b);
        exchange(&a, &b, &rng, 0);
        assert_true(ki_context_equal(&a.context, &b.context));
        assert_int_equal(a.cells.cell_count, b.cells.cell_count);
        assert_true(roots_agree(&a, &b));
        end(&a);
        end(&b);
    }
}

/* An element was added and removed, and the other has heard of neither: no cell differs, and yet they do not agree. */
static void the_root_covers_the_context(void **state)
{
    (void)state;
    struct ki_mem mem[2];
    struct ki_store a, b;
    struct ki_rng rng;
    ki_rng_init(&rng, 1);
    begin(&a, &mem[0], 1);
    begin(&b, &mem[1], 2);
    assert_true(roots_agree(&a, &b));
    assert_int_equal(ki_set_add(&a, 1000, text("k"), text("e"), NULL), 0);
    assert_int_equal(ki_remove(&a, text("k"), KI_TYPE_SET, text("e"), NULL), 0);
    ki_delta_end(&a);
    assert_int_equal(a.cells.cell_count + b.cells.cell_count, 0);
    assert_false(roots_agree(&a, &b));
    exchange(&a, &b, &rng, 0);
    assert_true(roots_agree(&a, &b));
    end(&a);
    end(&b);
}

/* Under another secret all is taken in anew, a few at a time, while cells come and go. */
static void another_secret(void **state)
{
    (void)state;
    static const uint8_t other[KI_SECRET_LEN] = "another";
    struct ki_mem mem[2];
    struct ki_store a, b;
    struct ki_rng rng;
    ki_rng_init(&rng, 7);
    begin(&a, &mem[0], 1);
    begin(&b, &mem[1], 2);
    for (unsigned i = 0; i < 300; i++)
        write_something(&a, &b, &rng, false);
    assert_true(roots_agree(&a, &b));
    assert_true(ki_compare_begin(&a, other, CELLS));
    for (unsigned i = 0; i < 300; i++) {
        write_something(&a, &b, &rng, false);
        (void)ki_compare_settle(&a, 1);
    }
    check_kept(&a);
    assert_false(roots_agree(&a, &b));
    assert_true(ki_compare_begin(&b, other, CELLS));
    assert_true(roots_agree(&a, &b));
    check_kept(&b);
    end(&a);
    end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_stores_come_to_agree),
        cmocka_unit_test(the_root_covers_the_context),
        cmocka_unit_test(another_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
