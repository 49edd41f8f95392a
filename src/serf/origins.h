/* Numbered events: how far each origin's have been heard, those that came too early, and the last ones, kept for members
 * that missed them (PROTOCOL.md "numbered events").
 *
 * An origin is one life of one member.  Its events have the numbers 1, 2, 3 ...; each is settled here once, in order: told,
 * or given up as lost. */
#ifndef KI_ORIGINS_H
#define KI_ORIGINS_H

#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"

#define KI_ORIGINS_MAX 4096
#define KI_ORIGINS_LOOK 1024 /* of those that came early, at most so many are passed to find the place of another */
#define KI_ORIGINS_FINISHED 1024 /* forgotten ones that are known again */

struct ki_origin;

/* How far an origin is settled. */
struct ki_settled {
    uint64_t next;  /* the first number that is not */
    uint64_t ltime; /* of the one before it; 0: there is none, or it does not matter; UINT64_MAX: it may be any */
};

struct ki_finished { /* what is left of an origin that is forgotten */
    uint64_t hash;
    struct ki_settled settled;
};

struct ki_kept {
    struct ki_kept *newer, *older;   /* of all that are settled */
    struct ki_kept *next;            /* of this origin */
    struct ki_origin *origin;
    uint64_t seq, ltime;
    uint32_t len;
    bool told;
    uint8_t bytes[]; /* the message */
};

struct ki_origin {
    uint64_t hash, boot;
    uint64_t next;      /* the first that is not settled */
    uint64_t known;     /* the highest that is known to exist */
    uint64_t last_ltime; /* of the one settled last, or more if it never came; UINT64_MAX: it may be any */
    uint64_t lost_ltime; /* of the newest that is not kept any more, or never was; UINT64_MAX: it may be any */
    struct ki_kept *first, *last; /* kept */
    struct ki_kept *early, *early_last; /* not settled: in order, from next on */
    uint64_t missing_us, ask_us;  /* since when the next one is missing, and when to ask for it; UINT64_MAX: it is not */
    uint32_t asks;
    uint32_t teller; /* the caller's: who said last that it has what is missing */
    uint64_t gap_first, gap_last; /* settled as lost, not told yet; 0: none */
    uint64_t heard_us;
    uint32_t name_len;
    uint8_t name[];
};

struct ki_origins {
    struct ki_mem *mem;
    struct ki_origin **list;
    uint32_t count, cap;
    struct ki_map by_hash;
    struct ki_kept *oldest, *newest;
    uint64_t bytes, early_bytes, max; /* of what is settled and kept, and of what came early: each up to max */
    uint64_t root;                    /* of all origins, as far as they are settled: two members that agree have the same */
    struct ki_finished *finished;     /* a ring */
    uint32_t finished_next;
};

void ki_origins_init(struct ki_origins *o, struct ki_mem *mem, uint64_t max);
void ki_origins_free(struct ki_origins *o);
struct ki_origin *ki_origins_find(const struct ki_origins *o, struct ki_span name, uint64_t boot);
/* A new one, settled so far or, if it is one that has been forgotten, as far as it was then, whichever is further.  last: a
 * number that it is known to have.  NULL: memory is out, or there are too many, or this number was settled before it was
 * forgotten. */
struct ki_origin *ki_origins_enter(struct ki_origins *o, struct ki_span name, uint64_t boot, struct ki_settled settled,
                                   uint64_t last);
/* It is forgotten, and this number was settled before. */
bool ki_origins_are_finished(const struct ki_origins *o, struct ki_span name, uint64_t boot, uint64_t last);
/* Forgets one, but not how far it is settled: what is heard of it again is not taken for news, and what follows is. */
void ki_origins_forget(struct ki_origins *o, struct ki_origin *origin);

enum ki_arrival {
    KI_ARRIVAL_BEFORE, /* settled, or waiting already */
    KI_ARRIVAL_NEW,
    KI_ARRIVAL_NO_ROOM /* or no memory, or a place too far among others */
};
/* An event has come.  NEW: it waits in `early`, and may be the next one. */
enum ki_arrival ki_origin_arrive(struct ki_origins *o, struct ki_origin *origin, uint64_t seq, uint64_t ltime,
                                 struct ki_span message);
/* The next event, if it is there. */
struct ki_kept *ki_origin_ready(const struct ki_origin *origin);
/* Settles it; from now on it is kept, as long as there is room.  told: else it counts as lost for us, but not for others. */
void ki_origin_settle(struct ki_origins *o, struct ki_origin *origin, bool told);
/* Settles all before `next` as lost (a gap to be told) or, if they are old, as nothing.  ltime: none of them is newer. */
void ki_origin_skip(struct ki_origins *o, struct ki_origin *origin, uint64_t next, bool lost, uint64_t ltime);
/* Something before the highest known is missing: *last is the last of the first such run. */
bool ki_origin_missing(const struct ki_origin *origin, uint64_t *last);
const struct ki_kept *ki_origin_kept(const struct ki_origin *origin, uint64_t seq); /* the first of at least this number */

#endif
