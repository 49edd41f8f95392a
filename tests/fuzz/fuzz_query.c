/* Queries, answers and member descriptions: the first byte picks the message, the rest is its body.  What decodes,
 * encodes and decodes to the same. */
#include "wire/serf_query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t first[1 << 18], second[1 << 18];

static struct ki_pack query_encode(uint8_t kind, const void *msg, uint8_t *buf)
{
    struct ki_pack p = ki_pack(buf, sizeof first, false);
    if (kind == 0)
        ki_encode_serf_query(&p, msg);
    else if (kind == 1)
        ki_encode_serf_response(&p, msg);
    else
        ki_encode_serf_member(&p, msg);
    KI_ASSERT(!p.w.full);
    return p;
}

static bool query_decode(uint8_t kind, struct ki_reader *r, void *msg)
{
    if (kind == 0)
        return ki_decode_serf_query(r, msg);
    return kind == 1 ? ki_decode_serf_response(r, msg) : ki_decode_serf_member(r, msg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    union {
        struct ki_serf_query query;
        struct ki_serf_response response;
        struct ki_serf_member member;
    } msg, again;
    if (size == 0 || size > 65536)
        return 0;
    uint8_t kind = data[0] % 3;
    struct ki_reader r = ki_reader(data + 1, size - 1);
    if (!query_decode(kind, &r, &msg))
        return 0;
    struct ki_pack p = query_encode(kind, &msg, first);
    r = ki_reader(first + 1, p.w.len - 1);
    bool fine = query_decode(kind, &r, &again);
    KI_ASSERT(fine && r.left == 0);
    struct ki_pack q = query_encode(kind, &again, second);
    KI_ASSERT(p.w.len == q.w.len && memcmp(first, second, p.w.len) == 0);
    return 0;
}
