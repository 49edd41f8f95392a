/* Streams on their way: TCP as a program sees it.
 *
 * A stream has two ends; end 0 opened it.  What an end writes travels in chunks that arrive in order, at most WINDOW bytes
 * not yet taken by the other side; then the writer is not asked for more.  Loss only delays (200 ms for a lost packet, and
 * twice as long each time that it is lost again), a cut or a loss of everything holds all up until it is mended, and a
 * reset or refusal travels like data.
 *
 *   connecting: SYN ----> accepted (or refused: RST) ----> opened at end 0
 *   open:       chunks, acknowledgements, then FIN (after the last chunk) or RST (at once) in each direction
 *
 * There is one function, stream_poke(), that does all that is due at both ends, and one entry in the queue for the next
 * time that something is.  So it does not matter which event woke it, nor how often: a paused node's streams are poked
 * again when it runs, and nothing was lost in between.
 *
 * The kernel of a paused host accepts connections and buffers bytes for it; so does this. */
#include "base/hash.h"
#include "sim/world.h"

#define STREAM_WINDOW    65536
#define STREAM_CHUNK     16384
#define STREAM_PACKET    1448   /* bytes of TCP payload in a packet */
#define STREAM_RESEND_US 200000 /* the least retransmission timeout of Linux, doubled for each loss (RFC 6298, 5.5) */
#define STREAM_RESENDS   10     /* then it arrives, 205 s late: every instance has given up by then */
#define STREAM_LOST_PPM  1000000 /* nothing ever arrives */
#define STREAM_RETRY_US  1000000 /* something that a cut holds up is tried again */

struct stream_chunk {
    struct stream_chunk *next;
    uint64_t at_us; /* when it arrives */
    size_t len, taken; /* so much of it the instance has */
    uint8_t bytes[];
};

struct stream_end {
    uint32_t node; /* KITH_SIM_ALL: nobody has that address */
    uint32_t id;   /* 0: not yet accepted, or over for this node */
    uint32_t life; /* of the node that it belongs to */
    bool wants_write;
    struct stream_chunk *coming, *coming_last; /* on their way to this end, or arrived and not taken */
    bool held;            /* the instance did not take all; wait for RESUME */
    uint64_t fin_us;      /* when the other's FIN arrives, after all chunks; KITH_NEVER: none on its way */
    uint64_t reset_us;    /* likewise a reset */
    int reset_error;
    uint64_t last_us;     /* arrival of the newest thing sent to this end */
    size_t credit;        /* bytes sent to this end whose taking the sender does not know of */
    uint64_t ack_us;      /* when it learns of `acked` of them */
    size_t acked;
};

struct sim_stream {
    uint64_t serial;
    struct stream_end ends[2];
    uint64_t syn_us;      /* when it arrives at end 1; KITH_NEVER: it has */
    uint64_t opened_us;   /* when end 0 learns that it did; KITH_NEVER: it has, or will not */
    bool connected;       /* end 1's kernel has it */
    bool accepted;        /* and its instance */
    uint64_t poke_us;     /* of its entry in the queue */
};

/* ---- finding ---- */

struct stream_key {
    uint32_t node, id;
};

static uint64_t stream_hash(uint32_t node, uint32_t id)
{
    uint64_t h = ((uint64_t)node << 32 | id) * 0xbf58476d1ce4e5b9;
    return h ^ h >> 30;
}

static bool stream_is(const void *owner, uint32_t value, const void *key)
{
    const kith_sim *s = owner;
    const struct stream_key *wanted = key;
    const struct stream_end *end = &s->streams[value / 2]->ends[value % 2];
    return end->node == wanted->node && end->id == wanted->id;
}

static void stream_named(kith_sim *s, size_t index, unsigned end, uint32_t id)
{
    struct stream_end *e = &s->streams[index]->ends[end];
    e->id = id;
    ki_map_put(&s->by_stream, stream_hash(e->node, id), (uint32_t)(index * 2 + end));
}

/* The instance at this end knows it no more. */
static void stream_unname(kith_sim *s, size_t index, unsigned end)
{
    struct stream_end *e = &s->streams[index]->ends[end];
    if (e->id)
        ki_map_remove(&s->by_stream, stream_hash(e->node, e->id), (uint32_t)(index * 2 + end));
    e->id = 0;
}

static void stream_free(kith_sim *s, size_t index)
{
    struct sim_stream *t = s->streams[index];
    for (unsigned end = 0; end < 2; end++) {
        stream_unname(s, index, end);
        for (struct stream_chunk *c = t->ends[end].coming; c;) {
            struct stream_chunk *next = c->next;
            free(c);
            c = next;
        }
    }
    free(t);
    s->streams[index] = NULL;
    s->stream_hint = ki_min_size(s->stream_hint, index);
}

/* ---- sending ---- */

static void stream_schedule(kith_sim *s, size_t index, uint64_t at_us)
{
    struct sim_stream *t = s->streams[index];
    if (at_us >= t->poke_us)
        return;
    t->poke_us = ki_max_u64(at_us, s->now_us);
    ki_sim_queue_put(&s->queue, (struct sim_entry){
                                 .at_us = t->poke_us, .kind = SIM_STREAM, .id = (uint32_t)index, .arg = t->serial});
}

/* The life that this end belongs to goes on. */
static bool stream_lives(const kith_sim *s, const struct stream_end *e)
{
    return e->node != KITH_SIM_ALL && s->nodes[e->node]->k && s->nodes[e->node]->lives == e->life;
}

/* As a datagram of this size would, but TCP waits for its turn on a full line. */
static uint64_t stream_packet_us(kith_sim *s, uint32_t from, uint32_t to, size_t len)
{
    uint64_t at_us = ki_sim_link_arrival_us(s, from, to, len);
    return at_us == KITH_NEVER ? ki_sim_pair_make(s, from, to)->line_free_us : at_us;
}

/* How much later a packet arrives for being lost, and sent again.  Where all is lost it waits for better times, as for the
 * end of a cut. */
static uint64_t stream_resend_us(kith_sim *s, const struct kith_sim_link *link)
{
    uint64_t late_us = 0, timeout_us = STREAM_RESEND_US;
    if (link->loss_ppm == STREAM_LOST_PPM)
        return 0;
    for (unsigned i = 0; i < STREAM_RESENDS && ki_sim_chance(&s->net_rng, link->loss_ppm); i++) {
        late_us += timeout_us;
        timeout_us *= 2;
    }
    return late_us;
}

/* When len bytes sent now arrive at an end, after everything sent before. */
static uint64_t stream_arrival_us(kith_sim *s, struct sim_stream *t, unsigned end, size_t len)
{
    uint32_t from = t->ends[1 - end].node, to = t->ends[end].node;
    if (from == KITH_SIM_ALL || to == KITH_SIM_ALL)
        return KITH_NEVER;
    const struct kith_sim_link *link = ki_sim_link_of(s, from, to);
    uint64_t resend_us = 0;
    for (size_t packet = 0; packet <= len / STREAM_PACKET; packet++)
        resend_us += stream_resend_us(s, link);
    uint64_t at_us = stream_packet_us(s, from, to, len);
    t->ends[end].last_us = ki_max_u64(t->ends[end].last_us, at_us + resend_us);
    return t->ends[end].last_us;
}

static void stream_reset(kith_sim *s, struct sim_stream *t, unsigned end, int error)
{
    struct stream_end *e = &t->ends[end];
    uint64_t last_us = e->last_us; /* a reset overtakes what is on its way */
    e->reset_us = stream_arrival_us(s, t, end, 0);
    e->last_us = last_us;
    e->reset_error = error;
}

/* Takes what the instance at this end wants to write, as far as the window goes. */
static void stream_pump(kith_sim *s, size_t index, unsigned end)
{
    struct sim_stream *t = s->streams[index];
    struct stream_end *e = &t->ends[end], *other = &t->ends[1 - end];
    while (e->wants_write && e->id && other->credit < STREAM_WINDOW) {
        struct sim_node *n = s->nodes[e->node];
        size_t len = 0;
        struct stream_chunk *c = ki_sim_resize(NULL, sizeof *c + STREAM_CHUNK);
        int error = kith_stream_write(n->k, ki_sim_node_time(s, n), e->id, c->bytes, STREAM_CHUNK, &len);
        if (error != 0 || len == 0) {
            e->wants_write = false;
            free(c);
            return;
        }
        if (len < STREAM_CHUNK)
            c = ki_sim_resize(c, sizeof *c + len);
        *c = (struct stream_chunk){.at_us = stream_arrival_us(s, t, 1 - end, len), .len = len};
        *(other->coming ? &other->coming_last->next : &other->coming) = c;
        other->coming_last = c;
        other->credit += len;
        s->totals.stream_bytes += len;
        stream_schedule(s, index, other->coming->at_us);
    }
}

/* ---- arriving ---- */

/* True while this end's node cannot be reached for a reason of its own; *again_us is when to look again. */
static bool stream_waits(kith_sim *s, const struct stream_end *e, uint64_t *again_us)
{
    const struct sim_node *n = s->nodes[e->node];
    if (n->paused)
        return true; /* it is poked when it runs again */
    if (n->slow_until_us > s->now_us) {
        bool endless = n->slow_until_us == KITH_NEVER;
        *again_us = ki_min_u64(*again_us, endless ? s->now_us + STREAM_RETRY_US : n->slow_until_us);
        return true;
    }
    return false;
}

static bool stream_cut(kith_sim *s, const struct sim_stream *t, unsigned to, uint64_t *again_us)
{
    if (t->ends[1].node == KITH_SIM_ALL)
        return true;
    uint32_t from_node = t->ends[1 - to].node, to_node = t->ends[to].node;
    bool all_lost = ki_sim_link_of(s, from_node, to_node)->loss_ppm == STREAM_LOST_PPM;
    if (!all_lost && !kith_sim_is_cut(s, from_node, to_node))
        return false;
    *again_us = ki_min_u64(*again_us, s->now_us + STREAM_RETRY_US);
    return true;
}

static bool stream_due(uint64_t at_us, const kith_sim *s, uint64_t *again_us)
{
    if (at_us <= s->now_us)
        return true;
    *again_us = ki_min_u64(*again_us, at_us);
    return false;
}

static void stream_connect(kith_sim *s, struct sim_stream *t, uint64_t *again_us)
{
    struct stream_end *e = &t->ends[1];
    if (!stream_due(t->syn_us, s, again_us) || stream_cut(s, t, 1, again_us))
        return;
    struct sim_node *n = s->nodes[e->node];
    t->syn_us = KITH_NEVER;
    if (!n->k && n->death == KITH_SIM_HOST)
        return; /* silence; the instance gives up in its own time */
    if (!n->k) {
        stream_reset(s, t, 0, KITH_ERR_REFUSED);
        return;
    }
    e->life = n->lives;
    t->connected = true;
    t->opened_us = stream_arrival_us(s, t, 0, 0);
}

static void stream_accept(kith_sim *s, size_t index, uint64_t *again_us)
{
    struct sim_stream *t = s->streams[index];
    struct stream_end *e = &t->ends[1];
    if (stream_waits(s, e, again_us))
        return;
    struct sim_node *n = s->nodes[e->node];
    struct kith_addr from = s->nodes[t->ends[0].node]->config.addr;
    from.port = (uint16_t)(32768 + t->serial % 28232); /* Linux's range of ephemeral ports */
    uint32_t id = 0;
    t->accepted = true;
    SIM_TELL(s, arrives_stream, e->node, &from);
    ki_sim_node_dirty(s, e->node);
    if (kith_stream_accept(n->k, ki_sim_node_time(s, n), &from, &id) == 0)
        stream_named(s, index, 1, id);
    else
        stream_reset(s, t, 0, KITH_ERR_UNREACHABLE);
}

static void stream_opened(kith_sim *s, struct sim_stream *t, uint64_t *again_us)
{
    struct stream_end *e = &t->ends[0];
    if (!stream_due(t->opened_us, s, again_us) || stream_cut(s, t, 0, again_us) || stream_waits(s, e, again_us))
        return;
    t->opened_us = KITH_NEVER;
    if (!e->id)
        return;
    struct sim_node *n = s->nodes[e->node];
    kith_stream_opened(n->k, ki_sim_node_time(s, n), e->id);
    ki_sim_node_dirty(s, e->node);
}

static void stream_broken(kith_sim *s, size_t index, unsigned end)
{
    struct stream_end *e = &s->streams[index]->ends[end];
    struct sim_node *n = s->nodes[e->node];
    uint32_t id = e->id;
    int error = e->reset_error;
    stream_unname(s, index, end);
    kith_stream_failed(n->k, ki_sim_node_time(s, n), id, error);
    ki_sim_node_dirty(s, e->node);
}

/* Gives the instance what has arrived, or drops it if the instance has closed: nobody will read it. */
static void stream_feed(kith_sim *s, struct sim_stream *t, unsigned end, size_t *taken)
{
    struct stream_end *e = &t->ends[end];
    struct stream_chunk *c = e->coming;
    size_t left = c->len - c->taken;
    *taken = left;
    if (!e->id)
        return;
    struct sim_node *n = s->nodes[e->node];
    ki_sim_digest(s, s->now_us);
    ki_sim_digest(s, e->node);
    ki_sim_digest_bytes(s, c->bytes + c->taken, left);
    int error = kith_stream_bytes(n->k, ki_sim_node_time(s, n), e->id, c->bytes + c->taken, left, taken);
    if (error)
        *taken = left;
    ki_sim_node_dirty(s, e->node);
}

/* Chunks that have arrived, in turn.  One that is not taken whole holds up those behind it. */
static void stream_collect(kith_sim *s, struct sim_stream *t, unsigned end, uint64_t *again_us)
{
    struct stream_end *e = &t->ends[end];
    size_t sum = 0;
    bool closed = !e->id;
    while (e->coming && !e->held && stream_due(e->coming->at_us, s, again_us) && !stream_cut(s, t, end, again_us)) {
        struct stream_chunk *c = e->coming;
        size_t taken;
        stream_feed(s, t, end, &taken);
        c->taken += taken;
        sum += taken;
        e->held = c->taken < c->len;
        if (e->held)
            break;
        e->coming = c->next;
        free(c);
    }
    e->acked += sum;
    if (e->ack_us == KITH_NEVER && e->acked > 0)
        e->ack_us = stream_packet_us(s, e->node, t->ends[1 - end].node, 0);
    if (closed && sum > 0 && t->ends[1 - end].id != 0 && t->ends[1 - end].reset_us == KITH_NEVER)
        stream_reset(s, t, 1 - end, KITH_ERR_UNREACHABLE);
}

static void stream_deliver(kith_sim *s, size_t index, unsigned end, uint64_t *again_us)
{
    struct sim_stream *t = s->streams[index];
    struct stream_end *e = &t->ends[end];
    if (end == 1 && !t->accepted)
        return;
    if (stream_waits(s, e, again_us))
        return;
    if (e->reset_us != KITH_NEVER && stream_due(e->reset_us, s, again_us) && !stream_cut(s, t, end, again_us)) {
        e->reset_us = KITH_NEVER;
        if (e->id)
            stream_broken(s, index, end);
        return;
    }
    stream_collect(s, t, end, again_us);
    if (e->fin_us != KITH_NEVER && !e->coming && stream_due(e->fin_us, s, again_us) && !stream_cut(s, t, end, again_us)) {
        e->fin_us = KITH_NEVER;
        if (e->id)
            kith_stream_end(s->nodes[e->node]->k, ki_sim_node_time(s, s->nodes[e->node]), e->id);
        ki_sim_node_dirty(s, e->node);
    }
}

/* The sender to this end learns what was taken. */
static void stream_acked(kith_sim *s, size_t index, unsigned end, uint64_t *again_us)
{
    struct sim_stream *t = s->streams[index];
    struct stream_end *e = &t->ends[end];
    if (e->ack_us == KITH_NEVER || !stream_due(e->ack_us, s, again_us) || stream_cut(s, t, 1 - end, again_us))
        return;
    e->credit -= e->acked;
    e->acked = 0;
    e->ack_us = KITH_NEVER;
}

/* There may be room in the window again, or the node runs again. */
static void stream_write_on(kith_sim *s, size_t index, unsigned end, uint64_t *again_us)
{
    struct sim_stream *t = s->streams[index];
    struct stream_end *e = &t->ends[end];
    if (!e->wants_write || !e->id || t->ends[1 - end].credit >= STREAM_WINDOW || stream_waits(s, e, again_us))
        return;
    stream_pump(s, index, end);
    ki_sim_node_dirty(s, e->node);
}

static bool stream_over(const struct sim_stream *t)
{
    for (unsigned end = 0; end < 2; end++) {
        const struct stream_end *e = &t->ends[end];
        if (e->id || (e->coming && t->ends[1 - end].id))
            return false;
    }
    bool unheard = t->connected && !t->accepted && t->ends[1].fin_us != KITH_NEVER;
    return !unheard;
}

/* When to look at what was made due while poking.  What was due before and has not happened is held up by something (a
 * cut, a pause) that has its own time to look again. */
static uint64_t stream_next_us(const kith_sim *s, uint64_t due_us)
{
    if (due_us < s->now_us)
        return KITH_NEVER;
    return ki_max_u64(due_us, s->now_us + 1);
}

static void stream_poke(kith_sim *s, size_t index)
{
    struct sim_stream *t = s->streams[index];
    uint64_t again_us = KITH_NEVER;
    if (t->syn_us != KITH_NEVER && t->ends[1].node != KITH_SIM_ALL)
        stream_connect(s, t, &again_us);
    if (t->connected && !t->accepted && stream_lives(s, &t->ends[1]))
        stream_accept(s, index, &again_us);
    if (t->opened_us != KITH_NEVER)
        stream_opened(s, t, &again_us);
    for (unsigned end = 0; end < 2; end++) {
        stream_acked(s, index, end, &again_us);
        stream_write_on(s, index, 1 - end, &again_us);
        if (stream_lives(s, &t->ends[end]))
            stream_deliver(s, index, end, &again_us);
    }
    if (stream_over(t)) {
        stream_free(s, index);
        return;
    }
    for (unsigned end = 0; end < 2; end++) { /* what was made due meanwhile */
        const struct stream_end *e = &t->ends[end];
        again_us = ki_min_u64(again_us, ki_min_u64(stream_next_us(s, e->ack_us), stream_next_us(s, e->reset_us)));
    }
    again_us = ki_min_u64(again_us, stream_next_us(s, t->opened_us));
    stream_schedule(s, index, again_us);
}

/* ---- what the instances ask, and what happens to them ---- */

static void stream_open(kith_sim *s, uint32_t node, const struct kith_stream_action *action)
{
    size_t index = s->stream_hint;
    while (index < s->stream_count && s->streams[index])
        index++;
    s->streams = ki_sim_grow(s->streams, &s->stream_cap, s->stream_count, sizeof(struct sim_stream *));
    s->stream_count += index == s->stream_count;
    s->stream_hint = index + 1;
    struct sim_stream *t = s->streams[index] = ki_sim_make(sizeof *t);
    t->serial = s->stream_serial++;
    t->opened_us = t->poke_us = KITH_NEVER;
    for (unsigned end = 0; end < 2; end++)
        t->ends[end].fin_us = t->ends[end].reset_us = t->ends[end].ack_us = KITH_NEVER;
    t->ends[0].node = node;
    t->ends[0].life = s->nodes[node]->lives;
    t->ends[1].node = kith_sim_find(s, &action->addr);
    stream_named(s, index, 0, action->id);
    s->totals.streams++;
    SIM_TELL(s, opened, node, &action->addr);
    ki_sim_digest(s, s->now_us);
    ki_sim_digest(s, (uint64_t)node << 32 | t->ends[1].node);
    ki_sim_trace(s, node, "opens a stream to %s", ki_sim_name(s, t->ends[1].node));
    t->syn_us = stream_arrival_us(s, t, 1, 0);
    stream_schedule(s, index, t->syn_us);
}

/* The instance at this end is done with it: what it has written still arrives, then FIN; or a reset at once. */
static void stream_close(kith_sim *s, size_t index, unsigned end, bool flush)
{
    struct sim_stream *t = s->streams[index];
    struct stream_end *other = &t->ends[1 - end];
    stream_unname(s, index, end);
    t->ends[end].held = false;
    if (!flush)
        stream_reset(s, t, 1 - end, KITH_ERR_UNREACHABLE);
    else if (other->fin_us == KITH_NEVER)
        other->fin_us = stream_arrival_us(s, t, 1 - end, 0);
    stream_schedule(s, index, s->now_us);
}

void ki_sim_stream_act(kith_sim *s, uint32_t node, const struct kith_stream_action *action)
{
    if (action->kind == KITH_STREAM_OPEN) {
        stream_open(s, node, action);
        return;
    }
    const struct stream_key key = {node, action->id};
    uint32_t found = ki_map_get(&s->by_stream, stream_hash(node, action->id), stream_is, s, &key);
    if (found == KI_MAP_NONE) {
        ki_sim_violate(s, "streams", node, "asks %d of stream %u, which it does not have", (int)action->kind,
                       (unsigned)action->id);
        return;
    }
    size_t index = found / 2;
    unsigned end = found % 2;
    struct stream_end *e = &s->streams[index]->ends[end];
    switch (action->kind) {
    case KITH_STREAM_OPEN:
        return;
    case KITH_STREAM_WRITE:
        e->wants_write = true;
        stream_pump(s, index, end);
        return;
    case KITH_STREAM_RESUME:
        e->held = false;
        stream_schedule(s, index, s->now_us);
        return;
    case KITH_STREAM_FINISH:
    case KITH_STREAM_ABORT:
        stream_close(s, index, end, action->kind == KITH_STREAM_FINISH);
        return;
    }
}

void ki_sim_stream_happens(kith_sim *s, uint32_t index, uint64_t serial)
{
    struct sim_stream *t = s->streams[index];
    if (!t || t->serial != serial || t->poke_us > s->now_us)
        return; /* stale */
    t->poke_us = KITH_NEVER;
    stream_poke(s, index);
}

/* The process is gone: its kernel resets its streams, or (the host is gone too) nobody does. */
void ki_sim_streams_node_down(kith_sim *s, uint32_t node)
{
    for (size_t index = 0; index < s->stream_count; index++) {
        struct sim_stream *t = s->streams[index];
        for (unsigned end = 0; t && end < 2; end++) {
            if (t->ends[end].node != node || t->ends[end].life != s->nodes[node]->lives)
                continue;
            stream_unname(s, index, end);
            if (s->nodes[node]->death == KITH_SIM_PROCESS)
                stream_reset(s, t, 1 - end, KITH_ERR_UNREACHABLE);
            stream_schedule(s, index, s->now_us);
        }
    }
}

void ki_sim_streams_wake(kith_sim *s, uint32_t node)
{
    for (size_t index = 0; index < s->stream_count; index++) {
        struct sim_stream *t = s->streams[index];
        if (t && (t->ends[0].node == node || t->ends[1].node == node))
            stream_schedule(s, index, s->now_us);
    }
}

void ki_sim_streams_free(kith_sim *s)
{
    for (size_t index = 0; index < s->stream_count; index++) {
        if (s->streams[index])
            stream_free(s, index);
    }
    free(s->streams);
    ki_map_free(&s->by_stream);
}
