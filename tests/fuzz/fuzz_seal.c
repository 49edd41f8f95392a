/* Sealing: arbitrary bytes never open (nobody guesses a tag) and never break anything; the same bytes
 * sealed under a chosen key and version open again, whole and in slices; and a frame that a holder of
 * the key padded as it liked opens exactly when the padding is right.
 *
 *   choice:u8 (bit 0 version, bits 1-2 key, bit 3 associated data, bits 4-7 slice)  bytes
 *
 * With all four bits of the slice set the bytes are a story of the ring instead, checked against a list
 * of its keys: each adds, uses or removes one of 64, or takes a sealing job a step on, in bits 0-1.
 */
#include "wire/seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t fuzz_nonce[KI_NONCE_LEN] = {1, 2, 3};

struct fuzz_case {
    struct ki_keyring ring;
    struct ki_span aad1, aad2;
    uint8_t version;
    size_t slice;
};

/* The key that seals, and another. */
static void fuzz_keys(struct fuzz_case *c, size_t used)
{
    static const size_t lens[] = {16, 24, 32, 16};
    uint8_t key[32];
    for (size_t i = used; i < used + 2; i++) {
        memset(key, (int)(i % 4), sizeof key);
        KI_ASSERT(ki_keyring_add(&c->ring, key, lens[i % 4]) == 0);
    }
}

/* What the second key seals, the ring opens with it in second place. */
static void fuzz_swap_keys(struct fuzz_case *c)
{
    struct ki_span second = ki_keyring_key(&c->ring, 1);
    uint8_t key[32];
    memcpy(key, second.ptr, second.len);
    KI_ASSERT(ki_keyring_use(&c->ring, key, second.len));
}

/* Opens in one go and in slices, which must agree.  out has exactly in.len bytes. */
static bool fuzz_open(struct fuzz_case *c, struct ki_span in, uint8_t *out, size_t *len)
{
    bool opened = ki_open(&c->ring, c->aad1, c->aad2, in, out, len);
    uint8_t *sliced = malloc(in.len ? in.len : 1);
    struct ki_seal_job *job = ki_open_job_new(&c->ring, c->aad1, c->aad2, in, sliced);
    enum ki_seal_result result = KI_SEAL_MORE;
    size_t sliced_len = 0;
    KI_ASSERT(sliced && job);
    while (result == KI_SEAL_MORE)
        result = ki_seal_job_step(job, &c->ring, c->slice, &sliced_len);
    KI_ASSERT(opened == (result == KI_SEAL_DONE));
    KI_ASSERT(!opened || ki_span_equal(ki_span(out, *len), ki_span(sliced, sliced_len)));
    ki_seal_job_free(&c->ring, job);
    free(sliced);
    return opened;
}

static void fuzz_round_trip(struct fuzz_case *c, struct ki_span plain)
{
    size_t sealed_len = ki_sealed_len(c->version, plain.len);
    uint8_t *sealed = malloc(sealed_len);
    uint8_t *again = malloc(sealed_len);
    size_t len = 0;
    KI_ASSERT(sealed && again);
    ki_seal(&c->ring, c->version, fuzz_nonce, c->aad1, c->aad2, plain, sealed);
    struct ki_seal_job *job =
        ki_seal_job_new(&c->ring, c->version, fuzz_nonce, c->aad1, c->aad2, plain, again);
    enum ki_seal_result result = KI_SEAL_MORE;
    KI_ASSERT(job);
    while (result == KI_SEAL_MORE)
        result = ki_seal_job_step(job, &c->ring, c->slice, &len);
    KI_ASSERT(result == KI_SEAL_DONE);
    KI_ASSERT(ki_span_equal(ki_span(sealed, sealed_len), ki_span(again, len)));
    ki_seal_job_free(&c->ring, job);
    fuzz_swap_keys(c);
    KI_ASSERT(fuzz_open(c, ki_span(sealed, sealed_len), again, &len));
    KI_ASSERT(ki_span_equal(ki_span(again, len), plain));
    sealed[sealed_len - 1 - plain.len % sealed_len / 2] ^= 0x10;
    KI_ASSERT(!fuzz_open(c, ki_span(sealed, sealed_len), again, &len));
    free(again);
    free(sealed);
}

/* What version 0 should make of a plain text whose padding the sender chose. */
static bool fuzz_pad_is_right(struct ki_span plain)
{
    if (plain.len == 0 || plain.len % 16 != 0)
        return false;
    size_t pad = plain.ptr[plain.len - 1];
    bool right = pad >= 1 && pad <= 16;
    for (size_t i = 1; right && i <= pad; i++)
        right = plain.ptr[plain.len - i] == pad;
    return right;
}

static void fuzz_own_padding(struct fuzz_case *c, struct ki_span plain)
{
    size_t sealed_len = ki_sealed_len(1, plain.len);
    uint8_t *sealed = malloc(sealed_len);
    uint8_t *again = malloc(sealed_len);
    size_t len = 0;
    KI_ASSERT(sealed && again);
    ki_seal(&c->ring, 1, fuzz_nonce, c->aad1, c->aad2, plain, sealed);
    sealed[0] = 0; /* the tag does not cover the version */
    bool opened = fuzz_open(c, ki_span(sealed, sealed_len), again, &len);
    KI_ASSERT(opened == fuzz_pad_is_right(plain));
    KI_ASSERT(!opened || len == plain.len - plain.ptr[plain.len - 1]);
    free(again);
    free(sealed);
}

/* ---- the ring ---- */

struct fuzz_ring {
    struct ki_mem mem;
    struct ki_keyring ring;
    uint8_t keys[KI_KEYS_MAX]; /* their numbers, in order */
    size_t count;
    struct ki_seal_job *job;
    uint8_t job_key;
    bool job_doomed; /* its key was removed */
    uint8_t sealed[100 + KI_SEAL_OVERHEAD];
};

/* Key 63 is of a wrong length. */
static size_t fuzz_key_of(uint8_t number, uint8_t bytes[32])
{
    memset(bytes, number, 32);
    return number == 63 ? 17 : 16 + (size_t)number % 3 * 8;
}

static void fuzz_ring_add(struct fuzz_ring *f, uint8_t number, size_t at)
{
    uint8_t bytes[32];
    size_t len = fuzz_key_of(number, bytes);
    bool no_memory = number % 8 == 7; /* these are added while there is none */
    f->mem.max = no_memory ? f->mem.used + 1 : 0; /* 0 would be no limit */
    int want = number == 63 ? -1 : at < f->count ? 0 : f->count == KI_KEYS_MAX ? -2 : 0;
    if (want == 0 && at == f->count && no_memory)
        want = -3;
    KI_ASSERT(ki_keyring_add(&f->ring, bytes, len) == want);
    if (want == 0 && at == f->count)
        f->keys[f->count++] = number;
    f->mem.max = 0;
}

static void fuzz_ring_remove(struct fuzz_ring *f, uint8_t number, size_t at)
{
    uint8_t bytes[32];
    size_t len = fuzz_key_of(number, bytes);
    bool seals = at == 0 && f->count > 0;
    KI_ASSERT(ki_keyring_remove(&f->ring, bytes, len) == (seals ? -1 : 0));
    if (seals || at == f->count)
        return;
    f->count--;
    memmove(&f->keys[at], &f->keys[at + 1], f->count - at);
    f->job_doomed = f->job_doomed || (f->job && f->job_key == number);
}

static void fuzz_ring_job(struct fuzz_ring *f, uint8_t number)
{
    static const uint8_t plain[100] = {0};
    size_t len;
    if (f->count == 0)
        return;
    if (!f->job) {
        f->mem.max = number % 8 == 7 ? f->mem.used + 1 : 0;
        f->job = ki_seal_job_new(&f->ring, 1, fuzz_nonce, ki_span(NULL, 0), ki_span(NULL, 0),
                                 ki_span(plain, sizeof plain), f->sealed);
        KI_ASSERT(!f->job == (f->mem.max > 0));
        f->mem.max = 0;
        f->job_key = f->keys[0];
        f->job_doomed = false;
        return;
    }
    enum ki_seal_result result = ki_seal_job_step(f->job, &f->ring, number, &len);
    KI_ASSERT((result == KI_SEAL_FAILED) == f->job_doomed);
    KI_ASSERT(result != KI_SEAL_DONE || len == sizeof f->sealed);
    if (result != KI_SEAL_MORE) {
        ki_seal_job_free(&f->ring, f->job);
        f->job = NULL;
    }
}

static void fuzz_ring_story(struct ki_span story)
{
    struct fuzz_ring f = {0};
    ki_mem_init(&f.mem, NULL, NULL, NULL, 0);
    ki_keyring_init(&f.ring, &f.mem);
    for (size_t i = 0; i < story.len && i < 64; i++) {
        uint8_t bytes[32];
        uint8_t number = story.ptr[i] >> 2;
        size_t len = fuzz_key_of(number, bytes);
        size_t at = 0;
        while (at < f.count && f.keys[at] != number)
            at++;
        switch (story.ptr[i] & 3) {
        case 0:
            fuzz_ring_add(&f, number, at);
            break;
        case 1:
            KI_ASSERT(ki_keyring_use(&f.ring, bytes, len) == (at < f.count));
            if (at < f.count) {
                memmove(&f.keys[1], &f.keys[0], at);
                f.keys[0] = number;
            }
            break;
        case 2:
            fuzz_ring_remove(&f, number, at);
            break;
        default:
            fuzz_ring_job(&f, number);
            break;
        }
        KI_ASSERT(f.ring.count == f.count);
    }
    for (size_t i = 0; i < f.count; i++) {
        uint8_t bytes[32];
        size_t len = fuzz_key_of(f.keys[i], bytes);
        KI_ASSERT(ki_span_equal(ki_keyring_key(&f.ring, i), ki_span(bytes, len)));
    }
    ki_seal_job_free(&f.ring, f.job);
    ki_keyring_free(&f.ring);
    KI_ASSERT(f.mem.used == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct ki_mem mem;
    struct fuzz_case c = {.version = data[0] & 1, .slice = (size_t)(data[0] >> 4) * 16};
    struct ki_span body = ki_span(data + 1, size - 1);
    if (data[0] >> 4 == 15) {
        fuzz_ring_story(body);
        return 0;
    }
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_keyring_init(&c.ring, &mem);
    fuzz_keys(&c, data[0] >> 1 & 3);
    if (data[0] & 8) {
        c.aad1 = ki_span("\x0a\0\0\0\1", 5);
        c.aad2 = ki_span("label", 5);
    }
    uint8_t *out = malloc(body.len ? body.len : 1);
    size_t len;
    KI_ASSERT(out);
    KI_ASSERT(!fuzz_open(&c, body, out, &len));
    free(out);
    fuzz_round_trip(&c, body);
    fuzz_own_padding(&c, body);
    ki_keyring_free(&c.ring);
    KI_ASSERT(mem.used == 0);
    return 0;
}
