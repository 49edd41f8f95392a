/* What strangers send: noise, lures, and what they have overheard.
 *
 * Noise begins like a message and is none.  A lure is a well-formed message that tries to make its reader send somewhere:
 * a ping that names a third party as its source, an indirect ping to one, from a forged address or not.  In a sealed pool
 * it is noise too.  Overheard datagrams come again, as their sender's or as somebody else's: no seal prevents that.
 *
 * Deliberately not here: forged rumours.  In plain text they are as good as true ones, by the protocol; how a node bears
 * them is for the tests of hostile input. */
#include "base/bytes.h"
#include "sim/swarm.h"

#define HOSTILE_BURST 6

static struct kith_addr hostile_stranger(struct ki_rng *rng)
{
    return (struct kith_addr){.ip = {192, 0, 2, (uint8_t)(1 + ki_rng_below(rng, 8))},
                              .ip_len = 4,
                              .port = (uint16_t)(1024 + ki_rng_below(rng, 4))};
}

/* A stranger's address, or one of a node: whoever sends a datagram writes what it likes there. */
static struct kith_addr hostile_source(struct sim_swarm *w, struct ki_rng *rng)
{
    if (ki_rng_below(rng, 3) != 0)
        return hostile_stranger(rng);
    return ki_sim_node_at(w->s, (uint32_t)ki_rng_below(rng, kith_sim_count(w->s)))->config.addr;
}

static void hostile_garbage(struct sim_swarm *w, uint32_t node, struct ki_rng *rng)
{
    uint8_t buf[1500];
    size_t len = (size_t)ki_rng_below(rng, ki_rng_below(rng, 2) ? 40 : sizeof buf);
    for (size_t i = 0; i < len; i++)
        buf[i] = (uint8_t)ki_rng_next(rng);
    if (len > 0 && ki_rng_below(rng, 2))
        buf[0] = (uint8_t)ki_rng_below(rng, 14); /* a type there is */
    struct kith_addr from = hostile_source(w, rng);
    kith_sim_inject(w->s, &from, node, buf, len);
}

/* ---- lures: msgpack maps, their keys as memberlist names them ---- */

static void hostile_text(struct ki_writer *out, const char *text)
{
    size_t len = strlen(text);
    ki_put_u8(out, (uint8_t)(0xa0 | len)); /* fixstr, below 32 bytes */
    ki_put(out, text, len);
}

static void hostile_bytes(struct ki_writer *out, const char *key, const void *bytes, size_t len)
{
    hostile_text(out, key);
    ki_put_u8(out, (uint8_t)(0xa0 | len));
    ki_put(out, bytes, len);
}

static void hostile_number(struct ki_writer *out, const char *key, uint64_t value)
{
    hostile_text(out, key);
    ki_put_u8(out, 0xce);
    ki_put_be(out, value, 4);
}

static const char *hostile_name(struct sim_swarm *w, struct ki_rng *rng)
{
    return ki_sim_name(w->s, (uint32_t)ki_rng_below(rng, kith_sim_count(w->s)));
}

static void hostile_lure(struct sim_swarm *w, uint32_t node, struct ki_rng *rng)
{
    uint8_t buf[256];
    struct ki_writer out = ki_writer(buf, sizeof buf);
    const uint8_t victim[4] = {198, 51, 100, (uint8_t)(1 + ki_rng_below(rng, 4))};
    bool indirect = ki_rng_below(rng, 2) != 0, sourced = ki_rng_below(rng, 3) != 0;
    const char *whom = indirect ? hostile_name(w, rng) : ki_rng_below(rng, 2) ? ki_sim_name(w->s, node) : "";
    if (w->plan->labelled) {
        ki_put_u8(&out, 0xf4);
        ki_put_u8(&out, (uint8_t)strlen(w->label));
        ki_put(&out, w->label, strlen(w->label));
    }
    ki_put_u8(&out, indirect);
    ki_put_u8(&out, (uint8_t)(0x80 | (2 + 3 * indirect + 3 * sourced)));
    hostile_bytes(&out, "Node", whom, strlen(whom));
    hostile_number(&out, "SeqNo", ki_rng_below(rng, UINT32_MAX));
    if (indirect) {
        hostile_bytes(&out, "Target", victim, sizeof victim);
        hostile_number(&out, "Port", 53);
        hostile_text(&out, "Nack");
        ki_put_u8(&out, 0xc3);
    }
    if (sourced) {
        hostile_bytes(&out, "SourceAddr", victim, sizeof victim);
        hostile_number(&out, "SourcePort", 53);
        const char *source = ki_rng_below(rng, 2) ? hostile_name(w, rng) : "nobody";
        hostile_bytes(&out, "SourceNode", source, strlen(source));
    }
    struct kith_addr from = hostile_source(w, rng);
    if (!out.full)
        kith_sim_inject(w->s, &from, node, buf, out.len);
}

/* ---- overhearing ---- */

static void hostile_overhears(kith_sim *s, void *state, uint32_t node, const struct kith_addr *to, const void *buf,
                              size_t len)
{
    struct sim_swarm *w = *(struct sim_swarm **)state;
    if (w->overheard++ % 5 != 0 || len > SIM_CAUGHT_LEN)
        return;
    struct sim_caught *c = &w->caught[w->overheard / 5 % SIM_CAUGHT_MAX];
    c->from = node;
    c->to = kith_sim_find(s, to);
    c->len = (uint32_t)len;
    memcpy(c->bytes, buf, len);
}

static const struct sim_observer hostile_ear = {
    .name = "ear", .state_size = sizeof(struct sim_swarm *), .sent = hostile_overhears};

void ki_sim_swarm_overhear(struct sim_swarm *w)
{
    w->caught = ki_sim_make(SIM_CAUGHT_MAX * sizeof *w->caught);
    *(struct sim_swarm **)ki_sim_observe(w->s, &hostile_ear) = w;
}

static void hostile_replay(struct sim_swarm *w, uint32_t node, struct ki_rng *rng)
{
    const struct sim_caught *c = &w->caught[ki_rng_below(rng, SIM_CAUGHT_MAX)];
    uint32_t to = ki_rng_below(rng, 2) ? node : c->to;
    if (c->len == 0 || to >= kith_sim_count(w->s))
        return;
    struct kith_addr from = ki_rng_below(rng, 2) ? ki_sim_node_at(w->s, c->from)->config.addr : hostile_source(w, rng);
    kith_sim_inject(w->s, &from, to, c->bytes, c->len);
}

void ki_sim_swarm_hostile(struct sim_swarm *w, const struct sim_fault *f)
{
    struct ki_rng rng;
    ki_rng_init(&rng, f->luck);
    for (int i = 0; i < HOSTILE_BURST; i++) {
        if (f->kind == SIM_FAULT_GARBAGE)
            hostile_garbage(w, f->node, &rng);
        else if (f->kind == SIM_FAULT_LURE)
            hostile_lure(w, f->node, &rng);
        else if (f->kind == SIM_FAULT_REPLAY)
            hostile_replay(w, f->node, &rng);
    }
}
