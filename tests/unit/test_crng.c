/* The generator against the key streams of RFC 8439 appendix A.1 (those with a nonce of zero). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/crng.h"
#include "unit/hex.h"

static const struct {
    const char *seed;
    size_t block;
    const char *stream;
} vectors[] = {
    {"0000000000000000000000000000000000000000000000000000000000000000", 0,
     "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
     "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"},
    {"0000000000000000000000000000000000000000000000000000000000000000", 1,
     "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
     "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f"},
    {"0000000000000000000000000000000000000000000000000000000000000001", 1,
     "3aeb5224ecf849929b9d828db1ced4dd832025e8018b8160b82284f3c949aa5a"
     "8eca00bbb4a73bdad192b5c42f73f2fd4e273644c8b36125a64addeb006c13a0"},
    {"00ff000000000000000000000000000000000000000000000000000000000000", 2,
     "72d54dfbf12ec44b362692df94137f328fea8da73990265ec1bbbea1ae9af0ca"
     "13b25aa26cb4a648cb9b9d1be65b2c0924a66c54d545ec1b7374f4872e99f096"},
};

static struct ki_crng start(const char *seed)
{
    uint8_t bytes[32];
    struct ki_crng crng;
    assert_int_equal(hex_bytes(seed, bytes, sizeof bytes), 32);
    ki_crng_init(&crng, bytes);
    return crng;
}

static void test_rfc_8439(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(vectors); i++) {
        struct ki_crng crng = start(vectors[i].seed);
        uint8_t want[64];
        uint8_t got[64];
        hex_bytes(vectors[i].stream, want, sizeof want);
        for (size_t block = 0; block <= vectors[i].block; block++)
            ki_crng_fill(&crng, got, sizeof got);
        assert_memory_equal(got, want, sizeof got);
    }
}

/* However the stream is cut, it is the same stream. */
static void test_any_cut(void **state)
{
    (void)state;
    uint8_t whole[1024];
    uint8_t parts[1024];
    struct ki_crng crng = start(vectors[3].seed);
    ki_crng_fill(&crng, whole, sizeof whole);
    for (size_t cut = 1; cut < 200; cut++) {
        crng = start(vectors[3].seed);
        for (size_t at = 0; at < sizeof parts; at += cut)
            ki_crng_fill(&crng, parts + at, ki_min_size(cut, sizeof parts - at));
        assert_memory_equal(parts, whole, sizeof whole);
    }
    crng = start(vectors[3].seed);
    ki_crng_fill(&crng, NULL, 0);
    for (size_t at = 0; at < 128; at += 8) {
        uint64_t value = ki_crng_u64(&crng);
        for (size_t i = 0; i < 8; i++)
            assert_int_equal(value >> 8 * i & 0xff, whole[at + i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc_8439),
        cmocka_unit_test(test_any_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
