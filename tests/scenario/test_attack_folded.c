/* Folded queries against members that lie, repeat what they have heard, ask without end, or know others than we do; and the
 * limits of all of it.  Whoever lies is believed about itself and those behind it, and no further.
 * ctest: TIMEOUT 600 COST 40 */
#include "folded_pool.h"

#include "wire/kith.h"

static const struct kith_query plain = {.name = TEXT("load"), .fold = true};

/* The part of node 0's newest query that is asked for by way of this branch; returns which node that is. */
static unsigned asked_first(struct world *w, unsigned branch, struct ki_fold_branch *out, uint64_t *position)
{
    const struct kith *k = world_node(w, 0);
    const struct ki_folded *f = k->messages->folded;
    *out = f->duties->branches[branch];
    *position = f->position + f->duties->targets[out->first].behind;
    struct ki_span name = ki_member_name(ki_table_at(&k->table, f->duties->targets[out->first].id));
    return fold_node((struct kith_str){(const char *)name.ptr, name.len});
}

static void inject_reply(struct world *w, unsigned to, unsigned from, uint64_t id, uint64_t span, const struct ki_partial *p)
{
    uint8_t buf[2048] = {KI_MSG_USER};
    struct ki_writer writer = ki_writer(buf + 1, sizeof buf - 1);
    ki_encode_fold_reply(&writer, id, span, p);
    world_inject(w, to, from, buf, writer.len + 1);
}

static void inject_ask(struct world *w, unsigned to, unsigned from, const struct ki_fold_ask *ask)
{
    uint8_t buf[2048] = {KI_MSG_USER};
    struct ki_writer writer = ki_writer(buf + 1, sizeof buf - 1);
    ki_encode_fold_ask(&writer, ask);
    world_inject(w, to, from, buf, writer.len + 1);
}

static struct ki_fold_ask any_ask(uint64_t id, uint64_t ltime)
{
    return (struct ki_fold_ask){.id = id,
                                .ltime = ltime,
                                .span = UINT64_MAX / 2,
                                .left_ms = 5000,
                                .asker = ki_span("node-1", 6),
                                .name = ki_span("load", 4)};
}

/* ---- lies ---- */

static void who_lies_speaks_for_its_own(void **state)
{
    (void)state;
    struct world *w = fold_pool(60, 0, NULL);
    struct outcome *o = fold_ask(w, 0, &plain);
    uint64_t id = world_node(w, 0)->messages->folded->ask.id, position, other_position;
    struct ki_fold_branch branch, other;
    unsigned liar = asked_first(w, 2, &branch, &position), bystander = asked_first(w, 3, &other, &other_position);
    world_pause(w, liar, true);
    struct ki_partial many = {.members = 0}, elsewhere = {.members = 0}, fine = {.members = 0}, large = {.members = 0};
    for (unsigned i = 0; i < 60; i++)
        ki_partial_unusable(&many);
    ki_partial_answer(&elsewhere, other_position, 1, 1);
    ki_partial_silent(&large, position + branch.span + 1);
    ki_partial_answer(&fine, position, 1, 1);
    const struct {
        const struct ki_partial *partial;
        unsigned from;
        uint64_t id, span;
        unsigned refused;
    } rows[] = {{&many, liar, id, branch.span, 1},      {&elsewhere, liar, id, branch.span, 1},
                {&large, liar, id, branch.span, 1},     {&fine, bystander, id, branch.span, 0},
                {&fine, liar, id, branch.span + 1, 0},  {&fine, liar, id + 1, branch.span, 0},
                {&fine, liar, id, other.span, 0}};
    uint64_t refused = 0;
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        inject_reply(w, 0, rows[i].from, rows[i].id, rows[i].span, rows[i].partial);
        refused += rows[i].refused;
        assert_int_equal(lone_counter(world_node(w, 0), "fold_replies_refused"), refused);
        assert_int_equal(world_node(w, 0)->messages->folded->duties->open, KI_FOLD_PARTS);
    }
    world_pause(w, liar, false);
    fold_run(w, SECOND);
    fold_says(o, 60, NULL); /* none of it has counted */
    assert_int_equal(o->folded.silent, 0);
    o = fold_ask(w, 0, &plain);
    liar = asked_first(w, 2, &branch, &position);
    world_pause(w, liar, true);
    struct ki_partial lie = {.members = 0};
    for (unsigned i = 0; i < branch.count; i++) /* as many as there are: that has to be believed */
        ki_partial_answer(&lie, position + i, 100, 1);
    inject_reply(w, 0, liar, world_node(w, 0)->messages->folded->ask.id, branch.span, &lie);
    fold_run(w, SECOND);
    assert_true(o->dones == 1 && o->folded.answers == 60 && o->folded.max >= 100);
    world_free(w);
}

/* It says that it knows nobody: the others of its part are asked for by way of the next one. */
static void who_knows_nobody_hides_nobody(void **state)
{
    (void)state;
    struct world *w = fold_pool(60, 0, NULL);
    struct outcome *o = fold_ask(w, 0, &plain);
    struct ki_fold_branch branch;
    uint64_t position;
    unsigned liar = asked_first(w, 5, &branch, &position);
    struct ki_partial alone = {.members = 0};
    ki_partial_silent(&alone, position);
    world_pause(w, liar, true);
    inject_reply(w, 0, liar, world_node(w, 0)->messages->folded->ask.id, branch.span, &alone);
    fold_run(w, SECOND / 2);
    world_pause(w, liar, false);
    fold_run(w, SECOND);
    fold_says(o, 60, NULL);
    world_free(w);
}

/* Everybody is asked another question in the name of the first: nobody's answer to that one counts for it. */
static void another_question_by_the_same_number(void **state)
{
    (void)state;
    struct world *w = fold_pool(20, 0, NULL);
    struct outcome *o = fold_ask(w, 0, &plain);
    const struct ki_fold_ask *asked = &world_node(w, 0)->messages->folded->ask;
    const struct ki_fold_ask other = {.id = asked->id,
                                      .ltime = asked->ltime,
                                      .left_ms = 60000,
                                      .asker = ki_span("node-0", 6),
                                      .name = ki_span("_kith_gauge", 11)};
    for (unsigned n = 1; n < 20; n++)
        inject_ask(w, n, n == 7 ? 8 : 7, &other);
    fold_run(w, 20 * SECOND);
    assert_true(o->dones == 1 && o->result == KITH_ERR_TIMEOUT);
    assert_true(o->folded.answers == 1 && o->folded.silent == 19);
    assert_in_range(fold_counted(w, 20, "fold_asks_refused"), 19, UINT64_MAX);
    world_free(w);
}

/* ---- repetitions ---- */

static uint8_t heard[64][1400];
static size_t heard_len[64];
static unsigned heard_from[64], heard_to[64], heard_count;

static void listen(void *arg, unsigned from, const struct kith_addr *to, const uint8_t *buf, size_t len)
{
    (void)arg;
    if (len < 3 || buf[0] != KI_MSG_USER || buf[1] != KI_SERF_KITH || buf[2] != KI_FOLD_ASK || heard_count == 64)
        return;
    memcpy(heard[heard_count], buf, len);
    heard_from[heard_count] = from;
    heard_to[heard_count] = to->ip[3] - 1u;
    heard_len[heard_count++] = len;
}

/* What was on its way is said again, while it is under way and after the end: no application is asked twice. */
static void what_was_heard_is_said_again(void **state)
{
    (void)state;
    struct world *w = fold_pool(30, 0, NULL);
    heard_count = 0;
    world_set_tap(w, listen, NULL);
    struct outcome *o = fold_ask(w, 0, &plain);
    for (unsigned round = 0; round < 3; round++) {
        fold_run(w, round == 0 ? 1000 : 20 * SECOND);
        for (unsigned i = 0; i < heard_count; i++)
            world_inject(w, heard_to[i], heard_from[i], heard[i], heard_len[i]);
        for (unsigned i = 0; i < heard_count; i++) /* and by another, to another */
            world_inject(w, (heard_to[i] + 1) % 30, (heard_from[i] + 2) % 30, heard[i], heard_len[i]);
        world_set_tap(w, NULL, NULL);
    }
    assert_in_range(heard_count, 8, 64);
    fold_says(o, 30, NULL);
    for (unsigned n = 0; n < 30; n++)
        assert_int_equal(fold.asked[n], 1);
    fold_run(w, 20 * SECOND);
    fold_forgotten(w, 30);
    world_free(w);
}

/* ---- how much ---- */

static void who_asks_without_end_is_not_answered(void **state)
{
    (void)state;
    struct world *w = fold_pool(20, 0, NULL);
    struct kith *k = world_node(w, 0);
    static const unsigned rounds = 3000;
    for (unsigned i = 0; i < 20; i++)
        fold.says[i] = SAYS_NOTHING;
    world_set_tap(w, fold_tap, NULL);
    for (unsigned i = 0; i < rounds; i++) {
        struct ki_fold_ask ask = any_ask(1000 + i, 5 + i % 400);
        inject_ask(w, 0, 1, &ask);
        if (i % 100 == 0)
            fold_run(w, 1000);
    }
    assert_in_range(lone_counter(k, "fold_asks_refused"), rounds - 600, rounds);
    assert_in_range(lone_counter(k, "folds_in"), 200, 600);
    assert_int_equal(lone_counter(k, "folds_in") + lone_counter(k, "fold_asks_refused"), rounds);
    assert_in_range(fold.messages_out[0], 200, 600 * 32);
    struct ki_fold_ask ask = any_ask(99, 5); /* another is */
    inject_ask(w, 0, 2, &ask);
    assert_int_equal(k->messages->folded->ask.id, 99);
    fold_run(w, 40 * SECOND);
    fold_forgotten(w, 20);
    world_free(w);
}

static void few_queries(struct kith_config *c, unsigned n)
{
    c->queries_max = n == 0 ? 3 : 2;
}

static void as_many_as_there_is_room_for(void **state)
{
    (void)state;
    struct world *w = fold_pool(3, 0, few_queries);
    kith_ticket ticket;
    struct outcome *o[3];
    for (unsigned n = 0; n < 3; n++)
        fold.says[n] = SAYS_NOTHING;
    for (unsigned i = 0; i < 3; i++)
        o[i] = fold_ask(w, 0, &plain);
    assert_int_equal(kith_ask(world_node(w, 0), world_now(w), &plain, &ticket), KITH_ERR_FULL);
    fold_run(w, SECOND / 2);
    for (unsigned n = 1; n < 3; n++) { /* each time that it is asked again */
        assert_in_range(lone_counter(world_node(w, n), "messages_dropped"), 1, 10);
        assert_int_equal(world_node(w, n)->messages->folded_count, 2);
    }
    fold_run(w, 10 * SECOND);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(o[i]->dones, 1);
        assert_int_equal(o[i]->folded.silent, 3);
    }
    fold_forgotten(w, 3);
    assert_int_equal(kith_ask(world_node(w, 0), world_now(w), &plain, &ticket), 0);
    world_free(w);
}

/* So many want the same of us; the fifth waits until one of them has it. */
static void many_parents(void **state)
{
    (void)state;
    struct world *w = fold_pool(8, 0, NULL);
    struct kith *k = world_node(w, 0);
    fold.says[0] = SAYS_NOTHING;
    for (unsigned from = 1; from < 8; from++) {
        struct ki_fold_ask ask = any_ask(42, 7);
        ask.span = from == 3 ? 0 : ask.span;
        inject_ask(w, 0, from, &ask);
        inject_ask(w, 0, from, &ask); /* once more: the same */
    }
    assert_int_equal(k->messages->folded_count, 1);
    assert_int_equal(k->messages->folded->duty_count, 4);
    assert_int_equal(lone_counter(k, "fold_asks_refused"), 6);
    fold_run(w, 10000);
    assert_int_equal(fold.asked[0], 1);
    fold_respond(0, k, world_now(w), k->messages->folded->handle);
    fold_run(w, SECOND / 10);
    struct ki_fold_ask ask = any_ask(42, 7);
    inject_ask(w, 0, 7, &ask);
    assert_int_equal(k->messages->folded->duty_count, 4);
    assert_int_equal(lone_counter(k, "fold_asks_refused"), 6);
    fold_run(w, 20 * SECOND);
    fold_forgotten(w, 8);
    world_free(w);
}

/* Questions of others are for so many members together at most. */
static void many_members(void **state)
{
    (void)state;
    struct world *w = fold_pool(8, 0, NULL);
    struct kith *k = world_node(w, 0);
    fold.says[0] = SAYS_NOTHING;
    struct ki_fold_ask ask = any_ask(1, 7), second = any_ask(2, 7), third = any_ask(3, 7);
    inject_ask(w, 0, 1, &ask);
    struct ki_fold_duty *duty = k->messages->folded->duties;
    uint32_t count = duty->target_count;
    assert_in_range(count, 1, 6);
    duty->target_count = 1u << 20; /* as in a pool that is as large */
    inject_ask(w, 0, 1, &second);
    duty->target_count = count;
    assert_int_equal(k->messages->folded_count, 1);
    assert_int_equal(lone_counter(k, "fold_asks_refused"), 1);
    inject_ask(w, 0, 1, &third);
    assert_int_equal(k->messages->folded_count, 2);
    fold_run(w, 20 * SECOND);
    fold_forgotten(w, 8);
    world_free(w);
}

static void one_waits(struct kith_config *c, unsigned n)
{
    if (n < 2)
        c->messages_max = 1;
}

static bool does_not_read(unsigned n)
{
    return n < 2;
}

/* An application that does not read is silent; what finds no room in the asker's queue is not told as if it were there. */
static void slow_readers(void **state)
{
    (void)state;
    struct world *w = fold_pool(4, 0, one_waits);
    struct kith_query query = plain;
    query.timeout_ms = 1000;
    struct kith_user_event event = {.name = STR("e")};
    world_pause_events(w, does_not_read);
    assert_int_equal(kith_send_event(world_node(w, 3), world_now(w), &event, NULL), 0);
    fold_run(w, SECOND / 2);
    struct outcome *o = fold_ask(w, 3, &query);
    fold_run(w, SECOND / 2);
    assert_int_equal(o->dones, 1); /* they say so at once */
    assert_int_equal(o->folded.silent, 2);
    assert_true(o->silent[0] && o->silent[1]);
    o = fold_ask(w, 0, &query);
    fold_run(w, 2 * SECOND);
    world_pause_events(w, NULL);
    fold_run(w, SECOND);
    assert_int_equal(o->dones, 1);
    assert_int_equal(o->folds, 0);
    assert_int_equal(o->result, KITH_ERR_FULL);
    world_free(w);
}

static void small_datagrams(struct kith_config *c, unsigned n)
{
    c->datagram_max = n % 2 ? 576 : 1400;
}

/* Where a reply does not fit, its members are silent; where names do not fit, they are counted. */
static void small_datagrams_say_what_fits(void **state)
{
    (void)state;
    struct world *w = fold_pool(100, 0, small_datagrams);
    struct kith_query query = {.name = STR("load"), .fold = true, .fold_top = 32, .timeout_ms = 4000};
    kith_ticket ticket;
    assert_int_equal(kith_ask(world_node(w, 1), world_now(w), &query, &ticket), KITH_ERR_TOO_LONG);
    struct outcome *o = fold_ask(w, 0, &query);
    fold_run(w, 5 * SECOND);
    assert_int_equal(o->dones, 1);
    assert_int_equal(o->folded.members, 100);
    assert_int_equal(o->folded.answers + o->folded.silent, 100);
    query.fold_top = 0;
    for (unsigned n = 0; n < 100; n++)
        fold.says[n] = SAYS_NOTHING;
    o = fold_ask(w, 1, &query);
    fold_run(w, 5 * SECOND);
    assert_int_equal(o->dones, 1);
    assert_int_equal(o->folded.silent, 100);
    assert_in_range(o->silent_count, 32, 64);
    world_free(w);
}

/* ---- views that differ ---- */

static void import(struct world *w, unsigned to, unsigned who)
{
    struct kith_member member;
    kith_self(world_node(w, who), &member);
    assert_int_equal(kith_import_members(world_node(w, to), world_now(w), &member, 1), 0);
}

/* One that all know, and that knows nobody but the asker yet, and so hears nobody else: who stands behind it is asked all
 * the same.  Nobody suffers but itself. */
static void one_that_knows_nobody_yet(void **state)
{
    (void)state;
    struct world *w = fold_pool(40, 0, NULL);
    struct kith_config c;
    struct outcome *outcomes[QUERIES];
    world_config(&c, 40);
    world_add(w, 40, &c);
    for (unsigned n = 0; n < 40; n++)
        import(w, n, 40);
    import(w, 40, 0);
    for (unsigned i = 0; i < QUERIES; i++)
        outcomes[i] = fold_ask(w, 0, &plain);
    fold_run(w, 10 * SECOND);
    unsigned answered = 0;
    for (unsigned i = 0; i < QUERIES; i++) {
        const struct outcome *o = outcomes[i];
        assert_int_equal(o->dones, 1);
        assert_int_equal(o->folded.members, 41);
        assert_int_equal(o->folded.answers + o->silent[40], 41);
        answered += o->folded.answers;
    }
    assert_in_range(answered, 40 * QUERIES + 4, 41 * QUERIES); /* it has been asked first by some */
    world_free(w);
}

/* One joins, and some know it already: it may count or not, but nobody else suffers. */
static void one_that_joins_meanwhile(void **state)
{
    (void)state;
    for (unsigned ms = 0; ms < 300; ms += 10) {
        struct world *w = fold_pool(20, 0, NULL);
        struct kith_config c;
        world_config(&c, 20);
        world_add(w, 20, &c);
        assert_int_equal(world_join(w, 20, 7, NULL), 0);
        fold_run(w, ms * 1000 + 1);
        struct outcome *o = fold_ask(w, ms / 10 % 20, &plain);
        fold_run(w, 2 * SECOND);
        assert_int_equal(o->dones, 1);
        assert_int_equal(o->folded.silent, 0);
        assert_in_range(o->folded.answers, 20, 21);
        world_free(w);
    }
}

/* Some leave, and some of these have been asked for others; who has left is silent or has answered. */
static void some_leave_meanwhile(void **state)
{
    (void)state;
    struct world *w = fold_pool(40, 0, NULL);
    for (unsigned n = 0; n < 40; n++)
        fold.says[n] = n % 4 == 1 ? SAYS_NOTHING : SAYS_IT_LATE;
    fold.late_us = 3 * SECOND;
    struct outcome *o = fold_ask(w, 0, &plain);
    fold_run(w, SECOND / 10);
    for (unsigned n = 1; n < 40; n += 4)
        assert_int_equal(kith_leave(world_node(w, n), world_now(w), NULL), 0);
    fold_run(w, 20 * SECOND);
    assert_int_equal(o->dones, 1);
    assert_int_equal(o->folded.members, 40);
    assert_int_equal(o->folded.answers, 30);
    assert_int_equal(o->folded.silent, 10);
    world_free(w);
}

/* ---- what is refused ---- */

static void wrong_queries(void **state)
{
    static char filler[1400];
    static const struct kith_str nobody = TEXT("nobody");
    const struct {
        struct kith_query query;
        int error;
    } rows[] = {
        {{.name = STR("load"), .fold = true, .fold_top = 33}, KITH_ERR_ARG},
        {{.name = {filler, 0}, .fold = true}, KITH_ERR_ARG},
        {{.name = STR("_serf_ping"), .payload = STR("x"), .fold = true}, KITH_ERR_ARG},
        {{.name = STR("load"), .nodes = &nobody, .node_count = 1, .fold = true}, KITH_ERR_NOT_FOUND},
        {{.name = STR("load"), .payload = {filler, 1400}, .fold = true}, KITH_ERR_TOO_LONG},
        {{.name = STR("load"), .payload = {filler, 1200}, .fold = true}, 0},
    };
    (void)state;
    struct world *w = fold_pool(3, 1, NULL);
    kith_ticket ticket;
    for (size_t i = 0; i < KI_COUNT(rows); i++)
        assert_int_equal(kith_ask(world_node(w, 0), world_now(w), &rows[i].query, &ticket), rows[i].error);
    assert_int_equal(kith_ask(world_node(w, 2), world_now(w), &plain, &ticket), KITH_ERR_STATE); /* as Serf's are */
    struct ki_fold_ask ask = any_ask(1, 1);
    inject_ask(w, 2, 0, &ask);
    assert_true(!world_node(w, 2)->messages || !world_node(w, 2)->messages->folded);
    fold_run(w, SECOND);
    struct kith_event wrong = {.kind = KITH_EVENT_DONE};
    struct kith_folded folded;
    struct kith_str name;
    double value;
    size_t cursor = 0;
    assert_int_equal(kith_folded_read(&wrong, &folded), KITH_ERR_ARG);
    assert_false(kith_folded_next(&wrong, &cursor, &name, &value));
    wrong.kind = KITH_EVENT_FOLDED;
    assert_int_equal(kith_folded_read(&wrong, &folded), KITH_ERR_MALFORMED);
    assert_false(kith_folded_next(&wrong, &cursor, &name, &value));
    world_free(w);
}

static void bare(struct kith_config *c, unsigned n)
{
    (void)n;
    c->delegate_min = c->delegate_max = c->delegate_cur = 0;
}

static void not_in_bare_pools(void **state)
{
    (void)state;
    struct world *w = fold_pool(2, 0, bare);
    kith_ticket ticket;
    assert_int_equal(kith_ask(world_node(w, 0), world_now(w), &plain, &ticket), KITH_ERR_STATE);
    world_free(w);
}

/* What is malformed is counted, and changes nothing. */
static void malformed_ones(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *counter;
    } rows[] = {
        {"\x08\x4b\x40", 3, "malformed"},
        {"\x08\x4b\x41\x01", 4, "malformed"},
        {"\x08\x4b\x42\x01", 4, "malformed"},
        {"\x08\x4b\x40" "12345678\x05" "12345678\x05\x00\x01k\x01q\x01\x91", 29, "malformed"}, /* filters that end early */
        {"\x08\x4b\x43", 3, "unknown_serf_type"},
        {"\x08\x4b\x4f" "abc", 6, "unknown_serf_type"},
    };
    (void)state;
    struct world *w = fold_pool(2, 0, NULL);
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        uint64_t before = lone_counter(world_node(w, 0), rows[i].counter);
        world_inject(w, 0, 1, rows[i].bytes, rows[i].len);
        assert_int_equal(lone_counter(world_node(w, 0), rows[i].counter), before + 1);
    }
    fold_forgotten(w, 2);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_lies_speaks_for_its_own),
        cmocka_unit_test(who_knows_nobody_hides_nobody),
        cmocka_unit_test(another_question_by_the_same_number),
        cmocka_unit_test(what_was_heard_is_said_again),
        cmocka_unit_test(who_asks_without_end_is_not_answered),
        cmocka_unit_test(as_many_as_there_is_room_for),
        cmocka_unit_test(many_parents),
        cmocka_unit_test(many_members),
        cmocka_unit_test(slow_readers),
        cmocka_unit_test(small_datagrams_say_what_fits),
        cmocka_unit_test(one_that_knows_nobody_yet),
        cmocka_unit_test(one_that_joins_meanwhile),
        cmocka_unit_test(some_leave_meanwhile),
        cmocka_unit_test(wrong_queries),
        cmocka_unit_test(not_in_bare_pools),
        cmocka_unit_test(malformed_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
