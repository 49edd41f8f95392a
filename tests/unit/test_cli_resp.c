/* The command line's client of the Redis door: every kind of reply, cut anywhere; what is no reply; what is too much; a
 * server played over a socket pair; backups' files, whole, cut off and damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/resp_client.h"
#include "cli/store.h"
#include "cli/store_file.h"

/* ---- replies ---- */

/* The tree as text: elements in brackets. */
static void tell(struct ki_reply reply, char *to, size_t cap)
{
    size_t len = strlen(to);
    struct ki_span text = ki_reply_text(reply);
    switch (ki_reply_node(reply)->kind) {
    case KI_REPLY_SIMPLE:
        snprintf(to + len, cap - len, "+%.*s ", (int)text.len, (const char *)text.ptr);
        return;
    case KI_REPLY_ERROR:
        snprintf(to + len, cap - len, "-%.*s ", (int)text.len, (const char *)text.ptr);
        return;
    case KI_REPLY_INTEGER:
        snprintf(to + len, cap - len, "%lld ", (long long)ki_reply_node(reply)->integer);
        return;
    case KI_REPLY_BULK:
        snprintf(to + len, cap - len, "'%.*s' ", (int)text.len, (const char *)text.ptr);
        return;
    case KI_REPLY_NULL:
        snprintf(to + len, cap - len, "null ");
        return;
    case KI_REPLY_ARRAY:
        snprintf(to + len, cap - len, "[ ");
        struct ki_reply at = ki_reply_first(reply);
        for (size_t i = 0; i < ki_reply_count(reply); i++, at = ki_reply_next(at))
            tell(at, to, cap);
        len = strlen(to);
        snprintf(to + len, cap - len, "] ");
        return;
    }
}

static const struct {
    const char *bytes;
    const char *tree;
} good[] = {
    {"+OK\r\n", "+OK "},
    {"+\r\n", "+ "},
    {"-ERR no\r\n", "-ERR no "},
    {":0\r\n", "0 "},
    {":-9223372036854775808\r\n", "-9223372036854775808 "},
    {"$0\r\n\r\n", "'' "},
    {"$4\r\na\r\nb\r\n", "'a\r\nb' "},
    {"$-1\r\n", "null "},
    {"*-1\r\n", "null "},
    {"*0\r\n", "[ ] "},
    {"*2\r\n$1\r\n0\r\n*2\r\n$1\r\na\r\n$2\r\nbc\r\n", "[ '0' [ 'a' 'bc' ] ] "},
    {"*3\r\n*0\r\n*1\r\n*1\r\n:1\r\n$-1\r\n", "[ [ ] [ [ 1 ] ] null ] "},
    {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:8\r\n", "[ [ [ [ [ [ [ [ 8 ] ] ] ] ] ] ] ] "},
};

/* Each prefix is not whole; the whole is, and takes exactly its bytes, whatever follows. */
static void replies_cut_anywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(good); i++) {
        size_t len = strlen(good[i].bytes);
        for (size_t step = 1; step <= len; step++) {
            struct ki_reply_reader reader = {.len = 0};
            ki_reply_start(&reader);
            uint8_t *bytes = NULL;
            for (size_t at = step; at < len; at += step) {
                bytes = realloc(bytes, at); /* moves, and ends where it ends */
                memcpy(bytes, good[i].bytes, at);
                assert_int_equal(ki_reply_scan(&reader, bytes, at), KI_REPLY_MORE);
            }
            bytes = realloc(bytes, len + 3);
            memcpy(bytes, good[i].bytes, len);
            memcpy(bytes + len, "+x\r", 3);
            assert_int_equal(ki_reply_scan(&reader, bytes, len + 3), KI_REPLY_WHOLE);
            assert_int_equal(reader.len, len);
            char text[256] = "";
            tell((struct ki_reply){.nodes = reader.nodes, .buf = bytes}, text, sizeof text);
            assert_string_equal(text, good[i].tree);
            free(bytes);
            ki_reply_free(&reader);
        }
    }
}

static enum ki_reply_state scan(const char *bytes, size_t len)
{
    struct ki_reply_reader reader = {.len = 0};
    ki_reply_start(&reader);
    enum ki_reply_state result = ki_reply_scan(&reader, (const uint8_t *)bytes, len);
    ki_reply_free(&reader);
    return result;
}

static void no_replies(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\r\n",       "x\r\n",     "HTTP/1.1 400 Bad Request\r\n", ":\r\n",      ":1x\r\n",    ": 1\r\n",
        "$\r\n",      "$-2\r\n",   "$01\r\n",                      "$1\r\nabc",  "*-2\r\n",    ":9223372036854775808\r\n",
        "+no end\n",  "*x\r\n",    "$9999999999999\r\n",           "_\r\n",      "#t\r\n",     "*1048577\r\n",
        "*1\r\n$x\r\n", "$1\r\na\n\n", "*9223372036854775807\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", /* too deep */
    };
    for (size_t i = 0; i < KI_COUNT(bad); i++) {
        if (scan(bad[i], strlen(bad[i])) != KI_REPLY_BAD)
            fail_msg("taken: %s", bad[i]);
    }
    char *line = malloc(70000);
    memset(line, 'a', 70000);
    line[0] = '+';
    assert_int_equal(scan(line, 60000), KI_REPLY_MORE);
    assert_int_equal(scan(line, 70000), KI_REPLY_BAD);
    free(line);
}

/* A count is but a number; its elements are what costs, and their number ends. */
static void too_many_nodes(void **state)
{
    (void)state;
    size_t each = 1 << 18, len = 0;
    char *bytes = malloc(5 * (each * 4 + 16));
    len += (size_t)snprintf(bytes, 16, "*5\r\n");
    for (int array = 0; array < 5; array++) {
        len += (size_t)snprintf(bytes + len, 16, "*%zu\r\n", each);
        for (size_t i = 0; i < each; i++, len += 4)
            memcpy(bytes + len, ":1\r\n", 4);
    }
    assert_int_equal(scan(bytes, len), KI_REPLY_BAD);
    assert_int_equal(scan("*1048576\r\n", 10), KI_REPLY_MORE);
    free(bytes);
}

/* ---- the client ---- */

static struct ki_resp_client client_of(const char *answers, size_t len, int *server)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(send(fds[1], answers, len, 0), (ssize_t)len);
    *server = fds[1];
    return (struct ki_resp_client){.line.fd = fds[0]};
}

static void asks_and_answers(void **state)
{
    (void)state;
    static const char answers[] = "$5\r\nva\0ue\r\n-WRONGTYPE no\r\n*1\r\n+OK\r\n+cut off";
    static const char asked[] = "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n";
    char buf[64];
    int server;
    struct ki_reply reply;
    struct ki_resp_client client = client_of(answers, sizeof answers - 1, &server);
    assert_true(ki_resp_ask(&client, &reply, "GET", "k", NULL));
    assert_true(ki_span_equal(ki_reply_text(reply), ki_span("va\0ue", 5)));
    assert_int_equal(recv(server, buf, sizeof buf, 0), sizeof asked - 1);
    assert_memory_equal(buf, asked, sizeof asked - 1);
    assert_false(ki_resp_ask(&client, &reply, "GET", "k", NULL));
    assert_true(client.line.refused);
    assert_false(client.line.unreachable);
    assert_string_equal(client.line.error, "WRONGTYPE no");
    assert_true(ki_resp_receive(&client, 100, &reply));
    assert_true(ki_reply_has(reply, 1));
    assert_false(ki_reply_has(reply, 2));
    assert_false(ki_resp_receive(&client, 100, &reply)); /* silence */
    assert_true(client.line.unreachable);
    assert_false(client.line.refused);
    assert_string_equal(client.line.error, "the agent does not answer");
    assert_int_equal(shutdown(server, SHUT_WR), 0);
    assert_false(ki_resp_receive(&client, 100, &reply));
    assert_string_equal(client.line.error, "the agent closed the connection");
    close(server);
    ki_resp_close(&client);
}

static void many_answers(void **state)
{
    (void)state;
    int server;
    struct ki_reply reply;
    size_t len = 0;
    char *answers = malloc(70000);
    for (int i = 0; i < 5000; i++)
        len += (size_t)snprintf(answers + len, 70000 - len, "$4\r\n%04d\r\n", i);
    struct ki_resp_client client = client_of(answers, len, &server);
    for (int i = 0; i < 5000; i++) {
        char text[8];
        snprintf(text, sizeof text, "%04d", i);
        assert_true(ki_resp_receive(&client, 1000, &reply));
        assert_true(ki_span_equal(ki_reply_text(reply), ki_span(text, 4)));
    }
    free(answers);
    close(server);
    ki_resp_close(&client);
}

/* ---- files ---- */

static char folder[64], path[96];

static size_t file_read(uint8_t *buf, size_t cap)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t len = fread(buf, 1, cap, file);
    fclose(file);
    return len;
}

static void file_write(const uint8_t *buf, size_t len)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(buf, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static int file_set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/kith-test-backup-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/backup", folder);
    return 0;
}

static int file_tear_down(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder); /* nothing else was left there */
}

static void file_make(const char *rows)
{
    struct ki_backup_file file;
    assert_true(ki_backup_create(&file, path, 3, strlen(rows)));
    assert_true(ki_backup_put(&file, ki_span(rows, 4)));
    assert_true(ki_backup_put(&file, ki_span(rows + 4, strlen(rows) - 4)));
    assert_true(ki_backup_finish(&file));
    ki_backup_close(&file);
}

static void file_round(void **state)
{
    (void)state;
    struct ki_backup_file file;
    uint8_t buf[8], got[64];
    size_t len, sum = 0;
    file_make("these are rows");
    assert_true(ki_backup_open(&file, path));
    assert_int_equal(file.rows, 3);
    assert_int_equal(file.bytes, 14);
    do {
        assert_true(ki_backup_take(&file, buf, sizeof buf, &len));
        memcpy(got + sum, buf, len);
        sum += len;
    } while (len > 0);
    assert_int_equal(sum, 14);
    assert_memory_equal(got, "these are rows", 14);
    ki_backup_close(&file);
}

/* One that fails leaves the one before it, and no .tmp. */
static void file_kept(void **state)
{
    (void)state;
    struct ki_backup_file file;
    uint8_t before[128], after[128];
    file_make("the first backup");
    size_t len = file_read(before, sizeof before);
    assert_true(ki_backup_create(&file, path, 1, 5));
    assert_true(ki_backup_put(&file, ki_span("four", 4)));
    assert_false(ki_backup_finish(&file)); /* too few */
    ki_backup_close(&file);
    assert_true(ki_backup_create(&file, path, 1, 3));
    assert_false(ki_backup_put(&file, ki_span("four", 4)));
    ki_backup_close(&file);
    assert_int_equal(file_read(after, sizeof after), len);
    assert_memory_equal(before, after, len);
}

static bool file_opens(char error[256])
{
    struct ki_backup_file file;
    bool opens = ki_backup_open(&file, path);
    snprintf(error, 256, "%s", file.error);
    ki_backup_close(&file);
    return opens;
}

static void file_harmed(void **state)
{
    (void)state;
    uint8_t buf[128];
    char error[256];
    file_make("rows");
    size_t len = file_read(buf, sizeof buf);
    for (size_t cut = 0; cut < len; cut++) {
        file_write(buf, cut);
        assert_false(file_opens(error));
        assert_non_null(strstr(error, cut < 30 ? "is no backup" : "is cut off"));
    }
    for (size_t bit = 0; bit < len * 8; bit++) {
        buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
        file_write(buf, len);
        assert_false(file_opens(error));
        assert_int_not_equal(error[0], '\0');
        buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    buf[12] = '2';
    file_write(buf, len);
    assert_false(file_opens(error));
    assert_non_null(strstr(error, "another version"));
    buf[12] = '1';
    buf[len] = 'x';
    file_write(buf, len + 1);
    assert_false(file_opens(error));
    file_write(buf, len);
    assert_true(file_opens(error));
}

/* Found whole, and other bytes a moment later. */
static void file_changes(void **state)
{
    (void)state;
    struct ki_backup_file file;
    uint8_t buf[128];
    size_t len;
    file_make("rows that are there");
    size_t whole = file_read(buf, sizeof buf);
    assert_true(ki_backup_open(&file, path));
    buf[35] ^= 1;
    file_write(buf, whole);
    setvbuf(file.file, NULL, _IONBF, 0);
    assert_int_equal(fseeko(file.file, 30, SEEK_SET), 0); /* what was read ahead is forgotten */
    assert_true(ki_backup_take(&file, buf, sizeof buf, &len));
    assert_false(ki_backup_take(&file, buf, sizeof buf, &len));
    ki_backup_close(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_cut_anywhere),
        cmocka_unit_test(no_replies),
        cmocka_unit_test(too_many_nodes),
        cmocka_unit_test(asks_and_answers),
        cmocka_unit_test(many_answers),
        cmocka_unit_test_setup_teardown(file_round, file_set_up, file_tear_down),
        cmocka_unit_test_setup_teardown(file_kept, file_set_up, file_tear_down),
        cmocka_unit_test_setup_teardown(file_harmed, file_set_up, file_tear_down),
        cmocka_unit_test_setup_teardown(file_changes, file_set_up, file_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
