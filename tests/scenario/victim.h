/* An instance fed by hand with what an enemy sends, and the checks that hold whatever it is: only well-formed messages
 * change the state (an oracle decodes each packet anew), with a key nothing does, memory stays bounded, no datagram
 * goes to an address that is neither its packet's source nor a known member's, and strangers are answered with at most
 * 3 times what they sent. */
#ifndef TEST_VICTIM_H
#define TEST_VICTIM_H

#include "lone.h"

#define STRANGERS 3

enum flavour { PLAIN, KEYED, LABELLED, BARE, FLAVOURS };

struct victim {
    kith *k;
    enum flavour flavour;
    struct kith_time now;
    uint64_t heard[STRANGERS], said[STRANGERS]; /* bytes */
    bool met[STRANGERS]; /* became a member: the bound is off */
    struct kith_addr sources[16]; /* others that have sent us something */
    unsigned source_count;
    uint64_t memory_most;
    unsigned refused, changed; /* packets */
};

void victim_config(struct kith_config *c, enum flavour flavour);
/* node-2 at 10.0.0.3; knows: node-0 and node-1 are members. */
struct victim victim_new(enum flavour flavour, bool knows);
struct kith_addr victim_stranger(unsigned i); /* 192.0.2.i+1 */

void victim_datagram(struct victim *v, const struct kith_addr *from, const uint8_t *buf, size_t len);
void victim_tick(struct victim *v, uint64_t us); /* lets what is due happen; the streams it dials fail */
void victim_measure(struct victim *v);

/* A stream that stranger 1 opened. */
uint32_t victim_accept(struct victim *v);
/* Runs a stream until it has nothing to do.  Returns false when it is over. */
bool victim_pump(struct victim *v, uint32_t id);
/* Feeds all bytes in pieces of up to `piece`, then the end; at last the stream is over. */
void victim_feed(struct victim *v, uint32_t id, const uint8_t *buf, size_t len, size_t piece, struct ki_rng *rng);

#endif
