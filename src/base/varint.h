/* Unsigned LEB128 numbers (DWARF 5, sec. 7.6): seven bits a byte, lowest first, the top bit set on all bytes but the last.
 * Only the shortest form is read, so that a number has one encoding. */
#ifndef KI_VARINT_H
#define KI_VARINT_H

#include "base/bytes.h"

enum { KI_VARINT_LEN_MAX = 10 }; /* 64 bits, seven at a time */

static inline size_t ki_varint_len(uint64_t value)
{
    size_t len = 1;
    for (; value > 0x7f; value >>= 7)
        len++;
    return len;
}

static inline void ki_put_varint(struct ki_writer *w, uint64_t value)
{
    uint8_t bytes[KI_VARINT_LEN_MAX];
    size_t len = 0;
    for (; value > 0x7f; value >>= 7)
        bytes[len++] = (uint8_t)(value | 0x80);
    bytes[len++] = (uint8_t)value;
    ki_put(w, bytes, len);
}

/* 0 and bad when the bytes end early, the number needs more than 64 bits, or a shorter form exists. */
static inline uint64_t ki_take_varint(struct ki_reader *r)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        const uint8_t *at = ki_take(r, 1);
        if (!at)
            return 0;
        value |= (uint64_t)(*at & 0x7f) << shift;
        if (*at & 0x80)
            continue;
        if ((*at == 0 && shift > 0) || (shift == 63 && *at > 1))
            break;
        return value;
    }
    r->bad = true;
    return 0;
}

#endif
