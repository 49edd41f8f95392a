/* A full exchange while somebody leaves: what is told of the one that is leaving must not outrank its leave.
 *
 * A full state says of each member the time of its newest intent, and one not listed as left is merged as if it had
 * joined at that time.  Serf takes an intent only if it is newer than what it holds, so the time of the leave, told
 * as it is, makes the leave itself old news; the death notice then means failed.  The hearer here is of config.stock,
 * which merges as Serf does; the teller dials or answers, and tells of itself or of a third.  A teller of config.stock
 * says what Serf would: it shows that the check can fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lone.h"

#define START_US   (2 * LONE_SECOND)
#define THIRD_TIME 50
#define CLOCK      40 /* of the pool, before anybody leaves */

/* ---- two instances; "c", the third member, is words alone ---- */

enum side { TELLER, HEARER };

struct two {
    kith *k[2];
    uint32_t stream[2]; /* the exchange, by the number it has at each; 0: none */
    bool over[2];
    uint8_t told[4096]; /* what the teller wrote */
    size_t told_len;
};

static const char *const names[2] = {"teller", "hearer"};

static void say(kith *k, uint64_t at_us, uint8_t last, const uint8_t *buf, size_t len)
{
    struct kith_addr from = lone_addr(last, 7946);
    assert_int_equal(kith_datagram(k, lone_time(at_us), &from, buf, len), 0);
}

static void say_intent(kith *k, uint64_t at_us, bool leave, uint64_t ltime)
{
    uint8_t buf[64] = {KI_MSG_USER};
    struct ki_pack p = ki_pack(buf + 1, sizeof buf - 1, false);
    if (leave)
        ki_encode_serf_leave(&p, &(struct ki_serf_leave){.ltime = ltime, .node = lone_span("c")});
    else
        ki_encode_serf_join(&p, &(struct ki_serf_join){.ltime = ltime, .node = lone_span("c")});
    assert_false(p.w.full);
    say(k, at_us, 3, buf, 1 + p.w.len);
}

static void say_gone(kith *k, uint64_t at_us)
{
    uint8_t buf[64];
    say(k, at_us, 3, buf, lone_accuse(buf, sizeof buf, true, "c", "c", 5));
}

static void begin(struct two *w, bool stock)
{
    memset(w, 0, sizeof *w);
    for (unsigned side = 0; side < 2; side++) {
        struct kith_config c;
        lone_config(&c);
        c.name = lone_str(names[side]);
        c.addr = lone_addr((uint8_t)(1 + side), 7946);
        c.compress = false; /* what is told is read here */
        c.stock = side == HEARER || stock;
        w->k[side] = lone_new(&c);
        lone_meet(w->k[side], lone_time(LONE_SECOND), names[1 - side], (uint8_t)(2 - side));
        lone_meet(w->k[side], lone_time(LONE_SECOND), "c", 3);
        w->k[side]->probe_next_us = w->k[side]->push_pull_next_us = w->k[side]->again_us = KITH_NEVER;
    }
    say_intent(w->k[TELLER], LONE_SECOND, false, CLOCK);
    lone_drain_datagrams(w->k[TELLER], lone_time(LONE_SECOND));
    lone_drain_datagrams(w->k[HEARER], lone_time(LONE_SECOND));
}

static struct kith_member member(const kith *k, const char *name)
{
    struct kith_member m;
    assert_int_equal(kith_find(k, lone_str(name), &m), 0);
    return m;
}

/* ---- the exchange ---- */

static void carry(struct two *w, enum side from, struct kith_time now)
{
    uint8_t buf[512];
    size_t len, taken;
    while (kith_stream_write(w->k[from], now, w->stream[from], buf, sizeof buf, &len) == 0 && len > 0) {
        assert_int_equal(kith_stream_bytes(w->k[1 - from], now, w->stream[1 - from], buf, len, &taken), 0);
        assert_int_equal(taken, len);
        if (from != TELLER)
            continue;
        assert_true(w->told_len + len <= sizeof w->told);
        memcpy(w->told + w->told_len, buf, len);
        w->told_len += len;
    }
}

static void act(struct two *w, enum side side, const struct kith_stream_action *action, struct kith_time now)
{
    struct kith_addr from = lone_addr((uint8_t)(1 + side), 50000);
    switch (action->kind) {
    case KITH_STREAM_OPEN:
        w->stream[side] = action->id;
        assert_int_equal(kith_stream_accept(w->k[1 - side], now, &from, &w->stream[1 - side]), 0);
        kith_stream_opened(w->k[side], now, action->id);
        return;
    case KITH_STREAM_WRITE:
        carry(w, side, now);
        return;
    case KITH_STREAM_FINISH:
        w->over[side] = true;
        kith_stream_end(w->k[1 - side], now, w->stream[1 - side]);
        return;
    case KITH_STREAM_RESUME:
    case KITH_STREAM_ABORT:
        break;
    }
    fail_msg("%s: the exchange does not go through", names[side]);
}

static void exchange(struct two *w, enum side dialler, struct kith_time now)
{
    struct kith_addr to = lone_addr((uint8_t)(2 - dialler), 7946);
    struct kith_stream_action action;
    assert_int_equal(ki_stream_dial(w->k[dialler], &to, KI_PURPOSE_SYNC, KI_SYNC_PERIODIC), 0);
    for (unsigned turn = 0; turn < 100 && !(w->over[0] && w->over[1]); turn++) {
        for (unsigned side = 0; side < 2; side++) {
            kith_tick(w->k[side], now);
            while (kith_poll_stream(w->k[side], &action))
                act(w, (enum side)side, &action, now);
        }
    }
    assert_true(w->over[0] && w->over[1]);
}

static struct ki_reader after(struct ki_span bytes, uint8_t type)
{
    assert_true(bytes.len > 0 && bytes.ptr[0] == type);
    return ki_reader(bytes.ptr + 1, bytes.len - 1);
}

/* The time that the teller has told of this member, which it must not have listed as left. */
static uint64_t told_of(const struct two *w, const char *name)
{
    struct ki_reader r = after(ki_span(w->told, w->told_len), KI_MSG_PUSH_PULL);
    struct ki_push_pull_header header = {0};
    struct ki_node_state node;
    struct ki_serf_state state = {0};
    struct ki_span entry;
    uint64_t ltime;
    assert_true(ki_decode_push_pull_header(&r, &header));
    for (int64_t n = 0; n < header.nodes; n++)
        assert_true(ki_decode_node_state(&r, &node));
    assert_int_equal(header.user_state_len, r.left);
    r = after(ki_span(w->told + w->told_len - r.left, r.left), KI_SERF_PUSH_PULL);
    assert_true(ki_decode_serf_state(&r, &state));
    uint32_t left = UINT32_MAX;
    r = ki_reader(state.left_members.ptr, state.left_members.len);
    assert_false(state.left_members.len > 0 && ki_serf_left_next(&r, &left, &entry));
    left = UINT32_MAX;
    r = ki_reader(state.status_ltimes.ptr, state.status_ltimes.len);
    while (ki_serf_status_next(&r, &left, &entry, &ltime)) {
        if (ki_span_equal(entry, lone_span(name)))
            return ltime;
    }
    fail_msg("nothing is told of %s", name);
    return 0;
}

/* ---- the leave ---- */

/* What either has for the other arrives at once; the third hears nothing, and no stream opens. */
static void pass(struct two *w, uint64_t from_us, uint64_t until_us)
{
    uint8_t buf[2048];
    struct kith_addr to;
    size_t len;
    struct kith_stream_action action;
    for (uint64_t at_us = from_us; at_us <= until_us; at_us += LONE_SECOND / 100) {
        for (unsigned side = 0; side < 2; side++) {
            kith *k = w->k[side];
            kith_tick(k, lone_time(at_us));
            while (kith_poll_stream(k, &action)) {
                if (action.kind == KITH_STREAM_OPEN)
                    kith_stream_failed(k, lone_time(at_us), action.id, KITH_ERR_UNREACHABLE);
            }
            while (kith_poll_datagram(k, lone_time(at_us), &to, buf, sizeof buf, &len)) {
                if (to.ip[3] == 2 - side)
                    say(w->k[1 - side], at_us, (uint8_t)(1 + side), buf, len);
            }
        }
    }
}

static const struct row {
    const char *what;
    bool itself; /* the teller is leaving; or "c" is */
    enum side dialler;
    bool stock;       /* the teller */
    bool heard_first; /* the hearer has the leave intent before the exchange */
    unsigned before;  /* the time told is that of the leave less this */
    enum kith_status end;
} rows[] = {
    {"itself, dialling", true, TELLER, false, false, 1, KITH_STATUS_LEFT},
    {"itself, answering", true, HEARER, false, false, 1, KITH_STATUS_LEFT},
    {"a third, dialling", false, TELLER, false, false, 1, KITH_STATUS_LEFT},
    {"a third, answering", false, HEARER, false, false, 1, KITH_STATUS_LEFT},
    {"a third, after its leave", false, TELLER, false, true, 1, KITH_STATUS_LEFT},
    {"stock: itself, dialling", true, TELLER, true, false, 0, KITH_STATUS_FAILED},
    {"stock: itself, answering", true, HEARER, true, false, 0, KITH_STATUS_FAILED},
    {"stock: a third, dialling", false, TELLER, true, false, 0, KITH_STATUS_FAILED},
    {"stock: a third, answering", false, HEARER, true, false, 0, KITH_STATUS_FAILED},
    {"stock: a third, after its leave", false, TELLER, true, true, 0, KITH_STATUS_LEFT},
};

static enum kith_status end_of(const struct row *row)
{
    struct two w;
    const char *leaver = row->itself ? names[TELLER] : "c";
    begin(&w, row->stock);
    if (row->itself)
        assert_int_equal(kith_leave(w.k[TELLER], lone_time(START_US), NULL), 0);
    else
        say_intent(w.k[TELLER], START_US, true, THIRD_TIME);
    if (row->heard_first)
        say_intent(w.k[HEARER], START_US, true, THIRD_TIME);
    uint64_t ltime = member(w.k[TELLER], leaver).status_ltime;
    enum kith_status before = row->heard_first ? KITH_STATUS_LEAVING : KITH_STATUS_ALIVE;
    assert_true(ltime > CLOCK);
    assert_int_equal(member(w.k[TELLER], leaver).status, KITH_STATUS_LEAVING);
    exchange(&w, row->dialler, lone_time(START_US));
    uint64_t told = told_of(&w, leaver);
    if (told != ltime - row->before)
        fail_msg("%s: told %llu of %llu", row->what, (unsigned long long)told, (unsigned long long)ltime);
    assert_int_equal(member(w.k[HEARER], leaver).status, before);
    if (row->itself) { /* its own words, as they come */
        pass(&w, START_US, START_US + 4 * LONE_SECOND);
        assert_true(lone_counter(w.k[HEARER], "intents_in") > 0);
    } else {
        say_intent(w.k[HEARER], START_US, true, THIRD_TIME);
        say_gone(w.k[HEARER], START_US);
    }
    enum kith_status end = member(w.k[HEARER], leaver).status;
    for (unsigned side = 0; side < 2; side++) {
        lone_check(w.k[side]);
        kith_free(w.k[side]);
    }
    return end;
}

static void what_is_told_does_not_outrank_the_leave(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        enum kith_status end = end_of(&rows[i]);
        if (end != rows[i].end)
            fail_msg("%s: it ends as %d, not as %d", rows[i].what, (int)end, (int)rows[i].end);
    }
}

/* Whoever leaves has no news to fetch: the exchange that was to follow a change of the view is off. */
static void no_exchange_begins_after_the_leave(void **state)
{
    (void)state;
    struct two w;
    begin(&w, false);
    kith *k = w.k[TELLER];
    lone_meet(k, lone_time(START_US), "d", 4);
    uint64_t leave_us = k->again_us - 1;
    assert_in_range(leave_us, START_US, START_US + 10 * LONE_SECOND);
    assert_int_equal(kith_leave(k, lone_time(leave_us), NULL), 0);
    pass(&w, leave_us, leave_us + 10 * LONE_SECOND);
    assert_int_equal(k->life, KI_LIFE_LEFT);
    assert_int_equal(lone_counter(k, "streams_out"), 0);
    for (unsigned side = 0; side < 2; side++)
        kith_free(w.k[side]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_told_does_not_outrank_the_leave),
        cmocka_unit_test(no_exchange_begins_after_the_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
