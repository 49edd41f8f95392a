/* A context's bytes, any: what is read as a whole is written as the same bytes, reading a run at a time or all at once
 * makes no difference, and neither do the limits but by being reached.  The first byte sets the limits. */
#include "store/context.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum ki_context_verdict read_all(struct ki_context_decoder *decoder, const uint8_t *data, size_t size,
                                        size_t budget)
{
    struct ki_reader r = ki_reader(data, size);
    enum ki_context_verdict verdict = KI_CONTEXT_FINE;
    while (verdict == KI_CONTEXT_FINE && r.left > 0)
        verdict = ki_context_decode(decoder, &r, budget);
    KI_ASSERT(decoder->run_count <= decoder->runs_max && decoder->replica_count <= decoder->replicas_max);
    return verdict;
}

static void write_again(const struct ki_context *context, const uint8_t *data, size_t size)
{
    static uint8_t part[64];
    struct ki_context_cursor cursor = {0};
    size_t done = 0;
    KI_ASSERT(ki_context_encoded_len(context) == size);
    while (!cursor.ended) {
        size_t len = ki_context_encode(context, &cursor, part, sizeof part);
        KI_ASSERT((len > 0 || size == 0) && len <= size - done && memcmp(part, data + done, len) == 0);
        done += len;
    }
    KI_ASSERT(done == size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ki_mem mem;
    struct ki_context one, other;
    if (size == 0 || size > 4096)
        return -1;
    size_t max = data[0] < 128 ? 4096 : data[0] - 128u;
    data++;
    size--;
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_context_init(&one, &mem);
    ki_context_init(&other, &mem);
    struct ki_context_decoder at_once = {.into = &one, .replicas_max = max, .runs_max = max};
    struct ki_context_decoder slowly = {.into = &other, .replicas_max = max, .runs_max = max};
    enum ki_context_verdict verdict = read_all(&at_once, data, size, SIZE_MAX);
    KI_ASSERT(read_all(&slowly, data, size, 1) == verdict);
    if (verdict == KI_CONTEXT_FINE) {
        KI_ASSERT(ki_context_equal(&one, &other));
        if (ki_context_decode_is_whole(&at_once))
            write_again(&one, data, size);
    } else {
        KI_ASSERT(one.run_count == 0);
        KI_ASSERT(ki_context_join(&one, &other) && ki_context_equal(&one, &other));
    }
    ki_context_free(&one);
    ki_context_free(&other);
    KI_ASSERT(mem.used == 0);
    return 0;
}
