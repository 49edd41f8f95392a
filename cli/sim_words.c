/* The words of the simulator's flags, read exactly.
 *
 * The idea: every quantity becomes a whole number of its smallest unit (microseconds, millionths), because the run that
 * follows must be the same on every machine.  What is no whole number of them is refused, not rounded: "0.0005ms" is a
 * mistake and not half a microsecond.
 *
 * Invariants: nothing is written unless the whole text was understood; no sum or product can overflow.
 *
 * Not here: whether a value makes sense (a kill after the end of the run); that is for who knows the scenario. */
#include "cli/sim_words.h"

#include <stddef.h>
#include <string.h>

#include "base/base.h"

#define WORDS_NUMBER_MAX 40 /* characters of the longest word; longer ones are refused */

/* A decimal number times a scale, which must come out whole.  Moves *at behind it. */
static bool words_decimal(const char **at, uint64_t scale, uint64_t max, uint64_t *out)
{
    const char *c = *at;
    uint64_t whole = 0, part = 0;
    if (*c < '0' || *c > '9')
        return false;
    for (; *c >= '0' && *c <= '9'; c++) {
        if (whole > (max - (uint64_t)(*c - '0')) / 10)
            return false;
        whole = whole * 10 + (uint64_t)(*c - '0');
    }
    if (whole > max / scale)
        return false;
    whole *= scale;
    if (*c == '.') {
        c++;
        if (*c < '0' || *c > '9')
            return false;
        for (; *c >= '0' && *c <= '9'; c++) {
            if (*c != '0' && (scale < 10 || scale % 10 != 0))
                return false;
            scale /= 10;
            part += (uint64_t)(*c - '0') * scale;
        }
    }
    if (part > max - whole)
        return false;
    *out = whole + part;
    *at = c;
    return true;
}

/* Cuts a word in two at a mark.  False when the mark is not in it, or the first half is too long. */
static bool words_cut(const char *text, const char *mark, char first[WORDS_NUMBER_MAX], const char **second)
{
    const char *found = strstr(text, mark);
    if (!found || (size_t)(found - text) >= WORDS_NUMBER_MAX)
        return false;
    memcpy(first, text, (size_t)(found - text));
    first[found - text] = '\0';
    *second = found + strlen(mark);
    return true;
}

const char *ki_sim_duration(const char *text, uint64_t *us)
{
    static const struct {
        const char *name;
        uint64_t us;
    } units[] = {{"us", 1}, {"ms", 1000}, {"s", 1000000}, {"m", 60000000}, {"h", UINT64_C(3600000000)}};
    size_t number = strspn(text, "0123456789.");
    for (size_t i = 0; i < KI_COUNT(units); i++) {
        const char *at = text;
        uint64_t value;
        if (strcmp(text + number, units[i].name) != 0)
            continue;
        if (!words_decimal(&at, units[i].us, UINT64_MAX / 16, &value) || at != text + number)
            break;
        if (value > KI_SIM_DURATION_MAX_US)
            return "is longer than 1000h";
        *us = value;
        return NULL;
    }
    return "is no duration like 500ms, 10s, 2m or 1h";
}

const char *ki_sim_percent(const char *text, uint32_t *ppm)
{
    const char *at = text;
    bool percent = text[0] != '\0' && text[strlen(text) - 1] == '%';
    uint64_t value;
    if (!words_decimal(&at, percent ? 10000 : 1000000, UINT32_MAX, &value) || strcmp(at, percent ? "%" : "") != 0 ||
        value > 1000000)
        return "is no share like 5% or 0.05";
    *ppm = (uint32_t)value;
    return NULL;
}

const char *ki_sim_duration_range(const char *text, uint64_t *min_us, uint64_t *max_us)
{
    char first[WORDS_NUMBER_MAX];
    const char *second;
    uint64_t min, max;
    const char *wrong;
    if (!words_cut(text, "..", first, &second)) {
        wrong = ki_sim_duration(text, &min);
        max = min;
    } else {
        wrong = ki_sim_duration(first, &min);
        wrong = wrong ? wrong : ki_sim_duration(second, &max);
    }
    if (wrong)
        return strstr(wrong, "longer") ? wrong : "is no range of durations like 0.5ms..50ms";
    if (min > max)
        return "is backwards";
    *min_us = min;
    *max_us = max;
    return NULL;
}

const char *ki_sim_seed(const char *text, uint64_t *seed)
{
    const char *c = text;
    unsigned base = 10;
    uint64_t value = 0;
    if (c[0] == '0' && c[1] == 'x') {
        base = 16;
        c += 2;
    }
    if (*c == '\0')
        return "is no seed: wanted a number below 2^64";
    for (; *c; c++) {
        static const char digits[] = "0123456789abcdef";
        const char *digit = memchr(digits, *c, base);
        if (!digit || value > (UINT64_MAX - (uint64_t)(digit - digits)) / base)
            return "is no seed: wanted a number below 2^64";
        value = value * base + (uint64_t)(digit - digits);
    }
    *seed = value;
    return NULL;
}

const char *ki_sim_seeds(const char *text, uint64_t *first, uint64_t *last)
{
    char word[WORDS_NUMBER_MAX];
    const char *second;
    uint64_t a, b;
    bool range = words_cut(text, "..", word, &second);
    if (ki_sim_seed(range ? word : text, &a) || ki_sim_seed(range ? second : text, &b))
        return "is no range of seeds like 1..200";
    if (a > b)
        return "is backwards";
    *first = a;
    *last = b;
    return NULL;
}

const char *ki_sim_numbers(const char *text, uint64_t *set)
{
    const char *at = text;
    uint64_t numbers = 0, number;
    bool more = strcmp(text, "none") != 0;
    while (more) {
        if (!words_decimal(&at, 1, 64, &number) || number == 0 || (*at != ',' && *at != '\0'))
            return "is neither none nor numbers from 1 to 64 like 3,7,9";
        numbers |= UINT64_C(1) << (number - 1);
        more = *at++ == ',';
    }
    *set = numbers;
    return NULL;
}

/* "10%", "0.1" or "3". */
static bool words_amount(const char *text, struct ki_sim_share *out)
{
    const char *at = text;
    uint64_t nodes;
    out->counted = strpbrk(text, "%.") == NULL;
    if (!out->counted)
        return ki_sim_percent(text, &out->ppm) == NULL;
    if (!words_decimal(&at, 1, UINT32_MAX, &nodes) || *at != '\0')
        return false;
    out->nodes = (uint32_t)nodes;
    return true;
}

const char *ki_sim_share(const char *text, struct ki_sim_share *out)
{
    char amount[WORDS_NUMBER_MAX], at[WORDS_NUMBER_MAX];
    const char *when, *until;
    struct ki_sim_share share = {0};
    if (!words_cut(text, "@", amount, &when))
        return "lacks its time, as in 10%@20s";
    if (!words_amount(amount, &share))
        return "has no share of the nodes before the @: wanted 0% to 100%, or a number of nodes";
    share.ends = words_cut(when, "..", at, &until);
    if (ki_sim_duration(share.ends ? at : when, &share.at_us) || (share.ends && ki_sim_duration(until, &share.until_us)))
        return "has no time behind the @: wanted 20s or 20s..40s";
    if (share.ends && share.until_us <= share.at_us)
        return "is backwards: it ends before it begins";
    *out = share;
    return NULL;
}

uint32_t ki_sim_share_of(const struct ki_sim_share *share, uint32_t nodes)
{
    return share->counted ? share->nodes : (uint32_t)(((uint64_t)share->ppm * nodes + 500000) / 1000000);
}

const char *ki_sim_mix(const char *text, uint32_t *ppm)
{
    char first[WORDS_NUMBER_MAX];
    const char *second, *at = first;
    uint64_t a = 0, b = 0;
    if (!words_cut(text, ":", first, &second) || !words_decimal(&at, 1, 1000000, &a) || *at != '\0' ||
        !words_decimal(&second, 1, 1000000, &b) || *second != '\0' || a + b == 0)
        return "is no mix like 30:70 (stock:kith)";
    *ppm = (uint32_t)((a * 1000000 + (a + b) / 2) / (a + b));
    return NULL;
}
