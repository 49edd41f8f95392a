/* Fresh writes, pushed to others at once.
 *
 * What is written between two looks at the outputs is one group and goes out as one delta: a counter that was raised a
 * hundred times is one cell.  The first group goes at once, the next ones no sooner than a millisecond after it, or as soon
 * as a datagram is nearly full: groups are never taken apart, since others must see all or none of one (R5).
 *
 * Up to 32 peers, the origin sends to all.  Beyond, it and everyone who hears a packet for the first time sends it to some
 * at random (ki_fanout()).  What is lost is found by the next comparison of roots.
 *
 * What does not fit a datagram goes over links, by the same rule.  So does, in small pools, what is written faster than a
 * datagram a millisecond: over links nothing is lost, and nobody is overrun.
 *
 * A group that is more than a millisecond's work where it arrives (a MULTI of thousands, the DEL of a large set) goes in
 * parts, each a delta of its own, over links, which keep their order: all cells before what they replaced, and who has not
 * taken a part takes none after it.  In pools where packets are passed on there is no order: there it is left to repairs.
 *
 * Deliberately not here: links; repair.
 */
#include "node/store_link.h"

#include "base/canary.h"
#include "store/delta.h"

#define PUSH_GAP_US 1000
#define PUSH_PACKETS_MAX 1024
#define PUSH_FRONT 3       /* bytes before the delta: 08 4b, kind */
#define PUSH_RUN_MAX 12    /* of a retired dot beside others of its replica; a group's front is counted below */
#define PUSH_GROUP_FRONT 24
#define PUSH_BURST_MAX 32768 /* bytes of a group that goes over links: about a millisecond's work where it arrives */
#define PUSH_WHOLE_MAX 1024 /* cells, and retired dots, of one group or part: likewise */
#define PUSH_RANGE_MAX 512 /* numbers of a group that are looked through to measure it again: about 25 us */

/* ---- packets ---- */

static void push_drop_first(struct ki_replica *r)
{
    struct ki_packet *packet = r->push.first;
    r->push.first = packet->next;
    if (!packet->next)
        r->push.last = NULL;
    r->push.packet_count--;
    ki_mem_free(&r->mem, packet);
}

void ki_push_free(struct kith *k)
{
    while (k->replica->push.first)
        push_drop_first(k->replica);
}

/* Never the one that it came from. */
static uint32_t push_targets(struct kith *k, uint32_t except, uint32_t targets[KI_PUSH_DIRECT_MAX])
{
    struct ki_replica *r = k->replica;
    uint32_t picked = ki_fanout(&k->rng, r->peer_count, KI_PUSH_DIRECT_MAX, targets), count = 0;
    for (uint32_t i = 0; i < picked; i++) {
        uint32_t id = r->peers[targets[i]]->id;
        if (id != except)
            targets[count++] = id;
    }
    return count;
}

static struct ki_packet *push_packet(struct kith *k, size_t len)
{
    struct ki_replica *r = k->replica;
    struct ki_packet *packet =
        r->push.packet_count < PUSH_PACKETS_MAX ? ki_mem_resize(&r->mem, NULL, sizeof *packet + len) : NULL;
    if (!packet)
        ki_count(k, KI_COUNT_pushes_dropped);
    else
        *packet = (struct ki_packet){.len = len};
    return packet;
}

static void push_enqueue(struct kith *k, struct ki_packet *packet, uint32_t except)
{
    struct ki_push *push = &k->replica->push;
    packet->target_count = push_targets(k, except, packet->targets);
    if (push->last)
        push->last->next = packet;
    else
        push->first = packet;
    push->last = packet;
    push->packet_count++;
}

/* ---- groups ---- */

static void push_close(struct kith *k)
{
    struct ki_replica *r = k->replica;
    ki_delta_end(&r->store);
    r->push.at_us = KITH_NEVER;
    r->push.estimate = r->push.op_len = r->push.runs = 0;
}

/* Writes a part of the group.  Returns the group of rows that must be durable before others see it; 0: none. */
static uint64_t push_encode(struct ki_replica *r, const struct ki_delta_part *part, uint8_t *bytes, size_t len)
{
    struct ki_writer w = ki_writer(bytes, len);
    ki_delta_part_encode(&r->store, part, &w);
    KI_ASSERT(!w.full && w.len == len);
    return r->cfg.withhold ? ki_rows_due(&r->rows) : 0;
}

static void push_small(struct kith *k, const struct ki_delta_part *whole, size_t len)
{
    struct ki_replica *r = k->replica;
    struct ki_packet *packet = push_packet(k, len);
    if (!packet)
        return;
    packet->seq = push_encode(r, whole, packet->bytes, len);
    packet->kind = r->peer_count <= KI_PUSH_DIRECT_MAX ? KI_KITH_DELTA : KI_KITH_DELTA_ON;
    push_enqueue(k, packet, KI_NO_MEMBER);
}

/* Whom a group is told over links. */
struct push_group {
    uint32_t targets[KI_PUSH_DIRECT_MAX]; /* those that have heard all before */
    uint32_t count;
    bool is_more; /* a part of it has gone */
};

/* Whom it cannot be sent to hears no more. */
static void push_large(struct kith *k, struct push_group *group, const struct ki_delta_part *part, size_t len)
{
    struct ki_large *large = group->count > 0 ? ki_large_new(k, len) : NULL;
    if (!large) {
        group->count = 0;
        return;
    }
    large->seq = push_encode(k->replica, part, large->bytes, len);
    large->is_more = group->is_more;
    group->is_more = true;
    group->count = ki_large_send(k, large, group->targets, group->count);
}

static void push_part(struct kith *k, struct push_group *group, struct ki_delta_part part)
{
    push_large(k, group, &part, ki_delta_part_len(&k->replica->store, &part));
}

/* The retired dots of a group, at most PUSH_WHOLE_MAX a part. */
static void push_retired(struct kith *k, struct push_group *group)
{
    struct ki_replica *r = k->replica;
    struct ki_context retired;
    struct ki_run run;
    uint64_t room = PUSH_WHOLE_MAX;
    ki_context_init(&retired, &r->mem);
    for (struct ki_dot at = {0, 0}; group->count > 0 && ki_context_next(&r->store.note.retired, at, &run);) {
        run.low = at.replica == run.replica ? ki_max_u64(run.low, at.n) : run.low;
        run.high = ki_min_u64(run.high, run.low + room - 1);
        if (!ki_context_add_run(&retired, run))
            group->count = 0; /* a repair tells it */
        at = (struct ki_dot){run.replica, run.high + 1};
        room -= run.high - run.low + 1;
        if (room > 0)
            continue;
        push_part(k, group, (struct ki_delta_part){.retired = &retired});
        ki_context_clear(&retired);
        room = PUSH_WHOLE_MAX;
    }
    if (room < PUSH_WHOLE_MAX)
        push_part(k, group, (struct ki_delta_part){.retired = &retired});
    ki_context_free(&retired);
}

static void push_parts(struct kith *k)
{
    struct ki_replica *r = k->replica;
    struct push_group group = {.is_more = false};
    group.count = push_targets(k, KI_NO_MEMBER, group.targets);
    uint64_t places = ki_delta_places(&r->store);
    struct ki_context none;
    ki_context_init(&none, &r->mem);
    for (uint64_t from = 0; from < places; from += PUSH_WHOLE_MAX)
        push_part(k, &group,
                  (struct ki_delta_part){.from = from, .to = ki_min_u64(places, from + PUSH_WHOLE_MAX), .retired = &none});
    push_retired(k, &group);
    ki_context_free(&none);
}

/* A group that is whole goes in a datagram, or else over links. */
static void push_whole(struct kith *k)
{
    struct ki_store *store = &k->replica->store;
    struct ki_delta_part whole = ki_delta_whole(store);
    size_t len = ki_delta_part_len(store, &whole);
    if (PUSH_FRONT + len <= ki_message_room(k)) {
        push_small(k, &whole, len);
        return;
    }
    struct push_group group = {.is_more = false};
    group.count = push_targets(k, KI_NO_MEMBER, group.targets);
    push_large(k, &group, &whole, len);
}

static void push_now(struct kith *k)
{
    struct ki_replica *r = k->replica;
    /* Groups that went together were fewer before the last one came: if that one is no larger than a whole one, all stay. */
    if (ki_max_u64(ki_delta_places(&r->store), r->store.note.retired_count) < 2 * PUSH_WHOLE_MAX)
        push_whole(k);
    else if (r->peer_count <= KI_PUSH_DIRECT_MAX)
        push_parts(k);
    else
        ki_count(k, KI_COUNT_pushes_dropped);
    r->push.last_us = k->now.mono_us;
    push_close(k);
}

void ki_push_end(struct kith *k)
{
    if (k->replica->push.at_us != KITH_NEVER)
        push_now(k);
    push_close(k);
    k->replica->push.n = 0;
}

void ki_push_flush(struct kith *k)
{
    struct ki_replica *r = k->replica;
    if (r->push.at_us <= k->now.mono_us && !r->in_group)
        push_now(k);
}

/* What the last operations added to the group, at most. */
static size_t push_measure(struct ki_replica *r)
{
    const struct ki_delta_note *note = &r->store.note;
    size_t len = 0;
    for (uint64_t n = ki_max_u64(r->push.n, note->first_n); n < note->end_n; n++) {
        uint32_t id = ki_cells_by_dot(&r->store.cells, (struct ki_dot){r->store.replica, n});
        if (id == KI_NO_CELL)
            continue;
        struct ki_cell_image image = ki_cells_image(&r->store.cells, id);
        len += ki_cell_size(&image);
    }
    size_t runs = note->retired.run_count;
    len += runs > r->push.runs ? (runs - r->push.runs) * PUSH_RUN_MAX : 0;
    r->push.n = note->end_n;
    r->push.runs = runs;
    return len;
}

void ki_replica_committed(struct kith *k)
{
    struct ki_replica *r = k->replica;
    ki_peers_refresh(k);
    if (r->peer_count == 0 || r->store.is_alone) {
        r->store.is_alone = r->peer_count == 0;
        push_close(k);
        return; /* what was written until now is found by the first comparison */
    }
    if (ki_delta_is_empty(&r->store))
        return;
    if (r->push.at_us == KITH_NEVER) {
        r->push.at_us = ki_max_u64(k->now.mono_us, r->push.last_us + PUSH_GAP_US);
        r->push.estimate = PUSH_FRONT + PUSH_GROUP_FRONT;
    }
    r->push.op_len = push_measure(r);
    r->push.estimate += r->push.op_len;
    if (ki_max_u64(ki_delta_places(&r->store), r->store.note.retired_count) >= PUSH_WHOLE_MAX) {
        push_now(k);
        return;
    }
    if (r->push.estimate + r->push.op_len <= ki_message_room(k))
        return;
    /* another like it might not fit; but while others just got a datagram, the rest of this millisecond's goes over links */
    bool is_burst = r->peer_count <= KI_PUSH_DIRECT_MAX && r->push.at_us > k->now.mono_us;
    if (is_burst && r->push.estimate <= PUSH_BURST_MAX)
        return;
    if (r->store.note.end_n - r->store.note.first_n <= PUSH_RANGE_MAX)
        r->push.estimate = PUSH_FRONT + ki_delta_len(&r->store);
    if (r->push.estimate + r->push.op_len > ki_message_room(k) / 2)
        push_now(k);
}

bool ki_push_poll(struct kith *k, uint32_t *id, enum ki_kith_message *kind, struct ki_span *bytes)
{
    struct ki_replica *r = k->replica;
    struct ki_packet *packet = r->push.first;
    while (packet && packet->sent == packet->target_count) {
        push_drop_first(r);
        packet = r->push.first;
    }
    if (!packet || (packet->seq > r->rows.durable && !KI_CANARY(BLURT)))
        return false;
    *id = packet->targets[packet->sent++];
    *kind = packet->kind;
    *bytes = ki_span(packet->bytes, packet->len);
    return true;
}

uint64_t ki_push_deadline(const struct kith *k)
{
    const struct ki_packet *packet = k->replica->push.first;
    bool waits = packet && packet->seq <= k->replica->rows.durable && packet->sent < packet->target_count;
    return waits ? k->now.mono_us : k->replica->push.at_us;
}

/* ---- from others ---- */

static void push_forward_large(struct kith *k, const struct ki_peer *from, struct ki_span delta)
{
    uint32_t targets[KI_PUSH_DIRECT_MAX];
    struct ki_large *large = k->replica->peer_count > KI_PUSH_DIRECT_MAX ? ki_large_new(k, delta.len) : NULL;
    if (!large)
        return;
    memcpy(large->bytes, delta.ptr, delta.len);
    uint32_t count = push_targets(k, from->id, targets);
    (void)ki_large_send(k, large, targets, count);
}

static void push_forward(struct kith *k, const struct ki_peer *from, struct ki_span delta)
{
    if (PUSH_FRONT + delta.len > ki_message_room(k)) {
        push_forward_large(k, from, delta);
        return;
    }
    struct ki_packet *packet = push_packet(k, delta.len);
    if (!packet)
        return;
    memcpy(packet->bytes, delta.ptr, delta.len);
    packet->kind = KI_KITH_DELTA_ON;
    push_enqueue(k, packet, from->id);
    ki_count(k, KI_COUNT_pushes_forwarded);
}

int ki_push_receive(struct kith *k, struct ki_peer *from, enum ki_kith_message kind, struct ki_span delta)
{
    struct ki_replica *r = k->replica;
    uint64_t before = r->store.version;
    ki_count(k, KI_COUNT_pushes_in);
    r->changes.is_remote = true;
    int error = ki_store_merge(&r->store, ki_wall_ms(k->now), delta);
    ki_replica_step_ends(k);
    r->changes.is_remote = false;
    if (error) {
        ki_count(k, KI_COUNT_deltas_refused);
        r->is_partial = r->is_partial || error == KI_STORE_MEMORY || error == KI_STORE_AHEAD;
        return ki_replica_error(error);
    }
    if (kind == KI_KITH_DELTA_ON && r->store.version != before)
        push_forward(k, from, delta);
    return 0;
}
