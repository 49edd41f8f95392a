/* Vectors as text: hex digits with spaces where a reader wants them, to bytes.  Only for tests. */
#ifndef KI_TEST_HEX_H
#define KI_TEST_HEX_H

#include "base/base.h"

static inline int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

/* A wrong digit, half a byte or more bytes than cap is a mistake in the test itself: it aborts. */
static inline size_t hex_bytes(const char *text, uint8_t *out, size_t cap)
{
    size_t len = 0;
    while (*text) {
        if (*text == ' ') {
            text++;
            continue;
        }
        int high = hex_digit(text[0]);
        int low = high < 0 ? -1 : hex_digit(text[1]);
        KI_ASSERT(low >= 0 && len < cap);
        out[len++] = (uint8_t)(high * 16 + low);
        text += 2;
    }
    return len;
}

#endif
