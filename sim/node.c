/* The lives of nodes: an instance of libkith each, driven by the loop that kith.h describes.
 *
 * A node's clocks are lines through virtual time: started anywhere, a little too fast or slow.  Its deadline is one entry
 * in the queue.  When the deadline moves forward a new entry is made and the old one is stale; when it moves back the
 * entry stays, and finds nothing due when it comes: most inputs move it back, and those then cost no entry.
 *
 * What a node asks to be written down goes to its disk, in order, and is durable at once.  A life that begins with KEEP
 * reads the disk back and joins the members on it, as the agent does.  When the disk has doubled, what later records have
 * overtaken is dropped.
 *
 * Deliberately not here: what others do to it (fault.c), and its traffic (link.c, stream.c). */
#include "base/hash.h"
#include "sim/world.h"

#define NODE_MONO_START_US 1000000
#define NODE_DISK_SLACK    256 /* records by which a disk may grow beyond twice what it needs */

struct sim_node *ki_sim_node_at(const kith_sim *s, uint32_t node)
{
    KI_ASSERT(node < s->count);
    return s->nodes[node];
}

/* ---- clocks ---- */

static uint64_t node_scale(uint64_t value, uint64_t up, uint64_t down, bool ceil)
{
    uint64_t rest = value % down * up;
    return value / down * up + rest / down + (ceil && rest % down != 0);
}

static uint64_t node_mono_us(const kith_sim *s, const struct sim_node *n)
{
    uint64_t rate = (uint64_t)(1000000 + n->drift_ppm);
    return n->mono_base_us + node_scale(s->now_us - n->clock_base_us, rate, 1000000, false);
}

struct kith_time ki_sim_node_time(const kith_sim *s, const struct sim_node *n)
{
    uint64_t mono_us = node_mono_us(s, n);
    return (struct kith_time){.mono_us = mono_us, .wall_us = mono_us + (uint64_t)n->wall_offset_us};
}

struct kith_time kith_sim_time(const kith_sim *s, uint32_t node)
{
    return ki_sim_node_time(s, ki_sim_node_at(s, node));
}

/* The virtual time when its clock will say so. */
static uint64_t node_virtual_us(const struct sim_node *n, uint64_t mono_us)
{
    if (mono_us == KITH_NEVER)
        return KITH_NEVER;
    if (mono_us <= n->mono_base_us)
        return n->clock_base_us;
    uint64_t rate = (uint64_t)(1000000 + n->drift_ppm);
    return n->clock_base_us + node_scale(mono_us - n->mono_base_us, 1000000, rate, true);
}

void kith_sim_clock(kith_sim *s, uint32_t node, int32_t drift_ppm, int64_t wall_jump_us)
{
    struct sim_node *n = ki_sim_node_at(s, node);
    KI_ASSERT(drift_ppm >= -100000 && drift_ppm <= 100000);
    KI_ASSERT(wall_jump_us >= -SIM_WALL_MAX_US && wall_jump_us <= SIM_WALL_MAX_US);
    int64_t wall_us = (int64_t)ki_sim_node_time(s, n).wall_us + wall_jump_us; /* far from the ends of 64 bits */
    KI_ASSERT(wall_us >= 0 && wall_us <= SIM_WALL_MAX_US);
    n->mono_base_us = node_mono_us(s, n);
    n->clock_base_us = s->now_us;
    n->drift_ppm = drift_ppm;
    n->wall_offset_us += wall_jump_us;
    ki_sim_trace(s, node, "fault clock drift %d ppm, wall %+lld us", (int)drift_ppm, (long long)wall_jump_us);
    SIM_TELL0(s, fault);
    ki_sim_node_dirty(s, node); /* its deadline is another virtual time now */
}

/* ---- memory: counted, so that a leak is seen ---- */

static void *node_resize(void *arg, void *ptr, size_t size)
{
    struct sim_node *n = arg;
    void *block = ki_sim_resize(ptr, size);
    n->blocks += ptr == NULL;
    return block;
}

static void node_release(void *arg, void *ptr)
{
    struct sim_node *n = arg;
    n->blocks -= ptr != NULL;
    free(ptr);
}

/* ---- making ---- */

static struct kith_str node_str(struct kith_str from)
{
    return (struct kith_str){ki_sim_copy(from.ptr, from.len), from.len};
}

/* Copies all that a configuration points to, because each life needs it. */
static void node_configure(struct sim_node *n, const struct kith_config *config)
{
    n->config = *config;
    n->config.name = node_str(config->name);
    n->config.label = node_str(config->label);
    n->tags = ki_sim_make((config->tag_count + 1) * sizeof *n->tags);
    for (size_t i = 0; i < config->tag_count; i++)
        n->tags[i] = (struct kith_tag){node_str(config->tags[i].key), node_str(config->tags[i].value)};
    n->keys = ki_sim_make((config->key_count + 1) * sizeof *n->keys);
    if (config->key_count)
        memcpy(n->keys, config->keys, config->key_count * sizeof *n->keys);
    n->config.tags = n->tags;
    n->config.keys = n->keys;
    if (!config->memory.resize)
        n->config.memory = (struct kith_memory){node_resize, node_release, n};
}

static void node_dispose(struct sim_node *n)
{
    for (size_t i = 0; i < n->config.tag_count; i++) {
        free((void *)(uintptr_t)n->tags[i].key.ptr);
        free((void *)(uintptr_t)n->tags[i].value.ptr);
    }
    for (size_t i = 0; i < n->disk_count; i++)
        free(n->disk[i].name);
    for (size_t i = 0; i < n->waiting_count; i++)
        free(n->waiting[i].ptr);
    ki_sim_store_free(n->store);
    free((void *)(uintptr_t)n->config.name.ptr);
    free((void *)(uintptr_t)n->config.label.ptr);
    free(n->tags);
    free(n->keys);
    free(n->disk);
    free(n->waiting);
    free(n);
}

static uint64_t node_addr_key(const struct kith_addr *addr)
{
    static const uint8_t key[16] = "kith.sim.address";
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    uint8_t bytes[18] = {0};
    size_t len = addr->ip_len;
    if (len == 16 && memcmp(addr->ip, mapped, sizeof mapped) == 0)
        memcpy(bytes, addr->ip + 12, len = 4);
    else
        memcpy(bytes, addr->ip, len);
    bytes[len] = (uint8_t)(addr->port >> 8);
    bytes[len + 1] = (uint8_t)addr->port;
    return ki_siphash(key, bytes, len + 2);
}

static bool node_addr_is(const void *owner, uint32_t value, const void *key)
{
    const kith_sim *s = owner;
    return kith_addr_equal(&s->nodes[value]->config.addr, key);
}

/* Nodes at the addresses of kith_sim_node_config() are found by counting. */
uint32_t kith_sim_find(const kith_sim *s, const struct kith_addr *addr)
{
    if (addr->ip_len != 4 && addr->ip_len != 16)
        return KITH_SIM_ALL;
    uint32_t node = (uint32_t)addr->ip[1] << 16 | (uint32_t)addr->ip[2] << 8 | addr->ip[3];
    if (addr->ip_len == 4 && node >= 1 && node <= s->count && kith_addr_equal(&s->addrs[node - 1], addr))
        return node - 1;
    uint32_t found = ki_map_get(&s->by_addr, node_addr_key(addr), node_addr_is, s, addr);
    return found == KI_MAP_NONE ? KITH_SIM_ALL : found;
}

int kith_sim_add(kith_sim *s, const struct kith_config *config, uint32_t *node)
{
    return kith_sim_add_with_store(s, config, NULL, node);
}

int kith_sim_add_with_store(kith_sim *s, const struct kith_config *config, const struct kith_store_config *store,
                            uint32_t *node)
{
    if (config->size != sizeof *config || s->count == KITH_SIM_ALL - 1)
        return KITH_ERR_ARG;
    if (kith_sim_find(s, &config->addr) != KITH_SIM_ALL)
        return KITH_ERR_ARG;
    struct sim_node *n = ki_sim_make(sizeof *n);
    node_configure(n, config);
    n->store = store ? ki_sim_store_make(store) : NULL;
    n->due_us = KITH_NEVER;
    n->clock_base_us = s->now_us;
    n->mono_base_us = NODE_MONO_START_US + ki_rng_below(&s->node_rng, 1000000000); /* hosts were started at other times */
    n->wall_offset_us = (int64_t)(s->cfg.wall_us + s->now_us) - (int64_t)n->mono_base_us;
    s->nodes = ki_sim_grow(s->nodes, &s->cap, s->count, sizeof(struct sim_node *));
    s->addrs = ki_sim_grow(s->addrs, &s->addr_cap, s->count, sizeof *s->addrs);
    s->addrs[s->count] = n->config.addr;
    s->nodes[s->count++] = n;
    int error = ki_sim_node_start(s, s->count - 1, KITH_SIM_EMPTY);
    if (error) {
        s->count--;
        node_dispose(n);
        return error;
    }
    ki_map_put(&s->by_addr, node_addr_key(&n->config.addr), s->count - 1);
    if (node)
        *node = s->count - 1;
    return 0;
}

/* ---- the disk ---- */

static uint64_t node_subject(const struct sim_record *r)
{
    static const uint8_t key[16] = "kith.sim.subject";
    if (r->kind != KITH_RECORD_MEMBER && r->kind != KITH_RECORD_GONE)
        return ki_map_hash_number(r->kind);
    return ki_siphash(key, (const uint8_t *)r->name, r->name_len);
}

static bool node_subject_is(const void *owner, uint32_t value, const void *key)
{
    const struct sim_node *n = owner;
    const struct sim_record *a = &n->disk[value], *b = key;
    bool named = a->kind == KITH_RECORD_MEMBER || a->kind == KITH_RECORD_GONE;
    if (b->kind != KITH_RECORD_MEMBER && b->kind != KITH_RECORD_GONE)
        return a->kind == b->kind;
    return named && a->name_len == b->name_len && memcmp(a->name, b->name, a->name_len) == 0;
}

/* Leaves what still says something, in its order: the last record of each clock and of the incarnation (they only rise),
 * and of each name, if it says that the member is alive and no LEFT came after. */
static void node_compact(kith_sim *s, struct sim_node *n)
{
    struct ki_map later;
    bool left = false;
    ki_map_init(&later, &s->mem);
    for (size_t i = n->disk_count; i-- > 0;) {
        struct sim_record *r = &n->disk[i];
        uint64_t subject = node_subject(r);
        left = left || r->kind == KITH_RECORD_LEFT;
        bool last = ki_map_get(&later, subject, node_subject_is, n, r) == KI_MAP_NONE;
        if (last)
            ki_map_put(&later, subject, (uint32_t)i);
        r->stale = !last || r->kind == KITH_RECORD_GONE || r->kind == KITH_RECORD_LEFT ||
                   (left && r->kind == KITH_RECORD_MEMBER);
    }
    ki_map_free(&later);
    size_t kept = 0;
    for (size_t i = 0; i < n->disk_count; i++) {
        if (n->disk[i].stale)
            free(n->disk[i].name);
        else
            n->disk[kept++] = n->disk[i];
    }
    n->disk_count = n->disk_durable = n->disk_kept = kept;
}

static void node_store(kith_sim *s, struct sim_node *n, const struct kith_record *record, struct kith_time now)
{
    n->disk = ki_sim_grow(n->disk, &n->disk_cap, n->disk_count, sizeof *n->disk);
    n->disk[n->disk_count++] = (struct sim_record){.kind = record->kind,
                                                   .addr = record->addr,
                                                   .value = record->value,
                                                   .name = ki_sim_copy(record->name.ptr, record->name.len),
                                                   .name_len = record->name.len};
    if (record->kind != KITH_RECORD_COMMIT)
        return;
    free(n->disk[--n->disk_count].name); /* a mark, not a record */
    n->disk_durable = n->disk_count;
    if (n->disk_count > 2 * n->disk_kept + NODE_DISK_SLACK)
        node_compact(s, n);
    kith_durable(n->k, now, record->value, 0);
}

/* ---- a life ---- */

static void node_seed(kith_sim *s, uint32_t node, uint8_t seed[32])
{
    struct ki_rng rng;
    ki_rng_init(&rng, s->cfg.seed ^ ((uint64_t)node + 1) * 0x9e3779b97f4a7c15 ^
                          ((uint64_t)s->nodes[node]->lives + 1) * 0xbf58476d1ce4e5b9);
    for (unsigned i = 0; i < 32; i += 8) {
        uint64_t word = ki_rng_next(&rng);
        for (unsigned j = 0; j < 8; j++)
            seed[i + j] = (uint8_t)(word >> 8 * j);
    }
}

static void node_load(const struct sim_node *n, kith *k)
{
    for (size_t i = 0; i < n->disk_durable; i++) {
        const struct sim_record *r = &n->disk[i];
        int error = kith_load(k, &(struct kith_record){.kind = r->kind,
                                                       .name = {r->name, r->name_len},
                                                       .addr = r->addr,
                                                       .value = r->value});
        KI_ASSERT(error == 0); /* it needs no memory, and an instance wrote the record */
    }
}

static void node_rejoin(kith_sim *s, uint32_t node)
{
    struct sim_node *n = s->nodes[node];
    struct kith_addr *addrs = ki_sim_make((n->disk_count + 1) * sizeof *addrs);
    size_t count = 0;
    node_compact(s, n); /* now each member on it is alive */
    for (size_t i = 0; i < n->disk_count; i++) {
        const struct sim_record *r = &n->disk[i];
        if (r->kind != KITH_RECORD_MEMBER || kith_addr_equal(&r->addr, &n->config.addr))
            continue;
        SIM_TELL(s, told, node, &r->addr);
        addrs[count++] = r->addr;
    }
    if (count > 0)
        kith_join(n->k, ki_sim_node_time(s, n), addrs, count, false, NULL);
    free(addrs);
}

int ki_sim_node_start(kith_sim *s, uint32_t node, enum kith_sim_state state)
{
    struct sim_node *n = s->nodes[node];
    struct kith_config config = n->config;
    kith *k;
    node_seed(s, node, config.seed);
    int error = kith_new(&k, &config);
    if (error)
        return error;
    if (state != KITH_SIM_EMPTY)
        node_load(n, k);
    error = n->store ? ki_sim_store_open(n, k, state) : 0;
    if (!error)
        error = kith_ready(k, ki_sim_node_time(s, n));
    if (error) {
        kith_free(k);
        return error;
    }
    n->k = k;
    n->begun = state;
    n->lives++;
    n->paused = false;
    n->slow_until_us = 0;
    n->same_time_ticks = 0;
    n->ticked_us = KITH_NEVER;
    if (state == KITH_SIM_EMPTY)
        n->disk_durable = 0;
    while (n->disk_count > n->disk_durable)
        free(n->disk[--n->disk_count].name);
    if (n->store)
        ki_sim_store_begun(n);
    ki_sim_trace(s, node, "starts");
    ki_sim_digest(s, s->now_us);
    ki_sim_digest(s, node);
    SIM_TELL(s, born, node);
    if (state != KITH_SIM_EMPTY)
        node_rejoin(s, node);
    ki_sim_node_dirty(s, node);
    return 0;
}

void ki_sim_node_stop(kith_sim *s, uint32_t node)
{
    struct sim_node *n = s->nodes[node];
    if (!n->k)
        return;
    SIM_TELL(s, dying, node);
    if (n->store)
        ki_sim_store_stop(s, node);
    kith_free(n->k);
    n->k = NULL;
    n->paused = false;
    n->due_us = KITH_NEVER;
    ki_sim_digest(s, s->now_us);
    ki_sim_digest(s, ~(uint64_t)node);
    if (n->blocks != 0)
        ki_sim_violate(s, "memory", node, "%llu blocks were not given back", (unsigned long long)n->blocks);
    for (size_t i = 0; i < n->waiting_count; i++)
        free(n->waiting[i].ptr);
    n->waiting_count = n->waiting_bytes = 0;
}

void ki_sim_node_free(kith_sim *s, uint32_t node)
{
    kith_free(s->nodes[node]->k);
    node_dispose(s->nodes[node]);
}

bool ki_sim_node_in_pool(const struct sim_node *n)
{
    struct kith_gauges g;
    if (!sim_runs(n))
        return false;
    kith_read_gauges(n->k, &g);
    return !g.leaving && !g.left_pool;
}

/* ---- driving ---- */

void ki_sim_node_dirty(kith_sim *s, uint32_t node)
{
    struct sim_node *n = s->nodes[node];
    if (n->dirty)
        return;
    n->dirty = true;
    s->dirty = ki_sim_grow(s->dirty, &s->dirty_cap, s->dirty_count, sizeof *s->dirty);
    s->dirty[s->dirty_count++] = node;
}

static void node_enter(kith_sim *s, uint32_t node)
{
    struct sim_node *n = s->nodes[node];
    if (n->deadline_us >= n->due_us)
        return;
    n->due_us = ki_max_u64(n->deadline_us, s->now_us);
    ki_sim_queue_put(&s->queue, (struct sim_entry){.at_us = n->due_us, .kind = SIM_DEADLINE, .id = node});
}

void ki_sim_node_drain(kith_sim *s, uint32_t node)
{
    struct sim_node *n = s->nodes[node];
    uint8_t buf[65536];
    size_t len;
    struct kith_addr to;
    struct kith_stream_action action;
    struct kith_record record;
    n->dirty = false;
    if (!sim_runs(n))
        return;
    struct kith_time now = ki_sim_node_time(s, n);
    while (kith_poll_datagram(n->k, now, &to, buf, sizeof buf, &len))
        ki_sim_send(s, node, &to, buf, len);
    while (kith_poll_stream(n->k, &action))
        ki_sim_stream_act(s, node, &action);
    while (s->cfg.persist && kith_poll_record(n->k, &record))
        node_store(s, n, &record, now);
    if (s->cfg.persist && n->store)
        ki_sim_store_poll(s, node);
    n->deadline_us = node_virtual_us(n, kith_deadline(n->k));
    node_enter(s, node);
    SIM_TELL(s, drained, node);
}

bool ki_sim_node_event(kith_sim *s, uint32_t node, struct kith_event *out)
{
    struct sim_node *n = s->nodes[node];
    if (!sim_runs(n) || !kith_poll_event(n->k, out))
        return false;
    ki_sim_digest(s, s->now_us);
    ki_sim_digest(s, (uint64_t)node << 32 | (uint32_t)out->kind << 16 | out->changed);
    ki_sim_digest_bytes(s, out->member.name.ptr, out->member.name.len);
    ki_sim_trace_event(s, node, out);
    SIM_TELL(s, event, node, out);
    return true;
}

void ki_sim_node_due(kith_sim *s, uint32_t node)
{
    struct sim_node *n = s->nodes[node];
    if (n->due_us > s->now_us)
        return; /* stale */
    n->due_us = KITH_NEVER;
    if (!sim_runs(n))
        return; /* a resumed node is polled, and then scheduled */
    if (n->deadline_us > s->now_us) { /* it has moved back; nothing has touched the instance since it said so */
        node_enter(s, node);
        return;
    }
    n->same_time_ticks = n->ticked_us == s->now_us ? n->same_time_ticks + 1 : 0;
    n->ticked_us = s->now_us;
    kith_tick(n->k, ki_sim_node_time(s, n));
    ki_sim_node_dirty(s, node);
}

/* ---- paused ---- */

void ki_sim_node_hold(kith_sim *s, uint32_t node, struct sim_entry entry, size_t len)
{
    struct sim_node *n = s->nodes[node];
    if (n->waiting_bytes + len > s->cfg.receive_buffer) {
        s->totals.lost++;
        free(entry.ptr);
        return;
    }
    n->waiting_bytes += len;
    n->waiting = ki_sim_grow(n->waiting, &n->waiting_cap, n->waiting_count, sizeof *n->waiting);
    n->waiting[n->waiting_count++] = entry;
}

/* What came goes into the queue before the deadline does: news first, then the clock. */
void ki_sim_node_release(kith_sim *s, uint32_t node)
{
    struct sim_node *n = s->nodes[node];
    for (size_t i = 0; i < n->waiting_count; i++) {
        n->waiting[i].at_us = s->now_us;
        ki_sim_queue_put(&s->queue, n->waiting[i]);
    }
    n->waiting_count = n->waiting_bytes = 0;
    n->due_us = KITH_NEVER;
    ki_sim_node_dirty(s, node);
}
