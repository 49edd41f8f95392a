/* Tags, their file, and keys as users have them. */
#include "agent/keys.h"
#include "agent/tags.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/kith-tags-XXXXXX";
static char error[512];

static int setup(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd >= 0 ? close(fd) : -1;
}

static int teardown(void **state)
{
    (void)state;
    return unlink(path);
}

static void put(const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void test_map(void **state)
{
    struct ki_tags tags = {.items = NULL};
    (void)state;
    assert_true(ki_tags_set(&tags, ki_str("a"), ki_str("1")));
    assert_true(ki_tags_set(&tags, ki_str("ab"), ki_str("2")));
    assert_true(ki_tags_set(&tags, (struct kith_str){"abc", 1}, ki_str("3"))); /* "a" again */
    assert_int_equal(tags.count, 2);
    assert_string_equal(ki_tags_get(&tags, ki_str("a")), "3");
    assert_true(ki_tags_delete(&tags, ki_str("a")));
    assert_false(ki_tags_delete(&tags, ki_str("a")));
    assert_null(ki_tags_get(&tags, ki_str("a")));
    assert_string_equal(ki_tags_get(&tags, ki_str("ab")), "2");
    ki_tags_free(&tags);
}

static void test_file(void **state)
{
    struct ki_tags tags = {.items = NULL};
    struct ki_tags back = {.items = NULL};
    struct stat info;
    (void)state;
    assert_true(ki_tags_add_pair(&tags, "role=a \"b\""));
    assert_true(ki_tags_add_pair(&tags, "_kith=1-1"));
    assert_true(ki_tags_add_pair(&tags, "empty="));
    assert_int_equal(ki_tags_save(&tags, path, error, sizeof error), 0);
    assert_int_equal(ki_tags_load(&back, path, error, sizeof error), 0);
    assert_int_equal(back.count, 2); /* but kith's own */
    assert_string_equal(ki_tags_get(&back, ki_str("role")), "a \"b\"");
    assert_string_equal(ki_tags_get(&back, ki_str("empty")), "");
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_true(ki_tags_add_pair(&tags, "x=\xff"));
    assert_int_equal(ki_tags_save(&tags, path, error, sizeof error), -1); /* no UTF-8: the file stays as it was */
    ki_tags_free(&back);
    assert_int_equal(ki_tags_load(&back, path, error, sizeof error), 0);
    assert_int_equal(back.count, 2);
    assert_int_equal(ki_tags_save(&back, "/does/not/exist", error, sizeof error), -1);
    assert_non_null(strstr(error, "No such file"));
    ki_tags_free(&back);
    ki_tags_free(&tags);
    assert_int_equal(ki_tags_load(&back, "/does/not/exist", error, sizeof error), 0); /* the first start */
    assert_int_equal(ki_tags_load(&back, "/tmp", error, sizeof error), -1);
    assert_string_equal(error, "tags file /tmp: Is a directory");
    static const char *const bad[] = {"", "[]", "{\"a\": 1}", "{\"a\": \"1\", \"a\": \"2\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put(bad[i]);
        assert_int_equal(ki_tags_load(&back, path, error, sizeof error), -1);
        assert_non_null(strstr(error, path));
        ki_tags_free(&back);
    }
}

static void test_keys(void **state)
{
    static const struct {
        const char *text;
        uint8_t len; /* 0: refused */
        const char *says;
    } rows[] = {
        {"AAECAwQFBgcICQoLDA0ODw==", 16, ""},
        {"AAECAwQFBgcICQoLDA0ODxAREhMUFRYX", 24, ""},
        {"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", 32, ""},
        {"AAECAwQFBgcICQoLDA0O", 0, "15 bytes"},
        {"", 0, "0 bytes"},
        {"AAECAwQFBgcICQoLDA0ODw", 0, "not base64"},
        {"%", 0, "not base64"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct kith_key key;
        int result = ki_key_decode(rows[i].text, &key, error, sizeof error);
        assert_int_equal(result, rows[i].len ? 0 : -1);
        if (result != 0 && !strstr(error, rows[i].says))
            fail_msg("\"%s\": %s", rows[i].text, error);
        for (uint8_t j = 0; j < rows[i].len; j++)
            assert_int_equal(key.bytes[j], j);
        if (rows[i].len)
            assert_int_equal(key.len, rows[i].len);
    }
}

static void test_keyring(void **state)
{
    struct ki_keyfile ring;
    (void)state;
    put("[\"AAECAwQFBgcICQoLDA0ODw==\", \"AAECAwQFBgcICQoLDA0ODxAREhMUFRYX\"]");
    assert_int_equal(ki_keyfile_load(&ring, path, error, sizeof error), 0);
    assert_int_equal(ring.count, 2);
    assert_int_equal(ring.keys[1].len, 24);
    ki_keyfile_free(&ring);
    static const struct {
        const char *text;
        const char *says;
    } bad[] = {{"[]", "at least one key"}, {"{}", "at least one key"}, {"[1]", "array of strings"},
               {"[\"AAECAwQFBgcICQoLDA0ODw==\", \"AA==\"]", "key 2: the key has 1 bytes"}, {"[", "line 1"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put(bad[i].text);
        assert_int_equal(ki_keyfile_load(&ring, path, error, sizeof error), -1);
        if (!strstr(error, bad[i].says))
            fail_msg("%s: %s", bad[i].text, error);
    }
    assert_int_equal(ki_keyfile_load(&ring, "/does/not/exist", error, sizeof error), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_map),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_keyring),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
