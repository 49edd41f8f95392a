/* LZW: the decoder on arbitrary bytes, within bounds and in slices that change nothing; or, with the
 * highest bit of slice set, what the encoder makes of the bytes decodes to them.
 *
 *   slice:u8  cap:be16 (room for what comes out)  bytes
 */
#include "base/bytes.h"
#include "wire/lzw.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct ki_lzw_decoder fuzz_d;
static struct ki_lzw_encoder fuzz_e;

/* Runs a decoder to its end; out has exactly cap bytes, so that one more is caught. */
static enum ki_lzw_result fuzz_decode(const uint8_t *in, size_t len, uint8_t *out, size_t cap,
                                      size_t slice, size_t *out_len)
{
    struct ki_lzw_decoder *d = &fuzz_d;
    enum ki_lzw_result result = KI_LZW_MORE;
    ki_lzw_decoder_init(d, in, len, out, cap);
    while (result == KI_LZW_MORE) {
        size_t before = d->out_len;
        result = ki_lzw_decode(d, slice);
        KI_ASSERT(slice == SIZE_MAX || d->out_len - before <= slice + 4096);
    }
    KI_ASSERT(d->out_len <= cap && d->in_pos <= len);
    *out_len = d->out_len;
    return result;
}

static void fuzz_decoder(const uint8_t *in, size_t len, size_t cap, size_t slice)
{
    uint8_t *whole = malloc(cap ? cap : 1);
    uint8_t *sliced = malloc(cap ? cap : 1);
    size_t whole_len, sliced_len;
    KI_ASSERT(whole && sliced);
    enum ki_lzw_result result = fuzz_decode(in, len, whole, cap, SIZE_MAX, &whole_len);
    KI_ASSERT(fuzz_decode(in, len, sliced, cap, slice, &sliced_len) == result);
    KI_ASSERT(ki_span_equal(ki_span(whole, whole_len), ki_span(sliced, sliced_len)));
    free(whole);
    free(sliced);
}

static void fuzz_round_trip(const uint8_t *in, size_t len, size_t slice, size_t room)
{
    /* at worst a code of 12 bits a byte, and the clear and end codes */
    size_t cap = len * 2 + 16;
    struct ki_lzw_encoder *e = &fuzz_e;
    uint8_t *coded = malloc(cap);
    uint8_t *back = malloc(len ? len : 1);
    enum ki_lzw_result result = KI_LZW_MORE;
    size_t back_len;
    KI_ASSERT(coded && back);
    ki_lzw_encoder_init(e, in, len, coded, cap);
    while (result == KI_LZW_MORE)
        result = ki_lzw_encode(e, slice);
    KI_ASSERT(result == KI_LZW_DONE);
    KI_ASSERT(fuzz_decode(coded, e->out_len, back, len, SIZE_MAX, &back_len) == KI_LZW_DONE);
    KI_ASSERT(ki_span_equal(ki_span(in, len), ki_span(back, back_len)));
    /* with less room than it needs, be it a byte, it says so and stays inside */
    size_t tight = room < e->out_len ? room : e->out_len - 1;
    uint8_t *little = malloc(tight ? tight : 1);
    KI_ASSERT(little);
    ki_lzw_encoder_init(e, in, len, little, tight);
    KI_ASSERT(ki_lzw_encode(e, SIZE_MAX) == KI_LZW_FULL);
    free(little);
    free(back);
    free(coded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ki_reader r = ki_reader(data, size);
    size_t choice = (size_t)ki_take_be(&r, 1);
    size_t slice = choice % 128 + 1;
    size_t cap = (size_t)ki_take_be(&r, 2);
    if (r.bad)
        return 0;
    if (choice < 128)
        fuzz_decoder(r.pos, r.left, cap, slice);
    else
        fuzz_round_trip(r.pos, r.left, slice, cap);
    return 0;
}
