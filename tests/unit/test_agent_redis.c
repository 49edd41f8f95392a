/* The parts of the Redis door that need no socket: globs against a stupid matcher, numbers, words, the options of SCAN, the
 * table of commands, the classes of notifications, who is interested in which name, headers that come late. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "agent/redis_conn.h"

#include <stdio.h>

static struct ki_span span(const char *text)
{
    return ki_span(text, strlen(text));
}

/* ---- globs ---- */

static void glob_table(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool match;
    } rows[] = {
        {"", "", true},          {"", "a", false},         {"*", "", true},           {"*", "abc", true},
        {"a*", "a", true},       {"a*c", "abbc", true},    {"a*c", "abbd", false},    {"*a*b*", "xxaxxbxx", true},
        {"?", "a", true},        {"?", "", false},         {"a?c", "abc", true},      {"[abc]", "b", true},
        {"[^abc]", "b", false},  {"[^abc]", "d", true},    {"[a-c]x", "bx", true},    {"[c-a]x", "bx", true},
        {"[a-c]x", "dx", false}, {"[a-", "a", true},       {"[a-", "-", true},        {"[", "a", false},
        {"[^", "a", true},       {"[]", "a", false},       {"[]a]", "]a]", false},    {"\\*", "*", true},
        {"\\*", "a", false},     {"[\\]]", "]", true},     {"[\\^a]", "^", true},     {"\\", "\\", true},
        {"a\\", "a\\", true},    {"A", "a", false},        {"h[e-o]llo", "hello", true}, {"**a", "bca", true},
        {"user:*:name", "user:17:name", true},             {"user:*:name", "user:17:nam", false},
    };
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        if (ki_redis_match(span(rows[i].pattern), span(rows[i].text)) != rows[i].match)
            fail_msg("%s against %s", rows[i].pattern, rows[i].text);
    }
}

/* Tries every length for every star. */
static bool stupid(const char *p, const char *t)
{
    if (!*p)
        return !*t;
    if (*p == '*')
        return stupid(p + 1, t) || (*t && stupid(p, t + 1));
    return *t && (*p == '?' || *p == *t) && stupid(p + 1, t + 1);
}

static void glob_all_small(void **state)
{
    (void)state;
    static const char parts[] = "ab*?";
    char pattern[7], text[7];
    for (unsigned p = 0; p < 4 * 4 * 4 * 4 * 4; p++) {
        for (unsigned i = 0; i < 5; i++)
            pattern[i] = parts[p >> 2 * i & 3];
        pattern[5] = '\0';
        for (unsigned t = 0; t < 64; t++) {
            unsigned len = t & 1 ? 5 : 4;
            for (unsigned i = 0; i < len; i++)
                text[i] = "ab"[t >> (i + 1) & 1];
            text[len] = '\0';
            assert_int_equal(ki_redis_match(span(pattern), span(text)), stupid(pattern, text));
        }
    }
}

/* 64 KiB of "a*" against 64 KiB of "a", and no match: exponential in Redis, 2^32 steps at most here, few of them real. */
static void glob_hostile(void **state)
{
    (void)state;
    enum { LEN = 2000 };
    uint8_t pattern[2 * LEN + 1], text[4 * LEN];
    for (size_t i = 0; i < LEN; i++) {
        pattern[2 * i] = 'a';
        pattern[2 * i + 1] = '*';
    }
    pattern[2 * LEN] = 'b';
    memset(text, 'a', sizeof text);
    assert_false(ki_redis_match(ki_span(pattern, sizeof pattern), ki_span(text, sizeof text)));
}

/* ---- numbers ---- */

static void numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_integer;
        int64_t integer;
        bool is_real;
        double real;
    } rows[] = {
        {"0", true, 0, true, 0},
        {"-1", true, -1, true, -1},
        {"9223372036854775807", true, INT64_MAX, true, 9223372036854775807.0},
        {"-9223372036854775808", true, INT64_MIN, true, -9223372036854775808.0},
        {"9223372036854775808", false, 0, true, 9223372036854775808.0},
        {"01", false, 0, true, 1},
        {"-0", false, 0, true, 0},
        {"+1", false, 0, true, 1},
        {" 1", false, 0, false, 0},
        {"1 ", false, 0, false, 0},
        {"", false, 0, false, 0},
        {"-", false, 0, false, 0},
        {"1.5", false, 0, true, 1.5},
        {"1e3", false, 0, true, 1000},
        {"0x10", false, 0, true, 16},
        {"nan", false, 0, false, 0},
        {"1e400", false, 0, false, 0},
        {"1e-400", false, 0, false, 0},
        {"abc", false, 0, false, 0},
    };
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        int64_t integer = 0;
        double real = 0;
        assert_int_equal(ki_redis_parse_integer(span(rows[i].text), &integer), rows[i].is_integer);
        assert_int_equal(ki_redis_parse_real(span(rows[i].text), &real), rows[i].is_real);
        if (rows[i].is_integer)
            assert_true(integer == rows[i].integer);
        if (rows[i].is_real)
            assert_true(real == rows[i].real);
    }
    double real;
    assert_true(ki_redis_parse_real(span("-inf"), &real) && real < -1e308);
    assert_false(ki_redis_parse_real(ki_span("1\0", 2), &real));
}

static void reals_in_text(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } rows[] = {
        {0, "0"},         {-0.0, "0"},       {1, "1"},          {-1.5, "-1.5"},     {3.14, "3.14"},
        {10.6, "10.6"},   {5003, "5003"},    {1e17, "100000000000000000"},          {0.1, "0.1"},
        {1e-5, "0.00001"}, {1e-20, "0"},     {-1e-20, "0"},     {0.1 + 0.2, "0.30000000000000004"},
        {123456789.125, "123456789.125"},    {1e22, "10000000000000000000000"},
    };
    char room[KI_REDIS_NUMBER_ROOM];
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        size_t len = ki_redis_print_real(rows[i].value, room);
        if (len != strlen(rows[i].text) || memcmp(room, rows[i].text, len) != 0)
            fail_msg("%.*s instead of %s", (int)len, room, rows[i].text);
    }
    size_t len = ki_redis_print_real(-1.7976931348623157e308, room);
    assert_true(len == 310);
    assert_true(ki_redis_word(span("nX"), "NX") && !ki_redis_word(span("n"), "NX") && !ki_redis_word(span("nxx"), "NX"));
}

/* ---- SCAN ---- */

static void scan_row(const char *line, const char *want)
{
    struct ki_span args[12];
    struct ki_resp_writer out;
    struct ki_redis_call call = {.args = args, .out = &out};
    struct ki_redis_scan scan;
    ki_resp_writer_init(&out, 10000);
    for (size_t len; *line; line += len + (line[len] == ' ')) {
        len = strcspn(line, " ");
        args[call.arg_count++] = ki_span(line, len);
    }
    bool fine = ki_redis_scan_options(&call, 0, true, &scan);
    struct ki_span wrote = ki_resp_unsent(&out);
    if (want[0] == '-') {
        assert_false(fine);
        assert_int_equal(wrote.len, strlen(want) + 2);
        assert_memory_equal(wrote.ptr, want, strlen(want));
    } else {
        char text[200];
        assert_true(fine && wrote.len == 0);
        snprintf(text, sizeof text, "%llu %.*s %d %d", (unsigned long long)scan.count, (int)scan.pattern.len,
                 scan.pattern.ptr ? (const char *)scan.pattern.ptr : "", scan.has_type, (int)scan.type);
        assert_string_equal(text, want);
    }
    ki_resp_writer_free(&out);
}

static void scan_options(void **state)
{
    (void)state;
    scan_row("", "10  0 0");
    scan_row("COUNT 7 match a*", "7 a* 0 0");
    scan_row("type ZSET", "10  1 3");
    scan_row("TYPE list", "10  1 0");
    scan_row("TYPE hash COUNT 1 COUNT 2", "2  1 5");
    scan_row("COUNT 0", "-ERR syntax error");
    scan_row("COUNT x", "-ERR value is not an integer or out of range");
    scan_row("COUNT", "-ERR syntax error");
    scan_row("LIMIT 1", "-ERR syntax error");
}

/* ---- the table ---- */

static void table(void **state)
{
    (void)state;
    static struct ki_redis redis;
    ki_redis_lookup_init(&redis);
    for (size_t i = 0; i < ki_redis_table_count; i++) {
        const struct ki_redis_entry *row = &ki_redis_table[i];
        char name[40];
        size_t len = strlen(row->name);
        if (i > 0)
            assert_true(strcmp(ki_redis_table[i - 1].name, row->name) < 0);
        assert_true(row->arity != 0 && row->run && len < 30);
        assert_true((row->flags & KI_REDIS_READ) == 0 || (row->flags & KI_REDIS_WRITE) == 0);
        assert_true((row->first == 0) == (row->step == 0));
        for (size_t j = 0; j <= len; j++)
            name[j] = (char)(row->name[j] >= 'a' && row->name[j] <= 'z' ? row->name[j] - 'a' + 'A' : row->name[j]);
        assert_ptr_equal(ki_redis_find(&redis, ki_span(name, len)), row);
        assert_ptr_equal(ki_redis_find(&redis, span(row->name)), row);
        assert_null(ki_redis_find(&redis, ki_span(name, len + 1)));
    }
    assert_null(ki_redis_find(&redis, span("")));
    assert_null(ki_redis_find(&redis, span("a-name-that-is-longer-than-every-command-there-is")));
    assert_null(ki_redis_find(&redis, ki_span("ge\0t", 4)));
}

static void classes(void **state)
{
    (void)state;
    static const char *const rows[][2] = {{"KEA", "AKE"}, {"", ""}, {"g$lshzxetd", "A"}, {"Kxg", "gxK"}, {"AnKEm", "AKEm"},
                                          {"nm", "nm"}};
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        char text[KI_REDIS_NOTIFY_TEXT];
        unsigned flags;
        assert_true(ki_redis_notify_parse(span(rows[i][0]), &flags));
        ki_redis_notify_print(flags, text);
        assert_string_equal(text, rows[i][1]);
    }
    unsigned flags = 7;
    assert_false(ki_redis_notify_parse(span("KQ"), &flags));
    assert_int_equal(flags, 7);
}

/* ---- names: against a table of truths ---- */

static void names(void **state)
{
    (void)state;
    enum { USERS = 5, NAMES = 60 };
    struct ki_redis_names all;
    struct ki_redis_names_user users[USERS];
    bool truth[USERS][NAMES] = {{false}};
    uint32_t random = 1;
    ki_redis_names_init(&all, (const uint8_t[16]){1});
    for (size_t i = 0; i < USERS; i++)
        ki_redis_names_user_init(&users[i], &users[i]);
    for (int step = 0; step < 20000; step++) {
        random = random * 1664525u + 1013904223u;
        size_t u = (random >> 8) % USERS, n = (random >> 16) % NAMES;
        char name[8];
        snprintf(name, sizeof name, "n%zu", n);
        if (random >> 31) {
            assert_int_equal(ki_redis_names_add(&all, &users[u], span(name)), !truth[u][n]);
            truth[u][n] = true;
        } else {
            assert_int_equal(ki_redis_names_remove(&all, &users[u], span(name)), truth[u][n]);
            truth[u][n] = false;
        }
        size_t here = 0, mine = 0;
        for (size_t i = 0; i < USERS; i++)
            here += truth[i][n];
        for (size_t i = 0; i < NAMES; i++)
            mine += truth[u][i];
        struct ki_redis_name *found = ki_redis_names_find(&all, span(name));
        assert_int_equal(found ? found->count : 0, here);
        assert_int_equal(users[u].count, mine);
    }
    for (size_t i = 0; i < USERS; i++)
        ki_redis_names_drop_all(&all, &users[i]);
    for (size_t i = 0; i < USERS; i++)
        assert_true(users[i].count == 0 && users[i].bytes == 0);
    assert_int_equal(all.count, 0);
    ki_redis_names_free(&all);
}

/* ---- headers that come late; buffers that are lent ---- */

static void late_headers(void **state)
{
    (void)state;
    struct ki_resp_writer out;
    struct ki_redis_call call = {.out = &out};
    ki_resp_writer_init(&out, 10000);
    ki_resp_put_integer(&out, 1);
    size_t mark = ki_redis_scan_begin(&call);
    ki_redis_text(&call, "a");
    ki_redis_text(&call, "b");
    ki_redis_scan_end(&call, mark, 12, 2);
    mark = ki_redis_defer(&call);
    ki_redis_deferred_map(&call, mark, 0);
    mark = ki_resp_mark(&out);
    ki_redis_text(&call, "taken back");
    ki_resp_cut(&out, mark);
    static const char want[] = ":1\r\n*2\r\n$2\r\n12\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n*0\r\n";
    struct ki_span wrote = ki_resp_unsent(&out);
    assert_int_equal(wrote.len, sizeof want - 1);
    assert_memory_equal(wrote.ptr, want, sizeof want - 1);
    ki_resp_writer_free(&out);
    for (size_t room = 0; room < 40; room++) { /* no room: nothing that is half a reply goes unnoticed */
        ki_resp_writer_init(&out, room);
        mark = ki_redis_scan_begin(&call);
        ki_redis_text(&call, "element");
        ki_redis_scan_end(&call, mark, 1, 1);
        assert_true(out.full || ki_resp_unsent(&out).len == 28);
        ki_resp_writer_free(&out);
    }
}

static void lent_buffers(void **state)
{
    (void)state;
    struct ki_resp_reader one, two;
    size_t len, cap;
    ki_resp_reader_init(&one, 1 << 20, 1 << 20);
    ki_resp_reader_init(&two, 1 << 20, 1 << 20);
    assert_null(ki_resp_reader_yield(&one, &cap));
    memcpy(ki_resp_room(&one, &len), "PING\r\nPI", 8);
    ki_resp_filled(&one, 8);
    assert_null(ki_resp_reader_yield(&one, &cap));
    assert_int_equal(ki_resp_next(&one, true), KI_RESP_REQUEST);
    assert_int_equal(ki_resp_next(&one, true), KI_RESP_MORE);
    assert_null(ki_resp_reader_yield(&one, &cap)); /* a part of a request is in it */
    memcpy(ki_resp_room(&one, &len), "NG\r\n", 4);
    ki_resp_filled(&one, 4);
    assert_int_equal(ki_resp_next(&one, true), KI_RESP_REQUEST);
    assert_true(ki_span_equal(one.args[0], span("PING")));
    assert_int_equal(ki_resp_next(&one, true), KI_RESP_MORE);
    uint8_t *buf = ki_resp_reader_yield(&one, &cap);
    assert_non_null(buf);
    ki_resp_reader_lend(&two, buf, cap);
    assert_ptr_equal(ki_resp_room(&two, &len), buf);
    memcpy(buf, "X\r\n", 3);
    ki_resp_filled(&two, 3);
    assert_int_equal(ki_resp_next(&two, true), KI_RESP_REQUEST);
    assert_non_null(ki_resp_room(&one, &len)); /* the first makes itself a new one */
    ki_resp_reader_free(&one);
    ki_resp_reader_free(&two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(glob_table),   cmocka_unit_test(glob_all_small), cmocka_unit_test(glob_hostile),
        cmocka_unit_test(numbers),      cmocka_unit_test(reals_in_text),  cmocka_unit_test(scan_options),
        cmocka_unit_test(table),        cmocka_unit_test(classes),        cmocka_unit_test(names),
        cmocka_unit_test(late_headers), cmocka_unit_test(lent_buffers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
