/* Sessions, where a random history seldom leads: limits, lies, damage, and what happens to cells meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hash.h"
#include "session_steps.h"
#include "store/compare.h"
#include "store_state.h"

enum { NOW = 1000, ITEMS_MAX = 64, CELL_MAX = 200 };

static struct state delta, before;

/* ---- a side: a session and the items of its snapshot, by dot ---- */

struct side {
    struct replica *replica;
    struct ki_session session;
    struct ki_dotted_item items[ITEMS_MAX];
    size_t count;
};

static const uint8_t item_key[16] = "a key of a pool";

static struct ki_item item_of(const struct ki_cell_image *image)
{
    return ki_cell_item(image, item_key);
}

static bool item_equal(struct ki_item a, struct ki_item b)
{
    return a.a == b.a && a.b == b.b;
}

static void side_open_within(struct side *side, struct replica *replica, uint64_t limbo_bytes_max)
{
    const struct ki_cells *cells = &replica->store.cells;
    *side = (struct side){.replica = replica};
    assert_true(ki_session_open(&side->session, &replica->store,
                                &(struct ki_session_limits){.limbo_bytes_max = limbo_bytes_max}));
    for (uint32_t id = 0; id < cells->cells_used; id++) {
        if (ki_cells_at(cells, id)->kind == 0)
            continue;
        struct ki_cell_image image = ki_cells_image(cells, id);
        assert_true(side->count < ITEMS_MAX);
        side->items[side->count++] = (struct ki_dotted_item){.item = item_of(&image), .dot = image.dot};
    }
}

static void side_open(struct side *side, struct replica *replica)
{
    side_open_within(side, replica, 1 << 20);
}

static void side_only(const struct side *side, const struct side *other, struct ki_context *only)
{
    for (size_t i = 0; i < side->count; i++) {
        bool both = false;
        for (size_t k = 0; k < other->count; k++)
            both |= item_equal(side->items[i].item, other->items[k].item);
        if (!both)
            assert_true(ki_context_add(only, side->items[i].dot));
    }
}

static int side_learn(struct side *side, const struct side *other)
{
    struct ki_context theirs;
    ki_context_init(&theirs, &side->replica->mem);
    side_only(side, other, &side->session.runs.mine);
    side_only(other, side, &theirs);
    int error = session_learn(&side->session, &theirs, &other->session.context);
    ki_context_free(&theirs);
    return error;
}

static void introduce(struct side *a, struct side *b)
{
    assert_int_equal(side_learn(a, b), 0);
    assert_int_equal(side_learn(b, a), 0);
}

static int take(struct side *to, const struct ki_cell_image *image)
{
    return ki_session_take(&to->session, NOW, image, item_key);
}

/* One cell, over the wire. */
static int carry(struct side *from, struct side *to, struct ki_dot dot)
{
    struct ki_cell_image image;
    uint8_t bytes[CELL_MAX];
    struct ki_writer w = ki_writer(bytes, sizeof bytes);
    assert_true(ki_session_image(&from->session, dot, &image));
    ki_cell_encode(&w, &image);
    assert_false(w.full);
    struct ki_reader r = ki_reader(bytes, w.len);
    ki_cell_decode(&r, &to->replica->store.config.limits, &image);
    assert_true(!r.bad && r.left == 0);
    return take(to, &image);
}

static int carry_first(struct side *from, struct side *to)
{
    struct ki_dot dot = {0, 0};
    assert_true(session_next(&from->session, &dot));
    return carry(from, to, dot);
}

static void carry_all(struct side *a, struct side *b)
{
    for (struct ki_dot dot = {0, 0}; session_next(&a->session, &dot); dot.n++)
        assert_int_equal(carry(a, b, dot), 0);
    for (struct ki_dot dot = {0, 0}; session_next(&b->session, &dot); dot.n++)
        assert_int_equal(carry(b, a, dot), 0);
}

static void side_finish(struct side *side)
{
    assert_true(session_is_complete(&side->session));
    assert_int_equal(session_whole(&side->session, ki_session_end), 0);
    ki_session_close(&side->session);
}

static void exchange(struct replica *x, struct replica *y)
{
    static struct side a, b;
    side_open(&a, x);
    side_open(&b, y);
    introduce(&a, &b);
    carry_all(&a, &b);
    side_finish(&a);
    side_finish(&b);
    assert_true(replicas_agree(x, y));
}

static void set(struct replica *r, const char *key, const char *value)
{
    assert_int_equal(ki_set(&r->store, NOW, text(key), text(value), 0), 0);
}

static bool shows(const struct replica *r, const char *key, const char *value)
{
    uint32_t id = ki_cells_key(&r->store.cells, text(key));
    struct ki_shown shown = id == KI_NO_KEY ? (struct ki_shown){.as = KI_SHOWS_NOTHING} : ki_string_shown(&r->store, id);
    return value ? shown.as == KI_SHOWS_BYTES && ki_span_equal(shown.bytes, text(value)) : shown.as == KI_SHOWS_NOTHING;
}

struct world {
    struct replica a, b, c;
    struct side left, right;
};

static struct world world;

static int world_open(void **unused)
{
    (void)unused;
    replica_open(&world.a, 10);
    replica_open(&world.b, 20);
    replica_open(&world.c, 30);
    return 0;
}

static int world_close(void **unused)
{
    (void)unused;
    replica_close(&world.a);
    replica_close(&world.b);
    replica_close(&world.c);
    return 0;
}

/* ---- limbo ---- */

static void test_limbo_has_a_limit(void **unused)
{
    (void)unused;
    struct replica *a = &world.a;
    static struct side small, large;
    for (const char *key = "abcdefgh"; *key; key++)
        assert_int_equal(ki_set(&a->store, NOW, ki_span(key, 1), text("value"), 0), 0);
    side_open_within(&small, a, 100);
    side_open_within(&large, a, 1000);
    side_open(&world.right, &world.b);
    for (const char *key = "abcd"; *key; key++) {
        assert_int_equal(ki_delete(&a->store, ki_span(key, 1), NULL), 0);
        assert_true(small.session.limbo_bytes <= 100);
    }
    assert_true(small.session.has_failed && !large.session.has_failed);
    assert_int_equal(a->store.cells.cell_count, 4);
    state_of(a, &before);
    assert_int_equal(side_learn(&small, &world.right), KI_STORE_MEMORY);
    assert_false(session_is_complete(&small.session));
    state_of(a, &delta);
    assert_true(state_equal(&before, &delta));
    ki_session_close(&small.session);
    introduce(&large, &world.right); /* the other knows nothing of it */
    carry_all(&large, &world.right);
    assert_int_equal(world.b.store.cells.cell_count, 8);
    side_finish(&large);
    side_finish(&world.right);
    exchange(&world.a, &world.b);
    assert_int_equal(world.b.store.cells.cell_count, 4);
}

static void test_sent_as_it_was(void **unused)
{
    (void)unused;
    set(&world.a, "k", "old");
    set(&world.a, "gone", "value");
    set(&world.a, "stays", "value");
    side_open(&world.left, &world.a);
    side_open(&world.right, &world.b);
    set(&world.a, "k", "new");
    introduce(&world.left, &world.right);
    assert_int_equal(ki_delete(&world.a.store, text("gone"), NULL), 0);
    carry_all(&world.left, &world.right);
    side_finish(&world.left);
    side_finish(&world.right);
    assert_true(shows(&world.b, "k", "old") && shows(&world.b, "gone", "value") && shows(&world.b, "stays", "value"));
    assert_true(shows(&world.a, "k", "new") && shows(&world.a, "gone", NULL) && shows(&world.a, "stays", "value"));
    exchange(&world.a, &world.b);
    assert_true(shows(&world.b, "k", "new") && shows(&world.b, "gone", NULL) && shows(&world.b, "stays", "value"));
}

/* Limbo is searched by dot, not walked. */
static void test_much_limbo(void **unused)
{
    (void)unused;
    static struct side many;
    enum { MANY = 20000 };
    struct ki_cell_image image;
    uint8_t name[4];
    for (uint32_t i = 0; i < MANY; i++) {
        ki_store_be(name, i, 4);
        assert_int_equal(ki_set(&world.a.store, NOW, ki_span(name, 4), text("v"), 0), 0);
    }
    many.replica = &world.a;
    assert_true(ki_session_open(&many.session, &world.a.store, &(struct ki_session_limits){.limbo_bytes_max = 1 << 24}));
    for (uint32_t i = 0; i < MANY; i++) {
        ki_store_be(name, i, 4);
        assert_int_equal(ki_delete(&world.a.store, ki_span(name, 4), NULL), 0);
    }
    assert_true(ki_context_add_run(&many.session.runs.mine, (struct ki_run){10, 1, MANY}));
    assert_int_equal(session_learn(&many.session, &world.b.store.context, &world.b.store.context), 0);
    assert_int_equal(session_give_count(&many.session), MANY);
    for (uint32_t i = 0; i < MANY; i++) {
        assert_true(ki_session_image(&many.session, (struct ki_dot){10, i + 1}, &image));
        assert_int_equal(ki_load_be(image.key.ptr, 4), i);
    }
    ki_session_close(&many.session);
}

/* When it is known what the peer lacks, no more than that is kept. */
static void test_limbo_is_for_the_peer(void **unused)
{
    (void)unused;
    set(&world.a, "k", "both have it");
    replica_wrote(&world.a, &delta);
    assert_int_equal(replica_hear(&world.b, NOW, &delta), 0);
    set(&world.a, "l", "the peer lacks it");
    side_open(&world.left, &world.a);
    side_open(&world.right, &world.b);
    introduce(&world.left, &world.right);
    assert_int_equal(ki_delete(&world.a.store, text("k"), NULL), 0);
    assert_int_equal(world.left.session.limbo_count, 0);
    assert_int_equal(ki_delete(&world.a.store, text("l"), NULL), 0);
    assert_int_equal(world.left.session.limbo_count, 1);
    carry_all(&world.left, &world.right);
    side_finish(&world.left);
    side_finish(&world.right);
    assert_true(shows(&world.b, "l", "the peer lacks it"));
}

/* A peer names items.  Those that the snapshot had are found, and no others: neither what was written since, nor what has
 * taken the place of a damaged cell (R19). */
static void test_items_of_the_snapshot(void **unused)
{
    (void)unused;
    static const uint8_t secret[KI_SECRET_LEN] = "a secret of a pool";
    struct ki_store *store = &world.a.store;
    struct ki_cell_image images[4];
    struct ki_dot dot;
    assert_true(ki_compare_begin(store, secret, ITEMS_MAX));
    const char *const keys[] = {"stays", "goes", "rots", "late"};
    for (uint32_t i = 0; i < 4; i++) {
        if (i == 3) {
            while (ki_compare_settle(store, 1) == KI_COMPARE_MORE) {
            }
            side_open(&world.left, &world.a);
        }
        set(&world.a, keys[i], "value");
        images[i] = ki_cells_image(&store->cells, ki_cells_by_dot(&store->cells, (struct ki_dot){10, i + 1}));
    }
    struct ki_item items[4], other;
    for (size_t i = 0; i < 4; i++)
        items[i] = ki_cell_item(&images[i], store->compare->item_key);
    images[2].value = text("another");
    other = ki_cell_item(&images[2], store->compare->item_key);
    assert_int_equal(ki_store_replace(store, &images[2]), 0);
    assert_int_equal(ki_delete(store, text("goes"), NULL), 0);
    while (ki_compare_settle(store, 1) == KI_COMPARE_MORE) {
    }
    for (uint64_t i = 0; i < 3; i++) {
        assert_true(ki_session_dot(&world.left.session, items[i], &dot));
        assert_true(dot.replica == 10 && dot.n == i + 1);
    }
    assert_false(ki_session_dot(&world.left.session, items[3], &dot));
    assert_false(ki_session_dot(&world.left.session, other, &dot));
    assert_false(ki_session_dot(&world.left.session, (struct ki_item){1, 1}, &dot));
    ki_session_close(&world.left.session);
}

/* ---- what comes meanwhile ---- */

/* c writes; b has seen that and deleted it; a hears of it only while it talks with b. */
static void test_late_and_dead(void **unused)
{
    (void)unused;
    set(&world.c, "k", "value");
    set(&world.c, "lives", "value");
    replica_wrote(&world.c, &delta);
    assert_int_equal(replica_hear(&world.b, NOW, &delta), 0);
    assert_int_equal(ki_delete(&world.b.store, text("k"), NULL), 0);
    side_open(&world.left, &world.a);
    side_open(&world.right, &world.b);
    assert_int_equal(replica_hear(&world.a, NOW, &delta), 0);
    introduce(&world.left, &world.right);
    carry_all(&world.left, &world.right);
    assert_true(shows(&world.a, "k", "value"));
    side_finish(&world.left);
    side_finish(&world.right);
    assert_true(shows(&world.a, "k", NULL) && shows(&world.a, "lives", "value"));
    assert_true(replicas_agree(&world.a, &world.b));
}

/* What has come by a delta, or is known to be dead by one, has not to come again. */
static void test_came_otherwise(void **unused)
{
    (void)unused;
    static struct state gone;
    set(&world.b, "k", "value");
    set(&world.b, "l", "value");
    replica_wrote(&world.b, &delta);
    side_open(&world.left, &world.a);
    side_open(&world.right, &world.b);
    assert_int_equal(ki_delete(&world.b.store, text("l"), NULL), 0);
    replica_wrote(&world.b, &gone);
    introduce(&world.left, &world.right);
    assert_false(session_is_complete(&world.left.session));
    assert_int_equal(replica_hear(&world.a, NOW, &gone), 0); /* l is dead here, and was never seen */
    assert_false(session_is_complete(&world.left.session));
    assert_int_equal(replica_hear(&world.a, NOW, &delta), 0);
    assert_true(session_is_complete(&world.left.session));
    carry_all(&world.left, &world.right); /* no harm */
    side_finish(&world.left);
    side_finish(&world.right);
    assert_true(shows(&world.a, "k", "value") && shows(&world.a, "l", NULL));
    assert_true(replicas_agree(&world.a, &world.b));
}

/* ---- damage: one dot, two contents ---- */

/* a and b hold dot (1, 1) with different contents; returns which is to stay. */
static const char *damage(void)
{
    static struct replica twin;
    struct ki_item items[2];
    struct replica *const holders[] = {&world.a, &world.b};
    for (size_t i = 0; i < 2; i++) {
        replica_open(&twin, 1);
        set(&twin, "k", i == 0 ? "one" : "two");
        replica_wrote(&twin, &delta);
        assert_int_equal(replica_hear(holders[i], NOW, &delta), 0);
        struct ki_cell_image image = ki_cells_image(&twin.store.cells, 0);
        items[i] = item_of(&image);
        replica_close(&twin);
    }
    return ki_item_less(items[0], items[1]) ? "two" : "one";
}

static void test_damage_is_mended(void **unused)
{
    (void)unused;
    const char *greater = damage();
    side_open(&world.left, &world.a);
    side_open(&world.right, &world.b);
    introduce(&world.left, &world.right);
    assert_int_equal(world.left.session.damaged_count, 1);
    assert_int_equal(world.right.session.damaged_count, 1);
    assert_int_equal(session_give_count(&world.left.session), 1); /* each side its own */
    assert_int_equal(session_give_count(&world.right.session), 1);
    assert_false(session_is_complete(&world.left.session) || session_is_complete(&world.right.session));
    carry_all(&world.left, &world.right);
    side_finish(&world.left);
    side_finish(&world.right);
    assert_true(shows(&world.a, "k", greater) && shows(&world.b, "k", greater));
    assert_true(replicas_agree(&world.a, &world.b));
}

/* Retired meanwhile on the side with the less, the greater, on both: then it is dead, and no content brings it back. */
static void damage_retired(bool less, bool greater)
{
    const char *stays = damage();
    bool is_left_greater = strcmp(stays, "one") == 0;
    side_open(&world.left, &world.a);
    side_open(&world.right, &world.b);
    introduce(&world.left, &world.right);
    if (is_left_greater ? greater : less)
        assert_int_equal(ki_delete(&world.a.store, text("k"), NULL), 0);
    if (is_left_greater ? less : greater)
        assert_int_equal(ki_delete(&world.b.store, text("k"), NULL), 0);
    carry_all(&world.left, &world.right);
    side_finish(&world.left);
    side_finish(&world.right);
    exchange(&world.a, &world.b);
    assert_true(shows(&world.a, "k", NULL) && shows(&world.b, "k", NULL));
}

static void test_damage_retired_where_less(void **unused)
{
    (void)unused;
    damage_retired(true, false);
}

static void test_damage_retired_where_greater(void **unused)
{
    (void)unused;
    damage_retired(false, true);
}

static void test_damage_retired_on_both(void **unused)
{
    (void)unused;
    damage_retired(true, true);
}

/* A second session of the same replica still sends what its snapshot had, when the first has replaced it. */
static void replaced_under_another_session(bool then_retired)
{
    const char *greater = damage();
    struct replica *loser = strcmp(greater, "one") == 0 ? &world.b : &world.a;
    struct replica *winner = loser == &world.a ? &world.b : &world.a;
    static struct side first, first_peer, second, second_peer;
    side_open(&first, loser);
    side_open(&first_peer, winner);
    side_open(&second, loser);
    side_open(&second_peer, &world.c);
    introduce(&first, &first_peer);
    introduce(&second, &second_peer);
    carry_all(&first, &first_peer);
    assert_true(shows(loser, "k", greater));
    if (then_retired)
        assert_int_equal(ki_delete(&loser->store, text("k"), NULL), 0);
    assert_int_equal(second.session.limbo_count, 1); /* the first that was there */
    carry_all(&second, &second_peer);
    assert_false(shows(&world.c, "k", NULL));
    assert_false(shows(&world.c, "k", greater));
    side_finish(&first);
    side_finish(&first_peer);
    side_finish(&second);
    side_finish(&second_peer);
    exchange(loser, &world.c);
    assert_true(shows(&world.c, "k", then_retired ? NULL : greater));
}

static void test_replaced_under_another_session(void **unused)
{
    (void)unused;
    replaced_under_another_session(false);
}

static void test_replaced_then_retired(void **unused)
{
    (void)unused;
    replaced_under_another_session(true);
}

/* ---- refused, and lied to ---- */

static void test_refused_cell(void **unused)
{
    (void)unused;
    assert_int_equal(ki_set(&world.b.store, NOW + 10001, text("far"), text("ahead"), 0), 0);
    set(&world.a, "own", "value");
    side_open(&world.left, &world.a);
    side_open(&world.right, &world.b);
    struct ki_cell_image image;
    introduce(&world.left, &world.right);
    assert_int_equal(carry_first(&world.left, &world.right), 0);
    state_of(&world.a, &before);
    assert_int_equal(carry_first(&world.right, &world.left), KI_STORE_AHEAD);
    assert_true(world.left.session.has_failed && !session_is_complete(&world.left.session));
    assert_int_equal(carry_first(&world.right, &world.left), KI_STORE_MEMORY);
    assert_false(ki_session_image(&world.left.session, (struct ki_dot){10, 1}, &image));
    side_finish(&world.right);
    ki_session_close(&world.left.session);
    state_of(&world.a, &delta);
    assert_true(state_equal(&before, &delta));
}

static void lie(int error, const struct ki_dot *mine, const struct ki_dot *theirs, const struct ki_context *context)
{
    struct ki_session session;
    struct ki_context named;
    ki_context_init(&named, &world.a.mem);
    assert_true(ki_session_open(&session, &world.a.store, &(struct ki_session_limits){.limbo_bytes_max = 1000}));
    assert_true(!mine || ki_context_add(&session.runs.mine, *mine));
    assert_true(!theirs || ki_context_add(&named, *theirs));
    assert_int_equal(session_learn(&session, &named, context), error);
    assert_int_equal(session.has_failed, error != 0);
    assert_int_equal(session_is_complete(&session), error == 0 && !theirs);
    ki_session_close(&session);
    ki_context_free(&named);
}

/* What is live there is known there. */
static void test_lies(void **unused)
{
    (void)unused;
    set(&world.a, "k", "value");
    struct ki_context context;
    ki_context_init(&context, &world.a.mem);
    assert_true(ki_context_add_run(&context, (struct ki_run){20, 1, 3}));
    state_of(&world.a, &before);
    const struct ki_dot k = {10, 1}, p = {20, 3}, beyond = {20, 4}, most = {20, KI_DOT_N_MAX}, stranger = {21, 1};
    lie(0, &k, &p, &context);
    lie(0, &k, NULL, &context);
    lie(0, NULL, NULL, &context);
    lie(KI_STORE_MALFORMED, NULL, &beyond, &context);
    lie(KI_STORE_MALFORMED, NULL, &most, &context);
    lie(KI_STORE_MALFORMED, NULL, &stranger, &context);
    lie(KI_STORE_MALFORMED, &k, &beyond, &context);
    lie(KI_STORE_MALFORMED, &k, &k, &context); /* damage in a dot that the peer does not know */
    state_of(&world.a, &delta);
    assert_true(state_equal(&before, &delta));
    assert_true(!world.a.store.is_impersonated && world.a.store.damaged == 0);
    ki_context_free(&context);
}

/* Cells that nobody waits for are like a delta's: too early, from a third, twice.  Another content is old news. */
static void test_unexpected_cells(void **unused)
{
    (void)unused;
    set(&world.b, "k", "value");
    set(&world.c, "other", "value");
    side_open(&world.left, &world.a);
    side_open(&world.right, &world.b);
    struct ki_cell_image wanted = ki_cells_image(&world.b.store.cells, 0), changed = wanted;
    struct ki_cell_image stranger = ki_cells_image(&world.c.store.cells, 0);
    changed.value = text("another");
    assert_int_equal(take(&world.left, &wanted), 0); /* before it is known what differs */
    introduce(&world.left, &world.right);
    assert_true(session_is_complete(&world.left.session));
    assert_int_equal(take(&world.left, &stranger), 0);
    state_of(&world.a, &before);
    assert_int_equal(take(&world.left, &changed), 0);
    assert_int_equal(take(&world.left, &wanted), 0);
    state_of(&world.a, &delta);
    assert_true(state_equal(&before, &delta));
    side_finish(&world.left);
    side_finish(&world.right);
    assert_true(shows(&world.a, "k", "value") && shows(&world.a, "other", "value"));
    exchange(&world.a, &world.b);
    assert_true(shows(&world.b, "other", "value"));
}

/* A cell that the peer knew dead, sent by that peer: it joins, and goes at the end like any that came late. */
static void test_a_dead_cell_is_sent(void **unused)
{
    (void)unused;
    set(&world.b, "k", "value");
    struct ki_cell_image image = ki_cells_image(&world.b.store.cells, 0);
    set(&world.b, "k", "newer");
    image.value = text("value"); /* its bytes have gone with the cell */
    image.key = text("k");
    side_open(&world.left, &world.a);
    side_open(&world.right, &world.b);
    introduce(&world.left, &world.right);
    assert_int_equal(take(&world.left, &image), 0);
    assert_int_equal(world.a.store.cells.cell_count, 1);
    carry_all(&world.left, &world.right);
    side_finish(&world.left);
    side_finish(&world.right);
    assert_true(shows(&world.a, "k", "newer"));
    assert_true(replicas_agree(&world.a, &world.b));
}

/* Somebody else has written under our id (a copied disk): a session finds it out before anything of it joins. */
static void test_impostor(void **unused)
{
    (void)unused;
    static struct replica impostor;
    replica_open(&impostor, 10);
    set(&impostor, "k", "value");
    set(&impostor, "l", "value");
    set(&world.a, "k", "our own");
    side_open(&world.left, &world.a);
    side_open(&world.right, &impostor);
    introduce(&world.left, &world.right);
    assert_true(world.a.store.is_impersonated && !impostor.store.is_impersonated);
    assert_int_equal(world.a.store.impersonated, 1);
    ki_session_close(&world.left.session);
    ki_session_close(&world.right.session);
    ki_delta_end(&world.a.store);
    ki_store_renew(&world.a.store, 11);
    exchange(&world.a, &impostor);
    set(&world.a, "k", "ours again");
    replica_wrote(&world.a, &delta);
    assert_int_equal(replica_hear(&impostor, NOW, &delta), 0);
    assert_true(shows(&impostor, "k", "ours again"));
    replica_close(&impostor);
}

/* A cell alone tells it, too. */
static void test_impostor_by_a_cell(void **unused)
{
    (void)unused;
    static struct replica impostor;
    replica_open(&impostor, 10);
    set(&impostor, "k", "value");
    struct ki_cell_image image = ki_cells_image(&impostor.store.cells, 0);
    side_open(&world.left, &world.a);
    assert_int_equal(take(&world.left, &image), 0);
    assert_true(world.a.store.is_impersonated);
    ki_session_close(&world.left.session);
    replica_close(&impostor);
}

/* ---- two at once ---- */

/* a talks with b and with c at the same time; each finishes in its turn, and all know the same in the end. */
static void two_at_once(bool second_first)
{
    static struct side to_b, from_b, to_c, from_c;
    struct side *const pairs[2][2] = {{&to_b, &from_b}, {&to_c, &from_c}};
    set(&world.a, "a", "value");
    set(&world.b, "shared", "value");
    replica_wrote(&world.b, &delta);
    assert_int_equal(replica_hear(&world.a, NOW, &delta), 0);
    assert_int_equal(replica_hear(&world.c, NOW, &delta), 0);
    set(&world.b, "b", "value");
    set(&world.c, "c", "value");
    side_open(&to_b, &world.a);
    side_open(&from_b, &world.b);
    side_open(&to_c, &world.a);
    side_open(&from_c, &world.c);
    assert_int_equal(ki_delete(&world.c.store, text("shared"), NULL), 0);
    set(&world.a, "a", "newer");
    introduce(&to_b, &from_b);
    introduce(&to_c, &from_c);
    carry_all(&to_b, &from_b);
    carry_all(&to_c, &from_c);
    for (size_t i = 0; i < 2; i++) {
        side_finish(pairs[i ^ second_first][0]);
        side_finish(pairs[i ^ second_first][1]);
    }
    assert_true(shows(&world.b, "a", "value") && shows(&world.c, "a", "value"));
    assert_true(shows(&world.a, "b", "value") && shows(&world.a, "c", "value"));
    exchange(&world.a, &world.b);
    exchange(&world.a, &world.c);
    exchange(&world.a, &world.b);
    assert_true(replicas_agree(&world.a, &world.b) && replicas_agree(&world.a, &world.c));
    assert_true(shows(&world.b, "c", "value") && shows(&world.b, "a", "newer") && shows(&world.b, "shared", NULL));
}

static void test_two_at_once(void **unused)
{
    (void)unused;
    two_at_once(false);
}

static void test_two_at_once_turned(void **unused)
{
    (void)unused;
    two_at_once(true);
}

/* Both peers have the same cell, and one of them has it dead by now: what one session brings, another must not lose. */
static void test_two_bring_the_same(void **unused)
{
    (void)unused;
    static struct side to_b, from_b, to_c, from_c;
    set(&world.b, "k", "value");
    replica_wrote(&world.b, &delta);
    assert_int_equal(replica_hear(&world.c, NOW, &delta), 0);
    assert_int_equal(ki_delete(&world.c.store, text("k"), NULL), 0);
    side_open(&to_c, &world.a);
    side_open(&from_c, &world.c);
    side_open(&to_b, &world.a);
    side_open(&from_b, &world.b);
    introduce(&to_b, &from_b);
    introduce(&to_c, &from_c);
    carry_all(&to_b, &from_b); /* late for the session with c, which knows it dead */
    assert_true(shows(&world.a, "k", "value"));
    side_finish(&to_c);
    side_finish(&from_c);
    assert_true(shows(&world.a, "k", NULL));
    side_finish(&to_b);
    side_finish(&from_b);
    assert_true(shows(&world.a, "k", NULL));
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, world_open, world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(test_limbo_has_a_limit),
        IN_WORLD(test_sent_as_it_was),
        IN_WORLD(test_much_limbo),
        IN_WORLD(test_limbo_is_for_the_peer),
        IN_WORLD(test_items_of_the_snapshot),
        IN_WORLD(test_late_and_dead),
        IN_WORLD(test_came_otherwise),
        IN_WORLD(test_damage_is_mended),
        IN_WORLD(test_damage_retired_where_less),
        IN_WORLD(test_damage_retired_where_greater),
        IN_WORLD(test_damage_retired_on_both),
        IN_WORLD(test_replaced_under_another_session),
        IN_WORLD(test_replaced_then_retired),
        IN_WORLD(test_refused_cell),
        IN_WORLD(test_lies),
        IN_WORLD(test_unexpected_cells),
        IN_WORLD(test_a_dead_cell_is_sent),
        IN_WORLD(test_impostor),
        IN_WORLD(test_impostor_by_a_cell),
        IN_WORLD(test_two_at_once),
        IN_WORLD(test_two_at_once_turned),
        IN_WORLD(test_two_bring_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
