/* Replies of the Redis protocol, byte for byte as Redis 7.0 writes them.
 *
 *     buf:   ...sent...|start   unsent   |end   free   |cap
 *
 * A reply asks for the most it can need, is written in place, and moves `end` as far as it came: all of it or nothing.
 * When there is no room the buffer doubles, or the unsent bytes move to the front; they move only if as many are done
 * with, so that moving costs no more than writing did, however slowly the client reads.  That is why the buffer may be
 * twice as long as what may be unsent.
 *
 * Doubles are %.17g, as Redis before 7.2 has them: 0.1 goes out as 0.10000000000000001, which gives the same double
 * again to every reader.  Most are whole numbers in truth (scores that count) and need no printf.  A NaN has no sign.
 *
 * Invariants: start <= end <= cap <= 2 * bytes_max; end - start <= bytes_max.  Once full, nothing is appended.
 *
 * Not here: big numbers, attributes; who sends the bytes. */
#include "agent/resp_write.h"

#include <math.h>
#include <stdio.h>

#define RESP_WRITE_CAP_MIN 1024
#define RESP_WRITE_KEEP    ((size_t)64 << 10) /* bytes that an empty writer keeps */
#define RESP_WRITE_NUMBER  23                 /* a mark, a sign or the digit in its place, 19 digits, CR LF */
#define RESP_WRITE_WHOLE   9007199254740992.0 /* 2^53: up to here %.17g of a whole number is all of its digits */

void ki_resp_writer_init(struct ki_resp_writer *writer, size_t bytes_max)
{
    KI_ASSERT(bytes_max <= SIZE_MAX / 4);
    *writer = (struct ki_resp_writer){.version = 2, .bytes_max = bytes_max};
}

void ki_resp_writer_free(struct ki_resp_writer *writer)
{
    free(writer->buf);
    *writer = (struct ki_resp_writer){0};
}

struct ki_span ki_resp_unsent(const struct ki_resp_writer *writer)
{
    size_t len = writer->end - writer->start;
    return len > 0 ? ki_span(writer->buf + writer->start, len) : ki_span(NULL, 0);
}

void ki_resp_sent(struct ki_resp_writer *writer, size_t len)
{
    KI_ASSERT(len <= writer->end - writer->start);
    writer->start += len;
    if (writer->start < writer->end)
        return;
    writer->start = writer->end = 0;
    if (writer->cap > RESP_WRITE_KEEP) {
        free(writer->buf);
        writer->buf = NULL;
        writer->cap = 0;
    }
}

uint8_t *ki_resp_writer_yield(struct ki_resp_writer *writer, size_t *cap)
{
    if (writer->start < writer->end || writer->cap > RESP_WRITE_KEEP)
        return NULL;
    uint8_t *buf = writer->buf;
    *cap = writer->cap;
    writer->buf = NULL;
    writer->start = writer->end = writer->cap = 0;
    return buf;
}

void ki_resp_writer_lend(struct ki_resp_writer *writer, uint8_t *buf, size_t cap)
{
    KI_ASSERT(!writer->buf);
    writer->buf = buf;
    writer->cap = cap;
}

/* ---- room ---- */

static uint8_t *resp_write_make_room(struct ki_resp_writer *writer, size_t len)
{
    size_t unsent = writer->end - writer->start;
    if (writer->start > 0 && writer->start >= unsent) {
        memmove(writer->buf, writer->buf + writer->start, unsent);
        writer->start = 0;
        writer->end = unsent;
    }
    if (len > writer->cap - writer->end) {
        size_t cap = RESP_WRITE_CAP_MIN;
        while (cap <= writer->cap || cap < writer->end + len)
            cap *= 2;
        cap = ki_min_size(cap, 2 * writer->bytes_max);
        uint8_t *buf = realloc(writer->buf, cap);
        if (!buf)
            return NULL;
        writer->buf = buf;
        writer->cap = cap;
    }
    return writer->buf + writer->end;
}

/* Room for `len` bytes at `end`, or NULL and full. */
static inline uint8_t *resp_write_room(struct ki_resp_writer *writer, size_t len)
{
    if (!writer->full && len <= writer->bytes_max - (writer->end - writer->start)) {
        if (len <= writer->cap - writer->end)
            return writer->buf + writer->end;
        uint8_t *room = resp_write_make_room(writer, len);
        if (room)
            return room;
    }
    writer->full = true;
    return NULL;
}

/* What was written up to `at` is part of the reply. */
static inline void resp_write_done(struct ki_resp_writer *writer, const uint8_t *at)
{
    writer->end = (size_t)(at - writer->buf);
}

/* ---- pieces; each returns where it ended ---- */

static inline uint8_t *resp_write_copy(uint8_t *to, const void *from, size_t len)
{
    if (len > 0)
        memcpy(to, from, len);
    return to + len;
}

static inline uint8_t *resp_write_end(uint8_t *to)
{
    to[0] = '\r';
    to[1] = '\n';
    return to + 2;
}

static uint8_t *resp_write_long(uint8_t *to, uint64_t value)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
                                "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
                                "8081828384858687888990919293949596979899";
    uint8_t digits[20];
    size_t first = sizeof digits;
    for (; value >= 10; value /= 100)
        memcpy(digits + (first -= 2), pairs + value % 100 * 2, 2);
    if (value > 0)
        digits[--first] = (uint8_t)('0' + value);
    return resp_write_copy(to, digits + first, sizeof digits - first);
}

static inline uint8_t *resp_write_digits(uint8_t *to, uint64_t value)
{
    if (value >= 10)
        return resp_write_long(to, value);
    *to = (uint8_t)('0' + value);
    return to + 1;
}

static inline uint8_t *resp_write_header(uint8_t *to, char mark, uint64_t value)
{
    *to = (uint8_t)mark;
    return resp_write_end(resp_write_digits(to + 1, value));
}

/* ---- replies ---- */

/* What is known beforehand, from the program's text. */
static void resp_write_fixed(struct ki_resp_writer *writer, const char *text)
{
    size_t len = strlen(text);
    uint8_t *at = resp_write_room(writer, len);
    if (at)
        resp_write_done(writer, resp_write_copy(at, text, len));
}

static void resp_write_line(struct ki_resp_writer *writer, char mark, struct ki_span line)
{
    uint8_t *at = line.len < writer->bytes_max ? resp_write_room(writer, line.len + 3) : NULL;
    if (!at) {
        writer->full = true;
        return;
    }
    *at++ = (uint8_t)mark;
    for (size_t i = 0; i < line.len; i++)
        *at++ = line.ptr[i] == '\r' || line.ptr[i] == '\n' ? ' ' : line.ptr[i];
    resp_write_done(writer, resp_write_end(at));
}

void ki_resp_put_simple(struct ki_resp_writer *writer, struct ki_span line)
{
    resp_write_line(writer, '+', line);
}

void ki_resp_put_error(struct ki_resp_writer *writer, struct ki_span line)
{
    resp_write_line(writer, '-', line);
}

void ki_resp_put_integer(struct ki_resp_writer *writer, int64_t value)
{
    uint8_t *at = resp_write_room(writer, RESP_WRITE_NUMBER);
    if (!at)
        return;
    *at++ = ':';
    if (value < 0)
        *at++ = '-';
    uint64_t size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    resp_write_done(writer, resp_write_end(resp_write_digits(at, size)));
}

void ki_resp_put_bulk(struct ki_resp_writer *writer, struct ki_span bytes)
{
    uint8_t *at = bytes.len < writer->bytes_max ? resp_write_room(writer, RESP_WRITE_NUMBER + bytes.len + 2) : NULL;
    if (!at) {
        writer->full = true;
        return;
    }
    at = resp_write_copy(resp_write_header(at, '$', bytes.len), bytes.ptr, bytes.len);
    resp_write_done(writer, resp_write_end(at));
}

void ki_resp_put_verbatim(struct ki_resp_writer *writer, const char *format, struct ki_span text)
{
    if (writer->version < 3) {
        ki_resp_put_bulk(writer, text);
        return;
    }
    uint8_t *at = text.len < writer->bytes_max ? resp_write_room(writer, RESP_WRITE_NUMBER + text.len + 6) : NULL;
    if (!at) {
        writer->full = true;
        return;
    }
    at = resp_write_copy(resp_write_header(at, '=', text.len + 4), format, 3);
    *at++ = ':';
    resp_write_done(writer, resp_write_end(resp_write_copy(at, text.ptr, text.len)));
}

void ki_resp_put_null(struct ki_resp_writer *writer)
{
    resp_write_fixed(writer, writer->version < 3 ? "$-1\r\n" : "_\r\n");
}

void ki_resp_put_null_array(struct ki_resp_writer *writer)
{
    resp_write_fixed(writer, writer->version < 3 ? "*-1\r\n" : "_\r\n");
}

void ki_resp_put_bool(struct ki_resp_writer *writer, bool value)
{
    if (writer->version < 3)
        resp_write_fixed(writer, value ? ":1\r\n" : ":0\r\n");
    else
        resp_write_fixed(writer, value ? "#t\r\n" : "#f\r\n");
}

/* Returns the length. */
static size_t resp_write_double(uint8_t text[32], double value)
{
    if (isnan(value))
        return (size_t)(resp_write_copy(text, "nan", 3) - text);
    if (value >= -RESP_WRITE_WHOLE && value <= RESP_WRITE_WHOLE && (double)(int64_t)value == value &&
        !(value == 0 && signbit(value))) {
        uint8_t *at = text;
        if (value < 0)
            *at++ = '-';
        return (size_t)(resp_write_digits(at, (uint64_t)(value < 0 ? -value : value)) - text);
    }
    return (size_t)snprintf((char *)text, 32, "%.17g", value); /* also inf and -inf, as Redis has them */
}

void ki_resp_put_double(struct ki_resp_writer *writer, double value)
{
    uint8_t text[32];
    size_t len = resp_write_double(text, value);
    if (writer->version < 3) {
        ki_resp_put_bulk(writer, ki_span(text, len));
        return;
    }
    uint8_t *at = resp_write_room(writer, len + 3);
    if (!at)
        return;
    *at++ = ',';
    resp_write_done(writer, resp_write_end(resp_write_copy(at, text, len)));
}

static void resp_write_count(struct ki_resp_writer *writer, char mark, uint64_t count)
{
    uint8_t *at = resp_write_room(writer, RESP_WRITE_NUMBER);
    if (at)
        resp_write_done(writer, resp_write_header(at, mark, count));
}

void ki_resp_put_array(struct ki_resp_writer *writer, uint64_t count)
{
    resp_write_count(writer, '*', count);
}

void ki_resp_put_map(struct ki_resp_writer *writer, uint64_t count)
{
    resp_write_count(writer, writer->version < 3 ? '*' : '%', writer->version < 3 ? 2 * count : count);
}

void ki_resp_put_set(struct ki_resp_writer *writer, uint64_t count)
{
    resp_write_count(writer, writer->version < 3 ? '*' : '~', count);
}

void ki_resp_put_push(struct ki_resp_writer *writer, uint64_t count)
{
    resp_write_count(writer, writer->version < 3 ? '*' : '>', count);
}

/* ---- headers that come late ---- */

size_t ki_resp_mark(const struct ki_resp_writer *writer)
{
    return writer->end - writer->start;
}

void ki_resp_cut(struct ki_resp_writer *writer, size_t mark)
{
    KI_ASSERT(mark <= writer->end - writer->start);
    writer->end = writer->start + mark;
}

static void resp_write_at(struct ki_resp_writer *writer, size_t mark, const uint8_t *bytes, size_t len)
{
    uint8_t *end = resp_write_room(writer, len);
    if (!end)
        return;
    uint8_t *place = writer->buf + writer->start + mark;
    memmove(place + len, place, (size_t)(end - place));
    memcpy(place, bytes, len);
    resp_write_done(writer, end + len);
}

static void resp_write_count_at(struct ki_resp_writer *writer, size_t at, char mark, uint64_t count)
{
    uint8_t header[RESP_WRITE_NUMBER];
    resp_write_at(writer, at, header, (size_t)(resp_write_header(header, mark, count) - header));
}

void ki_resp_array_at(struct ki_resp_writer *writer, size_t mark, uint64_t count)
{
    resp_write_count_at(writer, mark, '*', count);
}

void ki_resp_set_at(struct ki_resp_writer *writer, size_t mark, uint64_t count)
{
    resp_write_count_at(writer, mark, writer->version < 3 ? '*' : '~', count);
}

void ki_resp_map_at(struct ki_resp_writer *writer, size_t mark, uint64_t count)
{
    resp_write_count_at(writer, mark, writer->version < 3 ? '*' : '%', writer->version < 3 ? 2 * count : count);
}

void ki_resp_number_bulk_at(struct ki_resp_writer *writer, size_t mark, uint64_t number)
{
    uint8_t bulk[2 * RESP_WRITE_NUMBER];
    uint8_t digits[RESP_WRITE_NUMBER];
    size_t len = (size_t)(resp_write_digits(digits, number) - digits);
    uint8_t *at = resp_write_copy(resp_write_header(bulk, '$', len), digits, len);
    resp_write_at(writer, mark, bulk, (size_t)(resp_write_end(at) - bulk));
}
