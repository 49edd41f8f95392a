/* ChaCha20 (RFC 8439 sec. 2.3) run as a generator: the seed is the key, the nonce is zero, and the
 * stream is the blocks of counter 0, 1, 2 and so on.
 *
 * A nonce of zero is sound because a seed is used once (kith_config.seed): key and nonce never
 * repeat.  nettle counts in 64 bits, so the stream never comes round either.
 *
 * Deliberately not here: reseeding and key erasure.  The instance holds its seed's stream and the
 * pool's keys in the same memory; who can read one can read the other.
 */
#include "base/crng.h"

void ki_crng_init(struct ki_crng *crng, const uint8_t seed[32])
{
    static const uint8_t nonce[CHACHA_NONCE_SIZE] = {0};
    memset(crng, 0, sizeof *crng);
    chacha_set_key(&crng->chacha, seed);
    chacha_set_nonce(&crng->chacha, nonce);
    crng->used = sizeof crng->block;
}

void ki_crng_fill(struct ki_crng *crng, void *out, size_t len)
{
    uint8_t *at = out;
    while (len > 0) {
        if (crng->used == sizeof crng->block) {
            /* the key stream is what encrypting zeros gives; nettle's context counts the blocks */
            memset(crng->block, 0, sizeof crng->block);
            chacha_crypt(&crng->chacha, sizeof crng->block, crng->block, crng->block);
            crng->used = 0;
        }
        size_t part = ki_min_size(len, sizeof crng->block - crng->used);
        memcpy(at, crng->block + crng->used, part);
        crng->used += part;
        at += part;
        len -= part;
    }
}

uint64_t ki_crng_u64(struct ki_crng *crng)
{
    uint8_t bytes[8];
    ki_crng_fill(crng, bytes, sizeof bytes);
    uint64_t value = 0;
    for (size_t i = 0; i < sizeof bytes; i++)
        value |= (uint64_t)bytes[i] << 8 * i;
    return value;
}
