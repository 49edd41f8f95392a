/* A line of text in a buffer that may be too small (text.h).
 *
 * The idea: text grows by atoms (a plain character, a UTF-8 sequence, one \xNN) that are written whole or not at all.
 * `cut` follows the last boundary between atoms from which "..." still fits, so that the first atom that does not fit
 * needs no search backwards: the text is cut there, and is full from then on.
 *
 * Invariants: buf[len] is NUL after every call; len < cap; once full, nothing is added any more; a prefix that fits
 * whole is never marked.
 *
 * It deliberately formats nothing but numbers and names, and knows no width, sign or base. */
#include "base/text.h"

#define TEXT_MARK "..."

struct ki_text ki_text(char *buf, size_t cap)
{
    KI_ASSERT(buf && cap > 0);
    buf[0] = '\0';
    return (struct ki_text){.buf = buf, .cap = cap};
}

static void text_overflow(struct ki_text *t)
{
    t->full = true;
    t->len = t->cut;
    for (const char *mark = TEXT_MARK; *mark && t->len + 1 < t->cap; mark++)
        t->buf[t->len++] = *mark;
    t->buf[t->len] = '\0';
}

static void text_atom(struct ki_text *t, const void *bytes, size_t len)
{
    if (t->full)
        return;
    if (len >= t->cap - t->len) {
        text_overflow(t);
        return;
    }
    memcpy(t->buf + t->len, bytes, len);
    t->len += len;
    t->buf[t->len] = '\0';
    if (t->len + sizeof TEXT_MARK <= t->cap)
        t->cut = t->len;
}

void ki_text_put(struct ki_text *t, const char *plain)
{
    for (; *plain; plain++)
        text_atom(t, plain, 1);
}

void ki_text_uint(struct ki_text *t, uint64_t value)
{
    char digits[20]; /* of 2^64 - 1 */
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    for (; at < sizeof digits; at++)
        text_atom(t, digits + at, 1);
}

/* Length of the well-formed UTF-8 sequence at the front (The Unicode Standard, table 3-7) if it may be shown; else 0. */
static size_t text_shown(const uint8_t *at, size_t left)
{
    uint8_t first = at[0];
    if (first < 0x80)
        return first > ' ' && first != 0x7f && first != '|' && first != '\\' ? 1 : 0;
    size_t len = first >= 0xc2 && first <= 0xdf ? 2 : first >= 0xe0 && first <= 0xef ? 3 : first >= 0xf0 ? 4 : 0;
    if (len == 0 || len > left || first > 0xf4)
        return 0;
    uint8_t low = 0x80, high = 0xbf; /* of the second byte: no overlong form, no surrogate, none above 10FFFF */
    if (first == 0xe0)
        low = 0xa0;
    else if (first == 0xed)
        high = 0x9f;
    else if (first == 0xf0)
        low = 0x90;
    else if (first == 0xf4)
        high = 0x8f;
    else if (first == 0xc2)
        low = 0xa0; /* and no control characters of Latin-1 */
    if (at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    }
    return len;
}

void ki_text_name(struct ki_text *t, struct ki_span name)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < name.len && !t->full;) {
        size_t len = text_shown(name.ptr + i, name.len - i);
        if (len > 0) {
            text_atom(t, name.ptr + i, len);
            i += len;
        } else {
            text_atom(t, (char[]){'\\', 'x', hex[name.ptr[i] >> 4], hex[name.ptr[i] & 15]}, 4);
            i++;
        }
    }
}
