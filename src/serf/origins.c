/* Numbered events of all origins.
 *
 * Settled events lie in one list from the oldest to the newest, over all origins, and in one list for each origin; when
 * there is no more room, the oldest goes.  What came before its turn waits in a list of its origin, in order, with room of
 * its own: whoever sends high numbers pushes out nobody's past.
 *
 * The root is a sum over the origins, of a hash of each with its number of settled events; it is kept with each change.
 * Its key is the same everywhere, since roots are compared: a member that wants to can make two equal, and harms only
 * those who would have asked it.
 *
 * Of an origin that is forgotten it is still known how far it was, in a ring; so one that was given up too early goes on
 * where it was, and nothing is told twice or passed over.
 *
 * Invariants: early numbers are at least next and rise; kept ones are below next and rise.
 * Deliberately not here: whom to ask, and how long to wait. */
#include "serf/origins.h"

static const uint8_t origins_key[16];

static uint64_t origins_hash(struct ki_span name, uint64_t boot)
{
    return ki_siphash(origins_key, name.ptr, name.len) ^ boot * UINT64_C(0x9e3779b97f4a7c15);
}

/* What an origin adds to the root. */
static uint64_t origins_part(const struct ki_origin *origin)
{
    const uint64_t words[2] = {origin->hash, origin->next};
    uint8_t bytes[16];
    for (size_t i = 0; i < 16; i++)
        bytes[i] = (uint8_t)(words[i / 8] >> 8 * (i % 8));
    return ki_siphash(origins_key, bytes, sizeof bytes);
}

static void origin_move(struct ki_origins *o, struct ki_origin *origin, uint64_t next)
{
    o->root -= origins_part(origin);
    origin->next = next;
    o->root += origins_part(origin);
    if (origin->known + 1 < next)
        origin->known = next - 1;
    origin->missing_us = origin->ask_us = UINT64_MAX;
    origin->asks = 0;
}

void ki_origins_init(struct ki_origins *o, struct ki_mem *mem, uint64_t max)
{
    *o = (struct ki_origins){.mem = mem, .max = max};
    ki_map_init(&o->by_hash, mem);
}

/* ---- origins ---- */

struct origins_key {
    struct ki_span name;
    uint64_t boot;
};

static bool origins_equal(const void *owner, uint32_t at, const void *key)
{
    const struct ki_origin *origin = ((const struct ki_origins *)owner)->list[at];
    const struct origins_key *wanted = key;
    return origin->boot == wanted->boot &&
           ki_span_equal(ki_span(origin->name, origin->name_len), wanted->name);
}

struct ki_origin *ki_origins_find(const struct ki_origins *o, struct ki_span name, uint64_t boot)
{
    struct origins_key key = {name, boot};
    uint32_t at = ki_map_get(&o->by_hash, origins_hash(name, boot), origins_equal, o, &key);
    return at == KI_MAP_NONE ? NULL : o->list[at];
}

/* How far it was settled when it was forgotten, the last time; next 0: it never was. */
static struct ki_settled origins_finished(const struct ki_origins *o, uint64_t hash)
{
    struct ki_settled settled = {.next = 0};
    for (uint32_t i = 0; o->finished && i < KI_ORIGINS_FINISHED; i++) {
        if (o->finished[i].hash == hash && o->finished[i].settled.next > settled.next)
            settled = o->finished[i].settled;
    }
    return settled;
}

bool ki_origins_are_finished(const struct ki_origins *o, struct ki_span name, uint64_t boot, uint64_t last)
{
    return last < origins_finished(o, origins_hash(name, boot)).next;
}

static bool origins_reserve(struct ki_origins *o)
{
    if (o->count < o->cap)
        return true;
    uint32_t cap = o->cap ? o->cap * 2 : 8;
    struct ki_origin **list = ki_mem_resize(o->mem, o->list, cap * sizeof(struct ki_origin *));
    if (!list)
        return false;
    o->list = list;
    o->cap = cap;
    return true;
}

struct ki_origin *ki_origins_enter(struct ki_origins *o, struct ki_span name, uint64_t boot, struct ki_settled settled,
                                   uint64_t last)
{
    uint64_t hash = origins_hash(name, boot);
    struct ki_settled finished = origins_finished(o, hash);
    if (o->count >= KI_ORIGINS_MAX || last < finished.next || !origins_reserve(o))
        return NULL;
    if (finished.next > settled.next)
        settled = finished;
    struct ki_origin *origin = ki_mem_new(o->mem, sizeof *origin + name.len);
    if (!origin || !ki_map_put(&o->by_hash, hash, o->count)) {
        ki_mem_free(o->mem, origin);
        return NULL;
    }
    *origin = (struct ki_origin){.hash = hash,
                                 .boot = boot,
                                 .next = settled.next,
                                 .known = settled.next - 1,
                                 .last_ltime = settled.ltime,
                                 .lost_ltime = settled.ltime,
                                 .missing_us = UINT64_MAX,
                                 .ask_us = UINT64_MAX,
                                 .name_len = (uint32_t)name.len};
    memcpy(origin->name, name.ptr, name.len);
    o->list[o->count++] = origin;
    o->root += origins_part(origin);
    return origin;
}

static void origins_drop_oldest(struct ki_origins *o)
{
    struct ki_kept *kept = o->oldest;
    struct ki_origin *origin = kept->origin;
    o->oldest = kept->newer;
    *(o->oldest ? &o->oldest->older : &o->newest) = NULL;
    origin->first = kept->next; /* what is oldest of all is oldest of its own */
    if (!origin->first)
        origin->last = NULL;
    origin->lost_ltime = ki_max_u64(origin->lost_ltime, kept->ltime);
    o->bytes -= sizeof *kept + kept->len;
    ki_mem_free(o->mem, kept);
}

/* The first of what came early; there is one. */
static struct ki_kept *origin_take_early(struct ki_origins *o, struct ki_origin *origin)
{
    struct ki_kept *early = origin->early;
    origin->early = early->next;
    if (!origin->early)
        origin->early_last = NULL;
    o->early_bytes -= sizeof *early + early->len;
    return early;
}

/* Takes all of an origin out of the list of what is kept. */
static void origin_drop_kept(struct ki_origins *o, const struct ki_origin *origin)
{
    for (struct ki_kept *kept = origin->first, *next; kept; kept = next) {
        next = kept->next;
        *(kept->older ? &kept->older->newer : &o->oldest) = kept->newer;
        *(kept->newer ? &kept->newer->older : &o->newest) = kept->older;
        o->bytes -= sizeof *kept + kept->len;
        ki_mem_free(o->mem, kept);
    }
}

static void origin_free(struct ki_origins *o, struct ki_origin *origin)
{
    while (origin->early)
        ki_mem_free(o->mem, origin_take_early(o, origin));
    ki_mem_free(o->mem, origin);
}

void ki_origins_forget(struct ki_origins *o, struct ki_origin *origin)
{
    uint32_t at = 0;
    while (o->list[at] != origin)
        at++;
    if (!o->finished)
        o->finished = ki_mem_new(o->mem, KI_ORIGINS_FINISHED * sizeof *o->finished);
    if (o->finished) {
        o->finished[o->finished_next] = (struct ki_finished){origin->hash, {origin->next, origin->last_ltime}};
        o->finished_next = (o->finished_next + 1) % KI_ORIGINS_FINISHED;
    }
    origin_drop_kept(o, origin);
    o->root -= origins_part(origin);
    ki_map_remove(&o->by_hash, origin->hash, at);
    uint32_t last = --o->count;
    if (at != last) {
        o->list[at] = o->list[last];
        ki_map_remove(&o->by_hash, o->list[at]->hash, last);
        bool put = ki_map_put(&o->by_hash, o->list[at]->hash, at);
        KI_ASSERT(put); /* what was just taken out has room */
    }
    origin_free(o, origin);
}

void ki_origins_free(struct ki_origins *o)
{
    while (o->oldest)
        origins_drop_oldest(o);
    for (uint32_t i = 0; i < o->count; i++)
        origin_free(o, o->list[i]);
    ki_mem_free(o->mem, o->list);
    ki_mem_free(o->mem, o->finished);
    ki_map_free(&o->by_hash);
}

/* ---- events ---- */

enum ki_arrival ki_origin_arrive(struct ki_origins *o, struct ki_origin *origin, uint64_t seq, uint64_t ltime,
                                 struct ki_span message)
{
    struct ki_kept **at = &origin->early;
    if (origin->early_last && origin->early_last->seq < seq)
        at = &origin->early_last->next; /* where nearly all belong */
    for (unsigned passed = 0; *at && (*at)->seq < seq && passed < KI_ORIGINS_LOOK; passed++)
        at = &(*at)->next;
    if (seq < origin->next || (*at && (*at)->seq == seq))
        return KI_ARRIVAL_BEFORE;
    size_t size = sizeof **at + message.len;
    bool far = *at && (*at)->seq < seq, full = seq > origin->next && o->early_bytes + size > o->max;
    if (far || full)
        return KI_ARRIVAL_NO_ROOM; /* it will be asked for when its turn comes */
    struct ki_kept *early = ki_mem_resize(o->mem, NULL, size);
    if (!early)
        return KI_ARRIVAL_NO_ROOM;
    *early = (struct ki_kept){
        .next = *at, .origin = origin, .seq = seq, .ltime = ltime, .len = (uint32_t)message.len};
    memcpy(early->bytes, message.ptr, message.len);
    if (!*at)
        origin->early_last = early;
    *at = early;
    o->early_bytes += size;
    if (seq > origin->known)
        origin->known = seq;
    return KI_ARRIVAL_NEW;
}

struct ki_kept *ki_origin_ready(const struct ki_origin *origin)
{
    return origin->early && origin->early->seq == origin->next ? origin->early : NULL;
}

static void origin_note_gap(struct ki_origin *origin, uint64_t first, uint64_t last)
{
    if (origin->gap_first == 0)
        origin->gap_first = first;
    origin->gap_last = last;
}

void ki_origin_settle(struct ki_origins *o, struct ki_origin *origin, bool told)
{
    KI_ASSERT(origin->early && origin->early->seq == origin->next);
    struct ki_kept *kept = origin_take_early(o, origin);
    kept->next = NULL;
    kept->told = told;
    o->bytes += sizeof *kept + kept->len;
    *(origin->last ? &origin->last->next : &origin->first) = kept;
    origin->last = kept;
    kept->older = o->newest;
    *(o->newest ? &o->newest->newer : &o->oldest) = kept;
    o->newest = kept;
    origin->last_ltime = kept->ltime;
    if (origin->lost_ltime == UINT64_MAX)
        origin->lost_ltime = kept->ltime; /* what was lost was older than what comes behind it */
    if (!told)
        origin_note_gap(origin, kept->seq, kept->seq);
    origin_move(o, origin, kept->seq + 1);
    while (o->bytes > o->max)
        origins_drop_oldest(o);
}

void ki_origin_skip(struct ki_origins *o, struct ki_origin *origin, uint64_t next, bool lost, uint64_t ltime)
{
    while (origin->early && origin->early->seq < next)
        ki_mem_free(o->mem, origin_take_early(o, origin));
    if (next <= origin->next)
        return;
    if (lost)
        origin_note_gap(origin, origin->next, next - 1);
    origin->lost_ltime = ki_max_u64(origin->lost_ltime, ltime);
    origin->last_ltime = ki_max_u64(origin->last_ltime, ltime);
    origin_move(o, origin, next);
}

bool ki_origin_missing(const struct ki_origin *origin, uint64_t *last)
{
    if (origin->known < origin->next || ki_origin_ready(origin))
        return false;
    *last = origin->early ? origin->early->seq - 1 : origin->known;
    return true;
}

const struct ki_kept *ki_origin_kept(const struct ki_origin *origin, uint64_t seq)
{
    const struct ki_kept *kept = origin->first;
    while (kept && kept->seq < seq)
        kept = kept->next;
    return kept;
}
