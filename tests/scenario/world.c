#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORLD_DELAY_US 1000
#define WORLD_STREAMS 2048

struct world_packet {
    uint64_t at_us, order;
    unsigned from, to;
    size_t len;
    uint8_t buf[2048];
};

struct world_stream { /* one TCP connection: both ends */
    bool used, accepted;
    unsigned node[2];
    uint32_t id[2]; /* 0: closed at this end */
    uint8_t *bytes[2]; /* on their way to end i */
    size_t len[2];
    bool finished[2]; /* end i sends no more */
    bool told_end[2];
    bool writable[2];
    uint64_t ready_us;
};

struct world_member {
    kith *k;
    bool paused;
    uint64_t ticks;
};

struct world {
    struct kith_time now;
    struct world_member nodes[WORLD_NODES];
    bool cut[WORLD_NODES][WORLD_NODES];
    uint64_t delay_us;
    struct world_packet *packets;
    size_t packet_count, packet_cap;
    struct world_stream streams[WORLD_STREAMS];
    struct world_event events[WORLD_EVENTS];
    size_t event_count;
    uint64_t order;
    uint8_t seed;
    struct kith_store_config store;
    bool has_store;
    struct world_disk disk;
    uint32_t loss_ppm;
    uint64_t luck; /* splitmix64's state */
    world_tap tap;
    world_ear ear;
    void *ear_arg;
    bool (*is_silent)(unsigned n);
    void *tap_arg;
};

static void world_check(bool fine, const char *what)
{
    if (fine)
        return;
    fprintf(stderr, "world: %s\n", what);
    abort();
}

struct world *world_new(void)
{
    struct world *w = calloc(1, sizeof *w);
    world_check(w, "out of memory");
    w->now = (struct kith_time){.mono_us = 1000000, .wall_us = 1800000000000000};
    w->delay_us = WORLD_DELAY_US;
    return w;
}

void world_free(struct world *w)
{
    for (unsigned n = 0; n < WORLD_NODES; n++)
        kith_free(w->nodes[n].k);
    for (unsigned i = 0; i < WORLD_STREAMS; i++) {
        free(w->streams[i].bytes[0]);
        free(w->streams[i].bytes[1]);
    }
    free(w->packets);
    free(w);
}

struct kith_addr world_addr(unsigned n)
{
    return (struct kith_addr){.ip = {10, 0, (uint8_t)((n + 1) >> 8), (uint8_t)(n + 1)}, .ip_len = 4, .port = 7946};
}

void world_config(struct kith_config *config, unsigned n)
{
    static char names[WORLD_NODES][16];
    kith_config_init(config, KITH_PROFILE_LAN);
    snprintf(names[n], sizeof names[n], "node-%u", n);
    config->name = (struct kith_str){names[n], strlen(names[n])};
    config->addr = world_addr(n);
}

void world_add(struct world *w, unsigned n, const struct kith_config *config)
{
    struct kith_config c = *config;
    memset(c.seed, 0, sizeof c.seed);
    c.seed[0] = (uint8_t)n;
    c.seed[1] = ++w->seed;
    c.seed[2] = (uint8_t)(n >> 8);
    world_check(!w->nodes[n].k, "node is there already");
    world_check(kith_new(&w->nodes[n].k, &c) == 0, "kith_new");
    world_check(!w->has_store || kith_store_open(w->nodes[n].k, &w->store) == 0, "kith_store_open");
    if (w->disk.load)
        w->disk.load(w->disk.arg, n, w->nodes[n].k);
    world_check(kith_ready(w->nodes[n].k, w->now) == 0, "kith_ready");
}

void world_store(struct world *w, const struct kith_store_config *config)
{
    w->has_store = config != NULL;
    if (config)
        w->store = *config;
}

void world_set_disk(struct world *w, struct world_disk disk)
{
    w->disk = disk;
}

uint64_t world_ticks(const struct world *w, unsigned n)
{
    return w->nodes[n].ticks;
}

void world_inject(struct world *w, unsigned n, unsigned from, const void *bytes, size_t len)
{
    struct kith_addr addr = world_addr(from);
    if (w->nodes[n].k)
        kith_datagram(w->nodes[n].k, w->now, &addr, bytes, len);
}

void world_crash(struct world *w, unsigned n)
{
    kith_free(w->nodes[n].k);
    w->nodes[n].k = NULL;
    for (unsigned i = 0; i < WORLD_STREAMS; i++) {
        struct world_stream *s = &w->streams[i];
        for (unsigned end = 0; end < 2 && s->used; end++) {
            if (s->node[end] == n && s->id[end]) {
                s->id[end] = 0;
                s->finished[end] = true;
            }
        }
    }
}

kith *world_node(struct world *w, unsigned n)
{
    return w->nodes[n].k;
}

struct kith_time world_now(const struct world *w)
{
    return w->now;
}

void world_cut(struct world *w, unsigned a, unsigned b, bool cut)
{
    w->cut[a][b] = w->cut[b][a] = cut;
}

void world_pause(struct world *w, unsigned n, bool paused)
{
    w->nodes[n].paused = paused;
}

void world_set_tap(struct world *w, world_tap tap, void *arg)
{
    w->tap = tap;
    w->tap_arg = arg;
}

size_t world_events(const struct world *w, const struct world_event **events)
{
    *events = w->events;
    return w->event_count;
}

static bool world_runs(const struct world *w, unsigned n)
{
    return w->nodes[n].k && !w->nodes[n].paused;
}

static unsigned world_index(const struct kith_addr *addr)
{
    unsigned at = addr->ip[2] * 256u + addr->ip[3];
    return addr->ip_len == 4 && addr->ip[0] == 10 && at >= 1 && at <= WORLD_NODES ? at - 1u : WORLD_NODES;
}

uint64_t world_random(struct world *w)
{
    uint64_t z = w->luck += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 (Steele, Lea, Flood 2014) */
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

void world_chance(struct world *w, uint64_t seed, uint32_t loss_ppm)
{
    w->luck = seed;
    w->seed = (uint8_t)seed;
    w->loss_ppm = loss_ppm;
}

void world_delay(struct world *w, uint64_t us)
{
    w->delay_us = us;
}

/* ---- outputs of one node ---- */

static void world_send(struct world *w, unsigned from, const struct kith_addr *to, const uint8_t *buf, size_t len)
{
    if (w->tap)
        w->tap(w->tap_arg, from, to, buf, len);
    unsigned target = world_index(to);
    if (target == WORLD_NODES || w->cut[from][target] || world_random(w) % 1000000 < w->loss_ppm)
        return;
    if (w->packet_count == w->packet_cap) {
        w->packet_cap = w->packet_cap ? w->packet_cap * 2 : 64;
        w->packets = realloc(w->packets, w->packet_cap * sizeof *w->packets);
        world_check(w->packets, "out of memory");
    }
    struct world_packet *p = &w->packets[w->packet_count++];
    *p = (struct world_packet){
        .at_us = w->now.mono_us + w->delay_us, .order = w->order++, .from = from, .to = target, .len = len};
    memcpy(p->buf, buf, len);
}

static struct world_stream *world_stream_of(struct world *w, unsigned n, const struct kith_stream_action *action,
                                            unsigned *end)
{
    uint32_t id = action->id;
    for (unsigned i = 0; i < WORLD_STREAMS; i++) {
        for (*end = 0; *end < 2; (*end)++) {
            struct world_stream *s = &w->streams[i];
            if (s->used && s->id[*end] == id && s->node[*end] == n)
                return s;
        }
    }
    fprintf(stderr, "world: node-%u at %llu us asks %d of the unknown stream %u\n", n,
            (unsigned long long)w->now.mono_us, (int)action->kind, id);
    abort();
}

static void world_open(struct world *w, unsigned n, const struct kith_stream_action *action)
{
    for (unsigned i = 0; i < WORLD_STREAMS; i++) {
        struct world_stream *s = &w->streams[i];
        if (s->used)
            continue;
        *s = (struct world_stream){.used = true, .ready_us = w->now.mono_us + w->delay_us};
        s->node[0] = n;
        s->id[0] = action->id;
        s->node[1] = world_index(&action->addr);
        return;
    }
    world_check(false, "too many streams");
}

static void world_drain_writes(struct world *w, unsigned n, struct world_stream *s, unsigned end)
{
    uint8_t buf[1500];
    size_t len;
    while (kith_stream_write(w->nodes[n].k, w->now, s->id[end], buf, sizeof buf, &len) == 0 && len > 0) {
        unsigned other = 1 - end;
        s->bytes[other] = realloc(s->bytes[other], s->len[other] + len);
        world_check(s->bytes[other], "out of memory");
        memcpy(s->bytes[other] + s->len[other], buf, len);
        s->len[other] += len;
        s->ready_us = w->now.mono_us + w->delay_us;
    }
}

static void world_act(struct world *w, unsigned n, const struct kith_stream_action *action)
{
    unsigned end;
    if (action->kind == KITH_STREAM_OPEN) {
        world_open(w, n, action);
        return;
    }
    struct world_stream *s = world_stream_of(w, n, action, &end);
    if (action->kind == KITH_STREAM_WRITE)
        world_drain_writes(w, n, s, end);
    if (action->kind == KITH_STREAM_FINISH || action->kind == KITH_STREAM_ABORT) {
        s->id[end] = 0;
        s->finished[end] = true;
        s->ready_us = w->now.mono_us + w->delay_us;
    }
}

void world_set_ear(struct world *w, world_ear ear, void *arg)
{
    w->ear = ear;
    w->ear_arg = arg;
}

void world_pause_events(struct world *w, bool (*is_silent)(unsigned n))
{
    w->is_silent = is_silent;
}

static void world_note(struct world *w, unsigned n, const struct kith_event *e)
{
    if (w->ear)
        w->ear(w->ear_arg, n, w->nodes[n].k, w->now, e);
    if (w->event_count == WORLD_EVENTS)
        return;
    struct world_event *to = &w->events[w->event_count++];
    *to = (struct world_event){.node = n,
                               .kind = e->kind,
                               .changed = e->changed,
                               .result = e->result,
                               .count = e->count,
                               .ticket = e->ticket,
                               .at_us = w->now.mono_us};
    size_t len = e->member.name.len < sizeof to->name - 1 ? e->member.name.len : sizeof to->name - 1;
    if (len)
        memcpy(to->name, e->member.name.ptr, len);
}

static void world_drain(struct world *w, unsigned n)
{
    kith *k = w->nodes[n].k;
    uint8_t buf[2048];
    size_t len;
    struct kith_addr to;
    struct kith_stream_action action;
    struct kith_event event;
    struct kith_record record;
    struct kith_row row;
    if (w->disk.drain)
        w->disk.drain(w->disk.arg, n, k, w->now);
    while (!w->disk.drain && kith_poll_row(k, w->now, &row)) {
        if (row.is_commit)
            kith_rows_durable(k, w->now, row.seq, 0);
    }
    while (kith_poll_datagram(k, w->now, &to, buf, sizeof buf, &len))
        world_send(w, n, &to, buf, len);
    while (kith_poll_stream(k, &action))
        world_act(w, n, &action);
    while (kith_poll_record(k, &record))
        ;
    while (!(w->is_silent && w->is_silent(n)) && kith_poll_event(k, &event))
        world_note(w, n, &event);
}

/* ---- the network ---- */

static void world_stream_bytes(struct world *w, struct world_stream *s, unsigned end)
{
    kith *k = w->nodes[s->node[end]].k;
    size_t taken = 0;
    if (s->len[end] == 0 || !s->id[end])
        return;
    if (kith_stream_bytes(k, w->now, s->id[end], s->bytes[end], s->len[end], &taken) != 0)
        taken = s->len[end];
    memmove(s->bytes[end], s->bytes[end] + taken, s->len[end] - taken);
    s->len[end] -= taken;
}

static bool world_stream_cut(const struct world *w, const struct world_stream *s)
{
    return s->node[1] < WORLD_NODES && w->cut[s->node[0]][s->node[1]];
}

static void world_stream_accept(struct world *w, struct world_stream *s)
{
    struct kith_addr from = world_addr(s->node[0]);
    from.port = 40000;
    if (!w->nodes[s->node[1]].k || kith_stream_accept(w->nodes[s->node[1]].k, w->now, &from, &s->id[1]) != 0) {
        kith_stream_failed(w->nodes[s->node[0]].k, w->now, s->id[0], KITH_ERR_UNREACHABLE);
        s->used = false;
        return;
    }
    s->accepted = true;
    kith_stream_opened(w->nodes[s->node[0]].k, w->now, s->id[0]);
}

static void world_stream_run(struct world *w, struct world_stream *s)
{
    if (!s->used || s->ready_us > w->now.mono_us || world_stream_cut(w, s) || s->node[1] == WORLD_NODES)
        return;
    if (!s->accepted) {
        if (!s->id[0])
            s->used = false;
        else if (w->nodes[s->node[0]].k && !w->nodes[s->node[1]].paused && !w->nodes[s->node[0]].paused)
            world_stream_accept(w, s);
        return;
    }
    for (unsigned end = 0; end < 2; end++) {
        unsigned n = s->node[end];
        if (!world_runs(w, n) || !s->id[end])
            continue;
        world_stream_bytes(w, s, end);
        if (s->finished[1 - end] && s->len[end] == 0 && !s->told_end[end]) {
            s->told_end[end] = true;
            kith_stream_end(w->nodes[n].k, w->now, s->id[end]);
        }
    }
    if (!s->id[0] && !s->id[1]) {
        for (unsigned end = 0; end < 2; end++)
            free(s->bytes[end]);
        memset(s, 0, sizeof *s);
    }
}

static void world_deliver(struct world *w)
{
    size_t kept = 0;
    for (size_t i = 0; i < w->packet_count; i++) {
        struct world_packet *p = &w->packets[i];
        if (p->at_us > w->now.mono_us || (w->nodes[p->to].k && w->nodes[p->to].paused)) {
            if (kept != i)
                w->packets[kept] = *p;
            kept++;
            continue;
        }
        if (!w->nodes[p->to].k || w->cut[p->from][p->to])
            continue;
        struct kith_addr from = world_addr(p->from);
        kith_datagram(w->nodes[p->to].k, w->now, &from, p->buf, p->len);
    }
    w->packet_count = kept;
}

/* When something happens next: a deadline, a packet, a stream.  Time jumps there, but not by less than a grain, so that
 * what happens at nearly one time is handled together. */
static uint64_t world_next_us(const struct world *w)
{
    const uint64_t grain_us = 500;
    uint64_t next_us = KITH_NEVER;
    for (unsigned n = 0; n < WORLD_NODES; n++) {
        if (world_runs(w, n) && kith_deadline(w->nodes[n].k) < next_us)
            next_us = kith_deadline(w->nodes[n].k);
    }
    for (size_t i = 0; i < w->packet_count; i++) {
        const struct world_packet *p = &w->packets[i];
        bool held = w->nodes[p->to].k && w->nodes[p->to].paused;
        if (!held && p->at_us < next_us)
            next_us = p->at_us;
    }
    for (unsigned i = 0; i < WORLD_STREAMS; i++) {
        const struct world_stream *s = &w->streams[i];
        if (s->used && s->ready_us > w->now.mono_us && s->ready_us < next_us)
            next_us = s->ready_us;
    }
    return next_us < w->now.mono_us + grain_us ? w->now.mono_us + grain_us : next_us;
}

void world_run(struct world *w, uint64_t us)
{
    for (unsigned n = 0; n < WORLD_NODES; n++) { /* what the test has asked for meanwhile */
        if (world_runs(w, n))
            world_drain(w, n);
    }
    for (uint64_t end_us = w->now.mono_us + us; w->now.mono_us < end_us;) {
        uint64_t next_us = world_next_us(w);
        uint64_t step_us = (next_us < end_us ? next_us : end_us) - w->now.mono_us;
        w->now.mono_us += step_us;
        w->now.wall_us += step_us;
        world_deliver(w);
        for (unsigned i = 0; i < WORLD_STREAMS; i++)
            world_stream_run(w, &w->streams[i]);
        for (unsigned n = 0; n < WORLD_NODES; n++) {
            if (!world_runs(w, n))
                continue;
            if (kith_deadline(w->nodes[n].k) <= w->now.mono_us) {
                w->nodes[n].ticks++;
                kith_tick(w->nodes[n].k, w->now);
            }
            world_drain(w, n);
        }
    }
}

int world_join(struct world *w, unsigned n, unsigned to, kith_ticket *ticket)
{
    struct kith_addr addr = world_addr(to);
    return kith_join(w->nodes[n].k, w->now, &addr, 1, false, ticket);
}

enum kith_status world_status(struct world *w, unsigned n, const char *name)
{
    struct kith_member m;
    if (kith_find(w->nodes[n].k, (struct kith_str){name, strlen(name)}, &m) != 0)
        return KITH_STATUS_NONE;
    return m.status;
}

unsigned world_alive_seen(struct world *w, unsigned n)
{
    uint32_t cursor = 0;
    struct kith_member m;
    unsigned alive = 0;
    while (kith_next(w->nodes[n].k, &cursor, &m))
        alive += m.status == KITH_STATUS_ALIVE;
    return alive;
}
