/* Sealing, opening and the ring of keys.  AES-GCM itself is nettle's.
 *
 *   version:u8  nonce[12]  ciphertext  tag[16]          version 0: plain text padded to 16 (PKCS#7)
 *
 * There is one way to seal and one to open, both sliced: a datagram is a job on the stack that is
 * given all the time it wants.  A slice ends at a multiple of 16 bytes, where GCM can be interrupted.
 *
 * Nothing on the wire tells the key, so opening tries one after another; only the tag decides, and it
 * is compared in constant time.  Padding is looked at only after the tag fits, so it tells an
 * outsider nothing; it is checked whole, because a holder of the key may still be broken or hostile.
 *
 * A job names its keys by serial number and finds them in the ring at each step: a key removed
 * between two steps is gone, and another one that got its memory is not taken for it.
 *
 * Keys are wiped when they go, by a memset that is reached through a volatile pointer: the compiler
 * cannot know what it calls, so it may not leave the call out.
 *
 * Deliberately not here: nonces (the caller's generator), and replay protection, which the wire
 * format has no room for.
 */
#include "wire/seal.h"

#include <nettle/aes.h>
#include <nettle/gcm.h>
#include <nettle/memops.h>

enum {
    SEAL_HEAD = 1 + KI_NONCE_LEN,
    SEAL_BLOCK = 16,
    SEAL_VERSION_MAX = 1
};

struct ki_key {
    uint64_t serial;
    uint8_t bytes[32];
    size_t len;
    struct gcm_key hash;
    union {
        struct aes128_ctx aes128;
        struct aes192_ctx aes192;
        struct aes256_ctx aes256;
    } cipher;
    nettle_cipher_func *encrypt; /* of the cipher's length */
};

struct ki_seal_job {
    struct gcm_ctx gcm;
    const uint8_t *in; /* plain text, or ciphertext without head and tag */
    const uint8_t *tag; /* opening: the one that came */
    uint8_t *out; /* where the body goes: ciphertext or plain text */
    size_t len; /* of in */
    size_t pos; /* of it handled */
    uint64_t serials[KI_KEYS_MAX]; /* keys still to try, in order; sealing has one */
    size_t serial_count, serial_index;
    size_t aad_len;
    uint8_t aad[KI_AAD_MAX];
    uint8_t nonce[KI_NONCE_LEN];
    uint8_t version;
    bool is_opening;
    bool begun; /* with the present key */
};

static void seal_wipe(void *ptr, size_t len)
{
    void *(*volatile wipe)(void *, int, size_t) = memset;
    wipe(ptr, 0, len);
}

/* ---- ring ---- */

void ki_keyring_init(struct ki_keyring *ring, struct ki_mem *mem)
{
    *ring = (struct ki_keyring){.mem = mem, .next_serial = 1};
}

static void seal_free_key(struct ki_keyring *ring, struct ki_key *key)
{
    seal_wipe(key, sizeof *key);
    ki_mem_free(ring->mem, key);
}

void ki_keyring_free(struct ki_keyring *ring)
{
    for (size_t i = 0; i < ring->count; i++)
        seal_free_key(ring, ring->keys[i]);
    ring->count = 0;
}

/* Index of a key, or ring->count. */
static size_t seal_find(const struct ki_keyring *ring, const uint8_t *bytes, size_t len)
{
    size_t i = 0;
    while (i < ring->count &&
           !(ring->keys[i]->len == len && memeql_sec(ring->keys[i]->bytes, bytes, len)))
        i++;
    return i;
}

/* The casts to nettle's type of a cipher are how its own GCM_SET_KEY() does it. */
static void seal_expand(struct ki_key *key)
{
    switch (key->len) {
    case 16:
        aes128_set_encrypt_key(&key->cipher.aes128, key->bytes);
        key->encrypt = (nettle_cipher_func *)aes128_encrypt;
        break;
    case 24:
        aes192_set_encrypt_key(&key->cipher.aes192, key->bytes);
        key->encrypt = (nettle_cipher_func *)aes192_encrypt;
        break;
    default:
        aes256_set_encrypt_key(&key->cipher.aes256, key->bytes);
        key->encrypt = (nettle_cipher_func *)aes256_encrypt;
        break;
    }
    gcm_set_key(&key->hash, &key->cipher, key->encrypt);
}

int ki_keyring_add(struct ki_keyring *ring, const uint8_t *bytes, size_t len)
{
    if (len != 16 && len != 24 && len != 32)
        return -1;
    if (seal_find(ring, bytes, len) < ring->count)
        return 0;
    if (ring->count == KI_KEYS_MAX)
        return -2;
    struct ki_key *key = ki_mem_new(ring->mem, sizeof *key);
    if (!key)
        return -3;
    key->serial = ring->next_serial++;
    memcpy(key->bytes, bytes, len);
    key->len = len;
    seal_expand(key);
    ring->keys[ring->count++] = key;
    return 0;
}

bool ki_keyring_use(struct ki_keyring *ring, const uint8_t *bytes, size_t len)
{
    size_t at = seal_find(ring, bytes, len);
    if (at == ring->count)
        return false;
    struct ki_key *key = ring->keys[at];
    memmove(&ring->keys[1], &ring->keys[0], at * sizeof *ring->keys);
    ring->keys[0] = key;
    return true;
}

int ki_keyring_remove(struct ki_keyring *ring, const uint8_t *bytes, size_t len)
{
    size_t at = seal_find(ring, bytes, len);
    if (at == ring->count)
        return 0;
    if (at == 0)
        return -1;
    seal_free_key(ring, ring->keys[at]);
    ring->count--;
    memmove(&ring->keys[at], &ring->keys[at + 1], (ring->count - at) * sizeof *ring->keys);
    ring->keys[ring->count] = NULL;
    return 0;
}

struct ki_span ki_keyring_key(const struct ki_keyring *ring, size_t index)
{
    KI_ASSERT(index < ring->count);
    return ki_span(ring->keys[index]->bytes, ring->keys[index]->len);
}

/* ---- jobs ---- */

size_t ki_sealed_len(uint8_t version, size_t plain_len)
{
    KI_ASSERT(version <= SEAL_VERSION_MAX);
    size_t pad = version == 0 ? SEAL_BLOCK - plain_len % SEAL_BLOCK : 0;
    return plain_len + pad + KI_SEAL_OVERHEAD;
}

static void seal_set_aad(struct ki_seal_job *job, struct ki_span aad1, struct ki_span aad2)
{
    KI_ASSERT(aad1.len <= KI_AAD_MAX && aad2.len <= KI_AAD_MAX - aad1.len);
    if (aad1.len)
        memcpy(job->aad, aad1.ptr, aad1.len);
    if (aad2.len)
        memcpy(job->aad + aad1.len, aad2.ptr, aad2.len);
    job->aad_len = aad1.len + aad2.len;
}

static void seal_job_init(struct ki_seal_job *job, const struct ki_keyring *ring, uint8_t version,
                          const uint8_t nonce[KI_NONCE_LEN], struct ki_span plain, uint8_t *out)
{
    KI_ASSERT(ring->count > 0 && version <= SEAL_VERSION_MAX);
    out[0] = version;
    memcpy(out + 1, nonce, KI_NONCE_LEN);
    memcpy(job->nonce, nonce, KI_NONCE_LEN);
    job->in = plain.ptr;
    job->len = plain.len;
    job->out = out + SEAL_HEAD;
    job->tag = NULL;
    job->version = version;
    job->serials[0] = ring->keys[0]->serial;
    job->serial_count = 1;
    job->serial_index = 0;
    job->pos = 0;
    job->is_opening = false;
    job->begun = false;
}

static void open_job_init(struct ki_seal_job *job, const struct ki_keyring *ring,
                          struct ki_span in, uint8_t *out)
{
    job->serial_count = 0; /* no key to try: the job fails */
    job->serial_index = 0;
    job->pos = 0;
    job->out = out;
    job->is_opening = true;
    job->begun = false;
    if (in.len < KI_SEAL_OVERHEAD || in.ptr[0] > SEAL_VERSION_MAX)
        return;
    job->version = in.ptr[0];
    memcpy(job->nonce, in.ptr + 1, KI_NONCE_LEN);
    job->in = in.ptr + SEAL_HEAD;
    job->len = in.len - KI_SEAL_OVERHEAD;
    job->tag = job->in + job->len;
    if (job->version == 0 && (job->len == 0 || job->len % SEAL_BLOCK != 0))
        return;
    job->serial_count = ring->count;
    for (size_t i = 0; i < ring->count; i++)
        job->serials[i] = ring->keys[i]->serial;
}

/* The key the job works with now, or NULL: it is not in the ring any more. */
static const struct ki_key *seal_key(const struct ki_seal_job *job, const struct ki_keyring *ring)
{
    for (size_t i = 0; i < ring->count; i++) {
        if (ring->keys[i]->serial == job->serials[job->serial_index])
            return ring->keys[i];
    }
    return NULL;
}

static void seal_begin(struct ki_seal_job *job, const struct ki_key *key)
{
    if (job->begun)
        return;
    gcm_set_iv(&job->gcm, &key->hash, KI_NONCE_LEN, job->nonce);
    gcm_update(&job->gcm, &key->hash, job->aad_len, job->aad);
    job->begun = true;
}

/* How much to handle now: all that is left below len, or whole blocks of about a slice. */
static size_t seal_part(const struct ki_seal_job *job, size_t len, size_t slice)
{
    size_t left = len - job->pos;
    size_t whole = ki_min_size(slice, left) / SEAL_BLOCK * SEAL_BLOCK;
    return slice >= left ? left : whole > 0 ? whole : ki_min_size(left, SEAL_BLOCK);
}

static enum ki_seal_result seal_step(struct ki_seal_job *job, const struct ki_key *key,
                                     size_t slice, size_t *out_len)
{
    size_t tail = job->version == 0 ? job->len % SEAL_BLOCK : 0; /* goes with the padding */
    size_t body = job->len - tail;
    if (!key)
        return KI_SEAL_FAILED;
    seal_begin(job, key);
    size_t part = seal_part(job, body, slice);
    if (part > 0) {
        gcm_encrypt(&job->gcm, &key->hash, &key->cipher, key->encrypt, part, job->out + job->pos,
                    job->in + job->pos);
        job->pos += part;
    }
    if (job->pos < body)
        return KI_SEAL_MORE;
    if (job->version == 0) {
        uint8_t block[SEAL_BLOCK];
        memset(block, (int)(SEAL_BLOCK - tail), sizeof block);
        if (tail > 0)
            memcpy(block, job->in + body, tail);
        gcm_encrypt(&job->gcm, &key->hash, &key->cipher, key->encrypt, sizeof block,
                    job->out + body, block);
        body += sizeof block;
    }
    gcm_digest(&job->gcm, &key->hash, &key->cipher, key->encrypt, KI_TAG_LEN, job->out + body);
    *out_len = SEAL_HEAD + body + KI_TAG_LEN;
    return KI_SEAL_DONE;
}

/* The length without version 0's padding: 1 to 16 bytes that each say how many.  false: they do not. */
static bool seal_unpad(const uint8_t *plain, size_t *len)
{
    uint8_t pad = plain[*len - 1];
    if (pad == 0 || pad > SEAL_BLOCK)
        return false;
    for (size_t i = *len - pad; i < *len; i++) {
        if (plain[i] != pad)
            return false;
    }
    *len -= pad;
    return true;
}

static enum ki_seal_result open_step(struct ki_seal_job *job, const struct ki_key *key,
                                     size_t slice, size_t *out_len)
{
    bool fits = false;
    if (key) {
        seal_begin(job, key);
        size_t part = seal_part(job, job->len, slice);
        if (part > 0) {
            gcm_decrypt(&job->gcm, &key->hash, &key->cipher, key->encrypt, part,
                        job->out + job->pos, job->in + job->pos);
            job->pos += part;
        }
        if (job->pos < job->len)
            return KI_SEAL_MORE;
        uint8_t tag[KI_TAG_LEN];
        gcm_digest(&job->gcm, &key->hash, &key->cipher, key->encrypt, sizeof tag, tag);
        fits = memeql_sec(tag, job->tag, sizeof tag);
    }
    if (!fits) { /* the next key begins anew */
        job->begun = false;
        job->pos = 0;
        job->serial_index++;
        return job->serial_index < job->serial_count ? KI_SEAL_MORE : KI_SEAL_FAILED;
    }
    *out_len = job->len;
    if (job->version == 0 && !seal_unpad(job->out, out_len))
        return KI_SEAL_FAILED;
    return KI_SEAL_DONE;
}

enum ki_seal_result ki_seal_job_step(struct ki_seal_job *job, const struct ki_keyring *ring,
                                     size_t slice, size_t *out_len)
{
    *out_len = 0;
    if (job->serial_index >= job->serial_count)
        return KI_SEAL_FAILED;
    const struct ki_key *key = seal_key(job, ring);
    return job->is_opening ? open_step(job, key, slice, out_len)
                           : seal_step(job, key, slice, out_len);
}

/* ---- doors ---- */

void ki_seal(const struct ki_keyring *ring, uint8_t version, const uint8_t nonce[KI_NONCE_LEN],
             struct ki_span aad1, struct ki_span aad2, struct ki_span plain, uint8_t *out)
{
    struct ki_seal_job job;
    size_t len;
    seal_job_init(&job, ring, version, nonce, plain, out);
    seal_set_aad(&job, aad1, aad2);
    enum ki_seal_result result = ki_seal_job_step(&job, ring, SIZE_MAX, &len);
    KI_ASSERT(result == KI_SEAL_DONE);
}

bool ki_open(const struct ki_keyring *ring, struct ki_span aad1, struct ki_span aad2,
             struct ki_span in, uint8_t *out, size_t *out_len)
{
    struct ki_seal_job job;
    open_job_init(&job, ring, in, out);
    seal_set_aad(&job, aad1, aad2);
    enum ki_seal_result result = KI_SEAL_MORE;
    while (result == KI_SEAL_MORE)
        result = ki_seal_job_step(&job, ring, SIZE_MAX, out_len);
    return result == KI_SEAL_DONE;
}

struct ki_seal_job *ki_seal_job_new(const struct ki_keyring *ring, uint8_t version,
                                    const uint8_t nonce[KI_NONCE_LEN], struct ki_span aad1,
                                    struct ki_span aad2, struct ki_span plain, uint8_t *out)
{
    struct ki_seal_job *job = ki_mem_new(ring->mem, sizeof *job);
    if (!job)
        return NULL;
    seal_job_init(job, ring, version, nonce, plain, out);
    seal_set_aad(job, aad1, aad2);
    return job;
}

struct ki_seal_job *ki_open_job_new(const struct ki_keyring *ring, struct ki_span aad1,
                                    struct ki_span aad2, struct ki_span in, uint8_t *out)
{
    struct ki_seal_job *job = ki_mem_new(ring->mem, sizeof *job);
    if (!job)
        return NULL;
    open_job_init(job, ring, in, out);
    seal_set_aad(job, aad1, aad2);
    return job;
}

void ki_seal_job_free(struct ki_keyring *ring, struct ki_seal_job *job)
{
    if (!job)
        return;
    seal_wipe(job, sizeof *job); /* GCM's state shows some of the key stream */
    ki_mem_free(ring->mem, job);
}
