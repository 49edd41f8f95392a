/* Each allocation failing in turn: an operation, a delta, a session either happens or leaves the state as it was, and
 * happens when it is tried again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "session_steps.h"
#include "store_state.h"

enum { NOW = 1000, SET_MEMBERS = 9 };

static struct state before, after, wanted, told;

/* ---- a store with rivals of every sort ---- */

static void write_all(struct ki_store *store, uint64_t wall_ms)
{
    const struct ki_write expiry = {.kind = KI_KIND_EXPIRY, .key = text("s"), .value = text("\0\0\0\0\0\0\1\0")};
    struct ki_write write = expiry;
    write.value.len = 8;
    assert_int_equal(ki_set(store, wall_ms, text("s"), text("5"), 0), 0);
    assert_int_equal(ki_increase(store, wall_ms, text("s"), 3, NULL), 0);
    assert_int_equal(ki_increase_real(store, wall_ms, text("s"), 0.5, NULL), 0);
    ki_store_begin(store);
    assert_int_equal(ki_store_write(store, wall_ms, &write), 0);
    assert_int_equal(ki_put_sibling(store, wall_ms, text("m"), text("sibling"), NULL, 0), 0);
    for (char member = 'a'; member < 'a' + SET_MEMBERS; member++)
        assert_int_equal(ki_set_add(store, wall_ms, text("t"), ki_span(&member, 1), NULL), 0);
    assert_int_equal(ki_hash_set(store, wall_ms, text("h"), text("f"), text("7"), NULL), 0);
    assert_int_equal(ki_hash_increase(store, wall_ms, text("h"), text("g"), 2, NULL), 0);
    assert_int_equal(ki_sorted_add(store, wall_ms, text("z"), text("x"), 1, NULL), 0);
    assert_int_equal(ki_sorted_add(store, wall_ms, text("z"), text("y"), 2, NULL), 0);
    assert_int_equal(ki_sorted_increase(store, wall_ms, text("z"), text("x"), 3, NULL), 0);
    assert_int_equal(ki_set(store, wall_ms, text("e"), text("ends"), wall_ms + 50), 0);
}

/* r has its own cells and rivals of another replica; what that one tells next is in `told`: new keys, new rivals, new
 * replicas, and retirements. */
static void replica_fill(struct replica *r)
{
    static struct replica other;
    static struct state first;
    replica_open(r, 1);
    replica_open(&other, 2);
    write_all(&r->store, NOW);
    ki_delta_end(&r->store);
    write_all(&other.store, NOW + 1);
    replica_wrote(&other, &first);
    assert_int_equal(replica_hear(r, NOW, &first), 0);
    assert_int_equal(ki_delete(&other.store, text("t"), NULL), 0);
    assert_int_equal(ki_set(&other.store, NOW, text("e"), text("ends later"), NOW + 70), 0);
    assert_int_equal(ki_sorted_increase(&other.store, NOW, text("z"), text("y"), 1, NULL), 0);
    assert_int_equal(ki_set(&other.store, NOW, text("new"), text("value"), 0), 0);
    ki_store_renew(&other.store, (replica_wrote(&other, &told), 3));
    assert_int_equal(ki_sorted_add(&other.store, NOW, text("z2"), text("x"), 1, NULL), 0);
    assert_int_equal(ki_hash_set(&other.store, NOW, text("h"), text("new field"), text("7"), NULL), 0);
    assert_int_equal(ki_increase_real(&other.store, NOW, text("s"), 3, NULL), 0);
    for (char member = 'a'; member < 'a' + SET_MEMBERS; member++)
        assert_int_equal(ki_set_add(&other.store, NOW, text("t"), ki_span(&member, 1), NULL), 0);
    assert_int_equal(ki_remove(&other.store, text("h"), KI_TYPE_HASH, text("f"), NULL), 0);
    replica_wrote(&other, &told);
    replica_close(&other);
}

/* ---- what is tried ---- */

static int do_set(struct ki_store *s)
{
    return ki_set(s, NOW, text("z"), text("a string now"), NOW + 9);
}

static int do_set_new(struct ki_store *s)
{
    return ki_set(s, NOW, text("never seen"), text("value"), 0);
}

static int do_increase(struct ki_store *s)
{
    return ki_increase(s, NOW, text("e"), 1, NULL) == KI_STORE_NUMBER ? ki_increase(s, NOW, text("n"), 1, NULL) : 1;
}

static int do_increase_real(struct ki_store *s)
{
    return ki_increase_real(s, NOW, text("s"), 1.5, NULL);
}

static int do_delete(struct ki_store *s)
{
    return ki_delete(s, text("t"), NULL);
}

static int do_put_sibling(struct ki_store *s)
{
    return ki_put_sibling(s, NOW, text("m"), text("another"), NULL, 0);
}

static int do_set_add(struct ki_store *s)
{
    return ki_set_add(s, NOW, text("t"), text("another"), NULL);
}

static int do_hash_set(struct ki_store *s)
{
    return ki_hash_set(s, NOW, text("h"), text("f"), text("another"), NULL);
}

static int do_hash_increase(struct ki_store *s)
{
    return ki_hash_increase(s, NOW, text("h"), text("f"), 4, NULL);
}

static int do_hash_increase_real(struct ki_store *s)
{
    return ki_hash_increase_real(s, NOW, text("h"), text("g"), 4, NULL);
}

static int do_sorted_add(struct ki_store *s)
{
    return ki_sorted_add(s, NOW, text("z"), text("x"), 40, NULL);
}

static int do_sorted_new(struct ki_store *s)
{
    return ki_sorted_add(s, NOW, text("another z"), text("x"), 40, NULL);
}

static int do_sorted_increase(struct ki_store *s)
{
    return ki_sorted_increase(s, NOW, text("z"), text("x"), 40, NULL);
}

static int do_remove(struct ki_store *s)
{
    return ki_remove(s, text("z"), KI_TYPE_SORTED, text("x"), NULL);
}

static int do_collapse(struct ki_store *s)
{
    return ki_collapse(s, text("s"), KI_TYPE_STRING, ki_span(NULL, 0));
}

static int do_collapse_field(struct ki_store *s)
{
    return ki_collapse(s, text("h"), KI_TYPE_HASH, text("f"));
}

static int do_merge(struct ki_store *s)
{
    return ki_store_merge(s, NOW, ki_span(told.bytes, told.len));
}

static int (*const TRIED[])(struct ki_store *) = {
    do_set,        do_set_new,       do_increase,           do_increase_real, do_delete,     do_put_sibling,
    do_set_add,    do_hash_set,      do_hash_increase,      do_sorted_add,    do_sorted_new, do_sorted_increase,
    do_remove,     do_collapse,      do_hash_increase_real, do_merge,         do_collapse_field,
};

/* The delta that is told next belongs to the state. */
static void whole_of(struct replica *r, struct state *state)
{
    state_of(r, state);
    struct ki_writer w = ki_writer(state->bytes + state->len, sizeof state->bytes - state->len);
    ki_put_be(&w, r->store.n, 8);
    ki_put_be(&w, r->store.clock.highest, 8);
    ki_delta_encode(&r->store, &w);
    assert_false(w.full);
    state->len += w.len;
}

static void check_orders(struct replica *r)
{
    struct ki_cells *cells = &r->store.cells;
    for (uint32_t i = 0; i < cells->key_count; i++) {
        struct ki_group *group = ki_cells_group(cells, cells->key_list[i], KI_TYPE_SORTED);
        assert_true(!group || (ki_cells_put_in_order(cells, group) && group->order.count == group->count));
    }
}

/* Tries once with the allocation failing.  false: it did not come to that any more. */
static bool try_failing(int (*tried)(struct ki_store *), size_t fail_in, bool fails_after)
{
    static struct replica r;
    replica_fill(&r);
    whole_of(&r, &before);
    r.fail_in = fail_in;
    r.fails_after = fails_after;
    int error = tried(&r.store);
    r.fail_in = SIZE_MAX;
    bool failed = r.failed > 0;
    whole_of(&r, &after);
    if (failed && error) {
        assert_int_equal(error, KI_STORE_MEMORY);
        assert_true(state_equal(&after, &before));
        assert_int_equal(tried(&r.store), 0);
        whole_of(&r, &after);
    } else {
        assert_int_equal(error, 0);
    }
    assert_true(state_equal(&after, &wanted));
    check_orders(&r);
    replica_close(&r);
    return failed;
}

static void test_operations(void **unused)
{
    (void)unused;
    static struct replica r;
    for (size_t i = 0; i < KI_COUNT(TRIED); i++) {
        replica_fill(&r);
        assert_int_equal(TRIED[i](&r.store), 0);
        whole_of(&r, &wanted);
        replica_close(&r);
        size_t failures = 0;
        while (try_failing(TRIED[i], failures, false))
            failures++;
        for (size_t at = 0; at < failures; at++)
            assert_true(try_failing(TRIED[i], at, true));
        assert_true(failures > 0);
    }
}

/* false: nothing failed. */
static bool try_full_context(int (*tried)(struct ki_store *), uint64_t runs, size_t fail_in)
{
    static struct replica r, other;
    replica_open(&r, 100);
    replica_open(&other, 90);
    for (uint64_t i = 0; i < runs; i++)
        assert_true(ki_context_add_run(&r.store.context, (struct ki_run){i < 64 ? i : 1000 + i, 3, 5}));
    assert_int_equal(ki_set(&other.store, NOW, text("k"), text("value"), 0), 0);
    replica_wrote(&other, &told);
    whole_of(&r, &before);
    r.fail_in = fail_in;
    int error = tried(&r.store);
    bool failed = r.failed > 0;
    whole_of(&r, &after);
    assert_true(error ? failed && state_equal(&before, &after) : !state_equal(&before, &after));
    replica_close(&r);
    replica_close(&other);
    return failed;
}

/* The first dot of an id is a new run in the context, for which a full chunk has no room; likewise a delta's. */
static void test_full_contexts(void **unused)
{
    (void)unused;
    for (uint64_t runs = 0; runs < 140; runs++) {
        for (size_t at = 0; try_full_context(do_set_new, runs, at); at++) {
        }
        for (size_t at = 0; try_full_context(do_merge, runs, at); at++) {
        }
    }
}

/* An open session that cannot keep up fails, and nothing else does. */
static void test_with_a_session(void **unused)
{
    (void)unused;
    static struct replica r;
    struct ki_session session;
    const struct ki_session_limits limits = {.limbo_bytes_max = 1 << 20};
    for (size_t i = 0; i < KI_COUNT(TRIED); i++) {
        replica_fill(&r);
        assert_int_equal(TRIED[i](&r.store), 0);
        whole_of(&r, &wanted);
        replica_close(&r);
        bool failed = true, session_failed = false;
        for (size_t at = 0; failed; at++) {
            replica_fill(&r);
            assert_true(ki_session_open(&session, &r.store, &limits));
            r.fail_in = at;
            int error = TRIED[i](&r.store);
            r.fail_in = SIZE_MAX;
            failed = r.failed > 0;
            session_failed |= session.has_failed;
            assert_true(!session.has_failed || (failed && !session_is_complete(&session)));
            if (error)
                assert_int_equal(TRIED[i](&r.store), 0);
            whole_of(&r, &after);
            assert_true(state_equal(&after, &wanted));
            ki_session_close(&session);
            replica_close(&r);
        }
        assert_true(session_failed); /* each of them writes or retires something */
    }
}

/* ---- a session's own steps ---- */

struct meeting {
    struct replica mine, peer;
    struct ki_session session;
    struct ki_context theirs; /* what the peer names */
    struct ki_cell_image come[4];
};

static const uint8_t item_key[16] = "a key of a pool";

/* Another content under one dot, greater than the one that we have. */
static void meeting_damage(struct meeting *m, struct ki_dot dot)
{
    static const char *const values[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};
    uint32_t id = ki_cells_by_dot(&m->peer.store.cells, dot);
    struct ki_cell_image ours = ki_cells_image(&m->peer.store.cells, id), image = ours;
    for (size_t i = 0; !ki_item_less(ki_cell_item(&ours, item_key), ki_cell_item(&image, item_key)); i++) {
        assert_true(i < KI_COUNT(values));
        image.value = text(values[i]);
    }
    assert_int_equal(ki_store_replace(&m->peer.store, &image), 0);
}

/* The peer has cells that we lack, and another content for one that we have; one of ours it knows as dead, and so are
 * others that we have never heard of, too many for what our context has room for. */
static void meeting_open(struct meeting *m)
{
    static const struct ki_dot named[] = {{2, 1}, {2, 2}, {2, 3}, {1, 2}};
    static struct state delta;
    replica_open(&m->mine, 1);
    replica_open(&m->peer, 2);
    assert_int_equal(ki_set(&m->mine.store, NOW, text("k"), text("old"), 0), 0);
    assert_int_equal(ki_set(&m->mine.store, NOW, text("d"), text("damaged"), 0), 0);
    replica_wrote(&m->mine, &delta);
    assert_int_equal(replica_hear(&m->peer, NOW, &delta), 0);
    assert_int_equal(ki_set(&m->peer.store, NOW, text("k"), text("new"), NOW + 1), 0);
    assert_int_equal(ki_sorted_add(&m->peer.store, NOW, text("z"), text("x"), 1, NULL), 0);
    assert_int_equal(ki_hash_set(&m->peer.store, NOW, text("h"), text("f"), text("value"), NULL), 0);
    meeting_damage(m, named[3]);
    for (uint64_t i = 0; i < 300; i++)
        assert_true(ki_context_add(&m->peer.store.context, (struct ki_dot){1000 + i, 1 + i}));
    ki_context_init(&m->theirs, &m->peer.mem);
    for (size_t i = 0; i < KI_COUNT(named); i++) {
        assert_true(ki_context_add(&m->theirs, named[i]));
        m->come[i] = ki_cells_image(&m->peer.store.cells, ki_cells_by_dot(&m->peer.store.cells, named[i]));
    }
}

static void meeting_close(struct meeting *m)
{
    ki_context_free(&m->theirs);
    replica_close(&m->mine);
    replica_close(&m->peer);
}

static int meeting_learn(struct meeting *m)
{
    if (!ki_context_add_run(&m->session.runs.mine, (struct ki_run){1, 1, 2}))
        return KI_STORE_MEMORY;
    return session_learn(&m->session, &m->theirs, &m->peer.store.context);
}

static bool meeting_step(struct meeting *m, size_t step, size_t cell)
{
    const struct ki_session_limits limits = {.limbo_bytes_max = 1 << 20};
    int error = 0;
    if (step == 0)
        return ki_session_open(&m->session, &m->mine.store, &limits);
    if (step == 1)
        error = meeting_learn(m);
    else if (step == 2)
        error = ki_session_take(&m->session, NOW, &m->come[cell], item_key);
    else
        error = session_whole(&m->session, ki_session_end);
    assert_int_equal(error, error == 0 ? 0 : KI_STORE_MEMORY);
    return error == 0;
}

/* Steps: opens, learns, four cells, ends.  false: nothing failed. */
static bool meeting_try(struct meeting *m, size_t failing, size_t fail_in)
{
    static const size_t steps[] = {0, 1, 2, 2, 2, 2, 3}, cells[] = {0, 0, 0, 1, 2, 3, 0};
    meeting_open(m);
    uint64_t used = m->mine.mem.used;
    bool failed = false, is_open = true;
    for (size_t i = 0; i < KI_COUNT(steps); i++) {
        state_of(&m->mine, &before);
        m->mine.fail_in = i == failing ? fail_in : SIZE_MAX;
        bool fits = meeting_step(m, steps[i], cells[i]);
        m->mine.fail_in = SIZE_MAX;
        failed |= m->mine.failed > 0;
        if (fits && !m->session.has_failed)
            continue;
        if (fits) { /* the cell has joined, and the session could not note it */
            assert_true(failed && !session_is_complete(&m->session));
            break;
        }
        state_of(&m->mine, &after);
        assert_true(m->mine.failed > 0);
        assert_true(state_equal(&before, &after) || steps[i] == 3); /* the end goes on where it was */
        is_open = steps[i] > 0;
        if (steps[i] == 3) {
            assert_true(session_is_complete(&m->session) && meeting_step(m, 3, 0));
            continue;
        }
        assert_true(!is_open || !session_is_complete(&m->session));
        assert_true(steps[i] < 2 || m->session.has_failed);
        if (is_open)
            ki_session_close(&m->session);
        is_open = false;
        assert_true(steps[i] > 1 || m->mine.mem.used == used);
        break;
    }
    if (is_open) {
        assert_true(replicas_agree(&m->mine, &m->peer) || m->session.has_failed);
        ki_session_close(&m->session);
    }
    meeting_close(m);
    return failed;
}

static void test_session_steps(void **unused)
{
    (void)unused;
    static struct meeting m;
    size_t failures = 0;
    assert_false(meeting_try(&m, SIZE_MAX, 0));
    for (size_t step = 0; step < 7; step++) {
        for (size_t at = 0; meeting_try(&m, step, at); at++)
            failures++;
    }
    assert_true(failures > 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operations),
        cmocka_unit_test(test_full_contexts),
        cmocka_unit_test(test_with_a_session),
        cmocka_unit_test(test_session_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
