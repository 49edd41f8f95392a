/* Runs of dots in order, in chunks of up to 64.
 *
 *   chunks ──> [ a:1-9  a:12-40  b:1-7 ... ]  [ f:1-3  f:5-5 ... ]  [ x:1-1000 ]
 *
 * One sorted array would be enough for the usual context, a run for each of a few replicas.  But where news is lost there
 * are thousands of gaps at a time, and an array would be moved as a whole for each.  So it is cut into chunks: a run that
 * comes or goes moves one chunk's, and a chunk that comes or goes moves the list of chunks, sixty times shorter.  Lookups
 * search the list, then the chunk.  A run that only becomes longer, as nearly always, moves nothing, and a hint tells where
 * it is.
 *
 * Invariants: runs are sorted by replica and number; of two neighbours of one replica the second's low is at least the
 * first's high + 2; no chunk is empty.  The digest is the sum (exclusive or) of a keyed hash of each run, so it does not
 * depend on how the runs lie in chunks; a chunk keeps the sum of its own, unless it is marked stale.
 *
 * How many chunks n additions can take (CONTEXT_SPLIT_INSERTS): a full chunk is halved, and each half takes 32 more runs
 * before it is full, so each chunk there is may be halved at once, and after that a halving takes 32 additions.  A full
 * last chunk that is appended to is not halved but followed by a new one, which takes 32 additions or more to fill, however
 * it is filled.  Together: no more than one for each chunk, one more, and one for each 16 additions.  Chunks that fuse have
 * 32 runs at most, which keeps the count.
 *
 * Deliberately not here: content (the owner of the dots has it), and any way to take a dot out.
 */
#include "store/context.h"

#include "base/hash.h"

enum {
    CONTEXT_CHUNK = 64, /* 1.5 KiB: moving half of it takes tens of nanoseconds */
    CONTEXT_HALF = CONTEXT_CHUNK / 2,
    CONTEXT_SPLIT_INSERTS = CONTEXT_HALF / 2,
    CONTEXT_SPARE_KEEP = 2 /* spare chunks that are never given back: one usual change reserves as many */
};

struct ki_context_chunk {
    struct ki_context_chunk *next_spare;
    uint64_t sum[2]; /* of the runs' hashes, unless stale */
    uint32_t count;
    bool stale;
    struct ki_run runs[CONTEXT_CHUNK];
};

/* Between two runs: the one at index, if there is one, stands behind.  index > 0 but in the first chunk. */
struct context_place {
    size_t chunk, index;
};

/* ---- finding ---- */

static inline bool context_begins_by(const struct ki_run *run, struct ki_dot dot)
{
    return (run->replica < dot.replica) | ((run->replica == dot.replica) & (run->low <= dot.n));
}

/* Notes where a run is.  It may be moved later: hints are tried, never trusted. */
static inline void context_hint(struct ki_context *context, uint64_t replica, struct context_place run)
{
    context->hints[replica % KI_CONTEXT_HINTS] = (uint32_t)(run.chunk * CONTEXT_CHUNK + run.index);
}

/* Whether the dot is in, or just behind, the run that the hint leads to: then no later run begins by it. */
static inline bool context_follow_hint(const struct ki_context *context, struct ki_dot dot, struct context_place *place)
{
    uint32_t hint = context->hints[dot.replica % KI_CONTEXT_HINTS];
    *place = (struct context_place){hint / CONTEXT_CHUNK, hint % CONTEXT_CHUNK};
    if (place->chunk >= context->chunk_count)
        return false;
    const struct ki_context_chunk *chunk = context->chunks[place->chunk];
    const struct ki_run *run = &chunk->runs[place->index++];
    return place->index <= chunk->count && run->replica == dot.replica && run->low <= dot.n &&
           dot.n <= run->high + 1;
}

/* The place behind all runs that begin by the dot.  The search has no branch to mispredict: ids are random. */
static struct context_place context_find(const struct ki_context *context, struct ki_dot dot)
{
    struct context_place place;
    if (context_follow_hint(context, dot, &place))
        return place;
    place = (struct context_place){0, 0};
    if (context->chunk_count == 0)
        return place;
    for (size_t left = context->chunk_count - 1; left > 0;) {
        size_t half = (left + 1) / 2;
        place.chunk += context_begins_by(&context->chunks[place.chunk + half]->runs[0], dot) ? half : 0;
        left -= half;
    }
    const struct ki_context_chunk *chunk = context->chunks[place.chunk];
    for (size_t left = chunk->count; left > 0;) {
        size_t half = (left + 1) / 2;
        place.index += context_begins_by(&chunk->runs[place.index + half - 1], dot) ? half : 0;
        left -= half;
    }
    return place;
}

static struct ki_run *context_before(const struct ki_context *context, struct context_place place)
{
    return place.index > 0 ? &context->chunks[place.chunk]->runs[place.index - 1] : NULL;
}

/* The run behind the place, which then stands at it; NULL: there is none. */
static struct ki_run *context_behind(const struct ki_context *context, struct context_place *place)
{
    if (place->chunk == context->chunk_count)
        return NULL;
    if (place->index == context->chunks[place->chunk]->count) {
        if (place->chunk + 1 == context->chunk_count)
            return NULL;
        *place = (struct context_place){place->chunk + 1, 0};
    }
    return &context->chunks[place->chunk]->runs[place->index];
}

static bool context_covers(const struct ki_context *context, const struct ki_run *run)
{
    struct context_place place = context_find(context, (struct ki_dot){run->replica, run->low});
    const struct ki_run *before = context_before(context, place);
    return before && before->replica == run->replica && before->high >= run->high;
}

bool ki_context_has(const struct ki_context *context, struct ki_dot dot)
{
    return dot.n > 0 && context_covers(context, &(struct ki_run){dot.replica, dot.n, dot.n});
}

uint64_t ki_context_highest(const struct ki_context *context, uint64_t replica)
{
    struct context_place place = context_find(context, (struct ki_dot){replica, UINT64_MAX});
    const struct ki_run *before = context_before(context, place);
    return before && before->replica == replica ? before->high : 0;
}

uint64_t ki_context_dots(const struct ki_context *context)
{
    struct ki_run run;
    uint64_t dots = 0;
    for (struct ki_dot at = {0, 0}; ki_context_next(context, at, &run); at = (struct ki_dot){run.replica, run.high + 1})
        dots += ki_min_u64(run.high - run.low + 1, UINT64_MAX - dots);
    return dots;
}

bool ki_context_next(const struct ki_context *context, struct ki_dot from, struct ki_run *out)
{
    struct context_place place = context_find(context, from);
    const struct ki_run *run = context_before(context, place);
    if (!run || run->replica != from.replica || run->high < from.n)
        run = context_behind(context, &place);
    if (run)
        *out = *run;
    return run != NULL;
}

/* ---- chunks come and go ---- */

static bool context_reserve_list(struct ki_context *context, size_t count)
{
    if (count <= context->chunk_cap)
        return true;
    size_t cap = context->chunk_cap * 2 > count ? context->chunk_cap * 2 : count;
    void *chunks = cap > SIZE_MAX / sizeof *context->chunks
                       ? NULL
                       : ki_mem_resize(context->mem, context->chunks, cap * sizeof *context->chunks);
    if (!chunks)
        return false;
    context->chunks = chunks;
    context->chunk_cap = cap;
    return true;
}

/* A new empty chunk at this place of the list, to be filled at once; NULL: memory is out. */
static struct ki_context_chunk *context_open(struct ki_context *context, size_t at)
{
    if (!context_reserve_list(context, context->chunk_count + 1))
        return NULL;
    struct ki_context_chunk *chunk = context->spare;
    if (chunk) {
        context->spare = chunk->next_spare;
        context->spare_count--;
    } else {
        chunk = ki_mem_resize(context->mem, NULL, sizeof *chunk);
        if (!chunk)
            return NULL;
    }
    chunk->count = 0;
    chunk->stale = true;
    memmove(&context->chunks[at + 1], &context->chunks[at],
            (context->chunk_count - at) * sizeof *context->chunks);
    context->chunks[at] = chunk;
    context->chunk_count++;
    return chunk;
}

static void context_close(struct ki_context *context, size_t at)
{
    ki_mem_free(context->mem, context->chunks[at]);
    context->chunk_count--;
    memmove(&context->chunks[at], &context->chunks[at + 1],
            (context->chunk_count - at) * sizeof *context->chunks);
}

/* Moves the runs from index `from` on to the end of another chunk. */
static void context_move(struct ki_context_chunk *to, struct ki_context_chunk *chunk, size_t from)
{
    memcpy(&to->runs[to->count], &chunk->runs[from], (chunk->count - from) * sizeof *chunk->runs);
    to->count += chunk->count - (uint32_t)from;
    chunk->count = (uint32_t)from;
    to->stale = chunk->stale = true;
}

static void context_fuse(struct ki_context *context, size_t at)
{
    if (at + 1 >= context->chunk_count ||
        context->chunks[at]->count + context->chunks[at + 1]->count > CONTEXT_HALF)
        return;
    context_move(context->chunks[at], context->chunks[at + 1], 0);
    context_close(context, at + 1);
}

static void context_trim(struct ki_context *context, size_t keep)
{
    while (context->spare_count > keep) {
        struct ki_context_chunk *chunk = context->spare;
        context->spare = chunk->next_spare;
        context->spare_count--;
        ki_mem_free(context->mem, chunk);
    }
}

void ki_context_clear(struct ki_context *context)
{
    while (context->chunk_count > 0) {
        struct ki_context_chunk *chunk = context->chunks[--context->chunk_count];
        chunk->next_spare = context->spare;
        context->spare = chunk;
        context->spare_count++;
    }
    context_trim(context, CONTEXT_SPARE_KEEP);
    if (context->run_count > 0)
        memset(context->hints, 0, sizeof context->hints);
    context->replica_count = context->run_count = 0;
}

bool ki_context_reserve(struct ki_context *context, size_t count)
{
    size_t had = context->spare_count;
    size_t need = ki_min_size(count, context->chunk_count + 1 + count / CONTEXT_SPLIT_INSERTS);
    if (context->chunk_count == 1 && count <= CONTEXT_CHUNK - context->run_count)
        need = 0; /* nearly always */
    if (need > SIZE_MAX - context->chunk_count ||
        !context_reserve_list(context, context->chunk_count + need))
        return false;
    while (context->spare_count < need) {
        struct ki_context_chunk *chunk = ki_mem_resize(context->mem, NULL, sizeof *chunk);
        if (!chunk) {
            context_trim(context, had);
            return false;
        }
        chunk->next_spare = context->spare;
        context->spare = chunk;
        context->spare_count++;
    }
    context_trim(context, need > CONTEXT_SPARE_KEEP ? need : CONTEXT_SPARE_KEEP);
    return true;
}

/* ---- adding ---- */

static bool context_insert(struct ki_context *context, struct context_place place, struct ki_run run)
{
    bool is_last = place.chunk + 1 >= context->chunk_count;
    if (context->chunk_count == 0) {
        if (!context_open(context, 0))
            return false;
    } else if (context->chunks[place.chunk]->count == CONTEXT_CHUNK) {
        if (!context_open(context, place.chunk + 1))
            return false;
        if (is_last && place.index == CONTEXT_CHUNK) {
            place = (struct context_place){place.chunk + 1, 0}; /* so that what comes in order fills chunks */
        } else {
            context_move(context->chunks[place.chunk + 1], context->chunks[place.chunk], CONTEXT_HALF);
            if (place.index > CONTEXT_HALF)
                place = (struct context_place){place.chunk + 1, place.index - CONTEXT_HALF};
        }
    }
    struct ki_context_chunk *chunk = context->chunks[place.chunk];
    memmove(&chunk->runs[place.index + 1], &chunk->runs[place.index],
            (chunk->count - place.index) * sizeof *chunk->runs);
    chunk->runs[place.index] = run;
    context_hint(context, run.replica, place);
    chunk->count++;
    chunk->stale = true;
    context->run_count++;
    return true;
}

/* The run at this place has grown: takes in those behind it that it now touches. */
static void context_absorb(struct ki_context *context, struct context_place place)
{
    struct ki_run *run = &context->chunks[place.chunk]->runs[place.index];
    size_t before = context->run_count;
    context->chunks[place.chunk]->stale = true;
    context_hint(context, run->replica, place);
    for (;;) {
        struct context_place first = {place.chunk, place.index + 1};
        if (!context_behind(context, &first))
            break;
        struct ki_context_chunk *chunk = context->chunks[first.chunk];
        size_t end = first.index;
        while (end < chunk->count && chunk->runs[end].replica == run->replica &&
               chunk->runs[end].low - 1 <= run->high) {
            run->high = ki_max_u64(run->high, chunk->runs[end].high);
            end++;
        }
        if (end == first.index)
            break;
        memmove(&chunk->runs[first.index], &chunk->runs[end], (chunk->count - end) * sizeof *chunk->runs);
        chunk->count -= (uint32_t)(end - first.index);
        chunk->stale = true;
        context->run_count -= end - first.index;
        if (chunk->count == 0)
            context_close(context, first.chunk);
    }
    if (context->run_count == before)
        return;
    context_fuse(context, place.chunk);
    if (place.chunk > 0)
        context_fuse(context, place.chunk - 1);
}

bool ki_context_add_run(struct ki_context *context, struct ki_run run)
{
    KI_ASSERT(ki_run_is_valid(run));
    struct context_place place = context_find(context, (struct ki_dot){run.replica, run.low});
    struct ki_run *before = context_before(context, place);
    bool is_known = before && before->replica == run.replica;
    if (is_known && before->high >= run.low - 1) {
        if (before->high >= run.high)
            return true;
        before->high = run.high;
        place.index--;
    } else {
        struct context_place next = place;
        struct ki_run *behind = context_behind(context, &next);
        if (!behind || behind->replica != run.replica || behind->low - 1 > run.high) {
            is_known |= behind && behind->replica == run.replica;
            if (!context_insert(context, place, run))
                return false;
            context->replica_count += !is_known;
            return true;
        }
        behind->low = run.low;
        behind->high = ki_max_u64(behind->high, run.high);
        place = next;
    }
    context_absorb(context, place);
    return true;
}

bool ki_context_add(struct ki_context *context, struct ki_dot dot)
{
    return ki_context_add_run(context, (struct ki_run){dot.replica, dot.n, dot.n});
}

bool ki_context_join(struct ki_context *context, const struct ki_context *other)
{
    size_t count = 0;
    if (context == other)
        return true;
    for (size_t i = 0; i < other->chunk_count; i++) {
        for (size_t k = 0; k < other->chunks[i]->count; k++)
            count += !context_covers(context, &other->chunks[i]->runs[k]);
    }
    if (count == 0)
        return true;
    if (!ki_context_reserve(context, count))
        return false;
    for (size_t i = 0; i < other->chunk_count; i++) {
        for (size_t k = 0; k < other->chunks[i]->count; k++) {
            bool fine = ki_context_add_run(context, other->chunks[i]->runs[k]);
            KI_ASSERT(fine);
        }
    }
    return true;
}

/* ---- wholes ---- */

void ki_context_init(struct ki_context *context, struct ki_mem *mem)
{
    *context = (struct ki_context){.mem = mem};
}

void ki_context_free(struct ki_context *context)
{
    for (size_t i = 0; i < context->chunk_count; i++)
        ki_mem_free(context->mem, context->chunks[i]);
    context_trim(context, 0);
    ki_mem_free(context->mem, context->chunks);
    ki_context_init(context, context->mem);
}

bool ki_context_copy(struct ki_context *to, const struct ki_context *from)
{
    KI_ASSERT(to->chunk_count == 0);
    for (size_t i = 0; i < from->chunk_count; i++) {
        struct ki_context_chunk *chunk = context_open(to, i);
        if (!chunk) {
            ki_context_free(to);
            return false;
        }
        chunk->count = from->chunks[i]->count;
        chunk->stale = from->chunks[i]->stale;
        memcpy(chunk->sum, from->chunks[i]->sum, sizeof chunk->sum);
        memcpy(chunk->runs, from->chunks[i]->runs, chunk->count * sizeof *chunk->runs);
    }
    to->replica_count = from->replica_count;
    to->run_count = from->run_count;
    to->has_key = from->has_key;
    memcpy(to->hints, from->hints, sizeof to->hints);
    memcpy(to->key, from->key, sizeof to->key);
    memcpy(to->subkeys, from->subkeys, sizeof to->subkeys);
    return true;
}

bool ki_context_equal(const struct ki_context *a, const struct ki_context *b)
{
    struct context_place at_a = {0, 0}, at_b = {0, 0};
    if (a->run_count != b->run_count || a->replica_count != b->replica_count)
        return false;
    for (size_t i = 0; i < a->run_count; i++, at_a.index++, at_b.index++) {
        const struct ki_run *x = context_behind(a, &at_a);
        const struct ki_run *y = context_behind(b, &at_b);
        if (!x || !y || x->replica != y->replica || x->low != y->low || x->high != y->high)
            return false;
    }
    return true;
}

/* ---- what is missing ---- */

enum ki_missing ki_context_missing(const struct ki_context *mine, const struct ki_context *theirs,
                                   struct ki_dot *cursor, size_t *budget, struct ki_run *out)
{
    struct ki_run their, own;
    bool is_own;
    for (;; (*budget)--) {
        if (!ki_context_next(theirs, *cursor, &their))
            return KI_MISSING_END;
        if (*budget == 0)
            return KI_MISSING_MORE;
        if (their.replica == cursor->replica)
            their.low = ki_max_u64(their.low, cursor->n);
        cursor->replica = their.replica;
        is_own = ki_context_next(mine, (struct ki_dot){their.replica, their.low}, &own) &&
                 own.replica == their.replica;
        if (!is_own || own.low > their.low)
            break;
        cursor->n = own.high + 1;
    }
    /* theirs goes on to its end, or to where mine begins again */
    if (is_own)
        their.high = ki_min_u64(their.high, own.low - 1);
    (*budget)--;
    cursor->n = their.high + 1;
    *out = their;
    return KI_MISSING_RUN;
}

/* ---- digest ---- */

/* Two keys of the hash's own making, for the two halves. */
static void context_set_key(struct ki_context *context, const uint8_t key[16])
{
    if (context->has_key && memcmp(context->key, key, sizeof context->key) == 0)
        return;
    for (uint8_t i = 0; i < 4; i++)
        ki_store_be(&context->subkeys[i / 2][i % 2 * 8], ki_siphash(key, &i, 1), 8);
    memcpy(context->key, key, sizeof context->key);
    context->has_key = true;
    for (size_t i = 0; i < context->chunk_count; i++)
        context->chunks[i]->stale = true;
}

static void context_sum(const struct ki_context *context, struct ki_context_chunk *chunk)
{
    chunk->sum[0] = chunk->sum[1] = 0;
    for (size_t i = 0; i < chunk->count; i++) {
        uint8_t bytes[24];
        ki_store_be(&bytes[0], chunk->runs[i].replica, 8);
        ki_store_be(&bytes[8], chunk->runs[i].low, 8);
        ki_store_be(&bytes[16], chunk->runs[i].high, 8);
        chunk->sum[0] ^= ki_siphash(context->subkeys[0], bytes, sizeof bytes);
        chunk->sum[1] ^= ki_siphash(context->subkeys[1], bytes, sizeof bytes);
    }
    chunk->stale = false;
}

/* Whoever has the key can make two contexts of one digest: sums of hashes are linear.  It hides from others only what it
 * could as well not have said. */
void ki_context_digest(struct ki_context *context, const uint8_t key[16], uint8_t out[16])
{
    uint64_t sum[2] = {0, 0};
    context_set_key(context, key);
    for (size_t i = 0; i < context->chunk_count; i++) {
        struct ki_context_chunk *chunk = context->chunks[i];
        if (chunk->stale)
            context_sum(context, chunk);
        sum[0] ^= chunk->sum[0];
        sum[1] ^= chunk->sum[1];
    }
    ki_store_be(&out[0], sum[0], 8);
    ki_store_be(&out[8], sum[1], 8);
}
