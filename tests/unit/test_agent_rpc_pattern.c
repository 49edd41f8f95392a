/* Patterns of members-filtered: what matches, what does not compile, what costs too much. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "agent/rpc_pattern.h"

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
        struct ki_pattern *pattern = ki_pattern_new(span(rows[i].pattern), error, sizeof error);
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
        assert_null(ki_pattern_new(span(bad[i]), error, sizeof error));
        assert_true(error[0] != '\0');
    }
    static char lengthy[1025];
    char error[64];
    memset(lengthy, 'a', sizeof lengthy);
    assert_null(ki_pattern_new(ki_span(lengthy, 1025), error, sizeof error));
    struct ki_pattern *longest = ki_pattern_new(ki_span(lengthy, 1024), error, sizeof error);
    assert_non_null(longest);
    ki_pattern_free(longest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_match),
                                       cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
