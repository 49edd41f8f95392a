/* LZW against Go's compress/lzw: exact bytes for short inputs, digests of what Go 1.19 writes for long
 * ones (lengths around every change of width and every clear), and what its reader makes of a great
 * many damaged streams.  The inputs come from the little generator below, so they need not be kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/hex.h"
#include "wire/lzw.h"

enum { INPUT_MAX = 8000000, CODED_MAX = 40000 };

static uint8_t input[INPUT_MAX];
static uint8_t output[INPUT_MAX];
static uint8_t coded[CODED_MAX];
static struct ki_lzw_encoder encoder;
static struct ki_lzw_decoder decoder;

/* ---- inputs and digests, as the Go program that wrote the tables has them ---- */

static uint32_t lcg_next(uint64_t *lcg)
{
    *lcg = *lcg * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*lcg >> 33);
}

static uint64_t lcg_start(uint64_t seed)
{
    for (int i = 0; i < 3; i++)
        lcg_next(&seed);
    return seed;
}

static void lcg_fill(uint64_t *lcg, uint32_t alphabet, uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(lcg_next(lcg) % alphabet);
}

#define FNV_BASIS UINT64_C(0xcbf29ce484222325)

static uint64_t fnv(uint64_t hash, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static size_t encode(size_t len)
{
    ki_lzw_encoder_init(&encoder, input, len, coded, sizeof coded);
    assert_int_equal(ki_lzw_encode(&encoder, SIZE_MAX), KI_LZW_DONE);
    assert_int_equal(encoder.in_pos, len);
    return encoder.out_len;
}

static enum ki_lzw_result decode(size_t coded_len, size_t cap)
{
    ki_lzw_decoder_init(&decoder, coded, coded_len, output, cap);
    return ki_lzw_decode(&decoder, SIZE_MAX);
}

/* ---- short ---- */

static const struct {
    const char *text;
    const char *hex;
} short_rows[] = {
    {"", "000302"},
    {"a", "00c30404"},
    {"abababab", "00c3881148504c40"},
    {"aaaaaaaaaa", "00c3081c483020"}, /* each code names the run it completes */
    {"TOBEORNOTTOBEORTOBEORNOT", "00a93c1152e48914274fa80824687061c183090302"},
};

static void test_short(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(short_rows); i++) {
        uint8_t want[64];
        size_t len = strlen(short_rows[i].text);
        size_t coded_len = hex_bytes(short_rows[i].hex, want, sizeof want);
        memcpy(input, short_rows[i].text, len);
        assert_int_equal(encode(len), coded_len);
        assert_memory_equal(coded, want, coded_len);
        assert_int_equal(decode(coded_len, len), KI_LZW_DONE);
        assert_int_equal(decoder.out_len, len);
        assert_memory_equal(output, input, len);
        /* cut anywhere it is broken; with one byte less of room it does not fit, either way */
        for (size_t cut = 0; cut < coded_len; cut++)
            assert_int_equal(decode(cut, len), KI_LZW_BROKEN);
        if (len > 0)
            assert_int_equal(decode(coded_len, len - 1), KI_LZW_FULL);
        for (size_t cap = 0; cap < coded_len; cap++) {
            ki_lzw_encoder_init(&encoder, input, len, coded, cap);
            assert_int_equal(ki_lzw_encode(&encoder, SIZE_MAX), KI_LZW_FULL);
        }
    }
}

/* The compressed ping of the protocol's golden vectors. */
static void test_golden_ping(void **state)
{
    (void)state;
    size_t coded_len =
        hex_bytes("00010822e5e40d9932a5c2b08183264ca92965e2146c1210", coded, sizeof coded);
    size_t len = hex_bytes("0082a44e6f6465a5616c706861a55365714e6f4d", input, sizeof input);
    assert_int_equal(decode(coded_len, 1400), KI_LZW_DONE);
    assert_int_equal(decoder.out_len, len);
    assert_memory_equal(output, input, len);
    assert_int_equal(encode(len), coded_len);
    hex_bytes("00010822e5e40d9932a5c2b08183264ca92965e2146c1210", output, sizeof output);
    assert_memory_equal(coded, output, coded_len);
}

/* ---- streams put together code by code ---- */

static const struct {
    const char *what;
    int codes[8]; /* nine bits each; -1 ends */
    enum ki_lzw_result result;
    const char *text;
} code_rows[] = {
    {"no clear at the start", {'a', 'b', 257, -1}, KI_LZW_DONE, "ab"},
    {"clears in a row", {256, 256, 'a', 256, 'b', 257, -1}, KI_LZW_DONE, "ab"},
    {"the last run and its first byte", {256, 'a', 258, 259, 257, -1}, KI_LZW_DONE, "aaaaaa"},
    {"a run as first code", {256, 258, 257, -1}, KI_LZW_BROKEN, ""},
    {"that, without a clear", {258, 257, -1}, KI_LZW_BROKEN, ""},
    {"a run two ahead", {256, 'a', 259, 257, -1}, KI_LZW_BROKEN, ""},
    {"a run from before a clear", {256, 'a', 258, 256, 'b', 259, 257, -1}, KI_LZW_BROKEN, ""},
    {"end alone", {257, -1}, KI_LZW_DONE, ""},
    {"no end", {256, 'a', -1}, KI_LZW_BROKEN, ""},
    {"nothing", {-1}, KI_LZW_BROKEN, ""},
    {"anything after the end", {256, 'a', 257, 511, 511, -1}, KI_LZW_DONE, "a"},
};

static size_t put_codes(const int *codes)
{
    uint64_t bits = 0;
    unsigned count = 0;
    size_t len = 0;
    for (; *codes >= 0; codes++) {
        bits |= (uint64_t)*codes << count;
        for (count += 9; count >= 8; count -= 8, bits >>= 8)
            coded[len++] = (uint8_t)bits;
    }
    if (count > 0)
        coded[len++] = (uint8_t)bits;
    return len;
}

static void test_codes(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(code_rows); i++) {
        enum ki_lzw_result got = decode(put_codes(code_rows[i].codes), 100);
        if (got != code_rows[i].result)
            print_error("%s\n", code_rows[i].what);
        assert_int_equal(got, code_rows[i].result);
        if (got == KI_LZW_DONE) {
            assert_int_equal(decoder.out_len, strlen(code_rows[i].text));
            assert_memory_equal(output, code_rows[i].text, decoder.out_len);
        }
    }
}

/* ---- long, against Go's writer ---- */

static const struct {
    uint32_t alphabet;
    size_t len; /* also the generator's seed */
    size_t coded_len;
    uint64_t digest;
} long_rows[] = {
    /* clang-format off */
    {1, 2, 5, UINT64_C(0x44a67bd0cedf210e)},
    {1, 3, 5, UINT64_C(0xff835bd0a7c1b672)},
    {1, 32895, 291, UINT64_C(0x631ef14e23e24533)},
    {1, 32896, 291, UINT64_C(0xdd4a204d4711d7a9)},
    {1, 32897, 292, UINT64_C(0xf46aa84fafeb53e3)},
    {1, 300000, 941, UINT64_C(0xe965c3f3422f873f)},
    {1, 7361703, 5407, UINT64_C(0xe98b53141bc06f16)},
    {1, 7361704, 5407, UINT64_C(0x16b1517dcfaebe26)},
    {1, 7365540, 5410, UINT64_C(0x71d2feec1c24ed9e)},
    {2, 64, 31, UINT64_C(0x40ffd4b7dfd30c47)},
    {2, 1400, 295, UINT64_C(0x5a89498244d5edd3)},
    {2, 30000, 4649, UINT64_C(0xea2bd60bbfacebb8)},
    {2, 60000, 9288, UINT64_C(0xc3ef77cb8611d1d3)},
    {4, 64, 45, UINT64_C(0xe851a68564a6558f)},
    {4, 1400, 515, UINT64_C(0x6c2c5f82aeff94d3)},
    {4, 14000, 4258, UINT64_C(0x6c7c577e5049888f)},
    {4, 16000, 4807, UINT64_C(0xdd3383d366d54415)},
    {4, 20000, 6055, UINT64_C(0xac317c13ead22ae7)},
    {256, 2, 5, UINT64_C(0xaf26c22b526da75b)},
    {256, 3, 6, UINT64_C(0x4794b8ac29d2b74a)},
    {256, 255, 290, UINT64_C(0xbac75bc99b3d372f)},
    {256, 256, 291, UINT64_C(0x854d123b7e4e0659)},
    {256, 257, 290, UINT64_C(0xde5f1356d43d9a54)},
    {256, 510, 607, UINT64_C(0xbdf2d636096ddd41)},
    {256, 511, 606, UINT64_C(0x766eedeecc4f4370)},
    {256, 512, 611, UINT64_C(0x78317a3297d2de16)},
    {256, 766, 927, UINT64_C(0x8934cb75727bd1fb)},
    {256, 767, 925, UINT64_C(0x2d5fe4605bdda6cf)},
    {256, 1022, 1268, UINT64_C(0x387cc051c453c7e3)},
    {256, 1023, 1275, UINT64_C(0x72a073aa0467aaf5)},
    {256, 1024, 1276, UINT64_C(0xfec64d40d6a0d5fe)},
    {256, 1278, 1613, UINT64_C(0x8a0d49cb6242d5d2)},
    {256, 1790, 2301, UINT64_C(0x8be89911e880891e)},
    {256, 1791, 2310, UINT64_C(0x97ace7459dea8c97)},
    {256, 2047, 2683, UINT64_C(0xecc9265a11474e99)},
    {256, 3580, 4870, UINT64_C(0xed7a8b88bbe5dd20)},
    {256, 3835, 5254, UINT64_C(0xbcaa7499fb5b957f)},
    {256, 3836, 5263, UINT64_C(0xcb364178b7d16f8c)},
    {256, 3837, 5254, UINT64_C(0x2355a2399276281d)},
    {256, 3838, 5267, UINT64_C(0xfed6bf33593f6cd2)},
    {256, 3839, 5267, UINT64_C(0xd37dd319206e5c89)},
    {256, 3840, 5246, UINT64_C(0x380b4203de51e670)},
    {256, 3841, 5254, UINT64_C(0x7561c7940b261853)},
    {256, 4096, 5573, UINT64_C(0x899f9f82e6805119)},
    {256, 7674, 10497, UINT64_C(0xb013024bc2c4b9e6)},
    {256, 7675, 10463, UINT64_C(0x377e3035b30bd0b2)},
    {256, 7676, 10521, UINT64_C(0xa78cb9a496fb6eb0)},
    {256, 7677, 10487, UINT64_C(0xd5d16dbdbfe383b8)},
    {256, 20000, 27307, UINT64_C(0x6709cdc561d11ad8)},
    /* clang-format on */
};

static void test_long(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(long_rows); i++) {
        size_t len = long_rows[i].len;
        uint64_t lcg = lcg_start(len);
        lcg_fill(&lcg, long_rows[i].alphabet, input, len);
        size_t coded_len = encode(len);
        assert_int_equal(coded_len, long_rows[i].coded_len);
        assert_true(fnv(FNV_BASIS, coded, coded_len) == long_rows[i].digest);
        assert_int_equal(decode(coded_len, len), KI_LZW_DONE);
        assert_int_equal(decoder.out_len, len);
        assert_memory_equal(output, input, len);
        assert_int_equal(decode(coded_len - 1, len), KI_LZW_BROKEN);
    }
}

static const struct {
    uint32_t alphabet; /* also the generator's seed */
    uint64_t total;
    uint64_t digest;
} prefix_rows[] = {
    {256, 11177971, UINT64_C(0xda4fd8ca496c8d22)},
    {16, 5683970, UINT64_C(0x61ce3c752ef0de59)},
    {2, 1649903, UINT64_C(0x29165737713206a1)},
};

/* Every length up to one past the clear of an input without repetitions. */
static void test_every_length(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(prefix_rows); i++) {
        uint64_t lcg = lcg_start(prefix_rows[i].alphabet);
        uint64_t digest = FNV_BASIS;
        uint64_t total = 0;
        lcg_fill(&lcg, prefix_rows[i].alphabet, input, 4100);
        for (size_t len = 0; len <= 4100; len++) {
            size_t coded_len = encode(len);
            digest = fnv(digest, coded, coded_len);
            total += coded_len;
            assert_int_equal(decode(coded_len, len), KI_LZW_DONE);
            assert_int_equal(decoder.out_len, len);
            assert_memory_equal(output, input, len);
        }
        assert_true(total == prefix_rows[i].total);
        assert_true(digest == prefix_rows[i].digest);
    }
}

/* ---- damaged, against Go's reader ---- */

/* One digest over the verdict on each of 20,000 streams and the bytes of those that are whole. */
static void test_damaged(void **state)
{
    (void)state;
    static const uint32_t alphabets[] = {1, 2, 4, 16, 256};
    uint64_t digest = FNV_BASIS;
    uint32_t whole = 0;
    for (uint64_t seed = 0; seed < 20000; seed++) {
        uint64_t lcg = lcg_start(seed);
        uint32_t alphabet = alphabets[lcg_next(&lcg) % 5];
        size_t len = lcg_next(&lcg) % 600;
        if (lcg_next(&lcg) % 16 == 0)
            len = lcg_next(&lcg) % 9000;
        lcg_fill(&lcg, alphabet, input, len);
        size_t coded_len = encode(len);
        for (uint32_t flips = lcg_next(&lcg) % 4; flips > 0; flips--) {
            size_t at = lcg_next(&lcg) % coded_len;
            coded[at] ^= (uint8_t)(1 << lcg_next(&lcg) % 8);
        }
        uint32_t kind = lcg_next(&lcg) % 8;
        if (kind == 0)
            coded_len = lcg_next(&lcg) % coded_len;
        if (kind == 1)
            lcg_fill(&lcg, 256, coded, coded_len);
        uint8_t verdict = decode(coded_len, sizeof output) == KI_LZW_DONE;
        digest = fnv(digest, &verdict, 1);
        if (verdict)
            digest = fnv(digest, output, decoder.out_len);
        whole += verdict;
    }
    assert_int_equal(whole, 10533);
    assert_true(digest == UINT64_C(0x43f3280de4f222a1));
}

/* ---- a full table ---- */

/* Our encoder clears before the table is full; another may not, and then codes stay at 12 bits and
 * nothing is defined any more.  4095 is a run like any other then. */
static void test_full_table(void **state)
{
    (void)state;
    uint64_t bits = 0;
    unsigned count = 0;
    unsigned width = 9;
    uint32_t hi = 257;
    size_t len = 0;
    size_t want_len = 0;
    for (int i = 0; i < 5000; i++) {
        uint32_t code = i < 4500 ? (uint32_t)('a' + i % 20) : i < 4998 ? 4095 : i == 4998 ? 256 : 257;
        if (i == 4999)
            width = 9;
        bits |= (uint64_t)code << count;
        for (count += width; count >= 8; count -= 8, bits >>= 8)
            coded[len++] = (uint8_t)bits;
        want_len += i < 4500 ? 1 : i < 4998 ? 2 : 0;
        hi += hi < 4095;
        if (hi == 1u << width && width < 12)
            width++;
    }
    coded[len++] = (uint8_t)bits;
    assert_int_equal(decode(len, want_len), KI_LZW_DONE);
    assert_int_equal(decoder.out_len, want_len);
    for (size_t i = 0; i < 4500; i++)
        assert_int_equal(output[i], 'a' + i % 20);
    /* code number i, from 0, defines run 257 + i: the last byte before it and its own first */
    size_t last = 4095 - 257;
    for (size_t i = 4500; i < want_len; i += 2) {
        assert_int_equal(output[i], 'a' + (last - 1) % 20);
        assert_int_equal(output[i + 1], 'a' + last % 20);
    }
}

/* ---- slices and bombs ---- */

static void test_slices(void **state)
{
    (void)state;
    static const size_t slices[] = {1, 2, 7, 100, 3000};
    uint64_t lcg = lcg_start(5);
    size_t len = 20000;
    lcg_fill(&lcg, 4, input, len);
    size_t coded_len = encode(len);
    uint64_t digest = fnv(FNV_BASIS, coded, coded_len);
    for (size_t i = 0; i < KI_COUNT(slices); i++) {
        enum ki_lzw_result result;
        size_t calls = 0;
        ki_lzw_encoder_init(&encoder, input, len, coded, sizeof coded);
        do {
            size_t before = encoder.in_pos;
            result = ki_lzw_encode(&encoder, slices[i]);
            assert_true(encoder.in_pos - before <= slices[i] + 1);
            calls++;
        } while (result == KI_LZW_MORE);
        assert_int_equal(result, KI_LZW_DONE);
        assert_true(calls >= len / (slices[i] + 1));
        assert_int_equal(encoder.out_len, coded_len);
        assert_true(fnv(FNV_BASIS, coded, coded_len) == digest);
        ki_lzw_decoder_init(&decoder, coded, coded_len, output, len);
        calls = 0;
        do {
            size_t before = decoder.out_len;
            result = ki_lzw_decode(&decoder, slices[i]);
            assert_true(decoder.out_len - before <= slices[i] + 4096);
            calls++;
        } while (result == KI_LZW_MORE);
        assert_int_equal(result, KI_LZW_DONE);
        assert_true(calls >= len / (slices[i] + 4096));
        assert_int_equal(decoder.out_len, len);
        assert_memory_equal(output, input, len);
    }
}

/* 300,000 zeros are 941 bytes: the room given bounds what comes out, to the byte. */
static void test_bomb(void **state)
{
    (void)state;
    memset(input, 0, 300000);
    size_t coded_len = encode(300000);
    assert_int_equal(coded_len, 941);
    memset(output, 0xee, 300000);
    assert_int_equal(decode(coded_len, 65536), KI_LZW_FULL);
    assert_true(decoder.out_len <= 65536);
    assert_int_equal(output[65536], 0xee);
    assert_int_equal(decode(coded_len, 0), KI_LZW_FULL);
    assert_int_equal(decode(coded_len, 299999), KI_LZW_FULL);
    assert_int_equal(output[299999], 0xee);
    assert_int_equal(decode(coded_len, 300000), KI_LZW_DONE);
    assert_int_equal(output[299999], 0);
}

/* Clear codes give no output; a slice ends all the same. */
static void test_clears_end_a_slice(void **state)
{
    (void)state;
    uint64_t bits = 0;
    unsigned count = 0;
    size_t len = 0;
    for (int i = 0; i < 8000; i++) {
        bits |= (uint64_t)256 << count;
        for (count += 9; count >= 8; count -= 8, bits >>= 8)
            coded[len++] = (uint8_t)bits;
    }
    ki_lzw_decoder_init(&decoder, coded, len, output, 10);
    for (int calls = 0; calls < 80; calls++)
        assert_int_equal(ki_lzw_decode(&decoder, 100), KI_LZW_MORE);
    assert_int_equal(ki_lzw_decode(&decoder, 100), KI_LZW_BROKEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_short),       cmocka_unit_test(test_golden_ping),
        cmocka_unit_test(test_codes),       cmocka_unit_test(test_long),
        cmocka_unit_test(test_every_length), cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_full_table),  cmocka_unit_test(test_slices),
        cmocka_unit_test(test_bomb),        cmocka_unit_test(test_clears_end_a_slice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
