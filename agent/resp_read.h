/* Requests of the Redis protocol (RESP2 and RESP3 are the same in this direction; inline commands too), out of the
 * bytes of one connection as they come.
 *
 *     uint8_t *room = ki_resp_room(reader, &len);          read up to len bytes into it
 *     ki_resp_filled(reader, got);
 *     while (ki_resp_next(reader, authenticated) == KI_RESP_REQUEST)
 *         ... reader->args[0 .. reader->arg_count), the first is the command's name
 *
 * The arguments are borrowed: they lie in the reader's buffer, until the next call with the same reader. */
#ifndef KI_AGENT_RESP_READ_H
#define KI_AGENT_RESP_READ_H

#include "base/base.h"

enum ki_resp_step {
    KI_RESP_MORE,    /* what has come is taken, but for a request that goes on */
    KI_RESP_REQUEST, /* args and arg_count are set; there is at least one argument */
    KI_RESP_BROKEN,  /* not the protocol: answer with `error`, close.  Every further call says the same */
    KI_RESP_NO_ROOM  /* the request does not fit into memory_max, or memory is out: close.  Nothing has changed */
};

struct ki_resp_reader {
    struct ki_span *args; /* after KI_RESP_REQUEST */
    size_t arg_count;
    char error[64]; /* after KI_RESP_BROKEN: Redis's text, without the '-' before it; "" until then */

    /* the reader's own */
    uint8_t *buf;
    size_t cap;
    size_t start;   /* where the request begins that is not yet given out */
    size_t end;     /* of what has come */
    size_t pos;     /* where the next header begins */
    size_t scanned; /* bytes from pos on that hold no line's end */
    size_t need;    /* bytes from start on to the end of the argument that goes on; 0: not known */
    size_t missing; /* arguments still to come; 0: the request's first line is next */
    size_t arg_cap;
    bool drained; /* the last step said MORE */
    size_t bulk_max, memory_max;
};

/* bulk_max: bytes of an argument, at most 2^32 - 1; Redis's proto-max-bulk-len, by default 512 MiB.  memory_max: bytes of
 * all that the reader keeps; an argument that is announced costs nothing before it comes.  Allocates nothing. */
void ki_resp_reader_init(struct ki_resp_reader *reader, size_t bulk_max, size_t memory_max);
void ki_resp_reader_free(struct ki_resp_reader *reader);

/* Where to read to, and how much.  NULL: memory_max is reached, or memory is out.  If the last step was MORE, the request
 * can never be whole: close, as Redis does (without an answer).  Else take requests first. */
uint8_t *ki_resp_room(struct ki_resp_reader *reader, size_t *len);
/* So many bytes have been read to there. */
void ki_resp_filled(struct ki_resp_reader *reader, size_t len);

/* A reader that holds nothing gives its buffer away: NULL when it holds something or has none.  One that has none takes one
 * of cap bytes from malloc().  So one buffer serves all clients that send whole requests. */
uint8_t *ki_resp_reader_yield(struct ki_resp_reader *reader, size_t *cap);
void ki_resp_reader_lend(struct ki_resp_reader *reader, uint8_t *buf, size_t cap);
static inline size_t ki_resp_reader_bytes(const struct ki_resp_reader *reader)
{
    return reader->cap + reader->arg_cap * sizeof *reader->args;
}

/* Reads a whole number as Redis does wherever it wants one: all digits, no blank, no needless zero, 64 bits. */
bool ki_resp_number(const uint8_t *at, size_t len, int64_t *value);

/* Finds the next request.  Who is not authenticated may send 10 arguments of 16 KiB at most, as Redis has it. */
enum ki_resp_step ki_resp_next(struct ki_resp_reader *reader, bool authenticated);

#endif
