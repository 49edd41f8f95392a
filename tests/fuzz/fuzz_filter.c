/* Filters of a query, matched against one member: the first byte limits the memory, the rest is the encoded array.  Whatever
 * it is, matching ends soon, all memory is given back, nobody gets through what cannot be read or by way of memory that is
 * out; and what can be read can be written and read again. */
#include "serf/filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t meta[] = "\xff\x82\xa2" "dk" "\xa3" "two" "\xa4" "role" "\xaa" "web-server";

static enum ki_filter_result filter_match(struct ki_span filters, uint64_t memory_max)
{
    struct ki_mem mem;
    ki_mem_init(&mem, NULL, NULL, NULL, memory_max);
    enum ki_filter_result result = ki_filters_match(&mem, filters, ki_span("beta", 4), ki_span(meta, sizeof meta - 1));
    KI_ASSERT(mem.used == 0);
    return result;
}

/* Filters by tag are written as they were read. */
static void filter_rewrite(const struct ki_filter *filter)
{
    static uint8_t buf[1 << 18];
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    struct ki_filter again;
    uint32_t left = UINT32_MAX;
    if (!filter->by_tag)
        return;
    ki_pack_array(&p, 1);
    ki_encode_filter_tag(&p, filter->tag, filter->expression);
    struct ki_reader r = ki_reader(buf, p.w.len);
    bool fine = ki_filter_next(&r, &left, &again);
    KI_ASSERT(!p.w.full && fine && r.left == 0 && again.by_tag && ki_span_equal(again.tag, filter->tag));
    KI_ASSERT(ki_span_equal(again.expression, filter->expression));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 8192)
        return 0;
    struct ki_span filters = ki_span(data + 1, size - 1);
    struct ki_reader r = ki_reader(filters.ptr, filters.len);
    struct ki_filter filter;
    uint32_t left = UINT32_MAX;
    while (ki_filter_next(&r, &left, &filter))
        filter_rewrite(&filter);
    bool fine = ki_filters_fine(filters);
    KI_ASSERT(fine == !r.bad);
    enum ki_filter_result result = filter_match(filters, 0), limited = filter_match(filters, 1 + data[0] * UINT64_C(64));
    KI_ASSERT(fine || result != KI_FILTER_PASS);
    KI_ASSERT(limited != KI_FILTER_PASS || result == KI_FILTER_PASS);
    return 0;
}
