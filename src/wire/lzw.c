/* LZW in the dialect of Go's compress/lzw, least significant bit first, 8-bit literals.
 *
 *   0..255 literal   256 clear   257 end   258..4095 runs seen before; width 9 bits, growing to 12
 *
 * Each side keeps `hi`, the highest code defined so far.  The encoder defines one with each code it
 * writes (the run it wrote and the byte that did not match); the decoder learns the same run one code
 * later, when it sees that byte.  A code may therefore name the very run it completes: the last run
 * and its own first byte once more ("KwKwK").
 *
 * The decoder keeps no bytes in its table.  Run `hi` is always the last run and the byte after it,
 * and those stand next to each other in the output, so an entry is a place and a length there; and
 * KwKwK is a copy that overlaps its own end.  Nothing is read that was not written: entries above hi
 * are never looked at, so the table need not be cleared.
 *
 * The two sides differ when codes run out.  The encoder clears at 4095; a decoder must go on with a
 * full table, adding nothing, until it is told to clear.  An older encoder omits the first clear.
 *
 * Work is bounded by the slice in both directions: input of clear codes alone counts too.
 *
 * Deliberately not here: other bit orders and literal widths, and growing the output.
 */
#include "wire/lzw.h"

enum {
    LZW_CLEAR = 256,
    LZW_END = 257,
    LZW_WIDTH_MIN = 9,
    LZW_WIDTH_MAX = 12,
    LZW_CODE_MAX = (1 << LZW_WIDTH_MAX) - 1
};

/* ---- decoding ---- */

static void lzw_decoder_clear(struct ki_lzw_decoder *d)
{
    d->width = LZW_WIDTH_MIN;
    d->hi = LZW_END;
    d->overflow = 1 << LZW_WIDTH_MIN;
    d->has_last = false;
}

void ki_lzw_decoder_init(struct ki_lzw_decoder *d, const void *in, size_t in_len, void *out,
                         size_t out_cap)
{
    d->in = in;
    d->in_len = in_len;
    d->in_pos = 0;
    d->out = out;
    d->out_len = 0;
    d->out_cap = ki_min_size(out_cap, UINT32_MAX); /* places in the table are 32 bits */
    d->bits = 0;
    d->bit_count = 0;
    d->last_start = 0;
    d->last_len = 0;
    lzw_decoder_clear(d);
}

/* false: the input ended before its end code. */
static bool lzw_take_code(struct ki_lzw_decoder *d, uint32_t *code)
{
    while (d->bit_count < d->width) {
        if (d->in_pos == d->in_len)
            return false;
        d->bits |= (uint32_t)d->in[d->in_pos++] << d->bit_count;
        d->bit_count += 8;
    }
    *code = d->bits & (((uint32_t)1 << d->width) - 1);
    d->bits >>= d->width;
    d->bit_count -= d->width;
    return true;
}

/* Appends what a code stands for. */
static enum ki_lzw_result lzw_expand(struct ki_lzw_decoder *d, uint32_t code)
{
    size_t start = d->out_len;
    size_t len = 1;
    if (code < LZW_CLEAR) {
        if (d->out_len == d->out_cap)
            return KI_LZW_FULL;
        d->out[d->out_len++] = (uint8_t)code;
    } else {
        bool completes_itself = code == d->hi && d->has_last;
        size_t from = completes_itself ? d->last_start : d->start[code];
        len = completes_itself ? d->last_len + 1 : d->run[code];
        if (len > d->out_cap - d->out_len)
            return KI_LZW_FULL;
        for (size_t i = 0; i < len; i++) /* may overlap by design: not memcpy */
            d->out[start + i] = d->out[from + i];
        d->out_len += len;
    }
    if (d->has_last) {
        d->start[d->hi] = d->last_start;
        d->run[d->hi] = (uint16_t)(d->last_len + 1);
    }
    d->last_start = (uint32_t)start;
    d->last_len = (uint32_t)len;
    return KI_LZW_MORE;
}

enum ki_lzw_result ki_lzw_decode(struct ki_lzw_decoder *d, size_t slice)
{
    for (size_t done = 0; done < slice;) {
        uint32_t code;
        if (!lzw_take_code(d, &code))
            return KI_LZW_BROKEN;
        done++;
        if (code == LZW_END)
            return KI_LZW_DONE;
        if (code == LZW_CLEAR) {
            lzw_decoder_clear(d);
            continue;
        }
        if (code > d->hi)
            return KI_LZW_BROKEN;
        if (lzw_expand(d, code) == KI_LZW_FULL)
            return KI_LZW_FULL;
        done += d->last_len;
        d->has_last = true;
        d->hi++;
        if (d->hi < d->overflow)
            continue;
        if (d->width < LZW_WIDTH_MAX) {
            d->width++;
            d->overflow <<= 1;
        } else { /* the table is full: define nothing until a clear */
            d->has_last = false;
            d->hi--;
        }
    }
    return KI_LZW_MORE;
}

/* ---- encoding ---- */

static void lzw_encoder_clear(struct ki_lzw_encoder *e)
{
    e->width = LZW_WIDTH_MIN;
    e->hi = LZW_END;
    e->overflow = 1 << LZW_WIDTH_MIN;
    memset(e->table, 0, sizeof e->table);
}

void ki_lzw_encoder_init(struct ki_lzw_encoder *e, const void *in, size_t in_len, void *out,
                         size_t out_cap)
{
    e->in = in;
    e->in_len = in_len;
    e->in_pos = 0;
    e->out = out;
    e->out_len = 0;
    e->out_cap = out_cap;
    e->bits = 0;
    e->bit_count = 0;
    e->prefix = UINT32_MAX;
    e->begun = false;
    lzw_encoder_clear(e);
}

static bool lzw_put_code(struct ki_lzw_encoder *e, uint32_t code)
{
    e->bits |= code << e->bit_count;
    e->bit_count += e->width;
    for (; e->bit_count >= 8; e->bit_count -= 8, e->bits >>= 8) {
        if (e->out_len == e->out_cap)
            return false;
        e->out[e->out_len++] = (uint8_t)e->bits;
    }
    return true;
}

/* After each code written: the next one may be wider, or codes have run out and all begins anew.
 * *cleared: then the run just seen gets no code. */
static bool lzw_count_up(struct ki_lzw_encoder *e, bool *cleared)
{
    *cleared = false;
    e->hi++;
    if (e->hi == e->overflow) {
        e->width++;
        e->overflow <<= 1;
    }
    if (e->hi < LZW_CODE_MAX)
        return true;
    *cleared = true;
    bool fits = lzw_put_code(e, LZW_CLEAR); /* still at the full width */
    lzw_encoder_clear(e);
    return fits;
}

/* The place of key in the table, or the empty one where it belongs.  At most 3,837 of 16,384 places
 * are taken.  The multiplier is 2^32 / golden ratio, the 14 bits kept are its product's highest. */
static uint32_t *lzw_lookup(struct ki_lzw_encoder *e, uint32_t key)
{
    uint32_t at = (uint32_t)(key * UINT32_C(2654435769)) >> 18;
    while (e->table[at] != 0 && e->table[at] >> LZW_WIDTH_MAX != key)
        at = (at + 1) % (uint32_t)KI_COUNT(e->table);
    return &e->table[at];
}

static enum ki_lzw_result lzw_finish(struct ki_lzw_encoder *e)
{
    bool cleared;
    if (e->prefix != UINT32_MAX && !(lzw_put_code(e, e->prefix) && lzw_count_up(e, &cleared)))
        return KI_LZW_FULL;
    if (!lzw_put_code(e, LZW_END))
        return KI_LZW_FULL;
    if (e->bit_count > 0) {
        if (e->out_len == e->out_cap)
            return KI_LZW_FULL;
        e->out[e->out_len++] = (uint8_t)e->bits;
    }
    return KI_LZW_DONE;
}

enum ki_lzw_result ki_lzw_encode(struct ki_lzw_encoder *e, size_t slice)
{
    if (!e->begun) {
        e->begun = true;
        if (!lzw_put_code(e, LZW_CLEAR))
            return KI_LZW_FULL;
        if (e->in_len > 0)
            e->prefix = e->in[e->in_pos++];
    }
    for (size_t done = 0; e->in_pos < e->in_len; done++) {
        if (done == slice)
            return KI_LZW_MORE;
        uint8_t byte = e->in[e->in_pos++];
        uint32_t key = e->prefix << 8 | byte;
        uint32_t *place = lzw_lookup(e, key);
        if (*place != 0) {
            e->prefix = *place & LZW_CODE_MAX;
            continue;
        }
        bool cleared;
        if (!lzw_put_code(e, e->prefix) || !lzw_count_up(e, &cleared))
            return KI_LZW_FULL;
        if (!cleared)
            *place = key << LZW_WIDTH_MAX | e->hi;
        e->prefix = byte;
    }
    return lzw_finish(e);
}
