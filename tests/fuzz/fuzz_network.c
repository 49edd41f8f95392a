/* Messages of the network engine: the first byte picks the kind, 38 to 3a, the rest is what follows it.  What decodes
 * encodes to the very same bytes. */
#include "wire/network.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t out[1 << 17];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 65536)
        return 0;
    enum ki_network_kind kind = (enum ki_network_kind)(KI_NETWORK_REQUEST + data[0] % 3);
    struct ki_reader r = ki_reader(data + 1, size - 1);
    struct ki_writer w = ki_writer(out, sizeof out);
    struct ki_network_front front;
    if (!ki_decode_network_front(&r, kind, &front))
        return 0;
    KI_ASSERT(front.base <= front.upto && front.schema.len <= KI_NETWORK_SCHEMA_MAX);
    ki_encode_network_front(&w, kind, &front);
    KI_ASSERT(w.len <= KI_NETWORK_FRONT_MAX);
    while (r.left > 0) {
        struct ki_network_claim claim;
        size_t before = w.len;
        if (!ki_decode_network_claim(&r, &claim))
            return 0;
        KI_ASSERT(claim.name.len > 0);
        ki_encode_network_claim(&w, &claim);
        KI_ASSERT(w.len - before <= KI_NETWORK_CLAIM_MAX);
    }
    KI_ASSERT(!w.full && w.len == size + 1 && out[1] == kind);
    KI_ASSERT(memcmp(out + 2, data + 1, size - 1) == 0);
    return 0;
}
