/* The words of the simulator's flags: what they mean exactly, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "cli/sim.h"
#include "sanitized.h"

/* ---- durations ---- */

static void test_durations(void **state)
{
    static const struct {
        const char *text;
        uint64_t us;
    } good[] = {
        {"0s", 0},         {"1us", 1},
        {"500ms", 500000}, {"0.5ms", 500},
        {"10s", 10000000}, {"2m", 120000000},
        {"1h", 3600000000}, {"1.5h", 5400000000},
        {"0.25s", 250000}, {"1.000001s", 1000001},
        {"1.0us", 1},      {"1000h", 3600000000000},
        {"007s", 7000000}, {"0.05m", 3000000},
        {"1.0000000000s", 1000000}, {"0.00000001h", 36},
    };
    static const char *const bad[] = {"",      "s",     "10",     "10 s",      "10S",  "-1s",   "+1s",
                                      ".5s",   "1.s",   "1..2s",  "0.5us",     "1ss",  "1e3s",  "1.0000001s",
                                      "1001h", "1.2.3s", "0x10s", "99999999999999999999s", "s10", "10s ", "5124095576h",
                                      "0.05us", "1.00000001s", "0.0000000001h"};
    (void)state;
    for (size_t i = 0; i < KI_COUNT(good); i++) {
        uint64_t us = 99;
        assert_null(ki_sim_duration(good[i].text, &us));
        assert_int_equal(us, good[i].us);
    }
    for (size_t i = 0; i < KI_COUNT(bad); i++) {
        uint64_t us = 99;
        assert_non_null(ki_sim_duration(bad[i], &us));
        assert_int_equal(us, 99);
    }
}

static void test_duration_ranges(void **state)
{
    static const struct {
        const char *text;
        uint64_t min_us, max_us;
        const char *wrong; /* a word of the reason */
    } rows[] = {
        {"0.5ms..50ms", 500, 50000, NULL}, {"5ms", 5000, 5000, NULL},
        {"1ms..1ms", 1000, 1000, NULL},    {"1s..2m", 1000000, 120000000, NULL},
        {"5ms..1ms", 0, 0, "backwards"},   {"1ms..", 0, 0, "no range"},
        {"..1ms", 0, 0, "no range"},       {"1ms...2ms", 0, 0, "no range"},
        {"1ms-2ms", 0, 0, "no range"},     {"1ms..2000h", 0, 0, "longer"},
        {"", 0, 0, "no range"},            {"0000000000000000000000000000000000000000000000000s..1s", 0, 0, "no range"},
    };
    (void)state;
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        uint64_t min_us = 0, max_us = 0;
        const char *wrong = ki_sim_duration_range(rows[i].text, &min_us, &max_us);
        assert_int_equal(wrong != NULL, rows[i].wrong != NULL);
        assert_true(!wrong || strstr(wrong, rows[i].wrong));
        assert_int_equal(min_us, rows[i].min_us);
        assert_int_equal(max_us, rows[i].max_us);
    }
}

/* ---- shares ---- */

static void test_percents(void **state)
{
    static const struct {
        const char *text;
        uint32_t ppm;
    } good[] = {
        {"5%", 50000},  {"0.05", 50000}, {"100%", 1000000}, {"1", 1000000}, {"0", 0},         {"0%", 0},
        {"0.0001%", 1}, {"0.000001", 1}, {"12.5%", 125000}, {"1.0", 1000000}, {"33.3333%", 333333},
    };
    static const char *const bad[] = {"",   "%",   "x",     "101%",       "100.0001%", "1.1",  "5",
                                      "5%%", "-1%", "5 %",   "0.00001%",   "0.0000001", "5%x",  "%5",
                                      ".5",  "5.%", "1e-3",  "4294967296%", "nan",
                                      "0.00000001", "0.000001%"};
    (void)state;
    for (size_t i = 0; i < KI_COUNT(good); i++) {
        uint32_t ppm = 99;
        assert_null(ki_sim_percent(good[i].text, &ppm));
        assert_int_equal(ppm, good[i].ppm);
    }
    for (size_t i = 0; i < KI_COUNT(bad); i++) {
        uint32_t ppm = 99;
        assert_non_null(ki_sim_percent(bad[i], &ppm));
        assert_int_equal(ppm, 99);
    }
}

static void test_numbers(void **state)
{
    static const struct {
        const char *text;
        uint64_t set;
    } good[] = {
        {"none", 0},   {"1", 1},      {"3,7,9", 0x144},          {"9,3,7,3", 0x144},
        {"64", UINT64_C(1) << 63},    {"1,64", UINT64_C(1) << 63 | 1},
    };
    static const char *const bad[] = {"", "0", "65", "1,", ",1", "1,,2", "1 2", "1, 2", "-1",
                                      "x", "1..3", "none,1", "1,none"};
    (void)state;
    for (size_t i = 0; i < KI_COUNT(good); i++) {
        uint64_t set = 99;
        assert_null(ki_sim_numbers(good[i].text, &set));
        assert_true(set == good[i].set);
    }
    for (size_t i = 0; i < KI_COUNT(bad); i++) {
        uint64_t set = 99;
        assert_non_null(ki_sim_numbers(bad[i], &set));
        assert_true(set == 99);
    }
}

static void test_shares(void **state)
{
    static const struct {
        const char *text;
        uint32_t of_200; /* nodes that it means */
        uint64_t at_us, until_us;
        bool ends;
    } good[] = {
        {"10%@20s", 20, 20000000, 0, false},
        {"0.1@20s", 20, 20000000, 0, false},
        {"3@0s", 3, 0, 0, false},
        {"0.2%@1s", 0, 1000000, 0, false}, /* 0.4 of a node */
        {"0.25%@1s", 1, 1000000, 0, false},
        {"30%@20s..40s", 60, 20000000, 40000000, true},
        {"250@1m..1.5m", 250, 60000000, 90000000, true},
    };
    static const struct {
        const char *text;
        const char *wrong;
    } bad[] = {
        {"10%", "lacks its time"},          {"@20s", "no share"},         {"10%@", "no time"},
        {"10%@20", "no time"},              {"10%@40s..20s", "backwards"}, {"10%@20s..20s", "backwards"},
        {"110%@20s", "no share"},           {"x@20s", "no share"},        {"-1@20s", "no share"},
        {"10%@20s..", "no time"},           {"10%@..20s", "no time"},     {"10%@20s@30s", "no time"},
        {"4294967296@20s", "no share"},     {"10%@20s..30s..40s", "no time"}, {"1 @20s", "no share"},
    };
    (void)state;
    for (size_t i = 0; i < KI_COUNT(good); i++) {
        struct ki_sim_share share;
        assert_null(ki_sim_share(good[i].text, &share));
        assert_int_equal(ki_sim_share_of(&share, 200), good[i].of_200);
        assert_int_equal(share.at_us, good[i].at_us);
        assert_int_equal(share.ends, good[i].ends);
        assert_int_equal(share.until_us, good[i].until_us);
    }
    for (size_t i = 0; i < KI_COUNT(bad); i++) {
        struct ki_sim_share share = {.nodes = 99};
        const char *wrong = ki_sim_share(bad[i].text, &share);
        assert_non_null(wrong);
        assert_non_null(strstr(wrong, bad[i].wrong));
        assert_int_equal(share.nodes, 99);
    }
}

static void test_mix(void **state)
{
    static const struct {
        const char *text;
        int ppm; /* -1: refused */
    } rows[] = {
        {"30:70", 300000}, {"1:2", 333333}, {"2:1", 666667}, {"0:5", 0}, {"5:0", 1000000}, {"1:1", 500000},
        {"0:0", -1},       {"30", -1},      {":", -1},       {"1:", -1}, {":1", -1},       {"1:2:3", -1},
        {"-1:2", -1},      {"1.5:2", -1},   {"1:9999999", -1},
    };
    (void)state;
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        uint32_t ppm = 99;
        assert_int_equal(ki_sim_mix(rows[i].text, &ppm) == NULL, rows[i].ppm >= 0);
        assert_int_equal(ppm, rows[i].ppm >= 0 ? rows[i].ppm : 99);
    }
}

/* ---- seeds ---- */

static void test_seeds(void **state)
{
    static const struct {
        const char *text;
        uint64_t first, last;
        const char *wrong;
    } rows[] = {
        {"1..200", 1, 200, NULL},
        {"7", 7, 7, NULL},
        {"0x10..0x1f", 16, 31, NULL},
        {"18446744073709551615", UINT64_MAX, UINT64_MAX, NULL},
        {"0xffffffffffffffff", UINT64_MAX, UINT64_MAX, NULL},
        {"18446744073709551616", 0, 0, "no range"},
        {"0x10000000000000000", 0, 0, "no range"},
        {"5..4", 0, 0, "backwards"},
        {"1..", 0, 0, "no range"},
        {"..1", 0, 0, "no range"},
        {"-1", 0, 0, "no range"},
        {"0x", 0, 0, "no range"},
        {"0xg", 0, 0, "no range"},
        {"1f", 0, 0, "no range"},
        {"", 0, 0, "no range"},
        {"1 ", 0, 0, "no range"},
    };
    (void)state;
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        uint64_t first = 0, last = 0;
        const char *wrong = ki_sim_seeds(rows[i].text, &first, &last);
        assert_int_equal(wrong != NULL, rows[i].wrong != NULL);
        assert_true(!wrong || strstr(wrong, rows[i].wrong));
        assert_true(first == rows[i].first && last == rows[i].last);
    }
}

/* ---- what is printed ---- */

static void test_figures(void **state)
{
    static const struct {
        double value;
        const char *text;
    } rows[] = {
        {0, "0"},          {7, "7"},           {0.0625, "0.062"},     {2.117, "2.117"},         {16.904, "16.90"},
        {185.31, "185.3"}, {1000, "1,000"},    {1234.5678, "1,235"},  {123456, "123,456"},      {1234567, "1,234,567"},
        {-1234567, "-1,234,567"}, {-123, "-123"}, {999, "999"},       {2e18, "2e+18"},          {-123456.7, "-123,457"},
    };
    (void)state;
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        char buf[40];
        assert_string_equal(ki_sim_figure(rows[i].value, buf), rows[i].text);
    }
}

static void test_command(void **state)
{
    char *words[] = {(char[]){"run"}, (char[]){"--kill"}, (char[]){"10%@20s"}, (char[]){""}, (char[]){"it's <b>"}};
    char *text = ki_sim_command((int)KI_COUNT(words), words);
    (void)state;
    assert_string_equal(text, "kith sim run --kill 10%@20s '' 'it'\\''s <b>'");
    free(text);
}

/* In a process of its own, for it ends with a line.  A sanitizer has an end of its own for that. */
static void test_no_memory(void **state)
{
    static const char wanted[] = "kith sim: out of memory; fewer nodes need less\n";
    char said[128] = {0};
    int ends[2], status;
    (void)state;
    free(ki_sim_new(0));
    if (IS_SANITIZED)
        skip();
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        const struct rlimit little = {.rlim_cur = 1 << 20, .rlim_max = 1 << 20};
        setrlimit(RLIMIT_AS, &little);
        json_set_alloc_funcs(ki_sim_new, free);
        while (json_string("what a result is printed from"))
            continue;
        _exit(0);
    }
    close(ends[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(read(ends[0], said, sizeof said - 1), sizeof wanted - 1);
    close(ends[0]);
    assert_string_equal(said, wanted);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == KI_EXIT_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations), cmocka_unit_test(test_duration_ranges), cmocka_unit_test(test_percents),
        cmocka_unit_test(test_shares),    cmocka_unit_test(test_mix),             cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_figures),   cmocka_unit_test(test_command),         cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
