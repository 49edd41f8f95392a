/* Links between two instances: what is said arrives, whole and in order, whatever the wires do; nothing is sent beyond
 * the credit; a link that is quiet ends, and one whose member is gone.  What meddlers do is test_link_hostile.c's.
 * ctest: TIMEOUT 240 COST 20 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sanitized.h"
#include "duo.h"

#define MEGA ((size_t)1 << 20)

static void link_heard_all(const struct duo *d)
{
    assert_int_equal(d->side[0].heard, d->side[1].count);
    assert_int_equal(d->side[1].heard, d->side[0].count);
    for (unsigned n = 0; n < 2; n++) {
        assert_int_equal(duo_count(d, n, "link_frames_bad"), 0);
        assert_int_equal(duo_count(d, n, "link_bytes_out"), duo_count(d, 1 - n, "link_bytes_in"));
    }
}

static void messages_go_both_ways(void **state)
{
    (void)state;
    static const size_t lens[] = {1, 2, 100, 65503, 65504, 65505, 131008, 1000000, MEGA, 5 * MEGA, 1, 3000000, 7};
    for (unsigned how = 0; how < DUO_HOWS; how++) {
        struct duo *d = duo_usual(how);
        for (unsigned i = 0; i < KI_COUNT(lens); i++) {
            duo_say(d, 0, (uint8_t)i, lens[i]);
            duo_say(d, 1, (uint8_t)(15 - i), lens[KI_COUNT(lens) - 1 - i]);
        }
        assert_int_equal(duo_dial(d, 0), 0);
        assert_false(ki_link_is_open(d->side[0].link, DUO_SUBJECT));
        duo_run(d, LONE_SECOND);
        assert_true(duo_is_open(d));
        link_heard_all(d);
        assert_true(d->side[0].link->is_dialler && !d->side[1].link->is_dialler);
        assert_memory_equal(d->side[0].link->session, d->side[1].link->session, KI_LINK_SESSION);
        assert_true(d->side[0].link->seals == (how & DUO_KEYED) && d->side[0].link->peer_seals == (how & DUO_KEYED));
        assert_true(d->side[1].link->owner_data[DUO_SUBJECT] == &d->side[1]);
        assert_int_equal(duo_count(d, 0, "links_out"), 1);
        assert_int_equal(duo_count(d, 1, "links_in"), 1);
        assert_int_equal(duo_count(d, 0, "links_in") + duo_count(d, 1, "links_out"), 0);
        for (unsigned n = 0; n < 2; n++)
            assert_int_equal(d->side[n].k->stream_bytes, 0); /* a quiet link holds nothing */
        duo_say(d, 1, 9, 10); /* woken */
        duo_run(d, LONE_SECOND / 100);
        link_heard_all(d);
        duo_free(d);
    }
}

/* What the pieces are, on the wire and of the owner's giving, does not matter. */
static void any_pieces_will_do(void **state)
{
    (void)state;
    static const struct {
        size_t chunk, part, len;
    } cases[] = {{1, 0, 3000}, {1, 1, 300}, {3, 7, 9000}, {1500, 1000, 300000}, {65537, 65504, 300000}, {0, 1, 3000}};
    for (unsigned how = 0; how < DUO_HOWS; how++) {
        for (unsigned i = 0; i < KI_COUNT(cases); i++) {
            struct duo *d = duo_usual(how);
            d->chunk = cases[i].chunk;
            for (unsigned n = 0; n < 2; n++) {
                d->side[n].part_max = cases[i].part;
                duo_say(d, n, 1, 1);
                duo_say(d, n, 2, cases[i].len);
                duo_say(d, n, 3, 5);
            }
            assert_int_equal(duo_dial(d, 1), 0);
            duo_run(d, 3 * LONE_SECOND);
            link_heard_all(d);
            duo_free(d);
        }
    }
}

static void a_reader_that_holds_stops_the_writer(void **state)
{
    (void)state;
    struct duo *d = duo_usual(DUO_KEYED);
    assert_int_equal(duo_dial(d, 0), 0);
    duo_run(d, LONE_SECOND / 10);
    assert_true(duo_is_open(d));
    ki_link_hold(d->side[1].k, d->side[1].link, DUO_SUBJECT, true);
    for (unsigned i = 0; i < 40; i++)
        duo_say(d, 0, 1, 100000);
    duo_run(d, LONE_SECOND);
    assert_int_equal(duo_count(d, 0, "link_bytes_out"), MEGA); /* the window, to the byte */
    assert_int_equal(duo_count(d, 1, "link_bytes_in"), MEGA);
    assert_int_equal(d->side[1].heard, MEGA / 100000);
    duo_say(d, 1, 2, 50000); /* the other way is free */
    duo_run(d, 100 * LONE_SECOND); /* and time does nothing, though half a message is there */
    assert_true(duo_is_open(d) && d->side[0].heard == 1);
    assert_int_equal(duo_count(d, 0, "link_bytes_out"), MEGA);
    ki_link_hold(d->side[1].k, d->side[1].link, DUO_SUBJECT, false);
    duo_run(d, LONE_SECOND);
    link_heard_all(d);
    assert_int_equal(duo_count(d, 0, "streams_timed_out") + duo_count(d, 1, "streams_timed_out"), 0);
    duo_free(d);
}

/* A socket that takes nothing: the writer gives up after the stream's timeout, and both sides hear of it. */
static void a_reader_that_is_stuck_ends_it(void **state)
{
    (void)state;
    struct duo *d = duo_usual(DUO_KEYED);
    assert_int_equal(duo_dial(d, 0), 0);
    duo_run(d, LONE_SECOND / 10);
    d->mute[1] = true;
    duo_say(d, 1, 1, 10);
    duo_run(d, LONE_SECOND);
    assert_int_equal(d->side[0].heard, 1);
    /* half a frame is what the reader waits for */
    d->chunk = 10;
    d->mute[1] = false;
    duo_say(d, 0, 1, 100);
    duo_run(d, 100);
    d->mute[1] = true;
    duo_run(d, 9 * LONE_SECOND);
    assert_true(duo_is_open(d));
    duo_run(d, 2 * LONE_SECOND);
    assert_true(d->side[1].closed == 1 && d->side[1].error == KITH_ERR_TIMEOUT);
    assert_int_equal(duo_count(d, 1, "streams_timed_out"), 1);
    assert_int_equal(duo_count(d, 1, "links_failed"), 1);
    duo_run(d, LONE_SECOND);
    assert_true(d->side[0].closed == 1 && d->side[0].error != 0);
    duo_free(d);
}

/* ---- ends ---- */

static void a_quiet_link_ends_in_order(void **state)
{
    (void)state;
    for (unsigned how = 0; how < DUO_HOWS; how++) {
        struct duo *d = duo_usual(how);
        assert_int_equal(duo_dial(d, 0), 0);
        duo_run(d, 10 * LONE_SECOND);
        duo_say(d, 0, 1, 70000);
        duo_run(d, 14 * LONE_SECOND); /* the message has moved the end */
        assert_true(duo_is_open(d));
        duo_run(d, 2 * LONE_SECOND);
        link_heard_all(d);
        for (unsigned n = 0; n < 2; n++) {
            assert_true(d->side[n].closed == 1 && d->side[n].error == 0 && !d->side[n].link);
            assert_int_equal(d->side[n].k->link_count + d->side[n].k->stream_count, 0);
            assert_int_equal(duo_count(d, n, "links_failed") + duo_count(d, n, "streams_failed"), 0);
        }
        duo_say(d, 1, 1, 5); /* and can be had again */
        assert_int_equal(duo_dial(d, 1), 0);
        duo_run(d, LONE_SECOND);
        link_heard_all(d);
        duo_free(d);
    }
}

/* One side is about to say CLOSE while the other begins to talk: what was begun is heard. */
static void a_close_waits_for_what_was_begun(void **state)
{
    (void)state;
    unsigned crossed = 0;
    for (unsigned early = 0; early < 40; early += STEP(4)) {
        struct duo *d = duo_usual(DUO_KEYED);
        assert_int_equal(duo_dial(d, 0), 0);
        while (!duo_is_open(d))
            duo_run(d, d->gap_us);
        uint64_t idle_us = ki_min_u64(d->side[0].link->idle_us, d->side[1].link->idle_us);
        d->side[1].link->idle_us += LONE_SECOND; /* this one would stay */
        duo_run(d, idle_us - d->now.mono_us - 10 * d->gap_us + early * d->gap_us / 2);
        d->chunk = 500;
        if (d->side[1].link && ki_link_is_open(d->side[1].link, DUO_SUBJECT))
            duo_say(d, 1, 7, 2 * MEGA);
        crossed += d->side[0].link && d->side[0].link->close_sent && d->side[1].count;
        duo_run(d, LONE_SECOND);
        if (d->side[1].next == 1 && d->side[1].offset == 0)
            assert_int_equal(d->side[0].heard, 1);
        else
            assert_true(d->side[1].next == 0 && d->side[1].offset == 0); /* not begun at all */
        assert_int_equal(duo_count(d, 0, "links_failed") + duo_count(d, 1, "links_failed"), 0);
        duo_free(d);
    }
    assert_true(crossed > 0);
}

static void a_dead_members_links_end(void **state)
{
    (void)state;
    struct duo *d = duo_usual(DUO_PLAIN);
    assert_int_equal(duo_dial(d, 0), 0);
    duo_run(d, LONE_SECOND);
    uint8_t buf[256];
    struct kith_addr from = lone_addr(9, 7946);
    duo_meet(d->side[0].k, d->now, "judge", 9, false);
    size_t len = lone_accuse(buf, sizeof buf, true, "one", "judge", 0x7fffffff);
    assert_int_equal(kith_datagram(d->side[0].k, d->now, &from, buf, len), 0);
    assert_true(kith_deadline(d->side[0].k) <= d->now.mono_us);
    kith_tick(d->side[0].k, d->now);
    uint32_t id = ki_table_find(&d->side[0].k->table, lone_span("one"));
    struct ki_link *link;
    assert_int_equal(ki_link_open(d->side[0].k, id, DUO_SUBJECT, &link), KITH_ERR_STATE);
    duo_round(d); /* it is told at once, too, and will refute */
    assert_true(d->side[0].closed == 1 && d->side[0].error == KITH_ERR_UNREACHABLE);
    duo_run(d, LONE_SECOND / 100);
    assert_int_equal(d->side[1].closed, 1);
    duo_free(d);
}

static void a_forgotten_members_links_end(void **state)
{
    (void)state;
    struct duo *d = duo_usual(DUO_PLAIN);
    assert_int_equal(duo_dial(d, 0), 0);
    duo_run(d, LONE_SECOND);
    uint32_t id = d->side[1].link->member_id;
    ki_forget(d->side[1].k, id);
    assert_true(d->side[1].closed == 1 && d->side[1].error == KITH_ERR_UNREACHABLE && d->side[1].k->link_count == 0);
    duo_run(d, LONE_SECOND / 100);
    assert_true(d->side[0].closed == 1);
    duo_free(d);
}

/* A member that has moved is not whom we speak to. */
static void a_moved_members_links_end(void **state)
{
    (void)state;
    struct duo *d = duo_usual(DUO_PLAIN);
    assert_int_equal(duo_dial(d, 0), 0);
    duo_run(d, LONE_SECOND);
    d->side[0].link->addr.port++;
    d->side[0].k->table.epoch++; /* as if the member had changed */
    duo_run(d, 2 * LONE_SECOND);
    assert_true(d->side[0].closed == 1 && d->side[0].error == KITH_ERR_UNREACHABLE);
    duo_free(d);
}

static void an_owner_may_end_it(void **state)
{
    (void)state;
    struct duo *d = duo_usual(DUO_KEYED);
    d->side[1].abort_at = 3;
    for (unsigned i = 0; i < 5; i++)
        duo_say(d, 0, 1, 200000);
    assert_int_equal(duo_dial(d, 0), 0);
    duo_run(d, LONE_SECOND);
    assert_true(d->side[1].heard == 3 && d->side[1].closed == 1 && d->side[0].closed == 1);
    assert_true(d->side[1].error == KITH_ERR_REFUSED && d->side[0].error != 0);
    duo_free(d);
}

static void a_wire_that_breaks_ends_it(void **state)
{
    (void)state;
    for (unsigned after_us = 50; after_us < 3000; after_us += 50) {
        struct duo *d = duo_usual(DUO_KEYED);
        d->chunk = 20000;
        duo_say(d, 0, 1, 3 * MEGA);
        duo_say(d, 1, 1, 3 * MEGA);
        assert_int_equal(duo_dial(d, 0), 0);
        duo_run(d, after_us);
        struct duo_wire *w = d->wires;
        for (unsigned end = 0; end < 2; end++) {
            if (w->id[end])
                kith_stream_failed(d->side[end].k, d->now, w->id[end], KITH_ERR_UNREACHABLE);
            w->id[end] = 0;
        }
        duo_run(d, LONE_SECOND / 10);
        for (unsigned n = 0; n < 2; n++) {
            assert_int_equal(d->side[n].heard, 0);
            assert_int_equal(d->side[n].k->link_count, 0);
            assert_int_equal(d->side[n].closed, n == 0 ? 1 : d->side[n].opened);
        }
        assert_true(d->side[0].error == KITH_ERR_UNREACHABLE);
        duo_free(d);
    }
}

/* An owner may dial again from its closed(). */
static void it_may_be_dialled_again_at_once(void **state)
{
    (void)state;
    struct duo *d = duo_usual(DUO_KEYED);
    d->side[0].redials = 3;
    assert_int_equal(duo_dial(d, 0), 0);
    for (unsigned i = 0; i < 3; i++) {
        duo_run(d, LONE_SECOND / 10);
        assert_true(duo_is_open(d));
        if (i == 1) {
            ki_link_abort(d->side[0].link);
        } else {
            struct duo_wire *w = d->wires;
            while (!w->used)
                w++;
            kith_stream_failed(d->side[0].k, d->now, w->id[0], KITH_ERR_UNREACHABLE);
            w->id[0] = 0;
            w->ended[0] = true;
        }
    }
    duo_say(d, 0, 1, 100000);
    duo_run(d, LONE_SECOND / 10);
    link_heard_all(d);
    assert_true(duo_is_open(d) && d->side[0].closed == 3 && d->side[1].closed == 3);
    duo_free(d);
}

/* ---- who may have one ---- */

static void one_link_serves_both(void **state)
{
    (void)state;
    struct duo *d = duo_usual(DUO_KEYED);
    assert_int_equal(duo_dial(d, 0), 0);
    struct ki_link *first = d->side[0].link, *link;
    assert_int_equal(duo_dial(d, 0), 0); /* the one that is being dialled */
    assert_ptr_equal(d->side[0].link, first);
    duo_run(d, LONE_SECOND / 10);
    struct ki_link *accepted = d->side[1].link;
    assert_int_equal(duo_dial(d, 1), 0);
    assert_ptr_equal(d->side[1].link, accepted);
    assert_int_equal(ki_link_open(d->side[0].k, d->side[0].k->self, DUO_SUBJECT, &link), KITH_ERR_STATE);
    assert_int_equal(ki_link_open(d->side[0].k, 1000, DUO_SUBJECT, &link), KITH_ERR_STATE);
    assert_int_equal(d->side[0].k->link_count, 1);
    duo_free(d);
}

static void both_may_dial_at_once(void **state)
{
    (void)state;
    struct duo *d = duo_usual(DUO_KEYED);
    assert_int_equal(duo_dial(d, 0), 0);
    assert_int_equal(duo_dial(d, 1), 0);
    duo_run(d, LONE_SECOND);
    for (unsigned n = 0; n < 2; n++) {
        assert_int_equal(d->side[n].k->link_count, 2);
        assert_true(duo_count(d, n, "links_in") == 1 && duo_count(d, n, "links_out") == 1);
    }
    duo_run(d, 20 * LONE_SECOND); /* both end in order */
    assert_true(d->side[0].closed == 2 && d->side[1].closed == 2 && d->side[0].error == 0 && d->side[1].error == 0);
    duo_free(d);
}

/* A member that dials anew: its old link is none any more. */
static void the_newest_link_counts(void **state)
{
    (void)state;
    struct duo *d = duo_usual(DUO_KEYED);
    assert_int_equal(duo_dial(d, 0), 0);
    duo_run(d, LONE_SECOND);
    d->wires[0].cut = true; /* the dialler's end breaks, and the other end hears nothing of it */
    kith_stream_failed(d->side[0].k, d->now, d->wires[0].id[0], KITH_ERR_UNREACHABLE);
    d->wires[0].id[0] = 0;
    assert_int_equal(duo_dial(d, 0), 0);
    duo_say(d, 0, 1, 10);
    duo_run(d, LONE_SECOND);
    assert_true(d->side[1].closed == 1 && d->side[1].opened == 2 && d->side[1].heard == 1);
    assert_int_equal(d->side[1].k->link_count, 1);
    d->wires[0].cut = false;
    duo_run(d, LONE_SECOND);
    duo_free(d);
}

/* A member without _kith, and one that has nothing to talk about: the first is never dialled, the second refuses. */
static void others_are_left_alone(void **state)
{
    (void)state;
    for (unsigned how = 0; how < DUO_HOWS; how++) {
        struct duo *d = duo_usual(how);
        struct ki_link *link;
        duo_meet(d->side[0].k, d->now, "stock", 9, false);
        uint32_t id = ki_table_find(&d->side[0].k->table, lone_span("stock"));
        assert_int_equal(ki_link_open(d->side[0].k, id, DUO_SUBJECT, &link), KITH_ERR_STATE);
        assert_true(link == NULL && d->side[0].k->stream_count == 0);
        memset(d->side[1].k->link_owners, 0, sizeof d->side[1].k->link_owners);
        for (unsigned i = 0; i < 10; i++)
            duo_round(d); /* the news of the stock member is told at once */
        uint64_t before = lone_digest(d->side[1].k);
        assert_int_equal(duo_dial(d, 0), 0);
        for (unsigned i = 0; i < 100; i++)
            duo_round(d);
        assert_true(d->side[0].closed == 1 && d->side[0].error != 0 && d->side[0].opened == 0);
        assert_int_equal(duo_count(d, 1, "unknown_serf_type") + duo_count(d, 1, "user_messages_in"), 0);
        assert_int_equal(duo_count(d, 1, "malformed") + duo_count(d, 1, "auth_failed"), 0);
        assert_int_equal(duo_count(d, 1, "links_refused"), 1);
        assert_true(lone_digest(d->side[1].k) == before);
        id = ki_table_find(&d->side[1].k->table, lone_span("zero"));
        assert_int_equal(ki_link_open(d->side[1].k, id, DUO_SUBJECT, &link), KITH_ERR_STATE);
        duo_free(d);
    }
}

static void an_owner_may_refuse(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 2; n++) {
        struct duo *d = duo_usual(DUO_KEYED);
        d->side[n].refuses = -1;
        assert_int_equal(duo_dial(d, 0), 0);
        duo_run(d, LONE_SECOND);
        assert_true(d->side[0].closed == 1 && d->side[0].error != 0 && d->side[0].opened == 0);
        assert_int_equal(d->side[1].closed, 1 - n); /* one that was refused here is no link */
        assert_int_equal(d->side[1].opened, d->side[1].closed);
        assert_int_equal(duo_count(d, 1, "links_refused"), n);
        assert_int_equal(duo_count(d, 0, "links_failed"), 1);
        duo_free(d);
    }
}

/* After a leave nothing is dialled or accepted. */
static void who_leaves_has_no_links(void **state)
{
    (void)state;
    struct duo *d = duo_usual(DUO_PLAIN);
    assert_int_equal(duo_dial(d, 0), 0);
    duo_run(d, LONE_SECOND);
    assert_int_equal(kith_leave(d->side[1].k, d->now, NULL), 0);
    duo_run(d, 5 * LONE_SECOND);
    assert_true(d->side[0].closed == 1 && d->side[0].error == KITH_ERR_UNREACHABLE);
    assert_int_equal(d->side[1].closed, 1);
    struct ki_link *link;
    assert_int_equal(ki_link_open(d->side[1].k, ki_table_find(&d->side[1].k->table, lone_span("zero")), DUO_SUBJECT, &link),
                     KITH_ERR_STATE);
    duo_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_go_both_ways),
        cmocka_unit_test(any_pieces_will_do),
        cmocka_unit_test(a_reader_that_holds_stops_the_writer),
        cmocka_unit_test(a_reader_that_is_stuck_ends_it),
        cmocka_unit_test(a_quiet_link_ends_in_order),
        cmocka_unit_test(a_close_waits_for_what_was_begun),
        cmocka_unit_test(a_dead_members_links_end),
        cmocka_unit_test(a_forgotten_members_links_end),
        cmocka_unit_test(a_moved_members_links_end),
        cmocka_unit_test(an_owner_may_end_it),
        cmocka_unit_test(a_wire_that_breaks_ends_it),
        cmocka_unit_test(it_may_be_dialled_again_at_once),
        cmocka_unit_test(one_link_serves_both),
        cmocka_unit_test(both_may_dial_at_once),
        cmocka_unit_test(the_newest_link_counts),
        cmocka_unit_test(others_are_left_alone),
        cmocka_unit_test(an_owner_may_refuse),
        cmocka_unit_test(who_leaves_has_no_links),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
