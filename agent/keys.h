/* Secrets as users have them: base64, and the keyring file. */
#ifndef KI_AGENT_KEYS_H
#define KI_AGENT_KEYS_H

#include "kith/kith.h"

/* Reads one key.  Returns 0, or -1 and what is wrong. */
int ki_key_decode(const char *text, struct kith_key *out, char *error, size_t cap);

#define KI_KEY_TEXT 45 /* 32 bytes in base64, and a NUL */
void ki_key_encode(const struct kith_key *key, char out[KI_KEY_TEXT]);

struct ki_keyfile {
    struct kith_key *keys;
    size_t count;
};

/* Reads a JSON array of keys.  Returns 0, or -1 and what is wrong. */
int ki_keyfile_load(struct ki_keyfile *out, const char *path, char *error, size_t cap);
/* Writes one; the old file is replaced as a whole (agent/replace.h).  Returns 0, or -1 and what is wrong. */
int ki_keyfile_save(const struct ki_keyfile *keyring, const char *path, char *error, size_t cap);
/* Overwrites the secrets, too. */
void ki_keyfile_free(struct ki_keyfile *keyring);

#endif
