/* Keys are 16, 24 or 32 bytes in base64; the keyring file is Serf's: a JSON array of them, the first one seals.
 *
 * Decoded keys are overwritten before their memory is given back; the core keeps its own copy.  The text they came
 * from, or go to, is not: it stands in the argument list or the file as well.
 *
 * Not here: changing keys at run time (keys_agent.c). */
#include "agent/keys.h"
#include "agent/replace.h"

#include <errno.h>
#include <jansson.h>
#include <nettle/base64.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int ki_key_decode(const char *text, struct kith_key *out, char *error, size_t cap)
{
    struct base64_decode_ctx context;
    uint8_t bytes[BASE64_DECODE_LENGTH(128)];
    size_t len = sizeof bytes;
    base64_decode_init(&context);
    if (strlen(text) > 128 || !base64_decode_update(&context, &len, bytes, strlen(text), text) ||
        !base64_decode_final(&context)) {
        snprintf(error, cap, "the key is not base64");
        return -1;
    }
    if (len != 16 && len != 24 && len != 32) {
        snprintf(error, cap, "the key has %zu bytes; it must have 16, 24 or 32", len);
        explicit_bzero(bytes, sizeof bytes);
        return -1;
    }
    memset(out, 0, sizeof *out);
    memcpy(out->bytes, bytes, len);
    out->len = (uint8_t)len;
    explicit_bzero(bytes, sizeof bytes);
    return 0;
}

void ki_key_encode(const struct kith_key *key, char out[KI_KEY_TEXT])
{
    base64_encode_raw(out, key->len, key->bytes);
    out[BASE64_ENCODE_RAW_LENGTH(key->len)] = '\0';
}

static int keys_fill(struct ki_keyfile *out, const json_t *document, char *error, size_t cap)
{
    size_t i;
    json_t *item;
    char reason[128];
    json_array_foreach(document, i, item)
    {
        if (!json_is_string(item)) {
            snprintf(error, cap, "must be a JSON array of strings");
            return -1;
        }
        if (ki_key_decode(json_string_value(item), &out->keys[i], reason, sizeof reason) != 0) {
            snprintf(error, cap, "key %zu: %s", i + 1, reason);
            return -1;
        }
        out->count = i + 1;
    }
    return 0;
}

int ki_keyfile_load(struct ki_keyfile *out, const char *path, char *error, size_t cap)
{
    json_error_t why;
    char reason[192];
    size_t len;
    *out = (struct ki_keyfile){.keys = NULL};
    char *text = ki_read_file(path, &len);
    if (!text) {
        snprintf(error, cap, "keyring file %.200s: %s", path, strerror(errno));
        return -1;
    }
    json_t *document = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
    free(text);
    if (!document) {
        snprintf(error, cap, "keyring file %.200s, line %d: %.120s", path, why.line, why.text);
        return -1;
    }
    size_t count = json_array_size(document);
    int result = -1;
    snprintf(reason, sizeof reason, "must be a JSON array of at least one key");
    if (count > 0) {
        out->keys = calloc(count, sizeof *out->keys);
        if (out->keys)
            result = keys_fill(out, document, reason, sizeof reason);
        else
            snprintf(reason, sizeof reason, "out of memory");
    }
    json_decref(document);
    if (result != 0) {
        snprintf(error, cap, "keyring file %.200s: %s", path, reason);
        ki_keyfile_free(out);
    }
    return result;
}

static bool keys_append(json_t *document, const struct kith_key *key)
{
    char text[KI_KEY_TEXT];
    ki_key_encode(key, text);
    bool done = json_array_append_new(document, json_string(text)) == 0;
    explicit_bzero(text, sizeof text);
    return done;
}

int ki_keyfile_save(const struct ki_keyfile *keyring, const char *path, char *error, size_t cap)
{
    json_t *document = json_array();
    bool good = document != NULL;
    for (size_t i = 0; i < keyring->count && good; i++)
        good = keys_append(document, &keyring->keys[i]);
    char *text = good ? json_dumps(document, JSON_INDENT(2)) : NULL;
    int result = -1;
    json_decref(document);
    if (!text)
        snprintf(error, cap, "keyring file %.200s: out of memory", path);
    else if ((result = ki_replace_file(path, text, strlen(text))) != 0)
        snprintf(error, cap, "keyring file %.200s: %s", path, strerror(errno));
    free(text);
    return result;
}

void ki_keyfile_free(struct ki_keyfile *keyring)
{
    if (keyring->keys)
        explicit_bzero(keyring->keys, keyring->count * sizeof *keyring->keys);
    free(keyring->keys);
    *keyring = (struct ki_keyfile){.keys = NULL};
}
