/* LZW as Go's compress/lzw with LSB order and 8-bit literals (PROTOCOL.md "compression"): variable
 * codes of 9 to 12 bits, 256 clears, 257 ends.  Both directions work in slices, so that a large
 * stream never holds up a probe. */
#ifndef KI_LZW_H
#define KI_LZW_H

#include "base/base.h"

enum ki_lzw_result {
    KI_LZW_DONE,  /* the end code was reached / written */
    KI_LZW_MORE,  /* the slice is used up; call again */
    KI_LZW_FULL,  /* out_cap is not enough */
    KI_LZW_BROKEN /* not an LZW stream, or it ends before its end code */
};

/* Decoding: each table entry is a run of bytes already in the output, so the table holds places, not
 * bytes. */
struct ki_lzw_decoder {
    const uint8_t *in; /* whole input, in_len bytes; must stay in place */
    size_t in_len, in_pos;
    uint8_t *out; /* whole output so far, out_len of out_cap bytes; must stay in place */
    size_t out_len, out_cap;
    uint32_t bits, bit_count;
    uint32_t width, hi, overflow;
    bool has_last;
    uint32_t last_start, last_len; /* run of the last code in out */
    uint32_t start[4096];
    uint16_t run[4096];
};

/* out_cap beyond UINT32_MAX counts as that. */
void ki_lzw_decoder_init(struct ki_lzw_decoder *d, const void *in, size_t in_len, void *out,
                         size_t out_cap);
/* Produces about slice bytes more (SIZE_MAX: all), or reads as many codes when they produce less.
 * Result in d->out, d->out_len.  Input after the end code is ignored, as Go does.  After any other
 * result than MORE the decoder is spent. */
enum ki_lzw_result ki_lzw_decode(struct ki_lzw_decoder *d, size_t slice);

struct ki_lzw_encoder {
    const uint8_t *in;
    size_t in_len, in_pos;
    uint8_t *out;
    size_t out_len, out_cap;
    uint32_t bits, bit_count;
    uint32_t width, hi, overflow;
    uint32_t prefix; /* code of the match so far; UINT32_MAX before the first byte */
    bool begun;
    uint32_t table[16384]; /* hashed (prefix << 8 | byte) << 12 | code; 0 is empty */
};

void ki_lzw_encoder_init(struct ki_lzw_encoder *e, const void *in, size_t in_len, void *out,
                         size_t out_cap);
/* Consumes about slice bytes of input.  FULL as soon as the output would exceed out_cap.  After any
 * other result than MORE the encoder is spent. */
enum ki_lzw_result ki_lzw_encode(struct ki_lzw_encoder *e, size_t slice);

#endif
