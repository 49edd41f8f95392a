/* The outer layers of a datagram: label, checksum, compound, one inside the other as a receiver peels
 * them.  What is handed out lies inside the input, and what was peeled can be put back. */
#include "wire/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_is_inside(struct ki_span inner, const uint8_t *data, size_t size)
{
    uintptr_t start = (uintptr_t)data;
    uintptr_t at = (uintptr_t)inner.ptr;
    KI_ASSERT(at >= start && at - start <= size && inner.len <= size - (at - start));
}

static void fuzz_label(struct ki_reader *r, const uint8_t *data, size_t size)
{
    struct ki_span label;
    if (!ki_peel_label(r, &label)) {
        KI_ASSERT(label.len == 0);
        return;
    }
    uint8_t back[257];
    struct ki_writer w = ki_writer(back, sizeof back);
    ki_put_label(&w, label);
    KI_ASSERT(!w.full && ki_span_equal(ki_span(data, size - r->left), ki_span(back, w.len)));
    if (label.len > 0)
        fuzz_is_inside(label, data, size);
}

static void fuzz_crc(const uint8_t *data, size_t size)
{
    /* the sum of a whole is that of it prefixed by its own header */
    uint8_t *framed = malloc(size + 5);
    KI_ASSERT(framed);
    struct ki_writer w = ki_writer(framed, size + 5);
    ki_put_u8(&w, 0x0c);
    ki_put_be(&w, ki_crc32(data, size), 4);
    ki_put(&w, data, size);
    struct ki_reader r = ki_reader(framed, w.len);
    KI_ASSERT(ki_peel_crc(&r) && r.left == size);
    framed[w.len - 1] ^= 0x40; /* one bit, in what is summed or in the sum, is always noticed */
    r = ki_reader(framed, w.len);
    KI_ASSERT(!ki_peel_crc(&r));
    free(framed);
}

static void fuzz_compound(struct ki_reader r, const uint8_t *data, size_t size)
{
    struct ki_compound c;
    struct ki_span part;
    bool malformed = false;
    uint32_t count = 0;
    size_t total = 0;
    if (!ki_compound_begin(&r, &c))
        return;
    uint32_t announced = c.left;
    while (ki_compound_next(&c, &part, &malformed)) {
        KI_ASSERT(!malformed && part.len > 0);
        fuzz_is_inside(part, data, size);
        total += part.len;
        count++;
    }
    KI_ASSERT(malformed ? count < announced : count == announced);
    KI_ASSERT(total <= size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ki_reader r = ki_reader(data, size);
    fuzz_crc(data, size);
    fuzz_label(&r, data, size);
    if (r.bad || !ki_peel_crc(&r))
        r = ki_reader(data, size);
    if (ki_take_be(&r, 1) == 7)
        fuzz_compound(r, data, size);
    return 0;
}
