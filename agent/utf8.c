/* Well-formed UTF-8, by the table of the Unicode Standard (3.9, table 3-7): first and second byte decide whether a
 * sequence is overlong, a surrogate or beyond U+10FFFF; all others are 80..BF.
 *
 * The controls U+0080..U+009F count as broken: a terminal obeys them like an escape sequence, and no name needs them.
 *
 * Not here: what a reader puts in place of the broken bytes (cli/output.c: \xNN; log.c: '?'). */
#include "agent/utf8.h"

#include "base/base.h"

size_t ki_utf8_len(const uint8_t *at, size_t left)
{
    static const struct {
        uint8_t first, last, second_min, second_max;
        size_t len;
    } forms[] = {
        {0xc2, 0xc2, 0xa0, 0xbf, 2}, {0xc3, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < KI_COUNT(forms); i++) {
        if (at[0] < forms[i].first || at[0] > forms[i].last)
            continue;
        if (left < forms[i].len || at[1] < forms[i].second_min || at[1] > forms[i].second_max)
            return 0;
        for (size_t k = 2; k < forms[i].len; k++) {
            if (at[k] < 0x80 || at[k] > 0xbf)
                return 0;
        }
        return forms[i].len;
    }
    return 0;
}
