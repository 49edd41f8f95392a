/* Requests of the Redis protocol, read where they arrived.
 *
 *     *2\r\n $4\r\nECHO\r\n $2\r\nhi\r\n     or inline:  ECHO "hi"\r\n
 *
 *     buf:   ...given out...|start   headers and arguments seen   |pos   not yet seen   |end        |cap
 *
 * Limits and texts are those of Redis 7.0 (networking.c, sdssplitargs of sds.c), with its laxity: of a header's end only
 * the CR is looked at, and what stands where an argument's CR LF should be is skipped.  Stricter than Redis: at most
 * 2^20 arguments, which was its limit before 7.0.  A NUL is a byte like any other; in Redis it hides the rest of the
 * buffer from the search for a line's end, and the client waits for an answer for ever.
 *
 * A request cut in the middle is remembered by pos, args and missing, so that nothing is looked at twice as bytes come.
 * When the buffer has to move, that is forgotten and the request's headers are walked again: it moves once to the front,
 * and then only to grow to twice its size, so this costs no more than reading did.  Requests that wait are moved only if
 * as many bytes before them are done with.
 *
 * A long argument grows the buffer to its whole length, halved until that is no more than twice what has come, or 1 MiB.
 * So the last buffer is as long as the argument, all copying together is less than the argument, an argument up to 1 MiB
 * is copied once as far as it came with its header, and not at all beyond; a header alone costs 1 MiB at most.
 *
 * Invariants: start <= pos <= end <= cap.  buf and args together are at most memory_max.  Words of an inline command are
 * unquoted in place, once nothing can fail any more: what is written never overtakes what is read.
 *
 * Not here: what a command means, replies, sockets, time limits. */
#include "agent/resp_read.h"

#include <stdio.h>

#define RESP_READ_COUNT_MAX ((int64_t)1 << 20) /* arguments */
#define RESP_READ_LINE_MAX  ((size_t)64 << 10) /* PROTO_INLINE_MAX_SIZE: a line without its end */
#define RESP_READ_ANY_COUNT 10                 /* of who is not authenticated */
#define RESP_READ_ANY_BULK  16384
#define RESP_READ_PIECE     ((size_t)16 << 10) /* PROTO_IOBUF_LEN: room for one reading */
#define RESP_READ_KEEP      ((size_t)64 << 10) /* what an empty reader keeps, of bytes and of arguments each */
#define RESP_READ_AHEAD     ((size_t)1 << 20)  /* made for bytes that are only announced */
#define RESP_READ_ARGS_MIN  8

void ki_resp_reader_init(struct ki_resp_reader *reader, size_t bulk_max, size_t memory_max)
{
    KI_ASSERT(bulk_max <= UINT32_MAX);
    *reader = (struct ki_resp_reader){.bulk_max = bulk_max, .memory_max = memory_max};
}

void ki_resp_reader_free(struct ki_resp_reader *reader)
{
    free(reader->buf);
    free(reader->args);
    *reader = (struct ki_resp_reader){0};
}

static enum ki_resp_step resp_read_break(struct ki_resp_reader *reader, const char *what)
{
    snprintf(reader->error, sizeof reader->error, "ERR Protocol error: %s", what);
    return KI_RESP_BROKEN;
}

/* ---- memory ---- */

/* What args may be beside the buffer, or the buffer beside args. */
static size_t resp_read_beside(const struct ki_resp_reader *reader, size_t other)
{
    return reader->memory_max > other ? reader->memory_max - other : 0;
}

/* Makes place for `count` arguments.  Those that are there stay. */
static bool resp_read_grow_args(struct ki_resp_reader *reader, size_t count)
{
    if (count <= reader->arg_cap)
        return true;
    size_t allowed = resp_read_beside(reader, reader->cap) / sizeof *reader->args;
    if (count > allowed)
        return false;
    size_t cap = count > RESP_READ_ARGS_MIN ? count : RESP_READ_ARGS_MIN;
    cap = ki_min_size(cap > 2 * reader->arg_cap ? cap : 2 * reader->arg_cap, allowed);
    struct ki_span *args = realloc(reader->args, cap * sizeof *args);
    if (!args)
        return false;
    reader->args = args;
    reader->arg_cap = cap;
    return true;
}

/* The bytes have moved: the headers of the request are walked again. */
static void resp_read_again(struct ki_resp_reader *reader)
{
    reader->end -= reader->start;
    reader->start = reader->pos = reader->scanned = 0;
    reader->missing = reader->arg_count = 0;
}

static bool resp_read_resize(struct ki_resp_reader *reader, size_t cap)
{
    size_t have = reader->end - reader->start;
    uint8_t *buf = reader->start == 0 ? realloc(reader->buf, cap) : malloc(cap);
    if (!buf)
        return false;
    if (reader->start > 0) {
        memcpy(buf, reader->buf + reader->start, have);
        free(reader->buf);
    }
    reader->buf = buf;
    reader->cap = cap;
    resp_read_again(reader);
    return true;
}

/* Nothing is in it: what one large request needed goes. */
static void resp_read_empty(struct ki_resp_reader *reader)
{
    resp_read_again(reader);
    reader->need = 0;
    if (reader->cap > RESP_READ_KEEP) {
        free(reader->buf);
        reader->buf = NULL;
        reader->cap = 0;
    }
    if (reader->arg_cap > RESP_READ_KEEP / sizeof *reader->args) {
        free(reader->args);
        reader->args = NULL;
        reader->arg_cap = 0;
    }
}

/* How long the buffer should be, with `have` bytes at its front. */
static size_t resp_read_goal(size_t need, size_t have)
{
    if (need <= have)
        return have + RESP_READ_PIECE;
    while (need > RESP_READ_AHEAD && need > 2 * have)
        need = (need + 1) / 2;
    return need;
}

uint8_t *ki_resp_room(struct ki_resp_reader *reader, size_t *len)
{
    size_t have = reader->end - reader->start;
    if (have == 0)
        resp_read_empty(reader);
    size_t allowed = resp_read_beside(reader, reader->arg_cap * sizeof *reader->args);
    if (reader->need > allowed)
        return NULL; /* not even when it has come */
    size_t goal = resp_read_goal(reader->need, have);
    bool move = reader->start > 0 && (reader->drained || reader->start >= have);
    if (goal > reader->cap - reader->start && !(move && goal <= reader->cap)) {
        size_t cap = goal > 2 * reader->cap ? goal : 2 * reader->cap;
        cap = ki_min_size(cap, allowed);
        if (cap > reader->cap && cap > have && resp_read_resize(reader, cap))
            move = false;
    }
    if (move && goal > reader->cap - reader->start) {
        memmove(reader->buf, reader->buf + reader->start, have);
        resp_read_again(reader);
    }
    *len = reader->cap - reader->end;
    return *len > 0 ? reader->buf + reader->end : NULL;
}

uint8_t *ki_resp_reader_yield(struct ki_resp_reader *reader, size_t *cap)
{
    if (reader->start < reader->end || reader->cap > RESP_READ_KEEP)
        return NULL;
    uint8_t *buf = reader->buf;
    *cap = reader->cap;
    resp_read_again(reader);
    reader->need = 0;
    reader->buf = NULL;
    reader->cap = 0;
    return buf;
}

void ki_resp_reader_lend(struct ki_resp_reader *reader, uint8_t *buf, size_t cap)
{
    KI_ASSERT(!reader->buf);
    reader->buf = buf;
    reader->cap = cap;
}

void ki_resp_filled(struct ki_resp_reader *reader, size_t len)
{
    KI_ASSERT(len <= reader->cap - reader->end);
    reader->end += len;
}

/* ---- headers ---- */

/* A whole number by the rule of Redis's string2ll(): no sign but '-', no zero before another digit. */
bool ki_resp_number(const uint8_t *at, size_t len, int64_t *value)
{
    bool negative = len > 0 && at[0] == '-';
    uint64_t most = (uint64_t)INT64_MAX + negative, sum = 0;
    size_t first = negative;
    if (len == first || (at[first] == '0' && len > 1))
        return false;
    for (size_t i = first; i < len; i++) {
        unsigned digit = (unsigned)at[i] - '0';
        if (digit > 9 || sum > (most - digit) / 10)
            return false;
        sum = sum * 10 + digit;
    }
    *value = negative ? -(int64_t)(sum - 1) - 1 : (int64_t)sum;
    return true;
}

/* Finds the end of the line at pos.  REQUEST: *len bytes before it; MORE; or BROKEN: too long. */
static enum ki_resp_step resp_read_line(struct ki_resp_reader *reader, int ending, const char *too_big, size_t *len)
{
    const uint8_t *line = reader->buf + reader->pos;
    size_t have = reader->end - reader->pos;
    size_t look = ki_min_size(have, RESP_READ_LINE_MAX + 1); /* one answer, however the bytes were cut */
    const uint8_t *found = NULL;
    if (look > reader->scanned)
        found = memchr(line + reader->scanned, ending, look - reader->scanned);
    reader->scanned = found ? (size_t)(found - line) : look;
    *len = reader->scanned;
    if (found)
        return KI_RESP_REQUEST;
    return have > RESP_READ_LINE_MAX ? resp_read_break(reader, too_big) : KI_RESP_MORE;
}

static enum ki_resp_step resp_read_expected(struct ki_resp_reader *reader, uint8_t got)
{
    char what[] = "expected '$', got ' '";
    if (got != '\0' && got != '\r' && got != '\n') /* the answer is one line of text */
        what[sizeof what - 3] = (char)got;
    return resp_read_break(reader, what);
}

/* Reads a header with all the rules. */
static enum ki_resp_step resp_read_strange(struct ki_resp_reader *reader, uint8_t mark, int64_t *value)
{
    bool counts = mark == '*';
    const uint8_t *line = reader->buf + reader->pos;
    size_t len;
    enum ki_resp_step step = resp_read_line(
        reader, '\r', counts ? "too big mbulk count string" : "too big bulk count string", &len);
    if (step != KI_RESP_REQUEST)
        return step;
    if (reader->end - reader->pos < len + 2)
        return KI_RESP_MORE;
    if (line[0] != mark)
        return resp_read_expected(reader, line[0]);
    if (!ki_resp_number(line + 1, len - 1, value))
        return resp_read_break(reader, counts ? "invalid multibulk length" : "invalid bulk length");
    reader->pos += len + 2;
    reader->scanned = 0;
    return KI_RESP_REQUEST;
}

/* The usual header, "*N\r\n" or "$N\r\n" of one or two digits, at a glance.  Returns its length; 0: look closely. */
static inline size_t resp_read_usual(const uint8_t *line, size_t have, uint8_t mark, int64_t *value)
{
    if (have < 5 || line[0] != mark) /* shorter: one of one digit, with nothing behind it */
        return 0;
    unsigned first = (unsigned)line[1] - '0', second = (unsigned)line[2] - '0';
    if (line[2] == '\r' && first <= 9) {
        *value = (int64_t)first;
        return 4;
    }
    if (line[3] != '\r' || first - 1 > 8 || second > 9)
        return 0;
    *value = (int64_t)(first * 10 + second);
    return 5;
}

/* Reads the header at pos and goes behind it. */
static inline enum ki_resp_step resp_read_header(struct ki_resp_reader *reader, uint8_t mark, int64_t *value)
{
    size_t len = resp_read_usual(reader->buf + reader->pos, reader->end - reader->pos, mark, value);
    if (len == 0)
        return resp_read_strange(reader, mark, value);
    reader->pos += len;
    reader->scanned = 0;
    return KI_RESP_REQUEST;
}

/* ---- requests ---- */

/* The first line.  A request of no arguments is none: missing stays 0. */
static enum ki_resp_step resp_read_count(struct ki_resp_reader *reader, bool authenticated)
{
    int64_t count;
    enum ki_resp_step step = resp_read_header(reader, '*', &count);
    if (step != KI_RESP_REQUEST)
        return step;
    if (count > RESP_READ_COUNT_MAX)
        return resp_read_break(reader, "invalid multibulk length");
    if (count > RESP_READ_ANY_COUNT && !authenticated)
        return resp_read_break(reader, "unauthenticated multibulk length");
    reader->missing = count > 0 ? (size_t)count : 0;
    return KI_RESP_REQUEST;
}

static enum ki_resp_step resp_read_args(struct ki_resp_reader *reader, bool authenticated)
{
    while (reader->missing > 0) {
        if (reader->arg_count == reader->arg_cap && !resp_read_grow_args(reader, reader->arg_count + 1))
            return KI_RESP_NO_ROOM;
        size_t header = reader->pos;
        int64_t len;
        enum ki_resp_step step = resp_read_header(reader, '$', &len);
        if (step != KI_RESP_REQUEST)
            return step;
        if (len < 0 || (uint64_t)len > reader->bulk_max)
            return resp_read_break(reader, "invalid bulk length");
        if (len > RESP_READ_ANY_BULK && !authenticated)
            return resp_read_break(reader, "unauthenticated bulk length");
        size_t size = (size_t)len + 2;
        if (reader->end - reader->pos < size) {
            reader->need = reader->pos + size - reader->start;
            reader->pos = header;
            return KI_RESP_MORE;
        }
        reader->args[reader->arg_count++] = ki_span(reader->buf + reader->pos, (size_t)len);
        reader->pos += size;
        reader->missing--;
        reader->need = 0;
    }
    return KI_RESP_REQUEST;
}

/* ---- inline commands ---- */

/* isspace() of the C locale. */
static bool resp_read_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int resp_read_hex(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What a backslash between double quotes and the bytes behind it stand for.  Returns how many bytes they are. */
static size_t resp_read_escape(const uint8_t *at, size_t left, uint8_t *byte)
{
    static const char from[] = "nrtba", to[] = "\n\r\t\b\a";
    if (left >= 4 && at[1] == 'x' && resp_read_hex(at[2]) >= 0 && resp_read_hex(at[3]) >= 0) {
        *byte = (uint8_t)(resp_read_hex(at[2]) * 16 + resp_read_hex(at[3]));
        return 4;
    }
    *byte = at[0];
    if (left < 2)
        return 1;
    const char *known = at[1] ? strchr(from, at[1]) : NULL;
    *byte = known ? (uint8_t)to[known - from] : at[1];
    return 2;
}

/* Unquotes one word in place.  A quote may open within a word; the one that closes ends it.  Returns where the word ends,
 * or NULL: a quote is not closed, or no space is behind it. */
static uint8_t *resp_read_word(uint8_t *from, const uint8_t *end, struct ki_span *word)
{
    uint8_t *to = from;
    uint8_t quote = 0; /* the one that is open */
    *word = ki_span(from, 0);
    while (from < end) {
        uint8_t c = *from;
        if (quote && c == quote) {
            quote = 0;
            from++;
            if (from < end && !resp_read_space(*from))
                return NULL;
            break;
        }
        if (!quote && (c == ' ' || c == '\t' || c == '\r')) /* of all space only this ends a word */
            break;
        if (!quote && (c == '"' || c == '\'')) {
            quote = c;
            from++;
        } else if (quote == '"' && c == '\\') {
            from += resp_read_escape(from, (size_t)(end - from), to++);
        } else {
            if (quote == '\'' && c == '\\' && end - from > 1 && from[1] == '\'')
                from++;
            *to++ = *from++;
        }
    }
    word->len = (size_t)(to - word->ptr);
    return quote ? NULL : from;
}

static enum ki_resp_step resp_read_inline(struct ki_resp_reader *reader)
{
    uint8_t *at = reader->buf + reader->pos;
    size_t len;
    enum ki_resp_step step = resp_read_line(reader, '\n', "too big inline request", &len);
    if (step != KI_RESP_REQUEST)
        return step;
    if (!resp_read_grow_args(reader, (len + 1) / 2)) /* every word but the last has a space behind it */
        return KI_RESP_NO_ROOM;
    const uint8_t *end = at + len - (len > 0 && at[len - 1] == '\r');
    for (;;) {
        while (at < end && resp_read_space(*at))
            at++;
        if (at == end)
            break;
        at = resp_read_word(at, end, &reader->args[reader->arg_count]);
        if (!at)
            return resp_read_break(reader, "unbalanced quotes in request");
        reader->arg_count++;
    }
    reader->pos += len + 1;
    reader->scanned = 0;
    return KI_RESP_REQUEST;
}

/* ---- the next one ---- */

enum ki_resp_step ki_resp_next(struct ki_resp_reader *reader, bool authenticated)
{
    if (reader->error[0] != '\0')
        return KI_RESP_BROKEN;
    enum ki_resp_step step;
    do {
        step = KI_RESP_REQUEST;
        if (reader->missing == 0) {
            reader->start = reader->pos;
            reader->need = reader->arg_count = 0;
            if (reader->pos == reader->end)
                step = KI_RESP_MORE;
            else if (reader->buf[reader->pos] == '*')
                step = resp_read_count(reader, authenticated);
            else
                step = resp_read_inline(reader);
        }
        if (step == KI_RESP_REQUEST)
            step = resp_read_args(reader, authenticated);
    } while (step == KI_RESP_REQUEST && reader->arg_count == 0);
    reader->drained = step == KI_RESP_MORE;
    if (step == KI_RESP_REQUEST)
        reader->start = reader->pos;
    return step;
}
