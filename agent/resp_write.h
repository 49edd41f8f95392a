/* Replies of the Redis protocol, version 2 or 3, gathered in one buffer until the connection takes them.
 *
 * What is unsent is at most bytes_max.  A reply that does not fit, or for which there is no memory, sets `full`, and
 * nothing is written any more: a reply left out would give every later one to the wrong request.  Check `full` after
 * each request, close then; look at ki_resp_unsent() before the next request to do less for a client that reads slowly. */
#ifndef KI_AGENT_RESP_WRITE_H
#define KI_AGENT_RESP_WRITE_H

#include "base/base.h"

struct ki_resp_writer {
    uint8_t version; /* 2 at first; 3 after HELLO 3 */
    bool full;

    /* the writer's own */
    uint8_t *buf;
    size_t start; /* sent so far */
    size_t end;   /* written so far */
    size_t cap;
    size_t bytes_max;
};

/* Allocates nothing.  The memory used is at most twice bytes_max. */
void ki_resp_writer_init(struct ki_resp_writer *writer, size_t bytes_max);
void ki_resp_writer_free(struct ki_resp_writer *writer);

/* What is to be sent; borrowed until the next call that changes the writer. */
struct ki_span ki_resp_unsent(const struct ki_resp_writer *writer);
/* So many of these bytes have been sent. */
void ki_resp_sent(struct ki_resp_writer *writer, size_t len);

/* As ki_resp_reader_yield(): a writer with nothing unsent gives its buffer away, one that has none takes one. */
uint8_t *ki_resp_writer_yield(struct ki_resp_writer *writer, size_t *cap);
void ki_resp_writer_lend(struct ki_resp_writer *writer, uint8_t *buf, size_t cap);

/* One line each: CR and LF in it go out as spaces.  An error's text begins with its code, as in "ERR syntax error". */
void ki_resp_put_simple(struct ki_resp_writer *writer, struct ki_span line);
void ki_resp_put_error(struct ki_resp_writer *writer, struct ki_span line);

void ki_resp_put_integer(struct ki_resp_writer *writer, int64_t value);
void ki_resp_put_double(struct ki_resp_writer *writer, double value); /* RESP2: a bulk */
void ki_resp_put_bool(struct ki_resp_writer *writer, bool value);     /* RESP2: 1 or 0 */
void ki_resp_put_bulk(struct ki_resp_writer *writer, struct ki_span bytes);
/* RESP2: a bulk.  format has three letters, "txt" or "mkd". */
void ki_resp_put_verbatim(struct ki_resp_writer *writer, const char *format, struct ki_span text);
void ki_resp_put_null(struct ki_resp_writer *writer);
void ki_resp_put_null_array(struct ki_resp_writer *writer);

/* Headers: `count` elements follow (of a map, pairs). */
void ki_resp_put_array(struct ki_resp_writer *writer, uint64_t count);
void ki_resp_put_map(struct ki_resp_writer *writer, uint64_t count);  /* RESP2: an array of twice as many */
void ki_resp_put_set(struct ki_resp_writer *writer, uint64_t count);  /* RESP2: an array */
void ki_resp_put_push(struct ki_resp_writer *writer, uint64_t count); /* RESP2: an array */

/* A header whose count is known only when its elements are written: the mark is taken before, the header set in behind.
 * Nothing is sent between. */
size_t ki_resp_mark(const struct ki_resp_writer *writer);
void ki_resp_array_at(struct ki_resp_writer *writer, size_t mark, uint64_t count);
void ki_resp_set_at(struct ki_resp_writer *writer, size_t mark, uint64_t count);
void ki_resp_map_at(struct ki_resp_writer *writer, size_t mark, uint64_t count);
/* Takes back what was written behind the mark. */
void ki_resp_cut(struct ki_resp_writer *writer, size_t mark);
/* A number as a bulk, set in likewise. */
void ki_resp_number_bulk_at(struct ki_resp_writer *writer, size_t mark, uint64_t number);

#endif
