/* Replies of the Redis protocol, version 2, out of the bytes of a connection as they come.
 *
 *     ki_reply_start(reader);
 *     while ((state = ki_reply_scan(reader, buf, len)) == KI_REPLY_MORE)     buf: all that has come of this reply
 *         ... read more behind buf + len
 *     ki_reply_get(reader, buf, place)                                      after KI_REPLY_WHOLE
 *
 * A reply is a tree, kept as a row of nodes: an array, then its elements, each with what is in it. */
#ifndef KI_CLI_RESP_REPLY_H
#define KI_CLI_RESP_REPLY_H

#include <stdbool.h>

#include "base/base.h"

#define KI_REPLY_BYTES_MAX ((size_t)640 << 20) /* of one reply: a value of 512 MiB fits */
#define KI_REPLY_NODES_MAX ((size_t)1 << 20)
#define KI_REPLY_DEPTH_MAX 8

enum ki_reply_state {
    KI_REPLY_MORE,
    KI_REPLY_WHOLE, /* reader->len bytes */
    KI_REPLY_BAD,   /* not the protocol, or beyond a limit */
    KI_REPLY_NO_MEMORY
};

enum ki_reply_kind {
    KI_REPLY_SIMPLE,  /* text */
    KI_REPLY_ERROR,   /* text */
    KI_REPLY_INTEGER, /* integer */
    KI_REPLY_BULK,    /* text */
    KI_REPLY_NULL,
    KI_REPLY_ARRAY /* count elements follow */
};

struct ki_reply_node {
    enum ki_reply_kind kind;
    size_t at, len; /* of its text, from the reply's first byte on */
    int64_t integer;
    size_t count;
    size_t next; /* the place behind it and all that is in it */
};

struct ki_reply_reader {
    size_t len; /* bytes that are understood; of the whole reply, when it is */

    /* the reader's own */
    struct ki_reply_node *nodes;
    size_t node_count, node_cap;
    size_t lined; /* bytes from len on that hold no line's end */
    size_t open[KI_REPLY_DEPTH_MAX]; /* arrays that go on, the outermost first */
    size_t left[KI_REPLY_DEPTH_MAX]; /* their elements still to come */
    size_t depth;
};

/* A zeroed reader is one that has not started. */
void ki_reply_start(struct ki_reply_reader *reader);
void ki_reply_free(struct ki_reply_reader *reader);
enum ki_reply_state ki_reply_scan(struct ki_reply_reader *reader, const uint8_t *buf, size_t len);

/* A node with its text as bytes, both borrowed. */
struct ki_reply {
    const struct ki_reply_node *nodes; /* of the whole reply */
    const uint8_t *buf;
    size_t place;
};

static inline const struct ki_reply_node *ki_reply_node(struct ki_reply reply)
{
    return &reply.nodes[reply.place];
}
static inline bool ki_reply_is(struct ki_reply reply, enum ki_reply_kind kind)
{
    return ki_reply_node(reply)->kind == kind;
}
/* The text of a bulk, a simple string or an error; otherwise nothing. */
static inline struct ki_span ki_reply_text(struct ki_reply reply)
{
    const struct ki_reply_node *node = ki_reply_node(reply);
    return node->len > 0 ? ki_span(reply.buf + node->at, node->len) : ki_span("", 0);
}
/* How many elements; 0 when it is no array. */
static inline size_t ki_reply_count(struct ki_reply reply)
{
    return ki_reply_node(reply)->count;
}
/* The first element of an array that has one, and what follows an element in its array. */
static inline struct ki_reply ki_reply_first(struct ki_reply reply)
{
    reply.place++;
    return reply;
}
static inline struct ki_reply ki_reply_next(struct ki_reply reply)
{
    reply.place = ki_reply_node(reply)->next;
    return reply;
}
/* Is it an array of at least so many? */
static inline bool ki_reply_has(struct ki_reply reply, size_t count)
{
    return ki_reply_is(reply, KI_REPLY_ARRAY) && ki_reply_count(reply) >= count;
}

#endif
