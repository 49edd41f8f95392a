/* Bytes that are no text: as JSON nothing is lost and everything parses; for people nothing drives the terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/member_list.h"

static const struct {
    const char *bytes;
    size_t len;
    const char *json;
    const char *text;
    size_t width;
} rows[] = {
    {"", 0, "\"\"", "", 0},
    {"node-1", 6, "\"node-1\"", "node-1", 6},
    {"a\nb", 3, "\"a\\nb\"", "a\\x0ab", 6},
    {"\033[2J", 4, "\"\\u001B[2J\"", "\\x1b[2J", 7},
    {"\xc3\xa9", 2, "\"\xc3\xa9\"", "\xc3\xa9", 1},
    {"\xe2\x82\xac", 3, "\"\xe2\x82\xac\"", "\xe2\x82\xac", 1},
    {"\xf0\x9f\x98\x80", 4, "\"\xf0\x9f\x98\x80\"", "\xf0\x9f\x98\x80", 1},
    {"\xc2\x9b", 2, "\"\\u009B\"", "\\xc2\\x9b", 8}, /* CSI of 8 bits */
    {"\xc2\xa0", 2, "\"\xc2\xa0\"", "\xc2\xa0", 1}, /* the first that is none */
    {"\x7f", 1, "\"\\u007F\"", "\\x7f", 4},
    {"\xff\xfe", 2, "{\"base64\":\"//4=\"}", "\\xff\\xfe", 8},
    {"\xc0\x80", 2, "{\"base64\":\"wIA=\"}", "\\xc0\\x80", 8},
    {"\xed\xa0\x80", 3, "{\"base64\":\"7aCA\"}", "\\xed\\xa0\\x80", 12}, /* half a surrogate pair */
    {"\xe2\x82", 2, "{\"base64\":\"4oI=\"}", "\\xe2\\x82", 8},
    {"\xf4\x90\x80\x80", 4, "{\"base64\":\"9JCAgA==\"}", "\\xf4\\x90\\x80\\x80", 16},
    {"a\0b", 3, "\"a\\u0000b\"", "a\\x00b", 6},
};

static void test_json(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        char text[64] = "";
        json_t *value = ki_json_bytes(ki_span(rows[i].bytes, rows[i].len));
        FILE *file = fmemopen(text, sizeof text, "w");
        assert_non_null(file);
        assert_true(ki_json_write(file, value, JSON_ENCODE_ANY | JSON_COMPACT));
        fclose(file);
        assert_string_equal(text, rows[i].json);
        json_t *back = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        assert_true(json_equal(value, back));
        json_decref(back);
        json_decref(value);
    }
}

static void test_safe(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        char text[64] = "";
        FILE *file = fmemopen(text, sizeof text, "w");
        assert_non_null(file);
        ki_print_safe(file, ki_span(rows[i].bytes, rows[i].len));
        fclose(file);
        assert_string_equal(text, rows[i].text);
        assert_int_equal(ki_safe_width(ki_span(rows[i].bytes, rows[i].len)), rows[i].width);
    }
}

/* A sum of bytes is a number with eleven digits or more, and all of them are right. */
static void test_reals(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } numbers[] = {
        {0, "0"}, {-0.5, "-0.5"}, {1.0 / 3, "0.3333333333"}, {9999999999, "9999999999"}, {10000000001, "10000000001"},
        {-137438953472, "-137438953472"}, {123456789012.75, "123456789013"}, {999999999999999, "999999999999999"},
        {1e15, "1e+15"}, {-1e100, "-1e+100"}, {1e-9, "1e-09"},
    };
    for (size_t i = 0; i < KI_COUNT(numbers); i++) {
        char room[KI_REAL_ROOM];
        assert_string_equal(ki_real_text(numbers[i].value, room), numbers[i].text);
    }
}

static void test_keys(void **state)
{
    (void)state;
    json_t *object = json_object();
    assert_int_equal(ki_json_set(object, ki_span("role", 4), json_integer(1)), 0);
    assert_int_equal(ki_json_set(object, ki_span("\xff", 1), json_integer(2)), 0);
    assert_int_equal(ki_json_set(object, ki_span("a\0b", 3), json_integer(3)), 0);
    assert_int_equal(ki_json_set(object, ki_span("", 0), json_integer(4)), 0);
    assert_int_equal(ki_json_set(object, ki_span("none", 4), NULL), -1);
    char *text = json_dumps(object, JSON_COMPACT);
    assert_string_equal(text, "{\"role\":1,\"base64:/w==\":2,\"base64:YQBi\":3,\"\":4}");
    free(text);
    json_decref(object);
}

/* ---- lists of members ---- */

static void pack_member(struct ki_pack *p, const char *name, const char *status)
{
    ki_pack_map(p, 5);
    ki_pack_text(p, "Addr");
    ki_pack_bytes(p, ki_span("\x7f\x00\x00\x01", 4));
    ki_pack_text(p, "Name");
    ki_pack_text(p, name);
    ki_pack_text(p, "Port");
    ki_pack_uint(p, 7946);
    ki_pack_text(p, "Status");
    ki_pack_text(p, status);
    ki_pack_text(p, "Tags");
    ki_pack_map(p, 2);
    ki_pack_text(p, "role");
    ki_pack_text(p, "web");
    ki_pack_text(p, "dc");
    ki_pack_text(p, "x");
}

static void test_members(void **state)
{
    (void)state;
    uint8_t buf[512];
    struct ki_pack p = ki_pack(buf, sizeof buf, true);
    ki_pack_map(&p, 1);
    ki_pack_text(&p, "Members");
    ki_pack_array(&p, 3);
    pack_member(&p, "b", "failed");
    pack_member(&p, "a10", "alive");
    pack_member(&p, "a", "left");
    assert_false(p.w.full);
    struct ki_member_list list;
    assert_true(ki_member_list_read(&list, ki_span(buf, p.w.len)));
    assert_int_equal(list.count, 3);
    static const char *const sorted[] = {"a", "a10", "b"};
    for (size_t i = 0; i < 3; i++) {
        assert_true(ki_span_equal(list.members[i].name, ki_span(sorted[i], strlen(sorted[i]))));
        assert_int_equal(list.members[i].tag_count, 2);
        assert_true(ki_span_equal(list.members[i].tags[0].key, ki_span("dc", 2)));
    }
    char addr[KI_ADDR_TEXT_MAX];
    ki_listed_addr(&list.members[0], addr);
    assert_string_equal(addr, "127.0.0.1:7946");
    ki_member_list_free(&list);
    for (size_t cut = 0; cut < p.w.len; cut++) { /* every truncation is refused and leaks nothing */
        assert_false(ki_member_list_read(&list, ki_span(buf, cut)));
        ki_member_list_free(&list);
    }
}

static void test_no_members(void **state)
{
    (void)state;
    static const uint8_t nil[] = {0x81, 0xa7, 'M', 'e', 'm', 'b', 'e', 'r', 's', 0xc0};
    static const uint8_t none[] = {0x81, 0xa7, 'M', 'e', 'm', 'b', 'e', 'r', 's', 0x90};
    struct ki_member_list list;
    assert_true(ki_member_list_read(&list, ki_span(nil, sizeof nil)));
    assert_int_equal(list.count, 0);
    assert_true(ki_member_list_read(&list, ki_span(none, sizeof none)));
    assert_int_equal(list.count, 0);
}

static void test_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *ip;
        size_t len;
        const char *text;
    } addrs[] = {
        {"\x0a\x00\x00\x01", 4, "10.0.0.1:80"},
        {"\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\x02", 16, "10.0.0.2:80"},
        {"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01", 16, "[::1]:80"},
        {"\x01\x02\x03", 3, "?"},
        {"", 0, "?"},
    };
    for (size_t i = 0; i < KI_COUNT(addrs); i++) {
        struct ki_listed_member member = {.addr = ki_span(addrs[i].ip, addrs[i].len), .port = 80};
        char text[KI_ADDR_TEXT_MAX];
        ki_listed_addr(&member, text);
        assert_string_equal(text, addrs[i].text);
    }
}

/* What could not be written is no success: a key that went nowhere must not look like one. */
static void test_full(void **state)
{
    (void)state;
    const char *const commands[] = {"keygen", "version", "-help", "agent -help"};
    const char *kith = getenv("KITH");
    assert_non_null(kith);
    for (size_t i = 0; i < KI_COUNT(commands); i++) {
        char line[512];
        char shell[] = "sh", option[] = "-c";
        char *const argv[] = {shell, option, line, NULL};
        pid_t pid;
        int status;
        snprintf(line, sizeof line, "'%s' %s >/dev/full 2>/dev/null", kith, commands[i]);
        assert_int_equal(posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), KI_EXIT_FAILED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),       cmocka_unit_test(test_safe),
        cmocka_unit_test(test_full),       cmocka_unit_test(test_reals),
        cmocka_unit_test(test_keys),       cmocka_unit_test(test_members),
        cmocka_unit_test(test_no_members), cmocka_unit_test(test_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
