/* Messages of the network engine: fixed fields big-endian, numbers that are usually small as varints, doubles as their bits.
 *
 *   4b kind:u8 | id be64 | run be32 | lease varint | len u8 | schema | base varint | upto varint
 *              | heard_run be32 | heard varint | digest be64
 *   and of REQUEST and REPLY   | seq be32 | flow 3 * be64 | estimate 3 * be64
 *   then, to the end           { len u8 | name | generation be64 | version varint | state u8 | value be64 } ...
 *
 * state 0: there is a value; 1: it is cleared, and no value follows.
 * Deliberately not here: whether numbers make sense. */
#include "wire/network.h"

#include "base/real.h"
#include "base/varint.h"
#include "wire/kith.h"

enum { NETWORK_VALUE = 0, NETWORK_CLEARED = 1 };

static void network_put_reals(struct ki_writer *w, const double reals[KI_NETWORK_WIDTH])
{
    for (size_t i = 0; i < KI_NETWORK_WIDTH; i++)
        ki_put_be(w, ki_real_bits(reals[i]), 8);
}

static void network_take_reals(struct ki_reader *r, double reals[KI_NETWORK_WIDTH])
{
    for (size_t i = 0; i < KI_NETWORK_WIDTH; i++)
        reals[i] = ki_real_of(ki_take_be(r, 8));
}

static void network_put_text(struct ki_writer *w, struct ki_span text)
{
    KI_ASSERT(text.len <= 255);
    ki_put_u8(w, (uint8_t)text.len);
    ki_put(w, text.ptr, text.len);
}

static struct ki_span network_take_text(struct ki_reader *r)
{
    size_t len = (size_t)ki_take_be(r, 1);
    const uint8_t *text = ki_take(r, len);
    return ki_span(text, text ? len : 0);
}

void ki_encode_network_front(struct ki_writer *w, enum ki_network_kind kind, const struct ki_network_front *front)
{
    ki_put_u8(w, KI_SERF_KITH);
    ki_put_u8(w, (uint8_t)kind);
    ki_put_be(w, front->id, 8);
    ki_put_be(w, front->run, 4);
    ki_put_varint(w, front->lease_s);
    network_put_text(w, front->schema);
    ki_put_varint(w, front->base);
    ki_put_varint(w, front->upto);
    ki_put_be(w, front->heard_run, 4);
    ki_put_varint(w, front->heard);
    ki_put_be(w, front->digest, 8);
    if (kind == KI_NETWORK_CLAIMS)
        return;
    ki_put_be(w, front->seq, 4);
    network_put_reals(w, front->flow);
    network_put_reals(w, front->estimate);
}

bool ki_decode_network_front(struct ki_reader *r, enum ki_network_kind kind, struct ki_network_front *front)
{
    *front = (struct ki_network_front){.id = ki_take_be(r, 8)};
    front->run = (uint32_t)ki_take_be(r, 4);
    uint64_t lease_s = ki_take_varint(r);
    front->lease_s = (uint16_t)lease_s;
    front->schema = network_take_text(r);
    front->base = ki_take_varint(r);
    front->upto = ki_take_varint(r);
    front->heard_run = (uint32_t)ki_take_be(r, 4);
    front->heard = ki_take_varint(r);
    front->digest = ki_take_be(r, 8);
    if (kind != KI_NETWORK_CLAIMS) {
        front->seq = (uint32_t)ki_take_be(r, 4);
        network_take_reals(r, front->flow);
        network_take_reals(r, front->estimate);
    }
    return !r->bad && front->run != 0 && lease_s <= UINT16_MAX && front->base <= front->upto;
}

void ki_encode_network_claim(struct ki_writer *w, const struct ki_network_claim *claim)
{
    KI_ASSERT(claim->name.len >= 1);
    network_put_text(w, claim->name);
    ki_put_be(w, claim->generation, 8);
    ki_put_varint(w, claim->version);
    ki_put_u8(w, claim->cleared ? NETWORK_CLEARED : NETWORK_VALUE);
    if (!claim->cleared)
        ki_put_be(w, ki_real_bits(claim->value), 8);
}

bool ki_decode_network_claim(struct ki_reader *r, struct ki_network_claim *claim)
{
    *claim = (struct ki_network_claim){.name = network_take_text(r)};
    claim->generation = ki_take_be(r, 8);
    claim->version = ki_take_varint(r);
    uint64_t state = ki_take_be(r, 1);
    claim->cleared = state == NETWORK_CLEARED;
    if (!claim->cleared)
        claim->value = ki_real_of(ki_take_be(r, 8));
    return !r->bad && claim->name.len >= 1 && state <= NETWORK_CLEARED;
}
