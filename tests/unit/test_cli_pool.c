/* Who has to acknowledge a query, who has not, and what `kith keys` is asked about. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/pattern.h"
#include "cli/keyring.h"
#include "cli/pool_query.h"

/* Splits a copy of a text at its blanks. */
static size_t split(const char *text, char *copy, size_t cap, const char **words, size_t max)
{
    size_t count = 0;
    char *save = NULL;
    assert_true(strlen(text) < cap);
    memcpy(copy, text, strlen(text) + 1);
    for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        assert_true(count < max);
        words[count++] = word;
    }
    return count;
}

/* As "name/status name/status". */
static void render(const struct ki_answers *answers, char *text, size_t cap)
{
    size_t len = 0;
    text[0] = '\0';
    for (size_t i = 0; i < answers->count; i++) {
        const struct ki_answer *one = &answers->items[i];
        len += (size_t)snprintf(text + len, cap - len, "%s%.*s/%.*s", i > 0 ? " " : "", (int)one->from.len,
                                (const char *)one->from.ptr, (int)one->payload.len, (const char *)one->payload.ptr);
        assert_true(len < cap);
    }
}

/* ---- who ---- */

static struct ki_listed_member listed[] = {{.name = {(const uint8_t *)"a", 1}, .status = {(const uint8_t *)"alive", 5}},
                                           {.name = {(const uint8_t *)"b", 1}, .status = {(const uint8_t *)"failed", 6}},
                                           {.name = {(const uint8_t *)"c", 1}, .status = {(const uint8_t *)"alive", 5}},
                                           {.name = {(const uint8_t *)"d", 1}, .status = {(const uint8_t *)"leaving", 7}},
                                           {.name = {(const uint8_t *)"e", 1}, .status = {(const uint8_t *)"left", 4}}};

static const struct {
    const char *nodes;
    bool tagged; /* the list is of those whom the tags select */
    const char *acks;
    const char *expected;
    const char *missing;
} rows[] = {
    {"", false, "a c", "a/alive c/alive", ""},
    {"", false, "c", "a/alive c/alive", "a/alive"},
    {"", false, "b d x", "a/alive c/alive", "a/alive c/alive"}, /* others do not make up for it */
    {"", true, "", "a/alive c/alive", "a/alive c/alive"},
    {"a", false, "a", "a/alive", ""},
    {"c a c", false, "a a", "a/alive c/alive", "c/alive"}, /* named twice, acknowledged twice: once each */
    {"b", false, "", "b/failed", "b/failed"},
    {"d e", false, "d", "d/leaving e/left", "e/left"},
    {"z", false, "", "z/unknown", "z/unknown"},
    {"z a z", false, "a", "a/alive z/unknown", "z/unknown"},
    {"aa", false, "a", "aa/unknown", "aa/unknown"},
    {"a B", false, "a", "B/unknown a/alive", "B/unknown"},
    {"z a", true, "", "a/alive", "a/alive"}, /* the tags may be why z is not listed */
    {"z", true, "", "", ""},
};

static void test_expected(void **state)
{
    (void)state;
    const struct ki_member_list list = {.members = listed, .count = KI_COUNT(listed)};
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        struct ki_flag_list nodes = {.count = 0}, tags = {.items = {"role=web"}, .count = rows[i].tagged ? 1 : 0};
        struct ki_pool_query query = {.name = "q", .nodes = &nodes, .tags = &tags, .wants_acks = true};
        struct ki_answers expected = {.count = 0}, acks = {.count = 0}, missing = {.count = 0};
        char copy[64], text[128];
        const char *names[8];
        nodes.count = split(rows[i].nodes, copy, sizeof copy, nodes.items, KI_FLAG_LIST_MAX);
        assert_true(ki_pool_expected(&list, &query, &expected));
        render(&expected, text, sizeof text);
        assert_string_equal(text, rows[i].expected);
        size_t count = split(rows[i].acks, copy, sizeof copy, names, KI_COUNT(names));
        for (size_t k = count; k-- > 0;)
            assert_true(ki_answers_add(&acks, ki_span(names[k], strlen(names[k])), ki_span(NULL, 0)));
        ki_answers_sort(&acks);
        assert_true(ki_pool_missing(&expected, &acks, &missing));
        render(&missing, text, sizeof text);
        assert_string_equal(text, rows[i].missing);
        ki_answers_free(&expected);
        ki_answers_free(&acks);
        ki_answers_free(&missing);
    }
}

/* Many of them, and bytes of any kind. */
static void test_answers(void **state)
{
    (void)state;
    struct ki_answers answers = {.count = 0};
    for (unsigned i = 1000; i-- > 0;) {
        uint8_t name[2] = {(uint8_t)(i >> 8), (uint8_t)i};
        assert_true(ki_answers_add(&answers, ki_span(name, 2), ki_span("\0x", 2)));
    }
    assert_true(ki_answers_add(&answers, ki_span(NULL, 0), ki_span(NULL, 0)));
    ki_answers_sort(&answers);
    assert_int_equal(answers.count, 1001);
    assert_int_equal(answers.items[0].from.len, 0);
    for (unsigned i = 0; i < 1000; i++) {
        uint8_t name[2] = {(uint8_t)(i >> 8), (uint8_t)i};
        assert_true(ki_span_equal(answers.items[i + 1].from, ki_span(name, 2)));
        assert_true(ki_span_equal(answers.items[i + 1].payload, ki_span("\0x", 2)));
        assert_true(ki_answers_has(&answers, ki_span(name, 2)));
    }
    assert_false(ki_answers_has(&answers, ki_span("\x03\xe8", 2)));
    assert_false(ki_answers_has(&answers, ki_span("\x00", 1)));
    ki_answers_free(&answers);
    assert_false(ki_answers_has(&answers, ki_span("a", 1)));
}

/* ---- patterns ---- */

/* Nearly all that the tags of a member may hold together: matching stays within the limits of a pattern. */
#define LONG_50 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define LONG    LONG_50 LONG_50 LONG_50 LONG_50 LONG_50 LONG_50 LONG_50 LONG_50 LONG_50 LONG_50

/* A query's pattern matches anywhere; the list of members anchors what it is given. */
static void test_patterns(void **state)
{
    (void)state;
    static const struct {
        const char *anywhere, *value;
        bool matches;
    } patterns[] = {
        {"eb", "web", true},    {"^eb", "web", false},      {"^web$", "web", true},  {"^we", "web", true},
        {"a|b", "xbx", true},   {"a|b", "xcx", false},      {"", "", true},          {"x", "", false},
        {"b", "a\nb\nc", true}, {"(?i)WEB", "web", true},   {"(?i)w", "xWx", true},  {"[0-9]+$", "ab12", true},
        {"[0-9]+$", "12ab", false}, {"^(x|y)+b", LONG, false}, {"a(x|y)?z", LONG, false}, {"a{200}$", LONG, true},
    };
    for (size_t i = 0; i < KI_COUNT(patterns); i++) {
        char reason[128];
        char *whole = ki_pool_pattern(patterns[i].anywhere);
        assert_non_null(whole);
        struct ki_pattern *compiled =
            ki_pattern_new(NULL, KI_PATTERN_WHOLE, ki_span(whole, strlen(whole)), reason, sizeof reason);
        assert_non_null(compiled);
        struct ki_span value = ki_span(patterns[i].value, strlen(patterns[i].value));
        assert_int_equal(ki_pattern_match(compiled, value), patterns[i].matches ? KI_MATCH_YES : KI_MATCH_NO);
        ki_pattern_free(compiled);
        free(whole);
    }
}

/* ---- the two kinds of keys ---- */

static void test_keys(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        bool encryption;
    } lines[] = {
        {"keys", false},
        {"keys user:*", false},
        {"keys -json", false},
        {"keys -resp-addr x list", false},
        {"keys install", false},
        {"keys -- -list", false},
        {"keys -lists", false},
        {"keys -lis", false},
        {"keys -list", true},
        {"keys --list", true},
        {"keys -list=false", true},
        {"keys -rpc-addr=x -list", true},
        {"keys -rpc-addr x --install=y", true},
        {"keys -use y -json", true},
        {"keys -remove", true},
    };
    for (size_t i = 0; i < KI_COUNT(lines); i++) {
        char copy[64];
        char *argv[8];
        const char *words[8];
        size_t count = split(lines[i].line, copy, sizeof copy, words, KI_COUNT(words));
        for (size_t k = 0; k < count; k++)
            argv[k] = copy + (words[k] - copy);
        assert_int_equal(ki_keyring_asked((int)count, argv), lines[i].encryption);
    }
}

/* ---- waiting ---- */

static void test_waits(void **state)
{
    (void)state;
    static const struct ki_usage usage = {.command = "query"};
    uint32_t timeout_ms = 1;
    assert_true(ki_client_duration(&usage, "timeout", NULL, &timeout_ms));
    assert_int_equal(timeout_ms, 0);
    assert_int_equal(ki_client_wait_ms(0), KI_RPC_WAIT_LONG_MS);
    assert_true(ki_client_duration(&usage, "timeout", "1m1.5s", &timeout_ms));
    assert_int_equal(timeout_ms, 61500);
    assert_int_equal(ki_client_wait_ms(timeout_ms), 61500 + KI_RPC_WAIT_MS);
    assert_int_equal(ki_client_wait_ms(UINT32_MAX), INT32_MAX);
    assert_false(ki_client_duration(&usage, "timeout", "soon", &timeout_ms));
    assert_false(ki_client_duration(&usage, "timeout", "-1s", &timeout_ms));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expected), cmocka_unit_test(test_answers), cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_keys),     cmocka_unit_test(test_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
