/* Flags in all the forms that Go programs take, and the mistakes that end with exit code 2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "cli/flags.h"

struct parsed {
    bool on;
    const char *text;
    uint32_t number;
    struct ki_flag_uint many;
    struct ki_flag_real real;
    struct ki_flag_list list;
    int first;
    int exit_code;
};

/* Splits a line at its blanks and parses it. */
static bool parse(const char *line, int operands_max, struct parsed *out)
{
    static char copy[512];
    static char *argv[32];
    *out = (struct parsed){.text = "default", .number = 7, .exit_code = -1};
    const struct ki_flag flags[] = {
        {"on", KI_FLAG_BOOL, &out->on, NULL, "switch"},
        {"text", KI_FLAG_TEXT, &out->text, "t", "text\nin two lines"},
        {"number", KI_FLAG_UINT, &out->number, "n", "number"},
        {"many", KI_FLAG_UINT_GIVEN, &out->many, "n", "number, or none"},
        {"real", KI_FLAG_REAL_GIVEN, &out->real, "r", "real, or none"},
        {"item", KI_FLAG_LIST, &out->list, "i", "list"},
    };
    const struct ki_usage usage = {"test",          "operand", "Tests.",    flags,
                                   KI_COUNT(flags), 0,         operands_max};
    snprintf(copy, sizeof copy, "test %s", line);
    int argc = 0;
    char *save = NULL;
    for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
        argv[argc++] = word;
    argv[argc] = NULL;
    return ki_flags_parse(&usage, argc, argv, &out->first, &out->exit_code);
}

static const struct {
    const char *line;
    bool on;
    const char *text;
    uint32_t number;
    size_t items;
    int first;
} good[] = {
    {"", false, "default", 7, 0, 1},
    {"-on", true, "default", 7, 0, 2},
    {"--on", true, "default", 7, 0, 2},
    {"-on=false", false, "default", 7, 0, 2},
    {"-on=1 x", true, "default", 7, 0, 2},
    {"-on false", true, "default", 7, 0, 2}, /* a switch takes no word of its own */
    {"-text a -number 3", false, "a", 3, 0, 5},
    {"--text=a=b --number=0", false, "a=b", 0, 0, 3},
    {"-text -on", false, "-on", 7, 0, 3},
    {"-text= x", false, "", 7, 0, 2},
    {"-item a -item=b --item c", false, "default", 7, 3, 6},
    {"x -on", false, "default", 7, 0, 1}, /* the first operand ends the flags */
    {"-on -- -text", true, "default", 7, 0, 3},
    {"- -on", false, "default", 7, 0, 1}, /* a dash alone is an operand */
    {"-number 4294967295", false, "default", 4294967295u, 0, 3},
};

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(good); i++) {
        struct parsed got;
        assert_true(parse(good[i].line, -1, &got));
        assert_int_equal(got.on, good[i].on);
        assert_string_equal(got.text, good[i].text);
        assert_int_equal(got.number, good[i].number);
        assert_int_equal(got.list.count, good[i].items);
        assert_int_equal(got.first, good[i].first);
    }
}

/* Every number may be given; none stands for "not given". */
static void test_given(void **state)
{
    static const struct {
        const char *line;
        struct ki_flag_uint many;
    } rows[] = {{"", {0, false}},
                {"-many 0", {0, true}},
                {"-many=4294967295", {UINT32_MAX, true}},
                {"-many 3 -many 5", {5, true}}};
    struct parsed got;
    (void)state;
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        assert_true(parse(rows[i].line, -1, &got));
        assert_true(got.many.value == rows[i].many.value && got.many.given == rows[i].many.given);
    }
    assert_false(parse("-many 4294967296", -1, &got));
    assert_int_equal(got.exit_code, 2);
}

/* Flags before the operands and behind them; what looks like a number is none. */
static void test_around(void **state)
{
    (void)state;
    static const struct {
        const char *words[8];
        int min, max;
        int count; /* -1: wrong usage */
        const char *last;
        bool json;
    } rows[] = {
        {{"set", "k", "v"}, 2, 2, 2, "v", false},
        {{"set", "-json", "k", "v"}, 2, 2, 2, "v", true},
        {{"set", "k", "v", "--json"}, 2, 2, 2, "v", true},
        {{"set", "k", "-v", "-json"}, 2, 2, 2, "-v", true},
        {{"set", "--", "-k", "-v"}, 2, 2, 2, "-v", false},
        {{"incr", "k", "-5", "-json"}, 1, 2, 2, "-5", true},
        {{"incr", "k", "-.5"}, 1, 2, 2, "-.5", false},
        {{"incr", "k", "-json"}, 1, 2, 1, "k", true},
        {{"incr", "k", "-.json"}, 1, 2, -1, NULL, false},
        {{"del", "a", "b", "c", "-json"}, 1, -1, 3, "c", true},
        {{"del", "--", "a", "-json"}, 1, -1, 2, "-json", false},
        {{"keys"}, 0, 1, 0, NULL, false},
        {{"keys", "-json"}, 0, 1, 0, NULL, true},
        {{"get"}, 1, 1, -1, NULL, false},
        {{"get", "a", "b"}, 1, 1, -1, NULL, false},
        {{"get", "a", "-json", "b"}, 1, 1, -1, NULL, false},
        {{"get", "a", "-no-such"}, 1, 1, -1, NULL, false},
    };
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        bool json = false;
        const struct ki_flag flags[] = {{"json", KI_FLAG_BOOL, &json, NULL, "."}};
        const struct ki_usage usage = {"test", "words", "", flags, 1, rows[i].min, rows[i].max};
        char *argv[9] = {NULL}, **operands;
        int argc = 0, count = -1, code = 0;
        while (argc < 8 && rows[i].words[argc]) {
            argv[argc] = strdup(rows[i].words[argc]);
            argc++;
        }
        bool good_usage = ki_flags_parse_around(&usage, argc, argv, &operands, &count, &code);
        assert_int_equal(good_usage, rows[i].count >= 0);
        if (good_usage) {
            assert_int_equal(count, rows[i].count);
            assert_int_equal(json, rows[i].json);
            if (rows[i].last)
                assert_string_equal(operands[count - 1], rows[i].last);
        } else {
            assert_int_equal(code, 2);
        }
        while (argc > 0)
            free(argv[--argc]);
    }
}

/* Finite decimal numbers, whole. */
static void test_reals(void **state)
{
    static const struct {
        const char *text;
        bool fine;
        double value;
    } rows[] = {
        {"0", true, 0},      {"-1.5", true, -1.5},  {"+.25", true, 0.25}, {"1e3", true, 1000},   {"-2.5E-3", true, -0.0025},
        {"", false, 0},      {" 1", false, 0},      {"1 ", false, 0},     {"1x", false, 0},      {"0x10", false, 0},
        {"nan", false, 0},   {"inf", false, 0},     {"-inf", false, 0},   {"1e400", false, 0},   {"1e", false, 0},
        {"-", false, 0},     {"1,5", false, 0},     {".", false, 0},
    };
    struct parsed got;
    (void)state;
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        double value = 7;
        assert_int_equal(ki_flag_real(rows[i].text, &value) == NULL, rows[i].fine);
        assert_true(value == (rows[i].fine ? rows[i].value : 7));
    }
    assert_true(parse("-real -3.5 x", -1, &got));
    assert_true(got.real.given && got.real.value == -3.5 && got.first == 3);
    assert_true(parse("x", -1, &got));
    assert_false(got.real.given);
    assert_false(parse("-real nan", -1, &got));
    assert_int_equal(got.exit_code, 2);
}

static void test_bad(void **state)
{
    (void)state;
    static const char *const bad[] = {"-nope",           "--nope=1",           "-text",
                                      "-number",         "-number x",          "-number=-1",
                                      "-number= ",       "-number 4294967296", "-on=perhaps",
                                      "-on one operand", "-number 0x10",       "-onn"};
    for (size_t i = 0; i < KI_COUNT(bad); i++) {
        struct parsed got;
        assert_false(parse(bad[i], 1, &got));
        assert_int_equal(got.exit_code, 2);
    }
}

/* What standard error gets from one judgement of a value. */
static void test_values(void **state)
{
    (void)state;
    static const char *const words[] = {"lan", "wan", "local"};
    const struct ki_usage usage = {"test", "", "Tests.", NULL, 0, 0, 0};
    char said[512] = {0};
    size_t which = 9;
    FILE *to = tmpfile();
    int was = dup(STDERR_FILENO);
    assert_non_null(to);
    fflush(stderr);
    dup2(fileno(to), STDERR_FILENO);
    bool fine = ki_flag_fits(&usage, "f", "1", NULL) && ki_flag_within(&usage, "f", 1, 1, 5) &&
                ki_flag_within(&usage, "f", 5, 1, 5) && ki_flag_choice(&usage, "f", "local", words, 3, &which);
    bool wrong = ki_flag_fits(&usage, "f", "x", "is wrong") || ki_flag_within(&usage, "f", 0, 1, 5) ||
                 ki_flag_within(&usage, "f", 6, 1, 5) || ki_flag_choice(&usage, "f", "moon", words, 3, &(size_t){0}) ||
                 ki_flag_fits(&usage, "f", "5%\n\033[2J\xff\xc2\x9b\u00e9", "is wrong");
    fflush(stderr);
    dup2(was, STDERR_FILENO);
    close(was);
    assert_int_equal(fseek(to, 0, SEEK_SET), 0);
    assert_true(fread(said, 1, sizeof said - 1, to) > 0);
    fclose(to);
    assert_true(fine);
    assert_false(wrong);
    assert_int_equal(which, 2);
    assert_string_equal(said, "kith test: -f x: is wrong (see 'kith test -help')\n"
                              "kith test: -f 0: must be 1 to 5 (see 'kith test -help')\n"
                              "kith test: -f 6: must be 1 to 5 (see 'kith test -help')\n"
                              "kith test: -f moon: is none of lan, wan, local (see 'kith test -help')\n"
                              "kith test: -f 5%\\x0a\\x1b[2J\\xff\\xc2\\x9b\u00e9: is wrong (see 'kith test -help')\n");
}

static void test_help(void **state)
{
    (void)state;
    static const char *const asked[] = {"-h", "-help", "--help", "-on -h"};
    for (size_t i = 0; i < KI_COUNT(asked); i++) {
        struct parsed got;
        assert_false(parse(asked[i], 1, &got));
        assert_int_equal(got.exit_code, 0);
    }
}

static void test_list_is_bounded(void **state)
{
    (void)state;
    static struct ki_flag_list list;
    const struct ki_flag flag = {"item", KI_FLAG_LIST, &list, "i", "list"};
    const struct ki_usage usage = {"test", "", "Tests.", &flag, 1, 0, 0};
    static char *argv[KI_FLAG_LIST_MAX + 3];
    static char name[] = "test";
    static char item[] = "-item=x";
    int first;
    int code;
    argv[0] = name;
    for (size_t i = 1; i < KI_COUNT(argv) - 1; i++)
        argv[i] = item;
    assert_true(ki_flags_parse(&usage, KI_FLAG_LIST_MAX + 1, argv, &first, &code));
    list.count = 0;
    assert_false(ki_flags_parse(&usage, KI_FLAG_LIST_MAX + 2, argv, &first, &code));
    assert_int_equal(code, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_given),
        cmocka_unit_test(test_reals),
        cmocka_unit_test(test_around),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_list_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
