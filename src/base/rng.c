/* xoshiro256** 1.0, from "Scrambled linear pseudorandom number generators" (Blackman, Vigna 2018).
 *
 * 256 bits of state moved by a linear map, and a scrambler (multiply, rotate, multiply) on the way
 * out.  The seed is spread by splitmix64, which never gives four zero words in a row, so the state is
 * never the map's fixed point.
 *
 * A draw below a bound is exactly uniform.  For bounds up to 2^32 the high half of the product
 * (32 random bits x bound) is the draw, and the few products whose low half would favour some
 * results are drawn again (Lemire 2019); larger bounds reject what lies below 2^64 mod bound.
 *
 * A sample takes one draw for each of its numbers, however many there are to choose from (Floyd's algorithm: Bentley, Floyd
 * 1987, "A sample of brilliance").
 *
 * Deliberately not here: secrets, floating point, jumps.
 */
#include "base/rng.h"

static uint64_t rng_rotate(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

void ki_rng_init(struct ki_rng *rng, uint64_t seed)
{
    for (size_t i = 0; i < KI_COUNT(rng->s); i++) {
        seed += 0x9e3779b97f4a7c15;
        uint64_t z = seed;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        rng->s[i] = z ^ z >> 31;
    }
}

uint64_t ki_rng_next(struct ki_rng *rng)
{
    uint64_t *s = rng->s;
    uint64_t result = rng_rotate(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rng_rotate(s[3], 45);
    return result;
}

uint64_t ki_rng_below(struct ki_rng *rng, uint64_t bound)
{
    KI_ASSERT(bound > 0);
    if (bound <= UINT32_MAX) {
        uint64_t product = (ki_rng_next(rng) >> 32) * bound;
        if ((uint32_t)product < bound) {
            uint32_t unfair = (uint32_t)(((uint64_t)1 << 32) % bound);
            while ((uint32_t)product < unfair)
                product = (ki_rng_next(rng) >> 32) * bound;
        }
        return product >> 32;
    }
    uint64_t unfair = (UINT64_MAX - bound + 1) % bound; /* 2^64 mod bound */
    uint64_t value = ki_rng_next(rng);
    while (value < unfair)
        value = ki_rng_next(rng);
    return value % bound;
}

static bool rng_has(const uint32_t *chosen, uint32_t count, uint32_t number)
{
    for (uint32_t i = 0; i < count; i++) {
        if (chosen[i] == number)
            return true;
    }
    return false;
}

uint32_t ki_rng_sample(struct ki_rng *rng, uint32_t bound, uint32_t count, uint32_t *chosen)
{
    if (count >= bound) {
        for (uint32_t i = 0; i < bound; i++)
            chosen[i] = i;
        return bound;
    }
    for (uint32_t i = 0, top = bound - count; i < count; i++, top++) {
        uint32_t number = (uint32_t)ki_rng_below(rng, (uint64_t)top + 1);
        chosen[i] = rng_has(chosen, i, number) ? top : number;
    }
    return count;
}
