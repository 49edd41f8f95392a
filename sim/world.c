/* The world: made, run and released.
 *
 * One step of the loop is: let the instances that were touched say what they have to say; then, when nobody has anything
 * left, take the next happening from the queue and let time jump there.  An event that an instance puts out stops the
 * loop for the program under test, and the next step goes on with that same instance, so that its answer comes before
 * anything else happens, as in a process of its own.
 *
 * Invariants: time never goes back; a node that is neither down nor paused has an entry in the queue no later than its
 * deadline, whenever the loop waits for the queue. */
#include <stdio.h>

#include "sim/world.h"

#define WORLD_FETCH_LINES 8 /* of 64 bytes: what every call reads, and what datagrams do */

static void *world_resize(void *arg, void *ptr, size_t size)
{
    (void)arg;
    return ki_sim_resize(ptr, size);
}

static void world_release(void *arg, void *ptr)
{
    (void)arg;
    free(ptr);
}

void kith_sim_config_init(struct kith_sim_config *config, uint64_t seed)
{
    *config = (struct kith_sim_config){
        .size = sizeof *config,
        .seed = seed,
        .wall_us = UINT64_C(1800000000000000), /* January 2027 */
        .link = {.latency_min_us = 500, .latency_max_us = 1500},
        .receive_buffer = 212992, /* Linux's net.core.rmem_default */
        .persist = true,
        .check = true,
    };
}

/* A generator for one purpose: more draws for one do not move another's. */
static struct ki_rng world_split(uint64_t seed, const char *purpose)
{
    struct ki_rng rng;
    uint64_t h = seed;
    for (const char *c = purpose; *c; c++)
        h = (h ^ (uint8_t)*c) * 0x100000001b3;
    ki_rng_init(&rng, h);
    return rng;
}

int kith_sim_new(kith_sim **out, const struct kith_sim_config *config)
{
    KI_ASSERT(config->size == sizeof *config);
    if (!ki_sim_link_fine(&config->link) || config->wall_us > SIM_WALL_MAX_US)
        return KITH_ERR_ARG;
    kith_sim *s = ki_sim_make(sizeof *s);
    s->cfg = *config;
    s->lines = ki_sim_make(((size_t)config->trace_lines + 1) * SIM_LINE);
    ki_mem_init(&s->mem, world_resize, world_release, NULL, 0);
    ki_map_init(&s->by_addr, &s->mem);
    ki_map_init(&s->by_pair, &s->mem);
    ki_map_init(&s->by_stream, &s->mem);
    s->net_rng = world_split(config->seed, "net");
    s->node_rng = world_split(config->seed, "node");
    s->disk_rng = world_split(config->seed, "disk");
    s->polled = KITH_SIM_ALL;
    if (config->check)
        ki_sim_check_all(s);
    *out = s;
    return 0;
}

void kith_sim_free(kith_sim *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < s->observer_count; i++) {
        if (s->observers[i]->end)
            s->observers[i]->end(s, s->observer_state[i]);
        free(s->observer_state[i]);
    }
    ki_sim_streams_free(s);
    for (uint32_t node = 0; node < s->count; node++)
        ki_sim_node_free(s, node);
    ki_sim_queue_free(&s->queue);
    for (size_t i = 0; i < s->names_count; i++)
        free(s->names[i]);
    ki_map_free(&s->by_addr);
    ki_map_free(&s->by_pair);
    free(s->names);
    free(s->nodes);
    free(s->addrs);
    free(s->pairs);
    free(s->dirty);
    free(s->lines);
    free(s->shown);
    free(s);
}

void kith_sim_node_config(kith_sim *s, uint32_t node, enum kith_profile profile, struct kith_config *out)
{
    KI_ASSERT(node < (1u << 24) - 1);
    while (s->names_count <= node) {
        char name[24];
        int len = snprintf(name, sizeof name, "node-%zu", s->names_count);
        s->names = ki_sim_grow(s->names, &s->names_cap, s->names_count, sizeof *s->names);
        s->names[s->names_count++] = ki_sim_copy(name, (size_t)len);
    }
    uint32_t host = node + 1;
    kith_config_init(out, profile);
    out->name = (struct kith_str){s->names[node], strlen(s->names[node])};
    out->addr = (struct kith_addr){.ip = {10, (uint8_t)(host >> 16), (uint8_t)(host >> 8), (uint8_t)host},
                                   .ip_len = 4,
                                   .port = SIM_PORT};
}

/* ---- what a user reads ---- */

uint64_t kith_sim_now_us(const kith_sim *s)
{
    return s->now_us;
}

uint32_t kith_sim_count(const kith_sim *s)
{
    return s->count;
}

enum kith_sim_life kith_sim_life(const kith_sim *s, uint32_t node)
{
    const struct sim_node *n = ki_sim_node_at(s, node);
    return !n->k ? KITH_SIM_DOWN : n->paused ? KITH_SIM_PAUSED : KITH_SIM_RUNNING;
}

kith *kith_sim_node(kith_sim *s, uint32_t node)
{
    kith *k = ki_sim_node_at(s, node)->k;
    if (k)
        ki_sim_node_dirty(s, node);
    return k;
}

void kith_sim_read_totals(const kith_sim *s, struct kith_sim_totals *out)
{
    *out = s->totals;
}

const char *kith_sim_violation(const kith_sim *s)
{
    return s->violation[0] ? s->violation : NULL;
}

/* ---- whole views ---- */

int kith_sim_join(kith_sim *s, uint32_t node, uint32_t to)
{
    struct sim_node *n = ki_sim_node_at(s, node);
    const struct kith_addr *addr = &ki_sim_node_at(s, to)->config.addr;
    if (!sim_runs(n))
        return KITH_ERR_STATE;
    SIM_TELL(s, told, node, addr);
    ki_sim_node_dirty(s, node);
    return kith_join(n->k, ki_sim_node_time(s, n), addr, 1, false, NULL);
}

int kith_sim_warm(kith_sim *s)
{
    struct kith_member *members = ki_sim_make(((size_t)s->count + 1) * sizeof *members);
    size_t count = 0;
    for (uint32_t node = 0; node < s->count; node++) {
        if (!sim_runs(s->nodes[node]))
            continue;
        struct kith_member *m = &members[count++];
        kith_self(s->nodes[node]->k, m);
        m->name = s->nodes[node]->config.name; /* the instance's own copies move when it grows */
        m->meta.ptr = ki_sim_copy(m->meta.ptr, m->meta.len);
        m->changed_us = 0;
    }
    int error = 0;
    for (uint32_t node = 0; node < s->count && error == 0; node++) {
        struct sim_node *n = s->nodes[node];
        if (!sim_runs(n))
            continue;
        error = kith_import_members(n->k, ki_sim_node_time(s, n), members, count);
        ki_sim_node_dirty(s, node);
    }
    for (size_t i = 0; i < count; i++)
        free((void *)(uintptr_t)members[i].meta.ptr);
    free(members);
    return error;
}

/* A node that is part of the pool: it runs and has not left. */
static bool world_takes_part(const struct sim_node *n)
{
    if (!sim_runs(n))
        return false;
    struct kith_member self;
    kith_self(n->k, &self);
    return self.status == KITH_STATUS_ALIVE;
}

bool kith_sim_agrees(kith_sim *s)
{
    uint32_t running = 0;
    bool *takes_part = ki_sim_make(s->count + 1);
    for (uint32_t node = 0; node < s->count; node++)
        running += takes_part[node] = world_takes_part(s->nodes[node]);
    bool agrees = true;
    for (uint32_t node = 0; node < s->count && agrees; node++) {
        uint32_t cursor = 0, seen = 0;
        struct kith_member m;
        if (!takes_part[node])
            continue;
        while (agrees && kith_next(s->nodes[node]->k, &cursor, &m)) {
            if (m.status != KITH_STATUS_ALIVE)
                continue;
            uint32_t who = kith_sim_find(s, &m.addr);
            agrees = who != KITH_SIM_ALL && takes_part[who];
            seen++;
        }
        agrees = agrees && seen == running;
    }
    free(takes_part);
    return agrees;
}

/* ---- the loop ---- */

struct world_wake {
    uint32_t life;
};

void kith_sim_wake(kith_sim *s, uint32_t node, uint64_t at_us, uint64_t cookie)
{
    struct world_wake *wake = ki_sim_make(sizeof *wake);
    wake->life = ki_sim_node_at(s, node)->lives;
    ki_sim_queue_put(&s->queue, (struct sim_entry){.at_us = ki_max_u64(at_us, s->now_us),
                                                   .kind = SIM_WAKE,
                                                   .id = node,
                                                   .arg = cookie,
                                                   .ptr = wake});
}

/* Returns true when it concerns the program. */
static bool world_wake(kith_sim *s, struct sim_entry *entry, struct kith_sim_happening *out)
{
    const struct world_wake *wake = entry->ptr;
    struct sim_node *n = s->nodes[entry->id];
    bool lives = n->k && n->lives == wake->life;
    if (lives && n->paused) {
        ki_sim_node_hold(s, entry->id, *entry, 0);
        return false;
    }
    free(entry->ptr);
    if (!lives)
        return false;
    ki_sim_digest(s, s->now_us);
    ki_sim_digest(s, (uint64_t)entry->id << 32 ^ entry->arg);
    *out = (struct kith_sim_happening){.kind = KITH_SIM_WAKE, .node = entry->id, .cookie = entry->arg};
    return true;
}

/* A process that is stopped hears of its disk when it goes on. */
static void world_rows(kith_sim *s, struct sim_entry entry)
{
    const struct sim_node *n = s->nodes[entry.id];
    if (!n->k || n->lives != entry.arg)
        return;
    if (n->paused)
        ki_sim_node_hold(s, entry.id, entry, 0);
    else
        ki_sim_store_happens(s, entry.id);
}

static bool world_happens(kith_sim *s, struct sim_entry entry, struct kith_sim_happening *out)
{
    s->totals.events++;
    switch (entry.kind) {
    case SIM_DEADLINE:
        ki_sim_node_due(s, entry.id);
        return false;
    case SIM_DATAGRAM:
        if (!ki_sim_arrive(s, entry.ptr))
            return false;
        const struct sim_datagram *d = s->shown;
        *out = (struct kith_sim_happening){
            .kind = KITH_SIM_MESSAGE, .node = d->to, .from = d->from_node, .buf = d->bytes, .len = d->len};
        return true;
    case SIM_REFUSED:
        ki_sim_refused(s, entry.ptr);
        return false;
    case SIM_ROWS:
        world_rows(s, entry);
        return false;
    case SIM_STREAM:
        ki_sim_stream_happens(s, entry.id, entry.arg);
        return false;
    case SIM_WAKE:
        return world_wake(s, &entry, out);
    }
    KI_UNREACHABLE();
}

/* With a thousand nodes no instance is still in the cache when its turn comes again.  Whose turn is next is known while
 * this one has its own: the head of that instance is fetched meanwhile. */
static void world_fetch_next(const kith_sim *s)
{
    const struct sim_entry *next = ki_sim_queue_first(&s->queue);
    if (!next || next->kind == SIM_STREAM)
        return;
    const char *k = (const char *)s->nodes[next->id]->k;
    for (size_t line = 0; k && line < WORLD_FETCH_LINES; line++)
        KI_PREFETCH(k + line * 64);
    if (next->kind == SIM_DATAGRAM)
        KI_PREFETCH(next->ptr);
}

bool kith_sim_step(kith_sim *s, uint64_t until_us, struct kith_sim_happening *out)
{
    free(s->shown);
    s->shown = NULL;
    while (!s->violation[0]) {
        if (s->polled != KITH_SIM_ALL) {
            out->kind = KITH_SIM_EVENT;
            out->node = s->polled;
            if (ki_sim_node_event(s, s->polled, &out->event))
                return true;
            if (sim_runs(s->nodes[s->polled]))
                SIM_TELL(s, settled, s->polled);
            s->polled = KITH_SIM_ALL;
            continue;
        }
        if (s->dirty_first < s->dirty_count) {
            s->polled = s->dirty[s->dirty_first++];
            ki_sim_node_drain(s, s->polled);
            continue;
        }
        s->dirty_first = s->dirty_count = 0;
        const struct sim_entry *first = ki_sim_queue_first(&s->queue);
        if (!first || first->at_us > until_us) {
            s->now_us = ki_max_u64(s->now_us, until_us);
            return false;
        }
        s->now_us = ki_max_u64(s->now_us, first->at_us);
        struct sim_entry entry = ki_sim_queue_take(&s->queue);
        world_fetch_next(s);
        if (world_happens(s, entry, out))
            return true;
    }
    return false;
}

void kith_sim_run(kith_sim *s, uint64_t until_us)
{
    struct kith_sim_happening dropped;
    while (kith_sim_step(s, until_us, &dropped))
        continue;
}
