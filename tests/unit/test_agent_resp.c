/* The Redis protocol: a table of what clients send, cut in every way, with what a Redis 7.0.15 said to the same bytes;
 * limits of memory, each allocation failing in turn; and every kind of reply in both versions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "agent/resp_read.h"
#include "agent/resp_write.h"

#include <math.h>
#include <stdio.h>

#define BULK_MAX   ((size_t)512 << 20)
#define MEMORY_MAX ((size_t)64 << 20)
#define LINE_MAX   65536

/* ---- requests ---- */

struct row {
    const char *bytes;
    size_t len;
    const char *want; /* [argument|argument] of each request; then an error's text behind "Protocol error:", or nothing */
    bool stranger;    /* not authenticated */
    char fill;        /* so many of these follow, */
    size_t fill_count;
    const char *tail; /* then this */
};

#define B(text) .bytes = text, .len = sizeof(text) - 1

static const struct row rows[] = {
    {B("*1\r\n$1\r\nx\r\n"), .want = "[x]"},
    {B("*3\r\n$1\r\nx\r\n$0\r\n\r\n$12\r\n0123\r\n67890a\r\n"), .want = "[x||0123\r\n67890a]"},
    {B("*1\r\n$1\r\nx\r\n*1\r\n$1\r\ny\r\nz\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n"), .want = "[x][y][z][a|b]"},
    {B("*1\rX$1\rYxab*1\r\n$1\r\ny\r\n"), .want = "[x][y]"}, /* only CR is looked at */
    {B("*0\r\n*-1\r\n*-9223372036854775808\r\n*1\r\n$1\r\nx\r\n"), .want = "[x]"},
    {B("*11\r\n$1\r\nx\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n$1\r\n5\r\n$1\r\n6\r\n$1\r\n7\r\n"
       "$1\r\n8\r\n$1\r\n9\r\n$1\r\na\r\n"),
     .want = "[x|1|2|3|4|5|6|7|8|9|a]"},
    /* the first line */
    {B("*\r\n"), .want = "invalid multibulk length"},
    {B("*-\r\n"), .want = "invalid multibulk length"},
    {B("*-0\r\n"), .want = "invalid multibulk length"},
    {B("*00\r\n"), .want = "invalid multibulk length"},
    {B("*01\r\n"), .want = "invalid multibulk length"},
    {B("*+1\r\n"), .want = "invalid multibulk length"},
    {B("* 1\r\n"), .want = "invalid multibulk length"},
    {B("*1 \r\n"), .want = "invalid multibulk length"},
    {B("*1x\r\n"), .want = "invalid multibulk length"},
    {B("*1\n$1\r\nx\r\n"), .want = "invalid multibulk length"},
    {B("*2147483648\r\n"), .want = "invalid multibulk length"},
    {B("*9223372036854775808\r\n"), .want = "invalid multibulk length"},
    {B("*-9223372036854775809\r\n"), .want = "invalid multibulk length"},
    {B("*18446744073709551617\r\n"), .want = "invalid multibulk length"},
    {B("*1048576\r\n"), .want = ""},
    {B("*10\r\n$1\r\nx\r\n"), .want = "", .stranger = true},
    {B("*11\r\n"), .want = "unauthenticated multibulk length", .stranger = true},
    {B("x\r\n*11\r\n"), .want = "[x]unauthenticated multibulk length", .stranger = true},
    /* arguments */
    {B("*2\r\n$1\r\nx\r\n!1\r\n"), .want = "expected '$', got '!'"},
    {B("*1\r\n\r\n"), .want = "expected '$', got ' '"},
    {B("*1\r\n\n1\r\n"), .want = "expected '$', got ' '"},
    {B("*1\r\n\xff\r\n"), .want = "expected '$', got '\xff'"},
    {B("*1\r\n*1\r\n"), .want = "expected '$', got '*'"},
    {B("*1\r\n$1\r\nx\r\n$1\r\ny\r\n"), .want = "[x][$1][y]"}, /* one argument too many is an inline command */
    {B("*1\r\n$\r\n"), .want = "invalid bulk length"},
    {B("*1\r\n$-1\r\n"), .want = "invalid bulk length"},
    {B("*1\r\n$04\r\n"), .want = "invalid bulk length"},
    {B("*1\r\n$1a\r\n"), .want = "invalid bulk length"},
    {B("*1\r\n$536870913\r\n"), .want = "invalid bulk length"},
    {B("*1\r\n$99999999999999999999\r\n"), .want = "invalid bulk length"},
    {B("*1\r\n$16384\r\n"), .want = "", .stranger = true},
    {B("*1\r\n$16385\r\n"), .want = "unauthenticated bulk length", .stranger = true},
    {B("*1\r\n$16385\r\n"), .want = ""},
    /* lines without an end */
    {B(""), .want = "", .fill = 'x', .fill_count = LINE_MAX},
    {B(""), .want = "too big inline request", .fill = 'x', .fill_count = LINE_MAX + 1},
    {B("*"), .want = "", .fill = '1', .fill_count = LINE_MAX - 1},
    {B("*"), .want = "too big mbulk count string", .fill = '1', .fill_count = LINE_MAX},
    {B("*"), .want = "invalid multibulk length", .fill = '1', .fill_count = LINE_MAX - 1, .tail = "\r\n"},
    {B("*1\r\n$"), .want = "", .fill = '1', .fill_count = LINE_MAX - 1},
    {B("*1\r\n$"), .want = "too big bulk count string", .fill = '1', .fill_count = LINE_MAX},
    {B("x \""), .want = "unbalanced quotes in request", .fill = 'a', .fill_count = LINE_MAX - 4, .tail = "\n"},
    /* inline commands */
    {B("x\n"), .want = "[x]"},
    {B("\r\n\n \t\r\nx\r\n"), .want = "[x]"},
    {B(" x  a\tb \r\n"), .want = "[x|a|b]"},
    {B("x a\rb\r\r\n"), .want = "[x|a|b]"},
    {B("\v\fx a\vb\r\n"), .want = "[x|a\vb]"}, /* \v is space before a word, and a letter in it */
    {B("x a\"b c\"\r\n"), .want = "[x|ab c]"},
    {B("x \"a\"\vb\r\n"), .want = "[x|a|b]"},
    {B("x \"\" '' a\r\n"), .want = "[x|||a]"},
    {B("\"\" a\r\n"), .want = "[|a]"},
    {B("x \"\\x41\\x6a\\x4A\\t\\b\\a\\q\\\\\\\"'\"\r\n"), .want = "[x|AjJ\t\b\aq\\\"']"},
    {B("x \"\\n\\r\" y\r\n"), .want = "[x|\n\r|y]"},
    {B("x \"\\x4\" \"\\xg1\" \"\\x\"\r\n"), .want = "[x|x4|xg1|x]"},
    {B("x 'a\\'b\\n\"\\x41' \\x41\\n\r\n"), .want = "[x|a'b\\n\"\\x41|\\x41\\n]"},
    {B("x \xff\x80\r\n"), .want = "[x|\xff\x80]"},
    {B("x \"a\r\n"), .want = "unbalanced quotes in request"},
    {B("x 'a\r\n"), .want = "unbalanced quotes in request"},
    {B("x \"a\"b\r\n"), .want = "unbalanced quotes in request"},
    {B("x 'a'b\r\n"), .want = "unbalanced quotes in request"},
    {B("x 'a''b'\r\n"), .want = "unbalanced quotes in request"},
    {B("x \"a\\\r\n"), .want = "unbalanced quotes in request"},
    {B("x 'a\\'\r\n"), .want = "unbalanced quotes in request"},
    {B("x a\"\r\n"), .want = "unbalanced quotes in request"},
    {B("y\r\nx \"\r\n*1\r\n$1\r\nz\r\n"), .want = "[y]unbalanced quotes in request"}, /* broken for good */
};

/* Where kith is stricter than Redis, or does not wait for ever. */
static const struct row own_rows[] = {
    {B("*1048577\r\n"), .want = "invalid multibulk length"},
    {B("*1\0\r\n"), .want = "invalid multibulk length"},
    {B("*1\r\n$1\0\r\n"), .want = "invalid bulk length"},
    {B("*1\r\n\0001\r\n"), .want = "expected '$', got ' '"},
    {B("\0\r\n"), .want = "[\0]"},
    {B("x \0a \"\\\0\" '\0'\r\n"), .want = "[x|\0a|\0|\0]"},
};

struct heard {
    char text[256];
    size_t len;
};

static void hear(struct heard *heard, const void *bytes, size_t len)
{
    if (heard->len + len <= sizeof heard->text) /* what is longer is only measured */
        memcpy(heard->text + heard->len, bytes, len);
    heard->len += len;
}

/* Takes all requests that are there.  Returns the last step. */
static enum ki_resp_step take(struct ki_resp_reader *reader, bool stranger, struct heard *heard)
{
    enum ki_resp_step step;
    while ((step = ki_resp_next(reader, !stranger)) == KI_RESP_REQUEST) {
        assert_true(reader->arg_count > 0);
        for (size_t i = 0; i < reader->arg_count; i++) {
            hear(heard, i ? "|" : "[", 1);
            hear(heard, reader->args[i].ptr, reader->args[i].len);
        }
        hear(heard, "]", 1);
    }
    return step;
}

/* Gives the bytes in pieces.  Returns the last step; NO_ROOM also when there was no room for more. */
static enum ki_resp_step feed(struct ki_resp_reader *reader, const char *bytes, size_t len, size_t piece, bool stranger,
                              struct heard *heard)
{
    enum ki_resp_step step = KI_RESP_MORE;
    while (len > 0 && step == KI_RESP_MORE) {
        size_t room;
        uint8_t *to = ki_resp_room(reader, &room);
        if (!to)
            return KI_RESP_NO_ROOM;
        assert_true(room > 0 && reader->cap + reader->arg_cap * sizeof *reader->args <= reader->memory_max);
        size_t count = ki_min_size(ki_min_size(room, piece), len);
        memcpy(to, bytes, count);
        ki_resp_filled(reader, count);
        bytes += count;
        len -= count;
        step = take(reader, stranger, heard);
    }
    return step;
}

static void check_row(const struct row *row, size_t want_len)
{
    static const char prefix[] = "ERR Protocol error: ";
    static const size_t pieces[] = {SIZE_MAX, 1, 2, 3, 7, 4096, 65537};
    size_t tail = row->tail ? strlen(row->tail) : 0, len = row->len + row->fill_count + tail;
    char *bytes = malloc(len + 1);
    assert_non_null(bytes);
    memcpy(bytes, row->bytes, row->len);
    memset(bytes + row->len, row->fill, row->fill_count);
    if (tail)
        memcpy(bytes + len - tail, row->tail, tail);
    for (size_t i = 0; i < KI_COUNT(pieces); i++) {
        struct ki_resp_reader reader;
        struct heard heard = {.len = 0};
        ki_resp_reader_init(&reader, BULK_MAX, MEMORY_MAX);
        enum ki_resp_step step = feed(&reader, bytes, len, pieces[i], row->stranger, &heard);
        if (step == KI_RESP_BROKEN) {
            assert_memory_equal(reader.error, prefix, sizeof prefix - 1);
            hear(&heard, reader.error + sizeof prefix - 1, strlen(reader.error) - (sizeof prefix - 1));
            assert_int_equal(ki_resp_next(&reader, true), KI_RESP_BROKEN);
        } else {
            assert_int_equal(step, KI_RESP_MORE);
            assert_string_equal(reader.error, "");
        }
        if (heard.len != want_len || memcmp(heard.text, row->want, want_len) != 0)
            fail_msg("%.40s: got %.*s, wanted %s", bytes, (int)heard.len, heard.text, row->want);
        ki_resp_reader_free(&reader);
    }
    free(bytes);
}

static void test_requests(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(rows); i++)
        check_row(&rows[i], strlen(rows[i].want));
    for (size_t i = 0; i < 4; i++)
        check_row(&own_rows[i], strlen(own_rows[i].want));
    check_row(&own_rows[4], 3);
    check_row(&own_rows[5], 10);
}

/* The caller's limit for an argument. */
static void test_bulk_max(void **state)
{
    (void)state;
    for (size_t bulk_max = 2; bulk_max <= 4; bulk_max++) {
        struct ki_resp_reader reader;
        struct heard heard = {.len = 0};
        ki_resp_reader_init(&reader, bulk_max, MEMORY_MAX);
        enum ki_resp_step step = feed(&reader, "*1\r\n$3\r\nabc\r\n", 13, 13, false, &heard);
        assert_int_equal(step, bulk_max < 3 ? KI_RESP_BROKEN : KI_RESP_MORE);
        assert_string_equal(reader.error, bulk_max < 3 ? "ERR Protocol error: invalid bulk length" : "");
        ki_resp_reader_free(&reader);
    }
}

/* ---- memory ---- */

/* A long argument behind other requests: right, wherever it is cut; announced bytes cost nothing; what it needed goes. */
static void test_long(void **state)
{
    (void)state;
    static const size_t lens[] = {32768, 100000, 1 << 20, (1 << 20) + 1, 5000000};
    for (size_t i = 0; i < KI_COUNT(lens) * 3; i++) {
        size_t len = lens[i / 3], piece = i % 3 == 0 ? 1000 : i % 3 == 1 ? 65536 : SIZE_MAX;
        char *bytes = malloc(len + 100);
        assert_non_null(bytes);
        size_t head = (size_t)snprintf(bytes, 90, "x 1\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%zu\r\n", len);
        for (size_t k = 0; k < len; k++)
            bytes[head + k] = (char)(k * 31 >> 3);
        memcpy(bytes + head + len, "\r\nlast\r\n", 8);
        struct ki_resp_reader reader;
        ki_resp_reader_init(&reader, BULK_MAX, MEMORY_MAX);
        size_t given = 0, total = head + len + 8, requests = 0;
        while (given < total) {
            size_t room;
            uint8_t *to = ki_resp_room(&reader, &room);
            assert_non_null(to);
            assert_true(reader.cap <= 2 * given + (1 << 20) + 100);
            size_t count = ki_min_size(ki_min_size(room, piece), total - given);
            memcpy(to, bytes + given, count);
            ki_resp_filled(&reader, count);
            given += count;
            while (ki_resp_next(&reader, true) == KI_RESP_REQUEST) {
                if (++requests == 2) {
                    assert_int_equal(reader.arg_count, 3);
                    assert_int_equal(reader.args[2].len, len);
                    assert_memory_equal(reader.args[2].ptr, bytes + head, len);
                }
            }
        }
        assert_int_equal(requests, 3);
        size_t room;
        assert_non_null(ki_resp_room(&reader, &room));
        assert_true(reader.cap <= 65536);
        ki_resp_reader_free(&reader);
        free(bytes);
    }
}

/* The buffer of an argument up to 1 MiB is made once, when its header has been read. */
static void test_copied_once(void **state)
{
    (void)state;
    struct ki_resp_reader reader;
    size_t room, len = 1000000, given = 0;
    ki_resp_reader_init(&reader, BULK_MAX, MEMORY_MAX);
    uint8_t *to = ki_resp_room(&reader, &room);
    memcpy(to, "x\r\n*1\r\n$1000000\r\nabc", 20);
    ki_resp_filled(&reader, 20);
    assert_int_equal(ki_resp_next(&reader, true), KI_RESP_REQUEST);
    assert_int_equal(ki_resp_next(&reader, true), KI_RESP_MORE);
    const uint8_t *body = ki_resp_room(&reader, &room) - 3;
    for (given = 3; given < len + 2; given += room) {
        to = ki_resp_room(&reader, &room);
        assert_ptr_equal(to, body + given);
        room = ki_min_size(ki_min_size(room, 16384), len + 2 - given);
        memset(to, 'z', room);
        ki_resp_filled(&reader, room);
        if (given + room < len + 2)
            assert_int_equal(ki_resp_next(&reader, true), KI_RESP_MORE);
    }
    assert_int_equal(ki_resp_next(&reader, true), KI_RESP_REQUEST);
    assert_ptr_equal(reader.args[0].ptr, body);
    assert_int_equal(reader.args[0].len, len);
    ki_resp_reader_free(&reader);
}

/* A header says much and nothing comes. */
static void test_announced(void **state)
{
    (void)state;
    static const char *const headers[] = {"*1\r\n$536870912\r\n", "*1048576\r\n", "*1048576\r\n$536870000\r\n"};
    for (size_t i = 0; i < KI_COUNT(headers); i++) {
        struct ki_resp_reader reader;
        struct heard heard = {.len = 0};
        size_t room;
        ki_resp_reader_init(&reader, BULK_MAX, (size_t)1 << 30);
        assert_int_equal(feed(&reader, headers[i], strlen(headers[i]), 5, false, &heard), KI_RESP_MORE);
        assert_non_null(ki_resp_room(&reader, &room));
        assert_true(reader.cap + reader.arg_cap * sizeof *reader.args <= (1 << 20) + 4096);
        ki_resp_reader_free(&reader);

        ki_resp_reader_init(&reader, BULK_MAX, MEMORY_MAX); /* never to fit: known at once */
        assert_int_equal(feed(&reader, headers[i], strlen(headers[i]), 5, false, &heard), KI_RESP_MORE);
        if (strchr(headers[i], '$'))
            assert_null(ki_resp_room(&reader, &room));
        ki_resp_reader_free(&reader);
    }
}

/* With ever more memory: each allocation is refused in turn, then all goes well; what was refused can be asked again. */
static void test_memory_max(void **state)
{
    (void)state;
    static char bytes[200000];
    size_t len = 0, refusals[4] = {0};
    len += (size_t)snprintf(bytes, sizeof bytes, "x a b c d e f g h i j k l m n o p q\r\n*3000\r\n");
    for (size_t i = 0; i < 3000; i++)
        len += (size_t)snprintf(bytes + len, sizeof bytes - len, "$8\r\n%08zu\r\n", i);
    len += (size_t)snprintf(bytes + len, sizeof bytes - len, "*2\r\n$1\r\nx\r\n$70000\r\n");
    memset(bytes + len, 'v', 70002);
    len += 70002;
    bool well = false;
    for (size_t memory_max = 0; !well; memory_max += 100) {
        struct ki_resp_reader reader;
        struct heard heard = {.len = 0};
        ki_resp_reader_init(&reader, BULK_MAX, memory_max);
        enum ki_resp_step step = feed(&reader, bytes, len, 1000, false, &heard);
        well = step == KI_RESP_MORE;
        if (!well) {
            assert_int_equal(step, KI_RESP_NO_ROOM);
            size_t used = reader.cap + reader.arg_cap * sizeof *reader.args, room;
            refusals[heard.len == 0 ? reader.cap > 0 : heard.len < 200 ? 2 : 3]++;
            assert_true(used <= memory_max);
            if (ki_resp_next(&reader, true) == KI_RESP_NO_ROOM) { /* given the memory, it goes on */
                reader.memory_max = MEMORY_MAX;
                assert_true(ki_resp_next(&reader, true) <= KI_RESP_REQUEST);
            } else {
                assert_null(ki_resp_room(&reader, &room));
            }
        }
        ki_resp_reader_free(&reader);
        assert_true(memory_max < 1000000);
    }
    for (size_t i = 0; i < KI_COUNT(refusals); i++)
        assert_true(refusals[i] > 0);
}

/* Who reads on without taking requests: nothing is lost, the memory stays bounded. */
static void test_not_taken(void **state)
{
    (void)state;
    struct ki_resp_reader reader;
    size_t room, given = 0, taken = 0;
    ki_resp_reader_init(&reader, BULK_MAX, 100000);
    for (unsigned round = 0; round < 100000; round++) {
        uint8_t *to = ki_resp_room(&reader, &room);
        for (size_t i = 0; to && i < ki_min_size(room, 60); i++, given++) {
            to[i] = (uint8_t)"x 12345\r\n"[given % 9];
            ki_resp_filled(&reader, 1);
        }
        if (to && round % 3 > 0)
            continue; /* busy */
        for (int i = 0; i < 5; i++) {
            if (ki_resp_next(&reader, true) != KI_RESP_REQUEST)
                break;
            assert_int_equal(reader.arg_count, 2);
            assert_memory_equal(reader.args[1].ptr, "12345", 5);
            taken++;
        }
        assert_true(reader.cap <= 100000);
    }
    while (ki_resp_next(&reader, true) == KI_RESP_REQUEST)
        taken++;
    assert_int_equal(taken, given / 9);
    ki_resp_reader_free(&reader);
}

/* ---- replies ---- */

static void check_reply(struct ki_resp_writer *writer, const char *want)
{
    struct ki_span got = ki_resp_unsent(writer);
    assert_false(writer->full);
    if (got.len != strlen(want) || (got.len > 0 && memcmp(got.ptr, want, got.len) != 0))
        fail_msg("got %.*s, wanted %s", (int)got.len, (const char *)got.ptr, want);
    ki_resp_sent(writer, got.len);
}

#define SPAN(text) ki_span(text, sizeof(text) - 1)

static void test_replies(void **state)
{
    (void)state;
    struct ki_resp_writer w;
    ki_resp_writer_init(&w, 4096);
    for (uint8_t version = 2; version <= 3; version++) {
        bool three = version == 3;
        w.version = version;
        check_reply(&w, "");
        ki_resp_put_simple(&w, SPAN("OK"));
        check_reply(&w, "+OK\r\n");
        ki_resp_put_error(&w, SPAN("ERR a\r\nb\nc"));
        check_reply(&w, "-ERR a  b c\r\n");
        ki_resp_put_bulk(&w, SPAN("a\r\nb"));
        ki_resp_put_bulk(&w, ki_span(NULL, 0));
        ki_resp_put_bulk(&w, SPAN("0123456789"));
        check_reply(&w, "$4\r\na\r\nb\r\n$0\r\n\r\n$10\r\n0123456789\r\n");
        ki_resp_put_verbatim(&w, "txt", SPAN("This is a verbatim\nstring"));
        check_reply(&w, three ? "=29\r\ntxt:This is a verbatim\nstring\r\n" : "$25\r\nThis is a verbatim\nstring\r\n");
        ki_resp_put_null(&w);
        ki_resp_put_null_array(&w);
        check_reply(&w, three ? "_\r\n_\r\n" : "$-1\r\n*-1\r\n");
        ki_resp_put_bool(&w, true);
        ki_resp_put_bool(&w, false);
        check_reply(&w, three ? "#t\r\n#f\r\n" : ":1\r\n:0\r\n");
        ki_resp_put_array(&w, 0);
        ki_resp_put_array(&w, 1234567890123456789);
        ki_resp_put_map(&w, 5);
        ki_resp_put_set(&w, 100);
        ki_resp_put_push(&w, 3);
        check_reply(&w, three ? "*0\r\n*1234567890123456789\r\n%5\r\n~100\r\n>3\r\n"
                              : "*0\r\n*1234567890123456789\r\n*10\r\n*100\r\n*3\r\n");
    }
    ki_resp_writer_free(&w);
}

static void test_integers(void **state)
{
    (void)state;
    struct ki_resp_writer w;
    ki_resp_writer_init(&w, 4096);
    for (int64_t power = 1; power <= INT64_MAX / 10; power *= 10) {
        for (int64_t around = -2; around <= 2; around++) {
            const int64_t values[] = {power + around, -(power + around), 7 * power};
            for (size_t i = 0; i < KI_COUNT(values); i++) {
                char want[32];
                snprintf(want, sizeof want, ":%lld\r\n", (long long)values[i]);
                ki_resp_put_integer(&w, values[i]);
                check_reply(&w, want);
            }
        }
    }
    ki_resp_put_integer(&w, INT64_MIN);
    ki_resp_put_integer(&w, INT64_MAX);
    check_reply(&w, ":-9223372036854775808\r\n:9223372036854775807\r\n");
    ki_resp_writer_free(&w);
}

static const struct {
    double value;
    const char *text;
} doubles[] = {
    {0, "0"},
    {-0.0, "-0"},
    {3, "3"},
    {-10, "-10"},
    {3.5, "3.5"},
    {0.1, "0.10000000000000001"},
    {-2.25, "-2.25"},
    {0.0001, "0.0001"},
    {1e-5, "1.0000000000000001e-05"},
    {9007199254740992.0, "9007199254740992"},
    {-9007199254740994.0, "-9007199254740994"},
    {99999999999999984.0, "99999999999999984"},
    {1e17, "1e+17"},
    {123456789012345680.0, "1.2345678901234568e+17"},
    {1e300, "1.0000000000000001e+300"},
    {-1.7976931348623157e308, "-1.7976931348623157e+308"},
    {-4.9406564584124654e-324, "-4.9406564584124654e-324"},
    {(double)INFINITY, "inf"},
    {-(double)INFINITY, "-inf"},
    {(double)NAN, "nan"},
    {-(double)NAN, "nan"},
};

static void test_doubles(void **state)
{
    (void)state;
    struct ki_resp_writer w;
    ki_resp_writer_init(&w, 4096);
    for (size_t i = 0; i < KI_COUNT(doubles); i++) {
        char want[64];
        w.version = 2;
        ki_resp_put_double(&w, doubles[i].value);
        snprintf(want, sizeof want, "$%zu\r\n%s\r\n", strlen(doubles[i].text), doubles[i].text);
        check_reply(&w, want);
        w.version = 3;
        ki_resp_put_double(&w, doubles[i].value);
        snprintf(want, sizeof want, ",%s\r\n", doubles[i].text);
        check_reply(&w, want);
    }
    ki_resp_writer_free(&w);
}

static void put_kind(struct ki_resp_writer *w, unsigned kind)
{
    switch (kind) {
    case 0: ki_resp_put_simple(w, SPAN("simple")); break;
    case 1: ki_resp_put_error(w, SPAN("ERR")); break;
    case 2: ki_resp_put_integer(w, 5); break;
    case 3: ki_resp_put_bulk(w, SPAN("bulk")); break;
    case 4: ki_resp_put_verbatim(w, "txt", SPAN("text")); break;
    case 5: ki_resp_put_null(w); break;
    case 6: ki_resp_put_double(w, 0.5); break;
    default: ki_resp_put_map(w, 2); break;
    }
}

/* At the bound each kind is written whole or not at all, and nothing comes behind one that was left out. */
static void test_bound(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 16; kind++) {
        for (size_t bytes_max = 0; bytes_max <= 80; bytes_max++) {
            struct ki_resp_writer w;
            ki_resp_writer_init(&w, bytes_max);
            w.version = kind < 8 ? 2 : 3;
            for (size_t before = 0; !w.full; before = ki_resp_unsent(&w).len) {
                put_kind(&w, kind % 8);
                assert_true(w.cap <= 2 * bytes_max && ki_resp_unsent(&w).len <= bytes_max);
                assert_true((ki_resp_unsent(&w).len == before) == w.full);
            }
            size_t len = ki_resp_unsent(&w).len;
            assert_true(bytes_max < 40 || len > 0);
            ki_resp_sent(&w, len);
            ki_resp_put_null(&w);
            assert_int_equal(ki_resp_unsent(&w).len, 0);
            ki_resp_writer_free(&w);
        }
    }
    struct ki_resp_writer w;
    ki_resp_writer_init(&w, 100);
    ki_resp_put_bulk(&w, ki_span("", SIZE_MAX)); /* refused by its length alone */
    assert_true(w.full);
    ki_resp_writer_free(&w);
}

/* A client that takes a few bytes now and then gets all of them in order. */
static void test_slow_client(void **state)
{
    (void)state;
    struct ki_resp_writer w;
    uint64_t put = 0, got = 0, number = 0;
    ki_resp_writer_init(&w, 3000);
    while (got < 100000) {
        while (ki_resp_unsent(&w).len < 2900 - got % 1000) {
            char text[16];
            snprintf(text, sizeof text, "%08llu", (unsigned long long)put++);
            ki_resp_put_bulk(&w, ki_span(text, 8));
        }
        assert_true(!w.full && w.cap <= 6000);
        for (size_t i = 0; i < 1 + got % 7; i++, got++) {
            char want[32];
            snprintf(want, sizeof want, "$8\r\n%08llu\r\n", (unsigned long long)(got / 14));
            assert_int_equal(ki_resp_unsent(&w).ptr[0], (uint8_t)want[got % 14]);
            ki_resp_sent(&w, 1);
            number++;
        }
    }
    assert_int_equal(number, got);
    ki_resp_writer_free(&w);

    static const uint8_t large[200000];
    ki_resp_writer_init(&w, 1 << 20);
    ki_resp_put_bulk(&w, ki_span(large, sizeof large));
    ki_resp_sent(&w, ki_resp_unsent(&w).len);
    assert_int_equal(w.cap, 0); /* what one large reply needed goes */
    ki_resp_writer_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),    cmocka_unit_test(test_bulk_max),  cmocka_unit_test(test_long),
        cmocka_unit_test(test_copied_once), cmocka_unit_test(test_announced), cmocka_unit_test(test_memory_max),
        cmocka_unit_test(test_not_taken),   cmocka_unit_test(test_replies),   cmocka_unit_test(test_integers),
        cmocka_unit_test(test_doubles),     cmocka_unit_test(test_bound),     cmocka_unit_test(test_slow_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
