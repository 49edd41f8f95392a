/* Life of an instance: configuration, birth, the clock, the end.
 *
 *   kith_new -> LOADING --ready--> LIVE --leave--> LEAVE_... --> LEFT, and kith_free from anywhere
 *
 * Between new and ready nothing is sent and time does not exist.  Every later input goes through ki_input(), the one
 * place where the time enters: it never goes back, and a jump past our own deadline is our own absence. */
#include "node/node.h"
#include "node/aggregate.h"
#include "node/link.h"
#include "node/messages.h"
#include "node/replica.h"
#include "node/sync.h"

#define LIFE_PAUSE_US 2000000  /* later than this for our own deadline means that we, not others, were away */
#define LIFE_NESTING_MAX 16    /* frames in receive.c */
#define LIFE_INTERVAL_MAX 3600000 /* milliseconds: with the multipliers below no product leaves 64 bits */
#define LIFE_MULT_MAX 100
#define LIFE_MESSAGE_MAX (16u << 20) /* bytes of an event, a query, an answer: a link takes twice that */
#define LIFE_COUNT_MAX (1u << 24) /* entries of a table: what is doubled or counted twice stays far from 2^32 */
#define LIFE_AGGREGATES_MAX 4096 /* tables that are searched through */
#define LIFE_PING_LEN 170      /* bytes of an indirect ping without the two names */
#define LIFE_INCARNATION_MAX (UINT32_MAX - 65536) /* headroom for refutations */

static const struct life_timing { /* memberlist's profiles, milliseconds; reconnect: two probe intervals */
    uint32_t stream_timeout, indirect, retransmit, suspicion, push_pull, probe_timeout, probe_interval, gossip,
        gossip_nodes, to_the_dead, reconnect;
} life_timings[] = {
    [KITH_PROFILE_LAN] = {10000, 3, 4, 4, 30000, 500, 1000, 200, 3, 30000, 2000},
    [KITH_PROFILE_WAN] = {30000, 3, 4, 6, 60000, 3000, 5000, 500, 4, 60000, 10000},
    [KITH_PROFILE_LOCAL] = {1000, 1, 2, 3, 15000, 200, 1000, 100, 3, 15000, 2000},
};

static void life_limits(struct kith_config *c)
{
    c->datagram_max = 1400;
    c->members_max = 65536;
    c->intents_max = 4096;
    c->queue_max = 4096;
    c->replies_max = 1024;
    c->relays_max = 1024;
    c->streams_max = 128;
    c->streams_per_source = 8;
    c->tickets_max = 256;
    c->events_max = 1024;
    c->messages_max = 4096;
    c->message_bytes_max = 16u << 20;
    c->event_size_max = 1u << 20;
    c->query_size_max = 1u << 20;
    c->response_size_max = 1u << 20;
    c->queries_max = 1024;
    c->event_log_max = 4u << 20;
    c->aggregates_max = 256;
    c->watches_max = 64;
    c->aggregate_bytes_max = 1u << 20;
    c->stream_bytes_max = 64u << 20;
    c->frame_max = 20u << 20;
    c->inflated_max = 40u << 20;
    c->nesting_max = 8;
    c->memory_max = 0;
}

void kith_config_init(struct kith_config *c, enum kith_profile profile)
{
    KI_ASSERT((size_t)profile < KI_COUNT(life_timings));
    const struct life_timing *t = &life_timings[profile];
    *c = (struct kith_config){.size = sizeof *c,
                              .protocol = 2,
                              .delegate_min = 2,
                              .delegate_max = 5,
                              .delegate_cur = 5,
                              .verify_incoming = true,
                              .verify_outgoing = true,
                              .compress = true,
                              .resolve_conflicts = true,
                              .buddy = true,
                              .coordinates = true,
                              .probe_interval_ms = t->probe_interval,
                              .probe_timeout_ms = t->probe_timeout,
                              .gossip_interval_ms = t->gossip,
                              .gossip_nodes = t->gossip_nodes,
                              .gossip_to_the_dead_ms = t->to_the_dead,
                              .push_pull_interval_ms = t->push_pull,
                              .stream_timeout_ms = t->stream_timeout,
                              .indirect_checks = t->indirect,
                              .retransmit_mult = t->retransmit,
                              .suspicion_mult = t->suspicion,
                              .suspicion_max_mult = 6,
                              .health_max = 8,
                              .dead_reclaim_ms = 0,
                              .broadcast_timeout_ms = 5000,
                              .leave_propagate_ms = 1000,
                              .reap_interval_ms = 15000,
                              .reconnect_interval_ms = t->reconnect,
                              .reconnect_timeout_ms = 24u * 3600 * 1000,
                              .tombstone_timeout_ms = 24u * 3600 * 1000,
                              .intent_timeout_ms = 5u * 60 * 1000};
    life_limits(c);
}

static bool life_identity_fine(const struct kith_config *c)
{
    bool versions = c->delegate_min <= c->delegate_cur && c->delegate_cur <= c->delegate_max;
    return c->size == sizeof *c && c->name.len >= 1 && c->name.len <= KITH_NAME_MAX && c->addr.port != 0 &&
           (c->addr.ip_len == 4 || c->addr.ip_len == 16) && c->protocol >= 1 && c->protocol <= 5 && versions &&
           c->label.len <= 255 && c->key_count <= KI_KEYS_MAX;
}

/* A ping or an indirect ping between two long names must fit, or healthy members would be accused. */
static bool life_pings_fit(const struct kith_config *c)
{
    size_t label = c->label.len ? 2 + c->label.len : 0;
    return c->datagram_max >= LIFE_PING_LEN + c->name.len + KITH_NAME_MAX + label + KI_SEAL_OVERHEAD_MAX;
}

static bool life_timing_fine(const struct kith_config *c)
{
    return c->probe_timeout_ms > 0 && c->probe_timeout_ms < c->probe_interval_ms && c->gossip_interval_ms > 0 &&
           c->gossip_nodes >= 1 && c->gossip_nodes <= 16 && c->indirect_checks <= 16 && c->stream_timeout_ms > 0 &&
           c->retransmit_mult >= 1 && c->suspicion_mult >= 1 && c->suspicion_max_mult >= 1 && c->health_max >= 1 &&
           c->broadcast_timeout_ms > 0 && c->reap_interval_ms > 0 && c->probe_interval_ms <= LIFE_INTERVAL_MAX &&
           c->retransmit_mult <= LIFE_MULT_MAX && c->suspicion_mult <= LIFE_MULT_MAX &&
           c->suspicion_max_mult <= LIFE_MULT_MAX && c->health_max <= LIFE_MULT_MAX;
}

static bool life_limits_fine(const struct kith_config *c)
{
    return c->datagram_max >= 576 && c->datagram_max <= 65507 && c->members_max >= 1 && c->intents_max >= 1 &&
           c->queue_max >= 1 && c->replies_max >= 1 && c->relays_max >= 1 && c->streams_max >= 1 &&
           c->streams_per_source >= 1 && c->tickets_max >= 1 && c->events_max >= 1 && c->stream_bytes_max >= 65536 &&
           c->frame_max >= 1024 && c->inflated_max >= 1024 && c->nesting_max >= 1 &&
           c->nesting_max <= LIFE_NESTING_MAX && c->members_max <= LIFE_COUNT_MAX &&
           c->intents_max <= LIFE_COUNT_MAX && c->queue_max <= LIFE_COUNT_MAX && c->replies_max <= LIFE_COUNT_MAX &&
           c->relays_max <= LIFE_COUNT_MAX && c->tickets_max <= LIFE_COUNT_MAX && c->events_max <= LIFE_COUNT_MAX;
}

static bool life_messages_fine(const struct kith_config *c)
{
    return c->messages_max >= 1 && c->messages_max <= LIFE_COUNT_MAX && c->message_bytes_max >= 1024 &&
           c->event_size_max >= 1 && c->event_size_max <= LIFE_MESSAGE_MAX && c->query_size_max >= 1 &&
           c->query_size_max <= LIFE_MESSAGE_MAX && c->response_size_max >= 1 &&
           c->response_size_max <= LIFE_MESSAGE_MAX && c->queries_max >= 1 && c->queries_max <= LIFE_COUNT_MAX &&
           c->event_log_max >= 2 * (uint64_t)c->event_size_max && c->aggregates_max >= 1 &&
           c->aggregates_max <= LIFE_AGGREGATES_MAX && c->watches_max >= 1 && c->watches_max <= LIFE_AGGREGATES_MAX &&
           c->aggregate_bytes_max >= 1024 && c->aggregate_bytes_max <= UINT64_MAX / 8;
}

/* ---- birth ---- */

static int life_own_str(struct kith *k, struct kith_str *s)
{
    if (s->len == 0) {
        s->ptr = NULL;
        return 0;
    }
    s->ptr = ki_mem_copy(&k->mem, s->ptr, s->len);
    return s->ptr ? 0 : KITH_ERR_NOMEM;
}

static int life_keys(struct kith *k, const struct kith_config *c)
{
    for (size_t i = 0; i < c->key_count; i++) {
        int error = ki_keyring_add(&k->keyring, c->keys[i].bytes, c->keys[i].len);
        if (error)
            return error == -3 ? KITH_ERR_NOMEM : KITH_ERR_ARG;
    }
    return 0;
}

static void life_init(struct kith *k, const struct kith_config *c)
{
    uint8_t hash_key[16];
    ki_crng_init(&k->crng, c->seed);
    ki_crng_fill(&k->crng, hash_key, sizeof hash_key);
    ki_rng_init(&k->rng, ki_crng_u64(&k->crng));
    ki_table_init(&k->table, &k->mem, c->members_max, hash_key);
    ki_keyring_init(&k->keyring, &k->mem);
    ki_intents_init(&k->intents, &k->mem, c->intents_max, hash_key);
    for (unsigned i = 0; i < KI_QUEUES; i++)
        ki_queue_init(&k->queues[i], &k->mem, c->queue_max);
    ki_chunks_init(&k->about, sizeof(struct ki_about));
    k->changed_first = k->changed_last = KI_NO_MEMBER;
    ki_list_init(&k->ghosts);
    ki_list_init(&k->streams);
    ki_probe_init(&k->probe);
    ki_clock_init(&k->clock);
    ki_clock_init(&k->event_clock);
    ki_clock_init(&k->query_clock);
    k->self = KI_NO_MEMBER;
    k->bare = c->delegate_max == 0;
    k->link_owners[KI_LINK_EVENTS] = k->bare || c->stock ? NULL : &ki_event_link_owner;
    k->nack_wait.close_us = k->suspicion_next_us = k->gossip_next_us = k->push_pull_next_us = KITH_NEVER;
    k->again_us = k->reap_next_us = k->reconnect_next_us = k->leave_next_us = k->probe_next_us = KITH_NEVER;
    k->sync_next_us = KITH_NEVER;
    const uint8_t versions[6] = {1, 5, c->protocol, c->delegate_min, c->delegate_max, c->delegate_cur};
    memcpy(k->versions, versions, sizeof versions);
    ki_coordinates_init(k);
}

int kith_new(kith **out, const struct kith_config *c)
{
    *out = NULL;
    if (!life_identity_fine(c) || !life_timing_fine(c) || !life_pings_fit(c) || !life_limits_fine(c) ||
        !life_messages_fine(c))
        return KITH_ERR_ARG;
    struct ki_mem mem;
    ki_mem_init(&mem, c->memory.resize, c->memory.release, c->memory.arg, c->memory_max);
    struct kith *k = ki_mem_new(&mem, sizeof *k);
    if (!k)
        return KITH_ERR_NOMEM;
    k->mem = mem;
    k->cfg = *c;
    k->cfg.tags = NULL;
    k->cfg.keys = NULL;
    memset(k->cfg.seed, 0, sizeof k->cfg.seed);
    life_init(k, c);
    k->cfg.label.ptr = NULL; /* owned only once it is copied */
    int error = life_own_str(k, &k->cfg.name);
    if (error)
        k->cfg.name.ptr = NULL;
    if (!error) {
        k->cfg.label.ptr = c->label.ptr;
        error = life_own_str(k, &k->cfg.label);
    }
    if (!error)
        error = life_keys(k, c);
    if (!error)
        error = ki_tags_init(k, c->tags, c->tag_count);
    if (error) {
        kith_free(k);
        return error;
    }
    *out = k;
    return 0;
}

static void life_free_str(struct kith *k, struct kith_str s)
{
    union {
        const char *in;
        void *out;
    } ptr = {.in = s.ptr}; /* ours, though const to every other file */
    ki_mem_free(&k->mem, ptr.out);
}

void kith_free(kith *k)
{
    if (!k)
        return;
    ki_sync_free(k);
    ki_streams_free(k);
    ki_replica_free(k);
    ki_events_free(k);
    for (uint32_t i = 0; i < k->ask_count; i++)
        ki_mem_free(&k->mem, k->asks[i].addrs);
    ki_mem_free(&k->mem, k->asks);
    for (unsigned i = 0; i < KI_QUEUES; i++)
        ki_queue_free(&k->queues[i]);
    ki_sends_free(k);
    ki_mem_free(&k->mem, k->relays);
    ki_aggregates_free(k);
    ki_messages_free(k);
    ki_mem_free(&k->mem, k->plain);
    ki_mem_free(&k->mem, k->squeeze);
    ki_mem_free(&k->mem, k->encoder);
    ki_mem_free(&k->mem, k->opened);
    ki_mem_free(&k->mem, k->arena);
    ki_intents_free(&k->intents);
    ki_keyring_free(&k->keyring);
    ki_recall_free(&k->recall, &k->mem);
    ki_coordinates_free(k);
    ki_table_free(&k->table);
    life_free_str(k, k->cfg.name);
    life_free_str(k, k->cfg.label);
    struct ki_mem mem = k->mem;
    ki_mem_free(&mem, k);
}

/* ---- starting ---- */

int kith_load(struct kith *k, const struct kith_record *record)
{
    if (k->life != KI_LIFE_LOADING)
        return KITH_ERR_STATE;
    switch (record->kind) {
    case KITH_RECORD_CLOCK:
        ki_clock_witness(&k->clock, record->value);
        return 0;
    case KITH_RECORD_EVENT_CLOCK:
        ki_clock_witness(&k->event_clock, record->value);
        k->event_min = k->event_clock.time; /* what was heard in a former life is not told again */
        return 0;
    case KITH_RECORD_QUERY_CLOCK:
        ki_clock_witness(&k->query_clock, record->value);
        k->query_min = k->query_clock.time;
        return 0;
    case KITH_RECORD_INCARNATION:
        if (record->value < LIFE_INCARNATION_MAX && record->value > k->loaded_incarnation)
            k->loaded_incarnation = (uint32_t)record->value;
        return 0;
    case KITH_RECORD_MEMBER:
    case KITH_RECORD_GONE:
    case KITH_RECORD_LEFT:
    case KITH_RECORD_COMMIT:
        return 0; /* whom to join again is the driver's to decide */
    }
    return KITH_ERR_ARG;
}

/* Random first phases: nodes started together must not tick together. */
static void life_start_timers(struct kith *k)
{
    uint64_t now_us = k->now.mono_us;
    const struct kith_config *c = &k->cfg;
    k->probe_next_us = now_us + ki_rng_below(&k->rng, (uint64_t)c->probe_interval_ms * 1000) + 1;
    if (c->push_pull_interval_ms)
        k->push_pull_next_us = now_us + ki_rng_below(&k->rng, (uint64_t)c->push_pull_interval_ms * 1000) + 1;
    k->reap_next_us = now_us + (uint64_t)c->reap_interval_ms * 1000;
    if (c->reconnect_interval_ms)
        k->reconnect_next_us = now_us + ki_rng_below(&k->rng, (uint64_t)c->reconnect_interval_ms * 1000) + 1;
}

int kith_ready(struct kith *k, struct kith_time now)
{
    if (k->life != KI_LIFE_LOADING)
        return KITH_ERR_STATE;
    if (k->replica && !ki_rows_are_whole(&k->replica->rows))
        return KITH_ERR_MALFORMED;
    k->now = now;
    uint64_t wall_s = now.wall_us / 1000000;
    uint64_t first = ki_max_u64(ki_max_u64(wall_s, 1), (uint64_t)k->loaded_incarnation + 1);
    if (k->cfg.stock)
        first = 1;
    struct ki_identity self = {.name = ki_name_of(k->cfg.name),
                               .addr = ki_span(k->cfg.addr.ip, k->cfg.addr.ip_len),
                               .port = k->cfg.addr.port,
                               .meta = ki_span(k->meta, k->meta_len),
                               .incarnation = (uint32_t)ki_min_u64(first, LIFE_INCARNATION_MAX),
                               .versions = k->versions};
    uint32_t id;
    int error = ki_member_enter(k, &self, KI_ALIVE, &id);
    if (error)
        return error;
    k->self = id;
    error = ki_announce_self(k, self.incarnation, 0);
    if (error) {
        ki_table_remove(&k->table, id);
        k->self = KI_NO_MEMBER;
        return error;
    }
    k->life = KI_LIFE_LIVE;
    ki_status_up(k, id);
    life_start_timers(k);
    ki_sync_ready(k);
    ki_replica_ready(k);
    return 0;
}

bool ki_active(const struct kith *k)
{
    return k->life != KI_LIFE_LOADING && k->life != KI_LIFE_LEFT;
}

/* ---- the clock ---- */

/* We were stopped (SIGSTOP, a suspended host): what others failed to do meanwhile is no evidence against them.  All
 * that accuses somebody is moved by the time that we were away. */
static void life_paused(struct kith *k, uint64_t late_us)
{
    ki_count(k, KI_COUNT_pauses);
    ki_health(k, 1);
    if (k->probe.state != KI_PROBE_IDLE) {
        k->probe.started_us += late_us;
        k->probe.deadline_us += late_us;
        k->probe_sent_us = KITH_NEVER; /* how long its answer took was not measured */
    }
    if (k->nack_wait.close_us != KITH_NEVER)
        k->nack_wait.close_us += late_us;
    for (uint32_t i = 0; i < k->table.accused_count; i++) {
        k->table.accused[i]->suspicion.start_us += late_us;
        k->table.accused[i]->suspicion.again_us += late_us;
        ki_suspicion_answered(&k->table.accused[i]->suspicion); /* who was gone then may have come back */
    }
    if (k->suspicion_next_us != KITH_NEVER)
        k->suspicion_next_us += late_us;
}

void ki_input(struct kith *k, struct kith_time now)
{
    KI_ASSERT(now.mono_us >= k->now.mono_us);
    if (now.mono_us - k->now.mono_us > LIFE_PAUSE_US && !k->cfg.stock) {
        uint64_t deadline_us = kith_deadline(k);
        if (deadline_us < now.mono_us && now.mono_us - deadline_us > LIFE_PAUSE_US)
            life_paused(k, now.mono_us - deadline_us);
    }
    k->now = now;
    k->answer_room = 0; /* kith_datagram() grants some */
    k->answers_left = 0;
}
