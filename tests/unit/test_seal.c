/* AES-GCM in the wire's frame: the protocol's golden vectors and the test cases of the GCM paper for
 * all key lengths, both ways; every damaged byte; the ring; jobs in slices and their keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/hex.h"
#include "wire/seal.h"

#define NOTHING ki_span(NULL, 0)

static struct ki_mem mem;
static struct ki_keyring ring;

static int setup(void **state)
{
    (void)state;
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_keyring_init(&ring, &mem);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ki_keyring_free(&ring);
    return mem.used == 0 ? 0 : -1;
}

static void add_key(const char *hex)
{
    uint8_t key[32];
    size_t len = hex_bytes(hex, key, sizeof key);
    assert_int_equal(ki_keyring_add(&ring, key, len), 0);
}

static void only_key(const char *hex)
{
    ki_keyring_free(&ring);
    ki_keyring_init(&ring, &mem);
    add_key(hex);
}

/* ---- vectors ---- */

#define GOLDEN_KEY "000102030405060708090a0b0c0d0e0f"
#define GOLDEN_NONCE "6465666768696a6b6c6d6e6f"
#define GOLDEN_PING "0082a44e6f6465a5616c706861a55365714e6f4d"
#define GOLDEN_CIPHER "1ae0eaebb466dd5ffa522778e76f788941c617b2"
#define GCM_KEY "feffe9928665731c6d6a8f9467308308"
#define GCM_NONCE "cafebabefacedbaddecaf888"
#define GCM_PLAIN                                                                                  \
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"                             \
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
#define ZERO16 "00000000000000000000000000000000"

static const struct {
    const char *what;
    const char *key, *nonce;
    const char *aad1, *aad2;
    uint8_t version;
    const char *plain, *body, *tag; /* body: the ciphertext */
} vectors[] = {
    {"udp v1", GOLDEN_KEY, GOLDEN_NONCE, "", "", 1, GOLDEN_PING, GOLDEN_CIPHER,
     "faa3fac511ae939f714e6639fe44b139"},
    {"udp v0", GOLDEN_KEY, GOLDEN_NONCE, "", "", 0, GOLDEN_PING,
     GOLDEN_CIPHER "9ea5d156f863bd9bb0fefbff", "5d11c62984b2033a91ef8724580018b6"},
    {"tcp v1", GOLDEN_KEY, GOLDEN_NONCE, "0a00000031", "", 1, GOLDEN_PING, GOLDEN_CIPHER,
     "bd4980cad3b71477b934b60d07eca0d8"},
    {"udp v1, label", GOLDEN_KEY, GOLDEN_NONCE, "6c616231", "", 1, GOLDEN_PING, GOLDEN_CIPHER,
     "d58be5ebb2479392b94775a76a022913"},
    {"the label second", GOLDEN_KEY, GOLDEN_NONCE, "", "6c616231", 1, GOLDEN_PING, GOLDEN_CIPHER,
     "d58be5ebb2479392b94775a76a022913"},
    /* McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B (those with 96-bit IVs) */
    {"case 1", ZERO16, "000000000000000000000000", "", "", 1, "", "",
     "58e2fccefa7e3061367f1d57a4e7455a"},
    {"case 2", ZERO16, "000000000000000000000000", "", "", 1, ZERO16,
     "0388dace60b6a392f328c2b971b2fe78", "ab6e47d42cec13bdf53a67b21257bddf"},
    {"case 4", GCM_KEY, GCM_NONCE, "feedfacede", "adbeeffeedfacedeadbeefabaddad2", 1, GCM_PLAIN,
     "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
     "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
     "5bc94fbc3221a5db94fae95ae7121a47"},
    {"case 7", ZERO16 "0000000000000000", "000000000000000000000000", "", "", 1, "", "",
     "cd33b28ac773f74ba00ed1f312572435"},
    {"case 8", ZERO16 "0000000000000000", "000000000000000000000000", "", "", 1, ZERO16,
     "98e7247c07f0fe411c267e4384b0f600", "2ff58d80033927ab8ef4d4587514f0fb"},
    {"case 10", GCM_KEY "feffe9928665731c", GCM_NONCE, "feedfacede",
     "adbeeffeedfacedeadbeefabaddad2", 1, GCM_PLAIN,
     "3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c"
     "7d773d00c144c525ac619d18c84a3f4718e2448b2fe324d9ccda2710",
     "2519498e80f1478f37ba55bd6d27618c"},
    {"case 13", ZERO16 ZERO16, "000000000000000000000000", "", "", 1, "", "",
     "530f8afbc74536b9a963b4f1c4cb738b"},
    {"case 14", ZERO16 ZERO16, "000000000000000000000000", "", "", 1, ZERO16,
     "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919"},
    {"case 16", GCM_KEY GCM_KEY, GCM_NONCE, "feedfacede", "adbeeffeedfacedeadbeefabaddad2", 1,
     GCM_PLAIN,
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
     "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
     "76fc6ece0f4e1768cddf8853bb2d551b"},
};

/* A vector's sealed form; returns its length. */
static size_t sealed_of(size_t i, uint8_t *out, size_t cap)
{
    out[0] = vectors[i].version;
    size_t len = 1;
    len += hex_bytes(vectors[i].nonce, out + len, cap - len);
    len += hex_bytes(vectors[i].body, out + len, cap - len);
    return len + hex_bytes(vectors[i].tag, out + len, cap - len);
}

static void test_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(vectors); i++) {
        uint8_t plain[128], want[128], got[128], nonce[KI_NONCE_LEN], aad1[32], aad2[32];
        struct ki_span in = ki_span(plain, hex_bytes(vectors[i].plain, plain, sizeof plain));
        struct ki_span a1 = ki_span(aad1, hex_bytes(vectors[i].aad1, aad1, sizeof aad1));
        struct ki_span a2 = ki_span(aad2, hex_bytes(vectors[i].aad2, aad2, sizeof aad2));
        size_t want_len = sealed_of(i, want, sizeof want);
        size_t len = 99;
        print_message("%s\n", vectors[i].what);
        hex_bytes(vectors[i].nonce, nonce, sizeof nonce);
        only_key(vectors[i].key);
        assert_int_equal(ki_sealed_len(vectors[i].version, in.len), want_len);
        ki_seal(&ring, vectors[i].version, nonce, a1, a2, in, got);
        assert_memory_equal(got, want, want_len);
        assert_true(ki_open(&ring, a1, a2, ki_span(want, want_len), got, &len));
        assert_int_equal(len, in.len);
        assert_memory_equal(got, plain, len);
        /* other associated data does not open it */
        assert_false(ki_open(&ring, ki_span("lab2", 4), a2, ki_span(want, want_len), got, &len));
        assert_int_equal(len, 0);
    }
}

static void test_every_damaged_bit(void **state)
{
    (void)state;
    uint8_t sealed[128], got[128];
    size_t len;
    only_key(GOLDEN_KEY);
    for (size_t i = 0; i < 2; i++) { /* both versions */
        size_t sealed_len = sealed_of(i, sealed, sizeof sealed);
        for (size_t bit = 0; bit < sealed_len * 8; bit++) {
            sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
            bool opened = ki_open(&ring, NOTHING, NOTHING, ki_span(sealed, sealed_len), got, &len);
            sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
            /* the version is not authenticated: a padded text read as version 1 opens with its padding */
            bool other_version = bit == 0 && vectors[i].version == 0;
            assert_int_equal(opened, other_version);
        }
        for (size_t cut = 0; cut < sealed_len; cut++)
            assert_false(ki_open(&ring, NOTHING, NOTHING, ki_span(sealed, cut), got, &len));
        assert_true(ki_open(&ring, NOTHING, NOTHING, ki_span(sealed, sealed_len), got, &len));
    }
}

/* ---- version 0 ---- */

static const struct {
    const char *plain; /* as a holder of the key sealed it: with padding of its own making */
    bool opens;
    size_t len;
} pad_rows[] = {
    {"aabbccddeeff00112233445566778801", true, 15},
    {"aabbccddeeff0011223344556677" "0202", true, 14},
    {"aa0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f", true, 1},
    {"10101010101010101010101010101010", true, 0},
    {ZERO16 "10101010101010101010101010101010", true, 16},
    {"aabbccddeeff00112233445566778800", false, 0}, /* no padding */
    {"aabbccddeeff00112233445566778811", false, 0}, /* more than a block */
    {"aabbccddeeff001122334455667788ff", false, 0}, /* more than there is */
    {"aabbccddeeff00112233445566770102", false, 0}, /* not all alike */
    {"00101010101010101010101010101010", false, 0},
    {ZERO16 "10101010101010101010101010101011", false, 0},
    {"aabbccddeeff001122334455667701", false, 0}, /* not whole blocks */
    {"01", false, 0},
    {"", false, 0},
};

static void test_padding_is_checked(void **state)
{
    (void)state;
    uint8_t plain[64], sealed[128], got[128];
    static const uint8_t nonce[KI_NONCE_LEN] = {0};
    add_key(GOLDEN_KEY);
    for (size_t i = 0; i < KI_COUNT(pad_rows); i++) {
        size_t len = hex_bytes(pad_rows[i].plain, plain, sizeof plain);
        size_t sealed_len = ki_sealed_len(1, len);
        size_t got_len = 99;
        ki_seal(&ring, 1, nonce, NOTHING, NOTHING, ki_span(plain, len), sealed);
        sealed[0] = 0; /* version 0 with exactly this plain text: the tag does not cover the version */
        bool opened =
            ki_open(&ring, NOTHING, NOTHING, ki_span(sealed, sealed_len), got, &got_len);
        assert_int_equal(opened, pad_rows[i].opens);
        if (opened) {
            assert_int_equal(got_len, pad_rows[i].len);
            assert_memory_equal(got, plain, got_len);
        }
    }
}

static void test_every_length_both_versions(void **state)
{
    (void)state;
    uint8_t plain[100], sealed[200], got[200];
    static const uint8_t nonce[KI_NONCE_LEN] = {7};
    add_key(GCM_KEY GCM_KEY);
    for (size_t i = 0; i < sizeof plain; i++)
        plain[i] = (uint8_t)(i * 3);
    for (size_t len = 0; len <= sizeof plain; len++) {
        for (uint8_t version = 0; version <= 1; version++) {
            size_t sealed_len = ki_sealed_len(version, len);
            size_t want = len + 29 + (version == 0 ? 16 - len % 16 : 0);
            size_t got_len;
            assert_int_equal(sealed_len, want);
            memset(sealed, 0xee, sizeof sealed);
            ki_seal(&ring, version, nonce, NOTHING, NOTHING, ki_span(plain, len), sealed);
            assert_int_equal(sealed[sealed_len], 0xee);
            assert_true(
                ki_open(&ring, NOTHING, NOTHING, ki_span(sealed, sealed_len), got, &got_len));
            assert_int_equal(got_len, len);
            assert_memory_equal(got, plain, len);
        }
    }
}

/* ---- ring ---- */

static void test_ring(void **state)
{
    (void)state;
    uint8_t key[33];
    for (size_t len = 0; len <= sizeof key; len++) {
        memset(key, (int)len, sizeof key);
        bool right = len == 16 || len == 24 || len == 32;
        assert_int_equal(ki_keyring_add(&ring, key, len), right ? 0 : -1);
    }
    assert_int_equal(ring.count, 3);
    memset(key, 24, sizeof key);
    assert_int_equal(ki_keyring_add(&ring, key, 24), 0); /* there already */
    assert_int_equal(ring.count, 3);
    assert_false(ki_keyring_use(&ring, key, 16)); /* a prefix is another key */
    assert_true(ki_keyring_use(&ring, key, 24));
    static const size_t order[] = {24, 16, 32};
    for (size_t i = 0; i < 3; i++) {
        memset(key, (int)order[i], sizeof key);
        assert_true(ki_span_equal(ki_keyring_key(&ring, i), ki_span(key, order[i])));
    }
    memset(key, 24, sizeof key);
    assert_int_equal(ki_keyring_remove(&ring, key, 24), -1); /* it seals */
    assert_int_equal(ki_keyring_remove(&ring, key, 16), 0);  /* not there */
    memset(key, 16, sizeof key);
    assert_int_equal(ki_keyring_remove(&ring, key, 16), 0);
    assert_int_equal(ring.count, 2);
    assert_int_equal(ki_keyring_key(&ring, 1).len, 32);
    for (size_t i = ring.count; i < KI_KEYS_MAX; i++) {
        memset(key, (int)(100 + i), sizeof key);
        assert_int_equal(ki_keyring_add(&ring, key, 32), 0);
    }
    memset(key, 99, sizeof key);
    assert_int_equal(ki_keyring_add(&ring, key, 32), -2);
    memset(key, 101 + 5, sizeof key);
    assert_int_equal(ki_keyring_add(&ring, key, 32), 0); /* full, but it is there */
    assert_int_equal(ring.count, KI_KEYS_MAX);
    mem.max = mem.used;
    memset(key, 106, sizeof key);
    assert_int_equal(ki_keyring_remove(&ring, key, 32), 0);
    mem.max = mem.used;
    assert_int_equal(ki_keyring_add(&ring, key, 32), -3);
    assert_int_equal(ring.count, KI_KEYS_MAX - 1);
}

static void test_any_key_opens(void **state)
{
    (void)state;
    static const char *const keys[] = {GOLDEN_KEY, GCM_KEY, GCM_KEY "feffe9928665731c",
                                       GCM_KEY GCM_KEY};
    uint8_t sealed[KI_COUNT(keys)][64], got[64], key[32];
    static const uint8_t nonce[KI_NONCE_LEN] = {1, 2, 3};
    size_t sealed_len = ki_sealed_len(1, 5), len;
    for (size_t i = 0; i < KI_COUNT(keys); i++) {
        only_key(keys[i]);
        ki_seal(&ring, 1, nonce, NOTHING, NOTHING, ki_span("hello", 5), sealed[i]);
    }
    for (size_t i = 0; i + 1 < KI_COUNT(keys); i++) /* the last is the only one at first */
        add_key(keys[i]);
    for (size_t i = 0; i < KI_COUNT(keys); i++) {
        len = 0;
        assert_true(ki_open(&ring, NOTHING, NOTHING, ki_span(sealed[i], sealed_len), got, &len));
        assert_int_equal(len, 5);
        assert_memory_equal(got, "hello", 5);
    }
    /* the one in use seals; a removed one opens nothing any more */
    assert_true(ki_keyring_use(&ring, key, hex_bytes(keys[1], key, sizeof key)));
    ki_seal(&ring, 1, nonce, NOTHING, NOTHING, ki_span("hello", 5), got);
    assert_memory_equal(got, sealed[1], sealed_len);
    assert_int_equal(ki_keyring_remove(&ring, key, hex_bytes(keys[3], key, sizeof key)), 0);
    assert_false(ki_open(&ring, NOTHING, NOTHING, ki_span(sealed[3], sealed_len), got, &len));
    ki_keyring_free(&ring);
    assert_false(ki_open(&ring, NOTHING, NOTHING, ki_span(sealed[1], sealed_len), got, &len));
}

/* A key is wiped before its memory goes back: the hook looks. */
static bool saw_key;

static void watching_release(void *arg, void *ptr)
{
    const uint8_t *wanted = arg;
    const uint64_t *size = ptr; /* every block starts with its size */
    const uint8_t *bytes = ptr;
    for (size_t at = 16; at + 16 <= *size; at++)
        saw_key = saw_key || memcmp(bytes + at, wanted, 16) == 0;
    free(ptr);
}

static void *plain_resize(void *arg, void *ptr, size_t size)
{
    (void)arg;
    return realloc(ptr, size);
}

static void test_keys_are_wiped(void **state)
{
    (void)state;
    uint8_t first[16], second[16];
    struct ki_mem watched;
    memset(first, 0x5a, sizeof first);
    memset(second, 0xa5, sizeof second);
    for (int how = 0; how < 3; how++) {
        struct ki_keyring own;
        ki_mem_init(&watched, plain_resize, watching_release, how == 2 ? second : first, 0);
        ki_keyring_init(&own, &watched);
        assert_int_equal(ki_keyring_add(&own, first, 16), 0);
        assert_int_equal(ki_keyring_add(&own, second, 16), 0);
        saw_key = false;
        if (how == 0) { /* canary: the hook does see a key that was not wiped */
            ki_mem_free(&watched, ki_mem_copy(&watched, first, 16));
            assert_true(saw_key);
            saw_key = false;
        } else if (how == 2) {
            assert_int_equal(ki_keyring_remove(&own, second, 16), 0);
            assert_false(saw_key);
        }
        ki_keyring_free(&own);
        assert_false(saw_key);
        assert_int_equal(watched.used, 0);
    }
}

/* ---- jobs ---- */

static uint8_t large[100003];
static uint8_t large_sealed[sizeof large + KI_SEAL_OVERHEAD_MAX];
static uint8_t large_again[sizeof large_sealed];

static enum ki_seal_result run_job(struct ki_seal_job *job, size_t slice, size_t *len, size_t *calls)
{
    enum ki_seal_result result = KI_SEAL_MORE;
    assert_non_null(job);
    for (*calls = 0; result == KI_SEAL_MORE; (*calls)++)
        result = ki_seal_job_step(job, &ring, slice, len);
    ki_seal_job_free(&ring, job);
    return result;
}

static void test_jobs_do_as_one_go(void **state)
{
    (void)state;
    static const size_t lens[] = {0, 1, 15, 16, 17, 4096, 100003};
    static const size_t slices[] = {0, 1, 16, 100, 4096, 99999, SIZE_MAX};
    static const uint8_t nonce[KI_NONCE_LEN] = {9};
    struct ki_span head = ki_span("\x0a\0\1\2\3", 5), label = ki_span("lab1", 4);
    for (size_t i = 0; i < sizeof large; i++)
        large[i] = (uint8_t)(i ^ i >> 8);
    add_key(GOLDEN_KEY);
    add_key(GCM_KEY GCM_KEY);
    for (size_t n = 0; n < KI_COUNT(lens) * KI_COUNT(slices) * 2; n++) {
        uint8_t version = n % 2;
        size_t slice = slices[n / 2 % KI_COUNT(slices)];
        struct ki_span in = ki_span(large, lens[n / 2 / KI_COUNT(slices)]);
        size_t want_len = ki_sealed_len(version, in.len), len, calls;
        ki_seal(&ring, version, nonce, head, label, in, large_sealed);
        struct ki_seal_job *job =
            ki_seal_job_new(&ring, version, nonce, head, label, in, large_again);
        assert_int_equal(run_job(job, slice, &len, &calls), KI_SEAL_DONE);
        assert_int_equal(len, want_len);
        assert_memory_equal(large_again, large_sealed, len);
        size_t step = slice < 16 ? 16 : slice;
        assert_true(calls > in.len / step / 2 && calls <= in.len / (step / 16 * 16) + 1);

        struct ki_span sealed = ki_span(large_sealed, want_len);
        job = ki_open_job_new(&ring, head, label, sealed, large_again);
        assert_int_equal(run_job(job, slice, &len, &calls), KI_SEAL_DONE);
        assert_int_equal(len, in.len);
        assert_memory_equal(large_again, large, len);
        large_sealed[want_len - 1] ^= 1;
        job = ki_open_job_new(&ring, head, label, sealed, large_again);
        assert_int_equal(run_job(job, slice, &len, &calls), KI_SEAL_FAILED);
        assert_int_equal(len, 0);
    }
}

static void test_job_of_a_malformed_frame(void **state)
{
    (void)state;
    uint8_t sealed[45] = {2}, out[45];
    size_t len, calls;
    add_key(GOLDEN_KEY);
    for (size_t size = 0; size <= sizeof sealed; size++) {
        struct ki_seal_job *job =
            ki_open_job_new(&ring, NOTHING, NOTHING, ki_span(sealed, size), out);
        assert_int_equal(run_job(job, 100, &len, &calls), KI_SEAL_FAILED);
        assert_int_equal(calls, 1);
    }
}

/* A sealing job whose key goes away fails; its memory may even serve another key by then. */
static void test_key_removed_under_a_seal(void **state)
{
    (void)state;
    static const uint8_t nonce[KI_NONCE_LEN] = {0};
    uint8_t key[32];
    size_t len;
    add_key(GOLDEN_KEY);
    add_key(GCM_KEY);
    struct ki_seal_job *job =
        ki_seal_job_new(&ring, 1, nonce, NOTHING, NOTHING, ki_span(large, 1000), large_sealed);
    assert_int_equal(ki_seal_job_step(job, &ring, 100, &len), KI_SEAL_MORE);
    assert_true(ki_keyring_use(&ring, key, hex_bytes(GCM_KEY, key, sizeof key)));
    assert_int_equal(ki_seal_job_step(job, &ring, 100, &len), KI_SEAL_MORE); /* still installed */
    assert_int_equal(ki_keyring_remove(&ring, key, hex_bytes(GOLDEN_KEY, key, sizeof key)), 0);
    add_key(GOLDEN_KEY); /* the same bytes, but the state's key is gone */
    assert_int_equal(ki_seal_job_step(job, &ring, 100, &len), KI_SEAL_FAILED);
    assert_int_equal(len, 0);
    ki_seal_job_free(&ring, job);
    ki_seal_job_free(&ring, NULL);
}

/* An opening job goes on with the keys that are left, and takes none that came later. */
static void test_keys_change_under_an_open(void **state)
{
    (void)state;
    static const uint8_t nonce[KI_NONCE_LEN] = {0};
    for (int which = 0; which < 3; which++) {
        uint8_t key[32];
        size_t len, calls;
        only_key(which == 1 ? GCM_KEY : GCM_KEY GCM_KEY);
        ki_seal(&ring, 1, nonce, NOTHING, NOTHING, ki_span(large, 1000), large_sealed);
        only_key(ZERO16);
        add_key(GOLDEN_KEY);
        add_key(GCM_KEY);
        if (which == 2)
            add_key(GCM_KEY GCM_KEY);
        struct ki_seal_job *job = ki_open_job_new(
            &ring, NOTHING, NOTHING, ki_span(large_sealed, ki_sealed_len(1, 1000)), large_again);
        /* one key tried in vain, half of the frame with the next: then that one goes */
        assert_int_equal(ki_seal_job_step(job, &ring, 1000, &len), KI_SEAL_MORE);
        assert_int_equal(ki_seal_job_step(job, &ring, 500, &len), KI_SEAL_MORE);
        hex_bytes(GOLDEN_KEY, key, sizeof key);
        assert_int_equal(ki_keyring_remove(&ring, key, 16), 0);
        if (which == 2) { /* and the one after it */
            hex_bytes(GCM_KEY, key, sizeof key);
            assert_int_equal(ki_keyring_remove(&ring, key, 16), 0);
        }
        if (which == 0)
            add_key(GCM_KEY GCM_KEY); /* would open it, but was not there */
        assert_int_equal(run_job(job, 300, &len, &calls),
                         which == 0 ? KI_SEAL_FAILED : KI_SEAL_DONE);
        if (which > 0) {
            assert_int_equal(len, 1000);
            assert_memory_equal(large_again, large, len);
        }
    }
}

static void test_no_memory_for_a_job(void **state)
{
    (void)state;
    static const uint8_t nonce[KI_NONCE_LEN] = {0};
    add_key(GOLDEN_KEY);
    mem.max = mem.used;
    assert_null(
        ki_seal_job_new(&ring, 1, nonce, NOTHING, NOTHING, ki_span(large, 10), large_sealed));
    assert_null(ki_open_job_new(&ring, NOTHING, NOTHING, ki_span(large, 60), large_sealed));
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        ROW(test_vectors),
        ROW(test_every_damaged_bit),
        ROW(test_padding_is_checked),
        ROW(test_every_length_both_versions),
        ROW(test_ring),
        ROW(test_any_key_opens),
        ROW(test_keys_are_wiped),
        ROW(test_jobs_do_as_one_go),
        ROW(test_job_of_a_malformed_frame),
        ROW(test_key_removed_under_a_seal),
        ROW(test_keys_change_under_an_open),
        ROW(test_no_memory_for_a_job),
    };
#undef ROW
    return cmocka_run_group_tests(tests, NULL, NULL);
}
