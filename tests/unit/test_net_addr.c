/* Addresses as text and as socket addresses. */
#include "net/net.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct kith_str str(const char *text)
{
    return (struct kith_str){.ptr = text, .len = strlen(text)};
}

static void test_parse(void **state)
{
    static const struct {
        const char *text;
        const char *formatted; /* NULL: refused */
    } rows[] = {
        {"127.0.0.1", "127.0.0.1:7946"},
        {"127.0.0.1:1", "127.0.0.1:1"},
        {"127.0.0.1:65535", "127.0.0.1:65535"},
        {"[::1]:80", "[::1]:80"},
        {"[::1]", "[::1]:7946"},
        {"::1", "[::1]:7946"},
        {"fe80::1:2", "[fe80::1:2]:7946"},
        {"::ffff:10.0.0.1", "10.0.0.1:7946"}, /* v4-mapped is shown as what it is */
        {"127.0.0.1:65536", NULL},
        {"127.0.0.1:", NULL},
        {"127.0.0.1:80x", NULL},
        {"127.0.0.1:-1", NULL},
        {"[::1", NULL},
        {"[::1]80", NULL},
        {"[::1]:", NULL},
        {"", NULL},
        {":80", NULL},
        {"[]", NULL},
        {"host", NULL},
        {"1.2.3", NULL},
        {"1.2.3.256", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct kith_addr addr;
        char text[KI_ADDR_TEXT];
        bool ok = ki_addr_parse(str(rows[i].text), 7946, &addr);
        if (ok != (rows[i].formatted != NULL))
            fail_msg("\"%s\" was %s", rows[i].text, ok ? "taken" : "refused");
        if (!ok)
            continue;
        ki_addr_format(&addr, text);
        assert_string_equal(text, rows[i].formatted);
    }
}

static void test_split_names(void **state)
{
    char host[8];
    int port;
    (void)state;
    assert_true(ki_addr_split(str("seed:7946"), host, sizeof host, &port));
    assert_string_equal(host, "seed");
    assert_int_equal(port, 7946);
    assert_true(ki_addr_split(str("seed"), host, sizeof host, &port));
    assert_int_equal(port, -1);
    assert_true(ki_addr_split(str("1234567"), host, sizeof host, &port));
    assert_false(ki_addr_split(str("12345678"), host, sizeof host, &port)); /* no room for the NUL */
    assert_false(ki_addr_split((struct kith_str){.ptr = "a\0b", .len = 3}, host, sizeof host, &port));
}

static void test_sockaddr_round_trip(void **state)
{
    static const struct {
        const char *text;
        int family;  /* of the socket */
        bool reached;
        uint8_t ip_len; /* after the way back */
    } rows[] = {
        {"10.1.2.3:5", AF_INET, true, 4},
        {"10.1.2.3:5", AF_INET6, true, 4}, /* travels v4-mapped, comes back as 4 bytes */
        {"[::ffff:10.1.2.3]:5", AF_INET, true, 4},
        {"[::ffff:10.1.2.3]:5", AF_INET6, true, 4},
        {"[2001:db8::1]:5", AF_INET6, true, 16},
        {"[2001:db8::1]:5", AF_INET, false, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct kith_addr addr;
        struct kith_addr back;
        struct sockaddr_storage storage;
        socklen_t len;
        assert_true(ki_addr_parse(str(rows[i].text), 0, &addr));
        assert_int_equal(ki_addr_to_sockaddr(&addr, rows[i].family, &storage, &len), rows[i].reached);
        if (!rows[i].reached)
            continue;
        assert_int_equal(storage.ss_family, rows[i].family);
        ki_addr_from_sockaddr((const struct sockaddr *)&storage, &back);
        assert_int_equal(back.ip_len, rows[i].ip_len);
        assert_true(kith_addr_equal(&addr, &back));
        assert_true(ki_addr_same_ip(&addr, &back));
    }
    struct kith_addr none = {.ip_len = 0};
    struct sockaddr_storage storage;
    socklen_t len;
    assert_false(ki_addr_to_sockaddr(&none, AF_INET6, &storage, &len));
}

static void test_wildcard_and_same(void **state)
{
    struct kith_addr a;
    struct kith_addr b;
    (void)state;
    assert_true(ki_addr_parse(str("0.0.0.0"), 1, &a));
    assert_true(ki_addr_is_wildcard(&a));
    assert_true(ki_addr_parse(str("::"), 1, &b));
    assert_true(ki_addr_is_wildcard(&b));
    assert_false(ki_addr_same_ip(&a, &b)); /* two families, two places */
    assert_true(ki_addr_parse(str("127.0.0.1:1"), 1, &a));
    assert_true(ki_addr_parse(str("127.0.0.1:2"), 1, &b));
    assert_false(ki_addr_is_wildcard(&a));
    assert_true(ki_addr_same_ip(&a, &b)); /* ports do not count */
    assert_true(ki_addr_parse(str("127.0.0.2:1"), 1, &b));
    assert_false(ki_addr_same_ip(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_split_names),
        cmocka_unit_test(test_sockaddr_round_trip),
        cmocka_unit_test(test_wildcard_and_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
