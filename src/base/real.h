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

/* The square root, rounded to the nearest double, as IEEE 754 asks.  Below 0 there is none: NaN and what is not finite
 * come back as they are.  value: 0 or more. */
double ki_sqrt_real(double value);

#endif
