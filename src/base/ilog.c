/* Integer logarithms, and the square root.
 *
 * log10 in thousandths walks log2 by repeated squaring of a fixed-point mantissa, one bit of the logarithm a step,
 * and multiplies by 1000 log10(2).  30 fraction bits are kept for the product, an error below
 * 0.00001 of the unit returned; a bias of 2^-16 lifts exact powers of ten, whose truncated sum would fall just
 * short, onto their value.
 *
 * The root is Heron's: u' = (u + n / u) / 2 doubles the good bits.  n is first multiplied by a power of 4 until it has 63
 * or 64 bits; 8 bits of its root come from a table, are off by 1 at most, and grow to 16 and to 32.  A step's own
 * error is e^2 / 2u and never below 0 (1 of 256 becomes 1 of 2^16, and that 1 of 2^32), and the divisions cut off less
 * than 1: the end is off by at most 1 either way.
 *
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

uint32_t ki_sqrt(uint64_t n)
{
    /* 16 * sqrt(x), rounded, less 1, for x = 64.5, 65.5 and so on: the middle of what has the same 8 high bits */
    static const uint8_t table[192] = {
        127, 128, 129, 130, 131, 132, 133, 134, 135, 136, 137, 138, 139, 140, 141, 142, 143, 143, 144, 145,
        146, 147, 148, 149, 150, 150, 151, 152, 153, 154, 155, 155, 156, 157, 158, 159, 159, 160, 161, 162,
        163, 163, 164, 165, 166, 166, 167, 168, 169, 169, 170, 171, 172, 172, 173, 174, 175, 175, 176, 177,
        178, 178, 179, 180, 180, 181, 182, 182, 183, 184, 185, 185, 186, 187, 187, 188, 189, 189, 190, 191,
        191, 192, 193, 193, 194, 195, 195, 196, 197, 197, 198, 199, 199, 200, 200, 201, 202, 202, 203, 204,
        204, 205, 205, 206, 207, 207, 208, 209, 209, 210, 210, 211, 212, 212, 213, 213, 214, 215, 215, 216,
        216, 217, 218, 218, 219, 219, 220, 220, 221, 222, 222, 223, 223, 224, 224, 225, 226, 226, 227, 227,
        228, 228, 229, 229, 230, 231, 231, 232, 232, 233, 233, 234, 234, 235, 236, 236, 237, 237, 238, 238,
        239, 239, 240, 240, 241, 241, 242, 242, 243, 243, 244, 245, 245, 246, 246, 247, 247, 248, 248, 249,
        249, 250, 250, 251, 251, 252, 252, 253, 253, 254, 254, 255,
    };
    if (n == 0)
        return 0;
    uint32_t shift = 0;
    for (; n >> 62 == 0; n <<= 2)
        shift++;
    uint64_t root = table[(n >> 56) - 64] + 1u;
    root = (root << 7) + (uint32_t)(n >> 41) / (uint32_t)root;
    root = (root << 15) + (n >> 17) / root;
    root -= root > UINT32_MAX || root * root > n;
    root += n - root * root > 2 * root; /* (root + 1)^2 <= n, without leaving 64 bits */
    return (uint32_t)(root >> shift); /* of n * 4^shift, and floor(floor(x) / 2^shift) = floor(x / 2^shift) */
}
