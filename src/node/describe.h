/* A datagram in words, between the files that tell it: describe.c its layers and Serf's messages, describe_kith.c kith's
 * own, and of those describe_aggregate.c what is about contributions. */
#ifndef KI_NODE_DESCRIBE_H
#define KI_NODE_DESCRIBE_H

#include "base/text.h"
#include "node/node.h"

struct describe {
    const struct kith *k; /* may be NULL */
    struct ki_text text;
    bool begun;           /* something stands before: it needs a separator */
    int error;            /* the first */
    struct ki_mem mem;    /* the instance's hooks and limit, or the C library's */
    uint8_t *arena;       /* NULL until something is inflated */
    size_t arena_used;
};

static inline void describe_item(struct describe *d, const char *what)
{
    if (d->begun)
        ki_text_put(&d->text, " | ");
    d->begun = true;
    ki_text_put(&d->text, what);
}

static inline void describe_number(struct describe *d, const char *word, uint64_t value)
{
    ki_text_put(&d->text, word);
    ki_text_uint(&d->text, value);
}

static inline void describe_name(struct describe *d, const char *word, struct ki_span name)
{
    ki_text_put(&d->text, word);
    ki_text_name(&d->text, name);
}

static inline void describe_bytes(struct describe *d, const char *word, size_t len)
{
    describe_number(d, word, len);
    ki_text_put(&d->text, len == 1 ? " byte" : " bytes");
}

static inline void describe_error(struct describe *d, int error)
{
    if (d->error == 0)
        d->error = error;
}

static inline void describe_malformed(struct describe *d, const char *what)
{
    describe_item(d, "malformed ");
    ki_text_put(&d->text, what);
    describe_error(d, KITH_ERR_MALFORMED);
}

/* Both after their type: a query of Serf's, and a message of kith's own. */
void ki_describe_query(struct describe *d, const char *what, struct ki_reader *r);
void ki_describe_kith(struct describe *d, struct ki_reader *r);
/* A message about contributions, after its kind.  False: it is none. */
bool ki_describe_aggregate(struct describe *d, uint8_t kind, struct ki_reader *r);

#endif
