/* kith keygen and kith version: what needs no agent.
 *
 * A key is 16, 24 or 32 bytes from the kernel's generator, in base64, as -encrypt and the keyring file
 * take it.  The second line of the version is Serf's: what its protocol numbers are, oldest and newest,
 * so that a script which looks for it in `serf version` finds it here. */
#include "cli/cli.h"

#include <string.h>
#include <sys/random.h>

#include <nettle/base64.h>

#include "kith/kith.h"

int ki_cmd_keygen(int argc, char **argv)
{
    uint32_t size = 32;
    bool json = false;
    const struct ki_flag flags[] = {
        {"size", KI_FLAG_UINT, &size, "32", "Bytes: 16, 24 or 32, for AES-128, -192 or -256."},
        {"json", KI_FLAG_BOOL, &json, NULL, "Print JSON."},
    };
    const struct ki_usage usage = {"keygen",
                                   "",
                                   "Makes a new random key for -encrypt, and prints it in base64.",
                                   flags,
                                   KI_COUNT(flags),
                                   0,
                                   0};
    int first;
    int code;
    if (!ki_flags_parse(&usage, argc, argv, &first, &code))
        return code;
    if (size != 16 && size != 24 && size != 32)
        return ki_usage_error(&usage, "key size must be 16, 24 or 32 bytes");
    uint8_t key[32];
    char text[BASE64_ENCODE_RAW_LENGTH(32) + 1];
    if (getrandom(key, size, 0) != (ssize_t)size) {
        perror("Error generating key");
        return KI_EXIT_FAILED;
    }
    base64_encode_raw(text, size, key);
    text[BASE64_ENCODE_RAW_LENGTH(size)] = '\0';
    if (json)
        return ki_json_print(json_pack("{s:s, s:i}", "key", text, "bytes", (int)size), 0);
    puts(text);
    return KI_EXIT_OK;
}

#define KEYGEN_PROTOCOL     5 /* Serf's agent protocol, what -protocol counts */
#define KEYGEN_PROTOCOL_MIN 2

int ki_cmd_version(int argc, char **argv)
{
    bool json = false;
    const struct ki_flag flags[] = {
        {"json", KI_FLAG_BOOL, &json, NULL, "Print JSON, with numbers as numbers."}};
    const struct ki_usage usage = {
        "version", "", "Prints the version of kith.", flags, KI_COUNT(flags), 0, 0};
    int first;
    int code;
    if (!ki_flags_parse(&usage, argc, argv, &first, &code))
        return code;
    if (json) {
        json_t *protocol =
            json_pack("{s:i, s:i}", "min", KEYGEN_PROTOCOL_MIN, "max", KEYGEN_PROTOCOL);
        return ki_json_print(
            json_pack("{s:s, s:o}", "version", kith_version(), "protocol", protocol), 0);
    }
    printf("kith %s\nAgent Protocol: %d (Understands back to: %d)\n", kith_version(),
           KEYGEN_PROTOCOL, KEYGEN_PROTOCOL_MIN);
    return KI_EXIT_OK;
}
