/* A coordinate from the network, and a node that learns from it: what decodes is valid and encodes to what decodes to the
 * same bits; whatever is said, and however often, leaves us at a valid place, at some distance.
 *
 * Input: a round trip of 3 bytes and a payload, again and again; each is as long as a byte in front of it says. */
#include "serf/coordinate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void coordinate_again(const struct ki_coordinate *c)
{
    uint8_t buf[KI_COORDINATE_LEN];
    struct ki_coordinate again;
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    ki_encode_coordinate(&p, c);
    KI_ASSERT(!p.w.full && p.w.len == KI_COORDINATE_LEN);
    struct ki_reader r = ki_reader(buf, p.w.len);
    bool fine = ki_decode_coordinate(&r, &again);
    KI_ASSERT(fine && r.left == 0 && memcmp(c, &again, sizeof again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ki_vivaldi v;
    struct ki_latencies latencies = {0};
    struct ki_rng rng;
    struct ki_reader in = ki_reader(data, size);
    ki_vivaldi_init(&v);
    ki_rng_init(&rng, size);
    while (in.left >= 4) {
        size_t len = (size_t)ki_take_be(&in, 1);
        uint64_t rtt_us = ki_take_be(&in, 3);
        struct ki_coordinate other;
        len = ki_min_size(len, in.left);
        struct ki_reader r = ki_reader(ki_take(&in, len), len);
        if (!ki_decode_coordinate(&r, &other))
            continue;
        coordinate_again(&other);
        if (ki_vivaldi_takes(&other, rtt_us))
            ki_vivaldi_update(&v, &latencies, &other, rtt_us, &rng);
        KI_ASSERT(ki_coordinate_is_valid(&v.here) && latencies.count <= KI_LATENCIES);
        double distance = ki_coordinate_distance(&v.here, &other);
        KI_ASSERT(distance <= 0 || distance > 0); /* sums of finite numbers: any, but never none */
    }
    return 0;
}
