/* Keys as users have them: the keyring file is written as Serf writes it, replaced whole, and read back; what cannot be
 * written or read says why. */
#include "agent/keys.h"
#include "agent/replace.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64];
static char path[100];
static char error[400];

static int set_up(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/kith-keys-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/keyring", dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir); /* fails if anything else was left */
}

static void put(const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void expect_text(const char *want)
{
    char got[500];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t len = fread(got, 1, sizeof got - 1, file);
    fclose(file);
    got[len] = '\0';
    assert_string_equal(got, want);
}

static void test_file(void **state)
{
    (void)state;
    static struct kith_key keys[] = {{.bytes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, .len = 16},
                                     {.bytes = {0xff, 0xfe}, .len = 24},
                                     {.bytes = {7}, .len = 32}};
    const struct ki_keyfile keyring = {.keys = keys, .count = 3};
    struct ki_keyfile read;
    struct stat there;
    put("[\"old\"]");
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(ki_keyfile_save(&keyring, path, error, sizeof error), 0);
    expect_text("[\n  \"AAECAwQFBgcICQoLDA0ODw==\",\n  \"//4AAAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\n"
                "  \"BwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"\n]");
    assert_int_equal(stat(path, &there), 0);
    assert_int_equal(there.st_mode & 07777, 0600);
    assert_int_equal(ki_keyfile_load(&read, path, error, sizeof error), 0);
    assert_int_equal(read.count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(read.keys[i].len, keys[i].len);
        assert_memory_equal(read.keys[i].bytes, keys[i].bytes, sizeof keys[i].bytes);
    }
    ki_keyfile_free(&read);
}

/* What cannot be written leaves the old file whole, and nothing beside it. */
static void test_unwritable(void **state)
{
    (void)state;
    static struct kith_key key = {.len = 32};
    const struct ki_keyfile keyring = {.keys = &key, .count = 1};
    assert_int_equal(ki_keyfile_save(&keyring, "/nonexistent/keyring", error, sizeof error), -1);
    assert_string_equal(error, "keyring file /nonexistent/keyring: No such file or directory");
    put("[\"old\"]");
    struct rlimit old, none;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    none = (struct rlimit){.rlim_cur = 5, .rlim_max = old.rlim_max}; /* as a full disk: some bytes fit */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    int result = ki_keyfile_save(&keyring, path, error, sizeof error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(result, -1);
    assert_non_null(strstr(error, "File too large"));
    expect_text("[\"old\"]");
    char beside[120];
    snprintf(beside, sizeof beside, "%s.tmp", path);
    assert_int_equal(symlink(path, beside), 0); /* what lies there is not written through */
    assert_int_equal(ki_keyfile_save(&keyring, path, error, sizeof error), 0);
    assert_int_equal(mkdir(beside, 0700), 0); /* nor removed, if it is no file */
    assert_int_equal(ki_keyfile_save(&keyring, path, error, sizeof error), -1);
    assert_int_equal(rmdir(beside), 0);
}

/* A link stays a link, and what it leads to is written anew; one that leads nowhere is replaced. */
static void test_link(void **state)
{
    (void)state;
    static struct kith_key key = {.len = 16};
    const struct ki_keyfile keyring = {.keys = &key, .count = 1};
    const char *const text = "[\n  \"AAAAAAAAAAAAAAAAAAAAAA==\"\n]";
    struct stat there;
    char real[100];
    snprintf(real, sizeof real, "%s/real", dir);
    assert_int_equal(symlink("real", path), 0);
    put("[\"old\"]");
    assert_int_equal(ki_keyfile_save(&keyring, path, error, sizeof error), 0);
    assert_int_equal(lstat(path, &there), 0);
    assert_true(S_ISLNK(there.st_mode));
    expect_text(text);
    assert_int_equal(unlink(real), 0);
    assert_int_equal(ki_keyfile_save(&keyring, path, error, sizeof error), 0);
    assert_int_equal(lstat(path, &there), 0);
    assert_true(S_ISREG(there.st_mode));
    expect_text(text);
    unlink(path);
    assert_int_equal(symlink("keyring", path), 0);
    assert_int_equal(ki_keyfile_save(&keyring, path, error, sizeof error), -1);
    assert_non_null(strstr(error, "Too many levels of symbolic links"));
}

static void test_malformed(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"", "line 1"},
        {"{}", "must be a JSON array of at least one key"},
        {"[]", "must be a JSON array of at least one key"},
        {"[1]", "must be a JSON array of strings"},
        {"[\"AAAAAAAAAAAAAAAAAAAAAA==\", \"c2hvcnQ=\"]", "key 2: the key has 5 bytes; it must have 16, 24 or 32"},
        {"[\"no base64!\"]", "key 1: the key is not base64"},
        {"[\"AAAAAAAAAAAAAAAAAAAAAA==\"", "line 1"},
    };
    struct ki_keyfile read;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        put(rows[i].text);
        assert_int_equal(ki_keyfile_load(&read, path, error, sizeof error), -1);
        if (!strstr(error, rows[i].why) || !strstr(error, path))
            fail_msg("row %zu: %s", i, error);
    }
    unlink(path);
    assert_int_equal(ki_keyfile_load(&read, path, error, sizeof error), -1);
    assert_non_null(strstr(error, "No such file"));
    assert_int_equal(ki_keyfile_load(&read, dir, error, sizeof error), -1);
    assert_non_null(strstr(error, "Is a directory"));
    assert_int_equal(ki_keyfile_load(&read, "/dev/zero", error, sizeof error), -1); /* has no end */
    assert_non_null(strstr(error, "File too large"));
}

int main(void)
{
    signal(SIGXFSZ, SIG_IGN); /* so that a limit is an error, as a full disk is */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unwritable, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_link, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_malformed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
