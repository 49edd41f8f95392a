/* Redis's glob, as stringmatchlen() of its util.c has it: `*` any bytes, `?` one, [abc], [a-z], [^a], `\x` x itself.
 *
 * Redis tries every length for every star, which a hostile pattern makes very long.  But each part of a pattern other than
 * a star takes exactly one byte, so what stands between two stars may be matched as early as possible: when it fails, only
 * the last star has to take one byte more.  The work is at most the pattern's length times the text's.
 *
 * Redis's laxity is kept: a class that is not closed ends with the pattern, a range may be given backwards, a lone
 * backslash at the end is itself. */
#include "agent/redis.h"

/* Is c in the class that begins behind '['?  *len: bytes of the class, the closing bracket included. */
static bool match_class(const uint8_t *at, size_t left, uint8_t c, size_t *len)
{
    size_t i = 0;
    bool found = false;
    bool negated = left > 0 && at[0] == '^';
    i += negated;
    while (i < left && at[i] != ']') {
        if (at[i] == '\\' && left - i >= 2) {
            found |= at[i + 1] == c;
            i += 2;
        } else if (left - i >= 3 && at[i + 1] == '-') {
            uint8_t low = at[i] < at[i + 2] ? at[i] : at[i + 2];
            uint8_t high = at[i] < at[i + 2] ? at[i + 2] : at[i];
            found |= c >= low && c <= high;
            i += 3;
        } else {
            found |= at[i] == c;
            i++;
        }
    }
    *len = i + (i < left);
    return found != negated;
}

/* Does the part of the pattern at `at`, which is no star, match c?  *len: its length. */
static bool match_part(const uint8_t *at, size_t left, uint8_t c, size_t *len)
{
    *len = 1;
    if (at[0] == '?')
        return true;
    if (at[0] == '[') {
        bool found = match_class(at + 1, left - 1, c, len);
        *len += 1;
        return found;
    }
    if (at[0] == '\\' && left >= 2) {
        *len = 2;
        at++;
    }
    return at[0] == c;
}

bool ki_redis_match(struct ki_span pattern, struct ki_span text)
{
    size_t p = 0, t = 0, len;
    size_t star = SIZE_MAX, star_text = 0; /* behind the last star, and where its successor was tried last */
    while (t < text.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = ++p;
            star_text = t;
        } else if (p < pattern.len && match_part(pattern.ptr + p, pattern.len - p, text.ptr[t], &len)) {
            p += len;
            t++;
        } else if (star != SIZE_MAX) {
            p = star;
            t = ++star_text;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*')
        p++;
    return p == pattern.len;
}
