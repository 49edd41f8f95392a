/* AES-GCM sealing of datagrams and stream frames, and the ring of keys (PROTOCOL.md "encryption").
 *
 * Sealed form:  version:u8 (0 or 1)  nonce[12]  ciphertext  tag[16].  Version 0 pads the plain text by
 * PKCS#7 to 16 bytes inside the seal; version 1 does not.  keys[0] seals; each key is tried to open. */
#ifndef KI_SEAL_H
#define KI_SEAL_H

#include "base/base.h"
#include "base/mem.h"

#define KI_KEYS_MAX 32
#define KI_NONCE_LEN 12
#define KI_TAG_LEN 16
#define KI_SEAL_OVERHEAD 29     /* version 1: 1 + 12 + 16 */
#define KI_SEAL_OVERHEAD_MAX 45 /* version 0: and 1..16 bytes of padding */
#define KI_AAD_MAX 296          /* the longest label, and what binds a frame of a link: 41 bytes (a stream frame: 5) */

struct ki_key; /* one expanded key, about 4.5 KiB */

struct ki_keyring {
    struct ki_mem *mem;
    struct ki_key *keys[KI_KEYS_MAX];
    size_t count;
    uint64_t next_serial; /* each key added gets its own, so that a job knows its key again */
};

void ki_keyring_init(struct ki_keyring *ring, struct ki_mem *mem);
void ki_keyring_free(struct ki_keyring *ring); /* wipes the keys */
/* Adds at the end.  Returns 0 (also when already there), -1 bad length, -2 full, -3 no memory. */
int ki_keyring_add(struct ki_keyring *ring, const uint8_t *bytes, size_t len);
/* Makes an installed key the one that seals.  false: not installed. */
bool ki_keyring_use(struct ki_keyring *ring, const uint8_t *bytes, size_t len);
/* Removes and wipes a key.  Returns 0 (also when absent), -1 for the sealing key. */
int ki_keyring_remove(struct ki_keyring *ring, const uint8_t *bytes, size_t len);
struct ki_span ki_keyring_key(const struct ki_keyring *ring, size_t index);

/* Length of the sealed form of plain_len bytes. */
size_t ki_sealed_len(uint8_t version, size_t plain_len);

/* Seals in one go; the ring is not empty.  aad parts may be empty, and have at most KI_AAD_MAX bytes
 * together.  out must hold ki_sealed_len() bytes and not overlap plain. */
void ki_seal(const struct ki_keyring *ring, uint8_t version, const uint8_t nonce[KI_NONCE_LEN],
             struct ki_span aad1, struct ki_span aad2, struct ki_span plain, uint8_t *out);

/* Opens in one go.  out must hold in.len bytes and not overlap; what it holds after a failure is
 * meaningless.  false: no key fits, too short, version > 1, or bad padding. */
bool ki_open(const struct ki_keyring *ring, struct ki_span aad1, struct ki_span aad2,
             struct ki_span in, uint8_t *out, size_t *out_len);

/* The same in slices, for frames of megabytes.  aad spans are copied; plain / in and out must stay in
 * place.  NULL: no memory. */
struct ki_seal_job; /* allocated; holds the GCM state */
struct ki_seal_job *ki_seal_job_new(const struct ki_keyring *ring, uint8_t version,
                                    const uint8_t nonce[KI_NONCE_LEN], struct ki_span aad1,
                                    struct ki_span aad2, struct ki_span plain, uint8_t *out);
struct ki_seal_job *ki_open_job_new(const struct ki_keyring *ring, struct ki_span aad1,
                                    struct ki_span aad2, struct ki_span in, uint8_t *out);
enum ki_seal_result { KI_SEAL_MORE, KI_SEAL_DONE, KI_SEAL_FAILED };
/* Handles about slice bytes.  When DONE, *out_len is the length written to out.  The keys are those
 * the ring had when the job was made: a sealing key removed meanwhile makes the job fail, one for
 * opening is passed over; neither touches freed memory.  After any other result than MORE the job is
 * spent. */
enum ki_seal_result ki_seal_job_step(struct ki_seal_job *job, const struct ki_keyring *ring,
                                     size_t slice, size_t *out_len);
void ki_seal_job_free(struct ki_keyring *ring, struct ki_seal_job *job); /* NULL is fine */

#endif
