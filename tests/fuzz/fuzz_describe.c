/* Describing: the first byte picks the flavour of the instance (live.h), or with bit 7 none, the second the size of the
 * buffer, the rest is a datagram; in the keyed flavour, bit 6 seals it first.  The text ends in NUL within the buffer and
 * holds nothing that is not to be shown; a shorter one is the beginning of the longest, and "..."; the instance is as it
 * was; and what is described without a fault is not malformed to the core. */
#include "fuzz/live.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char whole[1 << 20];

/* No control character; every byte of a sequence in its place. */
static void describe_check_text(const char *text)
{
    unsigned follow = 0;
    for (const uint8_t *at = (const uint8_t *)text; *at; at++) {
        if (follow > 0) {
            LONE_CHECK((*at & 0xc0) == 0x80);
            follow--;
        } else {
            LONE_CHECK(*at >= 0x20 && *at != 0x7f && (*at < 0x80 || (*at >= 0xc2 && *at <= 0xf4)));
            follow = *at >= 0xf0 ? 3 : *at >= 0xe0 ? 2 : *at >= 0xc2 ? 1 : 0;
        }
    }
    LONE_CHECK(follow == 0);
}

static void describe_check_cut(const kith *k, const uint8_t *bytes, size_t len, size_t cap, int error)
{
    char *out = malloc(cap);
    LONE_CHECK(out && kith_describe(k, bytes, len, out, cap) == error);
    size_t got = strlen(out);
    LONE_CHECK(got < cap);
    describe_check_text(out);
    if (strcmp(out, whole) != 0) {
        size_t dots = cap - 1 < 3 ? cap - 1 : 3;
        LONE_CHECK(strlen(whole) >= cap && got >= dots && memcmp(out + got - dots, "...", dots) == 0);
        LONE_CHECK(memcmp(out, whole, got - dots) == 0);
    }
    free(out);
}

static void describe_check_core(struct live *l, const uint8_t *bytes, size_t len, int error)
{
    struct kith_addr from = lone_addr(2, 7946);
    l->heard[1] += len;
    int core = kith_datagram(l->k, l->now, &from, bytes, len);
    if (error == 0) /* lengths of names and versions are judged by the core alone */
        LONE_CHECK(core != KITH_ERR_AUTH && core != KITH_ERR_LABEL);
    if (error == KITH_ERR_LABEL)
        LONE_CHECK(core == KITH_ERR_LABEL);
    if (error == KITH_ERR_AUTH)
        LONE_CHECK(core != 0);
    live_drain(l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 8192)
        return -1;
    struct live l;
    uint8_t sealed[8192 + KI_SEAL_OVERHEAD];
    live_new(&l, data[0]);
    const kith *k = data[0] & 0x80 ? NULL : l.k;
    const uint8_t *bytes = data + 2;
    size_t len = size - 2;
    if (l.flavour == LIVE_KEYED && data[0] & 0x40) {
        static const uint8_t nonce[KI_NONCE_LEN] = {9};
        ki_seal(&l.k->keyring, 1, nonce, ki_span(NULL, 0), ki_span(NULL, 0), ki_span(bytes, len), sealed);
        bytes = sealed;
        len += KI_SEAL_OVERHEAD;
    }
    int64_t blocks = l.memory.blocks;
    uint64_t before = lone_digest(l.k);
    int error = kith_describe(k, bytes, len, whole, sizeof whole);
    LONE_CHECK(error == 0 || error == KITH_ERR_AUTH || error == KITH_ERR_LABEL || error == KITH_ERR_MALFORMED);
    describe_check_text(whole);
    describe_check_cut(k, bytes, len, data[1] + 1u, error);
    LONE_CHECK(l.memory.blocks == blocks && lone_digest(l.k) == before);
    if (k)
        describe_check_core(&l, bytes, len, error);
    live_free(&l);
    return 0;
}
