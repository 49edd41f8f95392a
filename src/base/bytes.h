/* Bounds-checked reading and writing of bytes: the only place where a pointer into wire data is advanced.
 * A reader or writer that once ran out stays bad, so a sequence of calls needs one check at its end. */
#ifndef KI_BYTES_H
#define KI_BYTES_H

#include "base/base.h"

struct ki_reader {
    const uint8_t *pos;
    size_t left;
    bool bad;
    bool ended; /* bad only because the input ended: more bytes could mend it (streams wait for them) */
};

struct ki_writer {
    uint8_t *start;
    size_t len; /* written */
    size_t cap;
    bool full; /* something did not fit */
};

static inline struct ki_reader ki_reader(const void *buf, size_t len)
{
    return (struct ki_reader){.pos = (const uint8_t *)buf, .left = len, .bad = false, .ended = false};
}

/* Takes len bytes, borrowed; NULL and bad when there are fewer. */
static inline const uint8_t *ki_take(struct ki_reader *r, size_t len)
{
    if (r->bad)
        return NULL;
    if (len > r->left) {
        r->bad = true;
        r->ended = true;
        return NULL;
    }
    const uint8_t *at = r->pos;
    r->pos += len;
    r->left -= len;
    return at;
}

/* Big-endian numbers of 1 to 8 bytes.  Lengths are nearly always constants, and the usual ones are spelled out: compilers
 * make one load or store of that, and a loop of a loop. */
static inline uint64_t ki_load_be4(const uint8_t *at)
{
    return (uint64_t)at[0] << 24 | (uint64_t)at[1] << 16 | (uint64_t)at[2] << 8 | at[3];
}

static inline uint64_t ki_load_be(const uint8_t *at, size_t len)
{
    if (len == 2)
        return (uint64_t)at[0] << 8 | at[1];
    if (len == 4)
        return ki_load_be4(at);
    if (len == 8)
        return ki_load_be4(at) << 32 | ki_load_be4(at + 4);
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++)
        value = value << 8 | at[i];
    return value;
}

/* Takes a big-endian number of 1 to 8 bytes; 0 and bad when there are fewer. */
static inline uint64_t ki_take_be(struct ki_reader *r, size_t len)
{
    const uint8_t *at = ki_take(r, len);
    return at ? ki_load_be(at, len) : 0;
}

static inline struct ki_writer ki_writer(void *buf, size_t cap)
{
    return (struct ki_writer){.start = (uint8_t *)buf, .len = 0, .cap = cap, .full = false};
}

/* Reserves len bytes to be filled by the caller; NULL and full when they do not fit. */
static inline uint8_t *ki_reserve(struct ki_writer *w, size_t len)
{
    if (w->full || len > w->cap - w->len) {
        w->full = true;
        return NULL;
    }
    uint8_t *at = w->start + w->len;
    w->len += len;
    return at;
}

static inline void ki_put(struct ki_writer *w, const void *from, size_t len)
{
    uint8_t *at = ki_reserve(w, len);
    if (at && len)
        memcpy(at, from, len);
}

static inline void ki_store_be4(uint8_t *at, uint64_t value)
{
    at[0] = (uint8_t)(value >> 24);
    at[1] = (uint8_t)(value >> 16);
    at[2] = (uint8_t)(value >> 8);
    at[3] = (uint8_t)value;
}

static inline void ki_store_be(uint8_t *at, uint64_t value, size_t len)
{
    if (len == 4) {
        ki_store_be4(at, value);
    } else if (len == 8) {
        ki_store_be4(at, value >> 32);
        ki_store_be4(at + 4, value);
    } else {
        for (size_t i = len; i-- > 0; value >>= 8)
            at[i] = (uint8_t)value;
    }
}

static inline void ki_put_be(struct ki_writer *w, uint64_t value, size_t len)
{
    uint8_t *at = ki_reserve(w, len);
    if (at)
        ki_store_be(at, value, len);
}

static inline void ki_put_u8(struct ki_writer *w, uint8_t value)
{
    ki_put(w, &value, 1);
}

#endif
