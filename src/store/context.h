/* The causal context: which dots a replica has ever seen, live or dead.  A dot that is in the context and has no content
 * was removed, and that is all that is remembered of a removal.  A context only grows.
 *
 * Kept as runs of dots; usually there is one for each replica.  Gaps are dots that have not come yet. */
#ifndef KI_CONTEXT_H
#define KI_CONTEXT_H

#include "base/bytes.h"
#include "base/mem.h"
#include "store/dot.h"

struct ki_context_chunk;

enum { KI_CONTEXT_HINTS = 128 }; /* a power of two: 512 bytes, and usual contexts have fewer replicas */

struct ki_context {
    struct ki_mem *mem;
    struct ki_context_chunk **chunks; /* in order of their runs; none is empty */
    size_t chunk_count, chunk_cap;
    struct ki_context_chunk *spare; /* for ki_context_reserve() */
    size_t spare_count;
    uint32_t hints[KI_CONTEXT_HINTS]; /* by the low bits of a replica's id: where a run grew last, perhaps */
    size_t replica_count; /* that have a dot here */
    size_t run_count;     /* as few as possible: no two of a replica touch */
    uint8_t key[16];      /* of the digest that is kept */
    uint8_t subkeys[2][16];
    bool has_key;
};

void ki_context_init(struct ki_context *context, struct ki_mem *mem); /* allocates nothing */
void ki_context_free(struct ki_context *context);                    /* leaves an empty context, ready for use */
/* Empties it, and keeps some room for what comes next. */
void ki_context_clear(struct ki_context *context);
/* Makes `to`, which must be empty, equal to `from`, key and kept digest included.  false: memory is out, `to` is empty. */
bool ki_context_copy(struct ki_context *to, const struct ki_context *from);
bool ki_context_equal(const struct ki_context *a, const struct ki_context *b);

/* ---- asking ---- */

bool ki_context_has(const struct ki_context *context, struct ki_dot dot);
/* The greatest number that is here of this replica, or 0. */
uint64_t ki_context_highest(const struct ki_context *context, uint64_t replica);
/* How many there are in all; UINT64_MAX: that many or more. */
uint64_t ki_context_dots(const struct ki_context *context);
/* The first run with a dot that does not stand before `from`, whole.  For walking: begin at {0, 0}, and continue at
 * {run.replica, run.high + 1}; the context may change in between.  false: there is none. */
bool ki_context_next(const struct ki_context *context, struct ki_dot from, struct ki_run *out);

/* ---- growing: false means that memory is out, and nothing has changed ---- */

bool ki_context_add(struct ki_context *context, struct ki_dot dot);     /* valid, asserted */
bool ki_context_add_run(struct ki_context *context, struct ki_run run); /* valid, asserted */
/* Makes room, so that the next `count` calls that add to this context cannot fail, whatever they add.  A later call
 * forgets this one's claim. */
bool ki_context_reserve(struct ki_context *context, size_t count);
/* Adds all that is in `other`.  Costs about 0.1 us a run; what must not take long adds what ki_context_missing() finds. */
bool ki_context_join(struct ki_context *context, const struct ki_context *other);

/* ---- what theirs has and mine has not, in order, in slices ---- */

enum ki_missing {
    KI_MISSING_RUN,  /* *out is a run of such dots, as long as it can be */
    KI_MISSING_MORE, /* the budget is used up: call again */
    KI_MISSING_END
};

/* Begin with *cursor {0, 0}.  Both may grow between calls: what grows behind the cursor is not seen.  Each step takes one
 * of *budget and about 0.1 us. */
enum ki_missing ki_context_missing(const struct ki_context *mine, const struct ki_context *theirs,
                                   struct ki_dot *cursor, size_t *budget, struct ki_run *out);

/* ---- digest ---- */

/* A keyed hash of what is in the context, the same for equal contexts.  Costs only what has changed since the last call
 * with this key: about 3 us for each 64 runs that lie together. */
void ki_context_digest(struct ki_context *context, const uint8_t key[16], uint8_t out[16]);

/* ---- bytes: context_wire.c has the format ---- */

enum { KI_CONTEXT_ENTRY_MAX = 27 }; /* bytes of a run: id 8, gap 9, length 10 */

struct ki_context_cursor {
    struct ki_dot at; /* n 0: a replica begins; else its last run ended at n - 1, and another follows */
    bool ended;       /* everything has been written */
};

size_t ki_context_encoded_len(const struct ki_context *context);
/* Writes as many whole runs as fit, from the cursor on (begin with zeros), and returns how many bytes that took.  A
 * buffer of KI_CONTEXT_ENTRY_MAX always takes one.  The context must not change between the parts: encode a copy. */
size_t ki_context_encode(const struct ki_context *context, struct ki_context_cursor *cursor, void *buf, size_t cap);

enum ki_context_verdict {
    KI_CONTEXT_FINE,
    KI_CONTEXT_MALFORMED,
    KI_CONTEXT_TOO_LARGE, /* more replicas or runs than the caller allows */
    KI_CONTEXT_NO_MEMORY
};

/* Made by the caller, all else zero. */
struct ki_context_decoder {
    struct ki_context *into; /* usually empty; else what is read is joined to it */
    size_t replicas_max, runs_max;
    size_t replica_count, run_count; /* read until now */
    struct ki_dot at;                /* as in the encoder's cursor */
    bool inside;                     /* another run of this replica must follow */
};

/* Reads the next part, which must end where a run ends, but no more than `budget` runs of it, at about 0.1 us each;
 * KI_CONTEXT_FINE with bytes left in the reader: call again.  Otherwise nothing has changed, reader and decoder included. */
enum ki_context_verdict ki_context_decode(struct ki_context_decoder *decoder, struct ki_reader *r, size_t budget);
/* After the last part: whether the bytes were whole.  (Bytes that lack their last replicas are a context, too: that no
 * part is missing must be said by what carries them.) */
bool ki_context_decode_is_whole(const struct ki_context_decoder *decoder);

#endif
