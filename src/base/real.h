/* What protocol rules need of doubles, the same with every compiler and machine, and without the C library's. */
#ifndef KI_REAL_H
#define KI_REAL_H

#include <float.h>

#include "base/base.h"

/* A number, and no infinity. */
static inline bool ki_is_finite(double value)
{
    return value >= -DBL_MAX && value <= DBL_MAX;
}

/* The bits of IEEE 754 that it is, and back. */
static inline uint64_t ki_real_bits(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline double ki_real_of(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The square root, rounded to the nearest double, as IEEE 754 asks.  Below 0 there is none: NaN and what is not finite
 * come back as they are.  value: 0 or more. */
double ki_sqrt_real(double value);

#endif
