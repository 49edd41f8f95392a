/* One instance without a network, for tests that feed it by hand: its outputs go where the test looks, its view is
 * compared as one number, its memory can be made to fail, and everything that must hold between its parts is checked.
 * Looks inside struct kith on purpose: invariants are not part of the public API.  A header of static functions,
 * because the fuzz targets are one file each.  Any check that fails aborts and says which. */
#ifndef TEST_LONE_H
#define TEST_LONE_H

#include <stdio.h>
#include <stdlib.h>

#include "node/aggregate.h"
#include "node/stream.h"

#define LONE_SECOND 1000000ull

#define LONE_CHECK(expr) ((expr) ? (void)0 : lone_fail(#expr, __FILE__, __LINE__))

static inline void lone_fail(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    abort();
}

/* ---- memory that fails when told to ---- */

struct lone_memory {
    uint64_t calls;     /* of resize so far */
    uint64_t fail_from; /* these calls fail: from, to (exclusive) */
    uint64_t fail_to;
    uint64_t failed;
    int64_t blocks; /* living */
};

static inline void *lone_resize(void *arg, void *ptr, size_t size)
{
    struct lone_memory *m = arg;
    uint64_t call = m->calls++;
    if (call >= m->fail_from && call < m->fail_to) {
        m->failed++;
        return NULL;
    }
    /* always another place, so that a pointer kept over a resize is caught */
    uint8_t *larger = malloc(size);
    LONE_CHECK(larger != NULL);
    if (ptr) {
        uint64_t old; /* the core's own head says how large the block was (base/mem.c) */
        memcpy(&old, ptr, sizeof old);
        memcpy(larger, ptr, old < size ? (size_t)old : size);
        free(ptr);
    } else {
        m->blocks++;
    }
    return larger;
}

static inline void lone_release(void *arg, void *ptr)
{
    struct lone_memory *m = arg;
    m->blocks--;
    free(ptr);
}

static inline struct kith_memory lone_hooks(struct lone_memory *m)
{
    return (struct kith_memory){.resize = lone_resize, .release = lone_release, .arg = m};
}

/* ---- making ---- */

static inline struct kith_addr lone_addr(uint8_t last, uint16_t port)
{
    return (struct kith_addr){.ip = {10, 0, 0, last}, .ip_len = 4, .port = port};
}

static inline struct kith_str lone_str(const char *text)
{
    return (struct kith_str){text, strlen(text)};
}

static inline struct ki_span lone_span(const char *text)
{
    return ki_span(text, strlen(text));
}

static inline void lone_config(struct kith_config *c)
{
    kith_config_init(c, KITH_PROFILE_LAN);
    c->name = lone_str("self");
    c->addr = lone_addr(1, 7946);
    c->seed[0] = 1;
}

static inline struct kith_time lone_time(uint64_t mono_us)
{
    return (struct kith_time){.mono_us = mono_us, .wall_us = 1800000000 * LONE_SECOND + mono_us};
}

static inline kith *lone_new(const struct kith_config *c)
{
    kith *k = NULL;
    LONE_CHECK(kith_new(&k, c) == 0);
    LONE_CHECK(kith_ready(k, lone_time(LONE_SECOND)) == 0);
    return k;
}

/* ---- reading ---- */

static inline uint64_t lone_counter(const kith *k, const char *name)
{
    for (size_t i = 0; i < kith_counter_count(); i++) {
        if (strcmp(kith_counter_name(i), name) == 0)
            return kith_counter(k, i);
    }
    lone_fail(name, __FILE__, __LINE__);
    return 0;
}

static inline uint64_t lone_mix(uint64_t hash, const void *data, size_t len)
{
    const uint8_t *at = data;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ at[i]) * 0x100000001b3ull;
    return (hash ^ len) * 0x100000001b3ull;
}

static inline uint64_t lone_mix_number(uint64_t hash, uint64_t number)
{
    return lone_mix(hash, &number, sizeof number);
}

static inline uint64_t lone_view(const kith *k)
{
    uint64_t hash = 0xcbf29ce484222325ull;
    uint32_t cursor = 0;
    struct kith_member m;
    while (kith_next(k, &cursor, &m)) {
        hash = lone_mix(hash, m.name.ptr, m.name.len);
        hash = lone_mix(hash, m.meta.ptr, m.meta.len);
        hash = lone_mix(hash, m.addr.ip, m.addr.ip_len);
        hash = lone_mix(hash, m.versions, sizeof m.versions);
        const uint64_t numbers[] = {m.addr.port, m.status, m.state, m.incarnation, m.status_ltime, m.changed_us};
        hash = lone_mix(hash, numbers, sizeof numbers);
    }
    return hash;
}

/* Everything the pool could notice: members, clocks, news waiting, asks.  Not counters, streams or memory. */
static inline uint64_t lone_digest(const kith *k)
{
    uint64_t hash = lone_view(k);
    struct kith_gauges g;
    kith_read_gauges(k, &g);
    const uint64_t gauges[] = {g.queue_members, g.queue_intents, g.queue_events, g.queue_queries, g.member_ltime,
                               g.event_ltime,   g.query_ltime,   g.health_score, g.tickets,       g.incarnation,
                               k->relay_count,  k->intents.count};
    return lone_mix(hash, gauges, sizeof gauges);
}

static inline bool lone_knows(kith *k, const struct kith_addr *addr)
{
    return ki_find_addr(k, addr) != KI_NO_MEMBER;
}

/* ---- what must hold between the parts ---- */

/* The index of addresses, when there is one: whoever stands for an address has it, every address is found, and those that
 * share one stand in one ring.  Returns whether this one stands for its address. */
static inline bool lone_check_addr(const struct ki_table *t, uint32_t id)
{
    struct ki_table copy = *t; /* asking makes an index where there is none */
    if (!t->by_addr_made)
        return false;
    const struct ki_member *m = ki_table_at(t, id);
    uint32_t found = ki_table_find_addr(&copy, ki_member_addr(m), m->port), seen = 1;
    bool met = found == id;
    for (uint32_t at = id; ki_table_shares_addr(t, id); seen++) {
        const struct ki_addr_link *link = ki_chunks_at(&t->addr_links, at, sizeof *link);
        uint32_t next = link->next - 1;
        const struct ki_member *one = ki_table_at(t, next);
        LONE_CHECK(one != NULL && one->port == m->port && seen <= t->count);
        LONE_CHECK(ki_span_equal(ki_canonical(ki_member_addr(one)), ki_canonical(ki_member_addr(m))));
        link = ki_chunks_at(&t->addr_links, next, sizeof *link);
        LONE_CHECK(link->prev == at + 1);
        met = met || found == next;
        at = next;
        if (at == id)
            break;
    }
    LONE_CHECK(met && (seen > 1) == ki_table_shares_addr(t, id));
    return found == id;
}

static inline void lone_check_table(const struct ki_table *t)
{
    uint32_t count = 0, by_state[4] = {0}, free_ids = 0, away = 0, addrs = 0;
    LONE_CHECK(t->count <= t->used && t->used <= t->members.count * KI_CHUNK_ITEMS && t->count <= t->max);
    for (uint32_t id = 0; id < t->used; id++) {
        const struct ki_member *m = ki_table_at(t, id);
        if (!m)
            continue;
        count++;
        by_state[m->state]++;
        LONE_CHECK((ki_table_suspicion(t, id) != NULL) == (m->state == KI_SUSPECT));
        LONE_CHECK(m->name_len > 0 && (m->addr_len == 4 || m->addr_len == 16) && m->meta_len <= KITH_META_MAX);
        LONE_CHECK(ki_table_find(t, ki_member_name(m)) == id);
        away += ki_member_data(m) != m->here;
        addrs += lone_check_addr(t, id);
    }
    LONE_CHECK(away == t->away);
    LONE_CHECK(count == t->count && t->by_name.count == t->count && t->by_addr.count == addrs);
    LONE_CHECK(t->by_addr_made || t->addr_links.count == 0);
    for (uint32_t id = t->free_first; id != KI_NO_MEMBER; id = ki_table_member(t, id)->incarnation)
        LONE_CHECK(id < t->used && !ki_table_at(t, id) && free_ids++ < t->used);
    LONE_CHECK(free_ids + count == t->used);
    for (unsigned i = 0; i < 4; i++)
        LONE_CHECK(by_state[i] == t->by_state[i]);
    LONE_CHECK(t->accused_count == by_state[KI_SUSPECT] && t->by_accused.count == t->accused_count);
    uint64_t ids = 0, turns = 0; /* a permutation, as far as a sum of mixed numbers tells */
    for (uint32_t i = 0; i < t->count; i++) {
        LONE_CHECK(ki_table_at(t, t->order[i]) != NULL);
        turns += ki_map_hash_number(t->order[i]) * (t->order[i] + 1);
    }
    for (uint32_t id = 0; id < t->used; id++)
        ids += ki_table_at(t, id) ? ki_map_hash_number(id) * (id + 1) : 0;
    LONE_CHECK(ids == turns);
}

static inline void lone_check_streams(const struct kith *k)
{
    uint64_t bytes = 0;
    uint32_t count = 0, links = 0;
    for (const struct ki_list *at = k->streams.next; at != &k->streams; at = at->next, count++) {
        const struct ki_stream *s =
            (const struct ki_stream *)(const void *)((const char *)at - offsetof(struct ki_stream, link));
        bytes += s->raw.cap + s->opened_buf.cap + s->inflated.cap + s->out.cap + s->squeezed.cap + s->sealed.cap;
        bytes += s->set.cap + s->ltimes.cap + s->lefts.cap;
        LONE_CHECK(s->raw.len <= s->raw.cap && s->head_sent <= s->head_len && s->id != 0);
        LONE_CHECK((s->raw_pos <= s->raw.len || !s->raw.ptr) && s->body_sent <= s->body.len);
        links += s->carries != NULL;
    }
    LONE_CHECK(links == k->link_count && links <= 64);
    LONE_CHECK(count == k->stream_count && count <= k->cfg.streams_max);
    LONE_CHECK(bytes == k->stream_bytes && bytes <= k->cfg.stream_bytes_max);
}

static inline void lone_check_events(const struct kith *k)
{
    uint32_t records = 0, queued = 0, ghosts = 0, by_status[KI_STATUS_FAILED + 1] = {0};
    for (uint32_t id = 0; id < k->table.used; id++) {
        const struct ki_about *about = ki_about(k, id);
        bool member = ki_table_at(&k->table, id) != NULL;
        records += about->record_due;
        queued += about->queued;
        by_status[about->standing.status]++;
        LONE_CHECK(about->changed == 0 || about->queued);
        LONE_CHECK((about->standing.status != KI_STATUS_NONE) == member);
        LONE_CHECK(member || (about->changed == 0 && !about->record_due && !about->recorded_alive));
    }
    LONE_CHECK(records == k->records_due);
    for (unsigned i = KI_STATUS_ALIVE; i <= KI_STATUS_FAILED; i++)
        LONE_CHECK(by_status[i] == k->by_status[i]);
    for (uint32_t id = k->changed_first; id != KI_NO_MEMBER; id = ki_about(k, id)->changed_next) {
        LONE_CHECK(id < k->table.used && ki_about(k, id)->queued && queued-- > 0);
        LONE_CHECK(ki_about(k, id)->changed_next != KI_NO_MEMBER || id == k->changed_last);
    }
    LONE_CHECK(queued == 0);
    for (const struct ki_list *at = k->ghosts.next; at != &k->ghosts; at = at->next)
        ghosts++;
    LONE_CHECK(ghosts == k->ghost_count && ghosts <= k->cfg.events_max && k->done_count <= k->cfg.events_max);
}

static inline void lone_check_coordinates(const struct kith *k)
{
    const struct ki_coordinates *c = &k->coordinates;
    LONE_CHECK(c->count < k->table.count + !c->count && c->by_id.count == c->count && ki_coordinate_is_valid(&c->own.here));
    for (uint32_t i = 0; i < c->count; i++) {
        const struct ki_measured *m = c->items[i];
        LONE_CHECK(m->id != k->self && ki_table_at(&k->table, m->id) && ki_coordinate_is_valid(&m->coordinate));
    }
}

static inline void lone_check_owner(const struct kith *k, const struct ki_contributor *owner)
{
    LONE_CHECK(ki_table_at(&k->table, owner->id) != NULL && owner->head <= owner->heard);
    for (uint32_t i = 0; i < owner->count; i++) {
        const struct ki_contribution *known = &owner->list[i];
        LONE_CHECK(ki_contributor_find(owner, known->schema) == known && known->version <= owner->heard);
        LONE_CHECK(i == 0 || known->version > owner->list[i - 1].version);
        LONE_CHECK(ki_meaning_allows(&known->schema->meaning, known->value));
        known->schema->tally++;
    }
}

static inline void lone_check_run(const struct kith *k, const struct ki_network *n, const struct ki_network_run *run)
{
    const struct ki_short_entry *entry = ki_shortlist_newer(&run->list, 0, KI_SHORT_NOBODY);
    uint32_t live = 0, gone = 0, strangers = 0;
    for (; entry; entry = ki_shortlist_next(&run->list, entry, KI_SHORT_NOBODY)) {
        LONE_CHECK(ki_table_at(&k->table, entry->claim.owner) != NULL);
        LONE_CHECK(entry->claim.cleared ? entry->gone : ki_meaning_allows(&run->schema->meaning, entry->claim.value));
        *(entry->gone ? &gone : &live) += 1;
    }
    LONE_CHECK(live == run->list.live && gone == run->list.gone && gone <= KI_SHORT_GONE);
    for (uint32_t row = 0; row < KI_NETWORK_ROWS; row++) {
        uint32_t id = run->flows[row].peer;
        LONE_CHECK(id == KI_NO_MEMBER || (ki_table_at(&k->table, id) != NULL && ki_network_row(run, id) == row));
        strangers += id != KI_NO_MEMBER && !ki_network_is_neighbour(n, id);
        LONE_CHECK(run->rows[row].told <= run->list.taken);
    }
    for (uint32_t i = 0; i < n->neighbour_count; i++)
        LONE_CHECK(ki_network_row(run, n->neighbours[i].member) < KI_NETWORK_ROWS);
    LONE_CHECK(ki_network_find(n, run->schema->id) == run && strangers <= KI_NETWORK_ROWS);
}

/* Each schema is used as often as somebody has it. */
static inline void lone_check_aggregates(const struct kith *k)
{
    const struct ki_aggregates *a = k->aggregates;
    if (!a)
        return;
    const struct ki_contributions *c = &a->contributions;
    uint64_t bytes = 0;
    uint32_t gaps = 0;
    for (uint32_t i = 0; i < c->schemas.count; i++)
        c->schemas.list[i]->tally = 0;
    for (uint32_t i = 0; i < c->count; i++) {
        lone_check_owner(k, c->list[i]);
        gaps += c->list[i]->head < c->list[i]->heard;
        bytes += sizeof(struct ki_contributor) + c->list[i]->count * sizeof(struct ki_contribution);
    }
    for (uint32_t i = 0; i < a->open_count; i++)
        a->open[i].schema->tally++;
    for (uint32_t i = 0; i < a->network.count; i++) {
        a->network.runs[i]->schema->tally++;
        lone_check_run(k, &a->network, a->network.runs[i]);
    }
    for (uint32_t i = 0; i < c->schemas.count; i++)
        LONE_CHECK(c->schemas.list[i]->uses == c->schemas.list[i]->tally && c->schemas.list[i]->uses > 0);
    LONE_CHECK(c->gaps == gaps && c->bytes == bytes && ki_contributions_of(c, k->self) == a->own);
    LONE_CHECK(a->own->head == a->own->heard && a->own->generation >> 32 <= k->incarnation);
    LONE_CHECK(a->open_count <= k->cfg.aggregates_max && c->schemas.count <= 2 * k->cfg.aggregates_max);
    LONE_CHECK(a->watch_count <= k->cfg.watches_max);
}

static inline void lone_check(const struct kith *k)
{
    lone_check_aggregates(k);
    lone_check_coordinates(k);
    lone_check_table(&k->table);
    lone_check_streams(k);
    lone_check_events(k);
    LONE_CHECK(k->ask_count <= k->cfg.tickets_max && k->relay_count <= k->cfg.relays_max);
    LONE_CHECK(k->intents.count <= k->cfg.intents_max && k->health < k->cfg.health_max);
    LONE_CHECK(k->probe.state == KI_PROBE_IDLE || ki_table_at(&k->table, k->probe_id));
    LONE_CHECK(k->cfg.memory_max == 0 || k->mem.used <= k->cfg.memory_max);
    for (unsigned i = 0; i < KI_QUEUES; i++)
        LONE_CHECK(k->queues[i].count <= k->cfg.queue_max && (!k->news_none || ki_queue_idle(&k->queues[i])));
    for (unsigned i = 0; i < KI_CLASSES; i++)
        LONE_CHECK(k->sends[i].count <= k->cfg.replies_max);
    const struct ki_member *self = ki_table_at(&k->table, k->self);
    LONE_CHECK(self != NULL && self->incarnation == k->incarnation);
    LONE_CHECK((self->state == KI_ALIVE || k->life > KI_LIFE_LEAVE_INTENT));
    for (unsigned i = 1; i < KI_COUNT(k->keyring.keys); i++) /* none is left behind */
        LONE_CHECK((k->keyring.keys[i] != NULL) == (i < k->keyring.count));
}

/* ---- messages: a plain text encoder around the real one ---- */

static inline size_t lone_alive(uint8_t *buf, size_t cap, const char *name, uint8_t last, uint32_t incarnation)
{
    static const uint8_t versions[6] = {1, 5, 2, 2, 5, 5};
    const uint8_t ip[4] = {10, 0, 0, last};
    struct ki_pack p = ki_pack(buf, cap, false);
    ki_encode_alive(&p, &(struct ki_alive){.incarnation = incarnation,
                                           .node = lone_span(name),
                                           .addr = ki_span(ip, 4),
                                           .port = 7946,
                                           .meta = ki_span("\xff\x80", 2),
                                           .versions = ki_span(versions, 6)});
    LONE_CHECK(!p.w.full);
    return p.w.len;
}

static inline size_t lone_accuse(uint8_t *buf, size_t cap, bool dead, const char *name, const char *from,
                                 uint32_t incarnation)
{
    struct ki_pack p = ki_pack(buf, cap, false);
    struct ki_suspect msg = {.incarnation = incarnation, .node = lone_span(name), .from = lone_span(from)};
    if (dead)
        ki_encode_dead(&p, &msg);
    else
        ki_encode_suspect(&p, &msg);
    LONE_CHECK(!p.w.full);
    return p.w.len;
}

/* A member called name at 10.0.0.last enters, as if a friend had gossiped it. */
static inline void lone_meet(kith *k, struct kith_time now, const char *name, uint8_t last)
{
    uint8_t buf[256];
    struct kith_addr from = lone_addr(last, 7946);
    size_t len = lone_alive(buf, sizeof buf, name, last, 5);
    LONE_CHECK(kith_datagram(k, now, &from, buf, len) == 0);
}

/* ---- outputs ---- */

/* Takes every event and record; returns how many events. */
static inline unsigned lone_drain_told(kith *k)
{
    struct kith_event event;
    struct kith_record record;
    unsigned count = 0;
    while (kith_poll_record(k, &record))
        LONE_CHECK(record.kind != 0);
    while (kith_poll_event(k, &event))
        count++;
    return count;
}

/* Takes every datagram; returns how many. */
static inline unsigned lone_drain_datagrams(kith *k, struct kith_time now)
{
    static uint8_t buf[65536];
    struct kith_addr to;
    size_t len;
    unsigned count = 0;
    while (kith_poll_datagram(k, now, &to, buf, sizeof buf, &len))
        count++;
    return count;
}

/* ---- time ---- */

/* Lets time pass: ticks at each deadline; streams fail to open, datagrams vanish. */
static inline void lone_pass(kith *k, uint64_t from_us, uint64_t until_us)
{
    struct kith_stream_action action;
    for (uint64_t at_us = from_us; at_us <= until_us; at_us = ki_max_u64(at_us + 1, kith_deadline(k))) {
        kith_tick(k, lone_time(at_us));
        while (kith_poll_stream(k, &action)) {
            if (action.kind == KITH_STREAM_OPEN)
                kith_stream_failed(k, lone_time(at_us), action.id, KITH_ERR_UNREACHABLE);
        }
        lone_drain_datagrams(k, lone_time(at_us));
    }
}

/* Ticks until a probe begins; returns when. */
static inline uint64_t lone_next_probe(kith *k, uint64_t at_us)
{
    uint64_t before = lone_counter(k, "probes");
    while (lone_counter(k, "probes") == before) {
        at_us = ki_max_u64(at_us + 1, kith_deadline(k));
        lone_pass(k, at_us, at_us);
    }
    return at_us;
}

#endif
