/* The square root of a double, to the last bit.
 *
 * value = m * 2^e with m of 53 or 54 bits and e even, so the root is that of m times 2^(e / 2).  R = floor(sqrt(m * 2^52))
 * has 53 bits, all that a double holds.  The integer root of the high bits (ilog.h) is good to 31 bits; one step of Heron
 * in doubles, u' = (u + n / u) / 2, doubles that, so that only its rounding is left.  The step never lands below the root
 * (a mean of u and n / u), and what is rounded there are whole numbers: the result is R or a little more.  What is left of
 * m * 2^52 says how much, and its low 64 bits are enough to know it, since it is below 2^57.  It also says which of R and
 * R + 1 is nearer: (R + 1/2)^2 = R^2 + R + 1/4, and integers never hit that.
 *
 * Invariants: the result is the one that IEEE 754 defines, so it is equal to that of every other correct
 * implementation; no loop runs more than a few times.
 *
 * Deliberately not here: the C library, whose symbols libkith does not ask for, and other functions of doubles: for
 * those no such definition exists, and compilers differ. */
#include "base/real.h"

#include "base/ilog.h"

#define REAL_BITS     52   /* of the fraction */
#define REAL_BIAS     1023 /* of the exponent */
#define REAL_ROOT_LOW 21   /* bits of the root that the integer root leaves open */

/* floor(sqrt(m * 2^52)), and 1 more where that is nearer.  m: 2^52 .. 2^54 - 1. */
static uint64_t real_root(uint64_t m)
{
    double scaled = (double)m * 0x1p52;
    double guess = (double)((uint64_t)ki_sqrt(m << 10) << REAL_ROOT_LOW);
    uint64_t root = (uint64_t)((guess + scaled / guess) / 2);
    uint64_t rest = (m << REAL_BITS) - root * root; /* modulo 2^64, and so below 0 when its high bit is set */
    for (; rest >> 63 != 0; rest += 2 * root + 1)
        root--;
    return root + (rest > root);
}

double ki_sqrt_real(double value)
{
    uint64_t bits;
    double scale = 1;
    if (!(value > 0 && ki_is_finite(value)))
        return value;
    if (value < DBL_MIN) { /* no leading 1 is implied there */
        value *= 0x1p108;
        scale = 0x1p-54;
    }
    memcpy(&bits, &value, sizeof bits);
    int64_t exponent = (int64_t)(bits >> REAL_BITS) - REAL_BIAS;
    uint64_t m = (bits & (((uint64_t)1 << REAL_BITS) - 1)) | (uint64_t)1 << REAL_BITS;
    if (exponent % 2 != 0) {
        m <<= 1;
        exponent--;
    }
    /* the sum carries a fraction that was rounded up to 2 into the exponent */
    bits = ((uint64_t)(exponent / 2 + REAL_BIAS - 1) << REAL_BITS) + real_root(m);
    memcpy(&value, &bits, sizeof value);
    return value * scale;
}
