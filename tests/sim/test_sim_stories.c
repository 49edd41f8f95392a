/* Stories: what a small pool does in one situation each, told by the trace of a simulation in which every datagram takes
 * one millisecond, and compared with the text in stories/.  Lines there that begin with '#' say why a line is right by
 * the protocol (PROTOCOL.md); the others are the trace, in which
 *
 *   only the lines count that the story is about: it begins at `mark`, and names words to keep and to drop,
 *   times are milliseconds since the mark, and the random numbers of probes are #1, #2, ... in the order in which
 *   they come up, so that a ping, what helpers make of it and the ack can be told apart from others.
 *
 * A story that comes out differently is printed whole; tests/sim/bless puts that into stories/, to be read again. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <kith/sim.h>

#include "sim/overhear.h"

#define MS       KITH_SIM_MS
#define SECOND   KITH_SIM_SECOND
#define NUMBERS  256
#define USUAL_PROBE_MS 1000
#define WORDS    8

struct story {
    kith_sim *s;
    uint64_t mark_us;
    const char *keep[WORDS]; /* a line has one of them (none: all lines are kept) */
    const char *drop[WORDS]; /* and none of these */
    uint32_t numbers[NUMBERS];
    size_t number_count;
    size_t lines; /* of the trace that were told */
    char text[32768];
    size_t len;
};

/* ---- making ---- */

static void story_begin(struct story *t, uint32_t nodes, uint64_t seed, uint32_t probe_interval_ms)
{
    struct kith_sim_config config;
    memset(t, 0, sizeof *t);
    kith_sim_config_init(&config, seed);
    config.link.latency_min_us = config.link.latency_max_us = 1 * MS;
    config.wall_us = 100 * SECOND; /* so the first incarnations are 100 */
    config.trace_lines = 20000;
    assert_int_equal(kith_sim_new(&t->s, &config), 0);
    for (uint32_t n = 0; n < nodes; n++) {
        struct kith_config node;
        kith_sim_node_config(t->s, n, KITH_PROFILE_LAN, &node);
        node.compress = false; /* a layer that says nothing here */
        node.probe_interval_ms = probe_interval_ms;
        assert_int_equal(kith_sim_add(t->s, &node, NULL), 0);
    }
}

/* A pool that has long been together, with its first news told. */
static void story_warm(struct story *t, uint32_t nodes, uint64_t seed, uint32_t probe_interval_ms)
{
    story_begin(t, nodes, seed, probe_interval_ms);
    assert_int_equal(kith_sim_warm(t->s), 0);
    kith_sim_run(t->s, 10 * SECOND);
    assert_true(kith_sim_agrees(t->s));
}

static void story_pool(struct story *t, uint32_t nodes, uint64_t seed)
{
    story_warm(t, nodes, seed, USUAL_PROBE_MS);
}

static void story_mark(struct story *t)
{
    t->mark_us = kith_sim_now_us(t->s);
}

static void story_run(struct story *t, uint64_t us)
{
    kith_sim_run(t->s, kith_sim_now_us(t->s) + us);
}

/* ---- telling ---- */

static bool story_has(const char *line, const char *const words[WORDS])
{
    for (size_t i = 0; i < WORDS && words[i]; i++) {
        if (strstr(line, words[i]))
            return true;
    }
    return false;
}

static void story_add(struct story *t, const char *text, size_t len)
{
    assert_true(t->len + len < sizeof t->text);
    memcpy(t->text + t->len, text, len);
    t->len += len;
    t->text[t->len] = '\0';
}

static void story_number(struct story *t, uint32_t number)
{
    size_t i = 0;
    char text[16];
    while (i < t->number_count && t->numbers[i] != number)
        i++;
    if (i == t->number_count) {
        assert_true(t->number_count < NUMBERS);
        t->numbers[t->number_count++] = number;
    }
    story_add(t, text, (size_t)snprintf(text, sizeof text, "#%zu", i + 1));
}

/* What follows the time: without checksums, with short numbers. */
static void story_words(struct story *t, const char *at)
{
    static const char *const numbered[] = {"ping ", "ack "}; /* indirect-ping and nack end so too */
    while (*at) {
        if (strncmp(at, "crc | ", 6) == 0) {
            at += 6;
            continue;
        }
        story_add(t, at, 1);
        at++;
        for (size_t i = 0; i < 2; i++) {
            size_t len = strlen(numbered[i]);
            if (t->len >= len && memcmp(t->text + t->len - len, numbered[i], len) == 0 && isdigit((unsigned char)*at)) {
                char *end;
                story_number(t, (uint32_t)strtoul(at, &end, 10));
                at = end;
            }
        }
    }
}

static void story_line(struct story *t, const char *line)
{
    char *rest;
    uint64_t at_us = strtoull(line, &rest, 10) * SECOND;
    at_us += strtoull(rest + 1, &rest, 10);
    if (at_us < t->mark_us || (t->keep[0] && !story_has(rest, t->keep)) || story_has(rest, t->drop))
        return;
    char time[32];
    story_add(t, time, (size_t)snprintf(time, sizeof time, "%5" PRIu64, (at_us - t->mark_us) / MS));
    story_words(t, rest);
    story_add(t, "\n", 1);
}

/* The lines of stories/NAME.txt without the comments. */
static void story_read(const char *name, char *text, size_t cap)
{
    const char *root = getenv("KITH_SOURCE_DIR");
    char path[1024], line[1024];
    snprintf(path, sizeof path, "%s/tests/sim/stories/%s.txt", root ? root : ".", name);
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("%s: %s", path, strerror(errno));
    text[0] = '\0';
    while (fgets(line, sizeof line, file)) {
        if (line[0] != '#' && line[0] != '\n') {
            assert_true(strlen(text) + strlen(line) < cap);
            memcpy(text + strlen(text), line, strlen(line) + 1);
        }
    }
    fclose(file);
}

/* Tells what has happened since it was last called. */
static void story_tell(struct story *t)
{
    const char *line;
    for (; (line = kith_sim_trace(t->s, t->lines)); t->lines++)
        story_line(t, line);
}

static void story_end(struct story *t, const char *name)
{
    static char want[sizeof t->text];
    story_tell(t);
    assert_true(kith_sim_trace(t->s, 19999) == NULL); /* none was dropped */
    if (kith_sim_violation(t->s))
        fail_msg("%s", kith_sim_violation(t->s));
    story_read(name, want, sizeof want);
    if (strcmp(t->text, want) != 0) {
        size_t at = 0, number = 1;
        for (; t->text[at] && t->text[at] == want[at]; at++)
            number += want[at] == '\n';
        printf("%s", t->text);
        fail_msg("the story %s is another from its line %zu on", name, number);
    }
    kith_sim_free(t->s);
}

/* ---- the stories ---- */

static void story_join(void **state)
{
    (void)state;
    struct story t;
    story_begin(&t, 3, 1, USUAL_PROBE_MS);
    assert_int_equal(kith_sim_join(t.s, 1, 0), 0);
    kith_sim_run(t.s, 10 * SECOND);
    story_mark(&t);
    assert_int_equal(kith_sim_join(t.s, 2, 1), 0);
    story_run(&t, 2500 * MS);
    t.keep[0] = "node-2";
    t.drop[0] = "ping";
    t.drop[1] = "ack";
    assert_true(kith_sim_agrees(t.s));
    story_end(&t, "join");
}

static void story_refute(void **state)
{
    (void)state;
    static const uint8_t lie[] = "\x03\x83\xa4" "From\xa6" "node-2\xab" "Incarnation\x64\xa4" "Node\xa6" "node-1";
    struct story t;
    struct kith_config liar;
    story_pool(&t, 3, 2);
    story_mark(&t);
    kith_sim_node_config(t.s, 2, KITH_PROFILE_LAN, &liar);
    kith_sim_inject(t.s, &liar.addr, 0, lie, sizeof lie - 1);
    story_run(&t, 1 * SECOND);
    t.keep[0] = "suspect";
    t.keep[1] = "alive";
    t.keep[2] = "event";
    story_end(&t, "refute");
}

static void story_indirect_ack(void **state)
{
    (void)state;
    struct story t;
    story_pool(&t, 3, 3);
    story_mark(&t);
    kith_sim_cut(t.s, 0, 1, true);
    kith_sim_cut(t.s, 1, 0, true);
    story_run(&t, 2000 * MS);
    story_end(&t, "indirect_ack");
}

static void story_partition(void **state)
{
    (void)state;
    struct story t;
    story_pool(&t, 4, 4);
    story_mark(&t);
    for (uint32_t n = 2; n < 4; n++)
        kith_sim_side(t.s, n, 1);
    kith_sim_cut_sides(t.s, 0, 1, true);
    kith_sim_cut_sides(t.s, 1, 0, true);
    story_run(&t, 25 * SECOND);
    t.keep[0] = "event";
    t.keep[1] = "fault";
    story_tell(&t);
    kith_sim_mend(t.s);
    story_run(&t, 1000 * MS);
    assert_true(kith_sim_agrees(t.s));
    t.keep[2] = "stream";
    story_end(&t, "partition");
}

static void story_restart(void **state)
{
    (void)state;
    struct story t;
    story_pool(&t, 3, 5);
    story_mark(&t);
    kith_sim_crash(t.s, 2, KITH_SIM_PROCESS);
    story_run(&t, 4000 * MS);
    kith_sim_restart(t.s, 2, KITH_SIM_KEEP);
    story_run(&t, 700 * MS);
    assert_true(kith_sim_agrees(t.s));
    t.keep[0] = "node-2";
    t.keep[1] = "refused";
    story_end(&t, "restart");
}

/* What is said to it and by it, what is refused, and what others make of that; not how the news goes round. */
static void story_of_node_4(struct story *t)
{
    t->keep[0] = "of node-4";
    t->keep[1] = "refused";
    t->keep[2] = "event";
    t->keep[3] = "fault";
    t->keep[4] = "node-4 ->";
    t->keep[5] = "starts";
}

/* Five members, of which one ends: nobody listens at its port any more. */
static void story_crash(void **state)
{
    (void)state;
    struct story t;
    story_pool(&t, 5, 10);
    story_mark(&t);
    kith_sim_crash(t.s, 4, KITH_SIM_PROCESS);
    story_run(&t, 2500 * MS);
    assert_true(kith_sim_agrees(t.s));
    story_of_node_4(&t);
    story_end(&t, "crash");
}

/* The same, but the process is started again within the probe interval, and knows nobody: its records are lost. */
static void story_crash_restart(void **state)
{
    (void)state;
    struct story t;
    story_pool(&t, 5, 10);
    story_mark(&t);
    kith_sim_crash(t.s, 4, KITH_SIM_PROCESS);
    story_run(&t, 1200 * MS);
    kith_sim_restart(t.s, 4, KITH_SIM_EMPTY);
    story_run(&t, 2300 * MS);
    story_of_node_4(&t);
    story_end(&t, "crash_restart");
}

static void story_leave(void **state)
{
    (void)state;
    struct story t;
    story_pool(&t, 3, 6);
    story_mark(&t);
    assert_int_equal(kith_leave(kith_sim_node(t.s, 2), kith_sim_time(t.s, 2), NULL), 0);
    story_run(&t, 5 * SECOND);
    t.keep[0] = "intent";
    t.keep[1] = "dead";
    t.keep[2] = "event";
    assert_true(kith_sim_agrees(t.s));
    story_end(&t, "leave");
}

static void story_late_ack(void **state)
{
    (void)state;
    struct story t;
    story_pool(&t, 2, 7);
    story_mark(&t);
    kith_sim_clog(t.s, 1, 0, kith_sim_now_us(t.s) + 1300 * MS);
    story_run(&t, 2000 * MS);
    story_end(&t, "late_ack");
}

static void story_asymmetric_cut(void **state)
{
    (void)state;
    struct story t;
    story_pool(&t, 3, 8);
    story_mark(&t);
    kith_sim_cut(t.s, 0, 1, true);
    story_run(&t, 2000 * MS);
    story_end(&t, "asymmetric_cut");
}

static void story_mass_restart(void **state)
{
    (void)state;
    struct story t;
    story_pool(&t, 5, 9);
    story_mark(&t);
    for (uint32_t n = 1; n < 5; n++)
        kith_sim_crash(t.s, n, KITH_SIM_PROCESS);
    story_run(&t, 2 * SECOND);
    for (uint32_t n = 1; n < 5; n++)
        kith_sim_restart(t.s, n, KITH_SIM_KEEP);
    story_run(&t, 2 * SECOND);
    assert_true(kith_sim_agrees(t.s));
    t.keep[0] = "event";
    t.keep[1] = "fault";
    t.keep[2] = "stream";
    story_end(&t, "mass_restart");
}

static void story_set_tag(struct story *t, uint32_t node, const char *value)
{
    kith *k = kith_sim_node(t->s, node);
    assert_int_equal(kith_begin(k), 0);
    assert_int_equal(kith_tag_set(k, (struct kith_str){"role", 4}, (struct kith_str){value, strlen(value)}), 0);
    assert_int_equal(kith_commit(k, kith_sim_time(t->s, node), NULL), 0);
}

/* Everybody holds of everybody what each holds of itself, tags too. */
static bool story_is_one_view(struct story *t, uint32_t nodes)
{
    for (uint32_t n = 0; n < nodes * nodes; n++) {
        char name[16];
        struct kith_member own, seen;
        struct kith_str of = {name, (size_t)snprintf(name, sizeof name, "node-%u", (unsigned)(n / nodes))};
        assert_int_equal(kith_find(kith_sim_node(t->s, n / nodes), of, &own), 0);
        assert_int_equal(kith_find(kith_sim_node(t->s, n % nodes), of, &seen), 0);
        if (seen.incarnation != own.incarnation || seen.status != own.status || seen.meta.len != own.meta.len ||
            memcmp(seen.meta.ptr, own.meta.ptr, own.meta.len) != 0)
            return false;
    }
    return true;
}

/* A cut that nobody notices, since nobody probes meanwhile: what is new on each side is not said again to the other. */
static void story_compare(void **state)
{
    (void)state;
    struct story t;
    story_warm(&t, 5, 11, 600000);
    overhear_begin(t.s, 5);
    story_mark(&t);
    for (uint32_t n = 3; n < 5; n++)
        kith_sim_side(t.s, n, 1);
    kith_sim_cut_sides(t.s, 0, 1, true);
    kith_sim_cut_sides(t.s, 1, 0, true);
    story_set_tag(&t, 1, "web");
    story_set_tag(&t, 4, "db");
    story_run(&t, 15 * SECOND);
    assert_false(story_is_one_view(&t, 5));
    kith_sim_mend(t.s);
    story_run(&t, 1 * SECOND);
    assert_true(story_is_one_view(&t, 5));
    t.keep[0] = "event";
    t.keep[1] = "fault";
    t.keep[2] = "stream";
    t.keep[3] = "compares";
    story_end(&t, "compare");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(story_join),      cmocka_unit_test(story_refute),    cmocka_unit_test(story_indirect_ack),
        cmocka_unit_test(story_partition), cmocka_unit_test(story_restart),   cmocka_unit_test(story_leave),
        cmocka_unit_test(story_late_ack),  cmocka_unit_test(story_asymmetric_cut),
        cmocka_unit_test(story_mass_restart), cmocka_unit_test(story_crash), cmocka_unit_test(story_crash_restart),
        cmocka_unit_test(story_compare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
