/* Patterns: what matches, what does not compile, what costs too much. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/pattern.h"

static const struct {
    const char *pattern;
    const char *text;
    enum ki_match match;
} rows[] = {
    {"alive", "alive", KI_MATCH_YES},
    {"alive", "alive ", KI_MATCH_NO},
    {"live", "alive", KI_MATCH_NO},
    {"ali", "alive", KI_MATCH_NO},
    {"a|b", "b", KI_MATCH_YES},
    {"a|alive", "alive", KI_MATCH_YES},
    {"a|b", "ab", KI_MATCH_NO},
    {".*", "", KI_MATCH_YES},
    {"", "", KI_MATCH_YES},
    {"", "x", KI_MATCH_NO},
    {"web", "web\n", KI_MATCH_NO},
    {"(?i)WEB\\d", "web7", KI_MATCH_YES},
    {"^web$", "web", KI_MATCH_YES},
    {"a.*?c", "abcbc", KI_MATCH_YES},
    {"\xc3\xa9", "\xc3\xa9", KI_MATCH_YES},
    {".", "\xc3\xa9", KI_MATCH_YES},
    {".*", "\xff", KI_MATCH_NO},
    {"(a*)*[bc]", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", KI_MATCH_TOO_DEAR},
    {"(x+x+)+[yz]", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", KI_MATCH_TOO_DEAR},
};

static struct ki_span span(const char *text)
{
    return ki_span(text, strlen(text));
}

static void test_match(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        char error[64];
        struct ki_pattern *pattern = ki_pattern_new(NULL, KI_PATTERN_WHOLE, span(rows[i].pattern), error, sizeof error);
        assert_non_null(pattern);
        enum ki_match got = ki_pattern_match(pattern, span(rows[i].text));
        if (got != rows[i].match)
            print_error("'%s' on '%s': %d\n", rows[i].pattern, rows[i].text, (int)got);
        assert_int_equal(got, rows[i].match);
        ki_pattern_free(pattern);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"(",   "a)|(?:b", "[z-a]", "*",
                                      "\\C", "\xff",    "(?P<n", "(((a{999}){999}){999}){999}"};
    for (size_t i = 0; i < KI_COUNT(bad); i++) {
        char error[64] = "";
        assert_null(ki_pattern_new(NULL, KI_PATTERN_WHOLE, span(bad[i]), error, sizeof error));
        assert_true(error[0] != '\0');
    }
    static char lengthy[1025];
    char error[64];
    memset(lengthy, 'a', sizeof lengthy);
    assert_null(ki_pattern_new(NULL, KI_PATTERN_WHOLE, ki_span(lengthy, 1025), error, sizeof error));
    struct ki_pattern *longest = ki_pattern_new(NULL, KI_PATTERN_WHOLE, ki_span(lengthy, 1024), error, sizeof error);
    assert_non_null(longest);
    ki_pattern_free(longest);
}

static void test_within(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        enum ki_match match;
    } within[] = {
        {"live", "alive", KI_MATCH_YES}, {"^live", "alive", KI_MATCH_NO},         {"", "x", KI_MATCH_YES},
        {"web", "a web\n", KI_MATCH_YES}, {"a)|(?:b", NULL, KI_MATCH_NO},         {"v$", "liv", KI_MATCH_YES},
        {"liv", "al\xffliv", KI_MATCH_YES}, {"(x+x+)+[yz]", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", KI_MATCH_TOO_DEAR},
    };
    static const char *const words[] = {"no", "yes", "too dear"};
    for (size_t i = 0; i < KI_COUNT(within); i++) {
        struct ki_pattern *pattern = ki_pattern_new(NULL, KI_PATTERN_WITHIN, span(within[i].pattern), NULL, 0);
        assert_true((pattern == NULL) == (within[i].text == NULL));
        if (pattern)
            assert_string_equal(words[ki_pattern_match(pattern, span(within[i].text))], words[within[i].match]);
        ki_pattern_free(pattern);
    }
}

/* Each allocation fails in turn: nothing is left, and a match that wants more memory than there is says so. */
static void test_memory(void **state)
{
    (void)state;
    struct ki_mem mem;
    uint64_t max = 16;
    struct ki_pattern *pattern = NULL;
    for (; !pattern; max += 16) {
        ki_mem_init(&mem, NULL, NULL, NULL, max);
        pattern = ki_pattern_new(&mem, KI_PATTERN_WITHIN, span("a(b|c)+d"), NULL, 0);
        assert_true(pattern || mem.used == 0);
    }
    assert_true(max > 500); /* it took more than one */
    mem.max = 0;
    assert_int_equal(ki_pattern_match(pattern, span("xabcbd")), KI_MATCH_YES);
    ki_pattern_free(pattern);
    assert_int_equal(mem.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_match),
                                       cmocka_unit_test(test_refused), cmocka_unit_test(test_within),
                                       cmocka_unit_test(test_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
