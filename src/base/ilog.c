/* Integer logarithms.
 *
 * log10 in thousandths walks log2 by repeated squaring of a fixed-point mantissa, one bit of the logarithm a step,
 * and multiplies by 1000 log10(2).  30 fraction bits are kept for the product, an error below
 * 0.00001 of the unit returned; a bias of 2^-16 lifts exact powers of ten, whose truncated sum would fall just
 * short, onto their value.
 * Deliberately not here: anything in floating point. */
#include "base/ilog.h"

uint32_t ki_log10_ceil(uint64_t n)
{
    uint32_t digits = 0;
    for (uint64_t power = 1; power < n; digits++) {
        if (power > UINT64_MAX / 10)
            return digits + 1;
        power *= 10;
    }
    return digits;
}

uint32_t ki_log2_ceil(uint64_t n)
{
    uint32_t bits = 0;
    while (bits < 64 && n > (uint64_t)1 << bits)
        bits++;
    return bits;
}

uint32_t ki_log10_milli(uint32_t n)
{
    if (n <= 1)
        return 0;
    uint32_t whole = 31;
    while (!(n >> whole & 1))
        whole--;
    /* mantissa in [1, 2) with 31 fraction bits, so that its square fits 64 bits */
    uint64_t mantissa = (uint64_t)n << (31 - whole);
    uint64_t log2_q40 = (uint64_t)whole << 40;
    for (uint64_t bit = (uint64_t)1 << 39; bit > 0; bit >>= 1) {
        mantissa = mantissa * mantissa >> 31;
        if (mantissa >> 32) {
            mantissa >>= 1;
            log2_q40 |= bit;
        }
    }
    /* 1000 * log10(2) = 301.029995663981, times 2^20 */
    const uint64_t scale_q20 = 315652829;
    uint64_t milli_q50 = (log2_q40 >> 10) * scale_q20;
    return (uint32_t)((milli_q50 + ((uint64_t)1 << 34)) >> 50);
}

uint32_t ki_ln_micro(uint32_t n)
{
    static const uint32_t table[] = {
        0,       0,       693147,  1098612, 1386294, 1609438, 1791759, 1945910, 2079442, 2197225, 2302585, 2397895,
        2484907, 2564949, 2639057, 2708050, 2772589, 2833213, 2890372, 2944439, 2995732, 3044522, 3091042, 3135494,
        3178054, 3218876, 3258097, 3295837, 3332205, 3367296, 3401197, 3433987, 3465736, 3496508,
    };
    return table[n < KI_COUNT(table) ? n : KI_COUNT(table) - 1];
}
