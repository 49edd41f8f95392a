/* Decimal to binary: the digits are one whole number of many words, which is multiplied or divided by its power of ten;
 * the double nearest to the result is cut out of its highest bits (Clinger 1990, "How to read floating point numbers
 * accurately", without the shortcuts: a number is read once for each answer to a query).
 *
 * Division is by 10^9 at a time, and what is left over each time is only noted as being there: that is all that rounding
 * asks.  Before it the number is shifted up so far that 66 bits of the quotient remain.
 *
 * Invariants: the result is the nearest double, of two that are equally near the even one; no number needs more than
 * DECIMAL_WORDS, since what has more than 310 digits before the point, or 330 zeros behind it, is settled before.
 *
 * Deliberately not here: the C library's strtod(), which asks the locale what a point looks like. */
#include "base/decimal.h"

#include "base/real.h"

#define DECIMAL_WORDS    48   /* of 32 bits: 66 for the quotient, 1,310 for 10^394, 64 digits at most above them */
#define DECIMAL_LARGEST  310  /* no double has more digits before its point, */
#define DECIMAL_SMALLEST 330  /* and none more zeros behind it before its first digit */
#define DECIMAL_BILLION  1000000000u
#define DECIMAL_EXPONENT 9999 /* what is said beyond it is as good as this */
#define DECIMAL_KEPT     66   /* bits of a quotient: 53, one that decides, and some to spare */
#define DECIMAL_BIAS     1023 /* of a double's exponent */

struct decimal_big { /* a whole number, its lowest word first */
    uint32_t words[DECIMAL_WORDS];
    size_t count;
};

/* ---- whole numbers ---- */

static void decimal_multiply(struct decimal_big *big, uint32_t by, uint32_t plus)
{
    uint64_t carry = plus;
    for (size_t i = 0; i < big->count; i++) {
        carry += (uint64_t)big->words[i] * by;
        big->words[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry == 0)
        return;
    KI_ASSERT(big->count < DECIMAL_WORDS);
    big->words[big->count++] = (uint32_t)carry;
}

/* Returns what is left over. */
static uint32_t decimal_divide(struct decimal_big *big, uint32_t by)
{
    uint64_t rest = 0;
    for (size_t i = big->count; i-- > 0;) {
        rest = rest << 32 | big->words[i];
        big->words[i] = (uint32_t)(rest / by);
        rest %= by;
    }
    while (big->count > 0 && big->words[big->count - 1] == 0)
        big->count--;
    return (uint32_t)rest;
}

static int decimal_bits(const struct decimal_big *big)
{
    int bits = (int)big->count * 32;
    if (bits == 0)
        return 0;
    for (uint32_t top = big->words[big->count - 1]; !(top >> 31); top <<= 1)
        bits--;
    return bits;
}

static uint32_t decimal_bit(const struct decimal_big *big, int at)
{
    return at < 0 ? 0 : big->words[at / 32] >> at % 32 & 1;
}

static uint32_t decimal_power(unsigned exponent)
{
    uint32_t power = 1;
    while (exponent-- > 0)
        power *= 10;
    return power;
}

/* big' * 2^-shift = big * 10^exponent, or a little less if *inexact.  Returns the shift. */
static int decimal_scale(struct decimal_big *big, int exponent, bool *inexact)
{
    int shift = 0;
    for (int left = exponent; left > 0; left -= 9)
        decimal_multiply(big, left >= 9 ? DECIMAL_BILLION : decimal_power((unsigned)left), 0);
    if (exponent >= 0)
        return 0;
    int lacking = DECIMAL_KEPT + -exponent * 3322 / 1000 + 1 - decimal_bits(big); /* 10^n has at most so many bits */
    for (; lacking > shift; shift += 16)
        decimal_multiply(big, 1u << 16, 0);
    for (int left = -exponent; left > 0; left -= 9) {
        if (decimal_divide(big, left >= 9 ? DECIMAL_BILLION : decimal_power((unsigned)left)) != 0)
            *inexact = true;
    }
    return shift;
}

/* ---- rounding ---- */

/* The double nearest to big * 2^-shift, which is not 0.  false: there is none. */
static bool decimal_round(const struct decimal_big *big, int shift, bool inexact, double *out)
{
    int bits = decimal_bits(big), exponent = bits - 1 - shift; /* of the highest bit */
    int kept = exponent >= 1 - DECIMAL_BIAS ? 53 : 53 - (1 - DECIMAL_BIAS - exponent);
    uint64_t mantissa = 0;
    if (exponent > DECIMAL_BIAS)
        return false;
    int cut = bits - (kept > 0 ? kept : 0);
    for (int at = bits; at-- > cut;)
        mantissa = mantissa << 1 | decimal_bit(big, at);
    uint32_t half = kept < 0 ? 0 : decimal_bit(big, cut - 1);
    for (int at = cut - 1; at-- > 0 && !inexact;)
        inexact = decimal_bit(big, at) != 0;
    mantissa += half && (inexact || (mantissa & 1));
    /* the leading bit, if there is one, adds 1 to the exponent before it; a carry out of the mantissa does so, too */
    uint64_t field = kept == 53 ? (uint64_t)(exponent + DECIMAL_BIAS - 1) << 52 : 0;
    double value = ki_real_of(field + mantissa);
    if (!ki_is_finite(value))
        return false;
    *out = value;
    return true;
}

/* ---- text ---- */

static bool decimal_is_blank(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool decimal_is_digit(const struct ki_span *text)
{
    return text->len > 0 && text->ptr[0] >= '0' && text->ptr[0] <= '9';
}

static void decimal_next(struct ki_span *text)
{
    *text = ki_span(text->ptr + 1, text->len - 1);
}

static bool decimal_take(struct ki_span *text, const char *any)
{
    if (text->len == 0 || text->ptr[0] == 0 || !memchr(any, text->ptr[0], strlen(any)))
        return false;
    decimal_next(text);
    return true;
}

static bool decimal_sign(struct ki_span *text)
{
    bool minus = text->len > 0 && text->ptr[0] == '-';
    (void)decimal_take(text, "+-");
    return minus;
}

/* Takes the digits before or behind the point.  Returns how many there were. */
static int decimal_digits(struct ki_span *text, struct decimal_big *big)
{
    int count = 0;
    for (; decimal_is_digit(text); count++) {
        decimal_multiply(big, 10, text->ptr[0] - (uint32_t)'0');
        decimal_next(text);
    }
    return count;
}

static bool decimal_exponent(struct ki_span *text, int *out)
{
    bool minus = decimal_sign(text), any = decimal_is_digit(text);
    int value = 0;
    for (; decimal_is_digit(text); decimal_next(text)) {
        if (value <= DECIMAL_EXPONENT)
            value = value * 10 + (text->ptr[0] - '0');
    }
    *out = minus ? -value : value;
    return any;
}

bool ki_decimal_read(struct ki_span text, double *out)
{
    struct decimal_big big = {.count = 0};
    int exponent = 0;
    bool inexact = false;
    while (text.len > 0 && decimal_is_blank(text.ptr[text.len - 1]))
        text.len--;
    while (text.len > 0 && decimal_is_blank(text.ptr[0]))
        decimal_next(&text);
    if (text.len > KI_DECIMAL_LEN_MAX)
        return false;
    bool minus = decimal_sign(&text);
    int whole = decimal_digits(&text, &big), behind = decimal_take(&text, ".") ? decimal_digits(&text, &big) : 0;
    if (whole + behind == 0 || (decimal_take(&text, "eE") && !decimal_exponent(&text, &exponent)) || text.len > 0)
        return false;
    double value = 0;
    exponent -= behind;
    int digits = decimal_bits(&big) * 302 / 1000; /* a little less than it has, and than 1 more at most */
    if (big.count > 0 && digits + exponent > DECIMAL_LARGEST)
        return false;
    if (big.count > 0 && digits + exponent >= -DECIMAL_SMALLEST) {
        int shift = decimal_scale(&big, exponent, &inexact);
        if (!decimal_round(&big, shift, inexact, &value))
            return false;
    }
    *out = minus ? -value : value;
    return true;
}
