/* A store in a pool of one other member that has one too, fed with kith messages from it.  The first byte: bit 0 withholds,
 * bit 1 limits the store's memory.  Then come steps, of a byte each and what follows:
 *
 *   0 a message: kind, length, bytes         1 the same as a repair message of a session of theirs, 0 to 3, or of ours
 *   2 so many times 10 ms pass               3 a write of ours
 *   4 the disk: a group, durable or not      5 a wait for holders
 *
 * Whatever came: the invariants of lone.h hold, memory is bounded, each session ends, and then nobody is kept awake. */
#include "base/hash.h"
#include "fuzz/live.h"
#include "node/store_link.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CHANNEL_MEMORY_MAX = 24 << 20, CHANNEL_TICKS_MAX = 5000 };

struct channel {
    kith *k;
    struct lone_memory memory;
    uint64_t now_us;
    bool withholds, is_limited;
};

static void channel_load(struct channel *c)
{
    uint8_t value[58] = {1, 1, 0, 0, 0, 0, 0, 0, 0, 77, 0}; /* version, a secret; number 0 of replica 77 */
    memset(value + 26, 9, 32);
    LONE_CHECK(kith_load_row(c->k, lone_str("b"), (struct kith_str){(const char *)value, sizeof value}) == 0);
}

static void channel_new(struct channel *c, uint8_t how)
{
    static const char meta[] = "\xff\x81\xa5_kith\xa4" "1-1s";
    struct kith_config config;
    struct kith_store_config store;
    *c = (struct channel){.now_us = LONE_SECOND, .withholds = how & 1, .is_limited = how & 2};
    lone_config(&config);
    config.memory = lone_hooks(&c->memory);
    config.probe_interval_ms = 1000 * 1000;
    config.probe_timeout_ms = 1000;
    LONE_CHECK(kith_new(&c->k, &config) == 0);
    kith_store_config_init(&store);
    store.withhold = c->withholds;
    store.watch = true;
    store.value_max = 1000;
    store.key_max = 100;
    store.memory_max = c->is_limited ? 400000 : 0;
    LONE_CHECK(kith_store_open(c->k, &store) == 0);
    channel_load(c);
    LONE_CHECK(kith_ready(c->k, lone_time(c->now_us)) == 0);
    struct kith_member peer = {.name = lone_str("a"),
                               .addr = lone_addr(2, 7946),
                               .meta = {meta, sizeof meta - 1},
                               .status = KITH_STATUS_ALIVE,
                               .incarnation = 5,
                               .versions = {1, 5, 2, 2, 5, 5}};
    LONE_CHECK(kith_import_members(c->k, lone_time(c->now_us), &peer, 1) == 0);
    struct kith_store_gauges g;
    LONE_CHECK(kith_store_read_gauges(c->k, &g) == 0 && g.peers == 1);
}

static void channel_drain(struct channel *c)
{
    struct kith_stream_action action;
    struct kith_change change;
    while (kith_poll_stream(c->k, &action)) {
        if (action.kind == KITH_STREAM_OPEN)
            kith_stream_failed(c->k, lone_time(c->now_us), action.id, KITH_ERR_UNREACHABLE);
    }
    lone_drain_datagrams(c->k, lone_time(c->now_us));
    lone_drain_told(c->k);
    while (kith_poll_change(c->k, &change))
        LONE_CHECK(change.key.len <= 100);
    LONE_CHECK(c->k->replica->mem.used <= CHANNEL_MEMORY_MAX);
}

static void channel_pass(struct channel *c, uint64_t us)
{
    unsigned ticks = 0; /* one that is woken so often has no reason to */
    for (uint64_t end_us = c->now_us + us; c->now_us < end_us; ticks++) {
        c->now_us = ki_min_u64(ki_max_u64(c->now_us + 1, kith_deadline(c->k)), end_us);
        kith_tick(c->k, lone_time(c->now_us));
        channel_drain(c);
        LONE_CHECK(ticks < CHANNEL_TICKS_MAX);
    }
}

static uint64_t channel_session(const struct channel *c, uint8_t role)
{
    const struct ki_repair_run *run = c->k->replica->runs;
    while (run && run->config.role != KI_REPAIR_INITIATOR)
        run = run->next;
    return role % 8 < 4 ? role % 4 : run ? run->config.session : 9;
}

/* A hello that comes first has the tag of our secret, which nobody would guess. */
static void channel_tag(const struct channel *c, uint8_t *message, size_t len)
{
    static const char purpose[] = "the tag of a repair";
    enum { PIECE = 3 + KI_REPAIR_HEAD_LEN, TAG = PIECE + 3 };
    if (len < TAG + 4 || message[2] != KI_KITH_REPAIR || message[PIECE] != KI_PIECE_HELLO)
        return;
    ki_store_be(message + TAG, ki_siphash(c->k->replica->store.compare->item_key, purpose, sizeof purpose - 1), 4);
}

static void channel_message(struct channel *c, bool is_repair, struct ki_reader *in)
{
    uint8_t buf[1400] = {8, KI_SERF_KITH};
    struct ki_writer w = ki_writer(buf, sizeof buf);
    uint8_t kind = (uint8_t)ki_take_be(in, 1);
    size_t len = (size_t)ki_take_be(in, 1) * 3;
    w.len = 2;
    if (is_repair) {
        ki_put_u8(&w, KI_KITH_REPAIR);
        ki_put_u8(&w, kind % 8 < 4 ? KI_REPAIR_INITIATOR : KI_REPAIR_RESPONDER);
        ki_put_be(&w, channel_session(c, kind), 8);
        ki_put_be(&w, kind % 8 < 4 ? 0 : 7, 4);
    } else {
        ki_put_u8(&w, kind);
    }
    len = ki_min_size(len, in->left);
    const uint8_t *bytes = ki_take(in, len);
    if (bytes)
        ki_put(&w, bytes, len);
    channel_tag(c, buf, w.len);
    struct kith_addr from = lone_addr(2, 7946);
    (void)kith_datagram(c->k, lone_time(c->now_us), &from, buf, w.len);
}

static void channel_write(struct channel *c, uint8_t what)
{
    char key[2] = {(char)('a' + what % 8), 0};
    struct kith_time now = lone_time(c->now_us);
    if (what & 8)
        (void)kith_delete(c->k, now, lone_str(key), NULL);
    else if (what & 16)
        (void)kith_increase(c->k, now, lone_str(key), 1, NULL);
    else
        (void)kith_set(c->k, now, lone_str(key), lone_str("value"), KITH_NEVER_MS);
}

static void channel_disk(struct channel *c, uint8_t fails)
{
    struct kith_row row;
    while (kith_poll_row(c->k, lone_time(c->now_us), &row)) {
        if (!row.is_commit)
            continue;
        kith_rows_durable(c->k, lone_time(c->now_us), row.seq, fails & 1);
        return;
    }
}

static void channel_step(struct channel *c, struct ki_reader *in)
{
    uint8_t step = (uint8_t)ki_take_be(in, 1);
    switch (step % 6) {
    case 0:
    case 1:
        channel_message(c, step % 6 == 1, in);
        break;
    case 2:
        channel_pass(c, ki_take_be(in, 1) * 10000);
        break;
    case 3:
        channel_write(c, (uint8_t)ki_take_be(in, 1));
        break;
    case 4:
        channel_disk(c, (uint8_t)ki_take_be(in, 1));
        break;
    default:
        (void)kith_store_wait(c->k, lone_time(c->now_us), 1, 500, NULL);
    }
    channel_drain(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct channel c;
    struct ki_reader in = ki_reader(data, size);
    if (size == 0 || size > 8192)
        return -1;
    channel_new(&c, (uint8_t)ki_take_be(&in, 1));
    while (in.left > 0)
        channel_step(&c, &in);
    lone_check(c.k);
    while (c.withholds && kith_rows_written(c.k) != kith_rows_are_durable(c.k) && !c.is_limited)
        channel_disk(&c, 0);
    channel_pass(&c, 20 * LONE_SECOND);
    for (const struct ki_repair_run *run = c.k->replica->runs; run; run = run->next)
        LONE_CHECK(run->link != NULL);
    lone_check(c.k);
    kith_free(c.k);
    LONE_CHECK(c.memory.blocks == 0);
    return 0;
}
