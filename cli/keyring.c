/* kith keys -install, -use, -remove, -list: the keys that the pool encrypts with, on all its members at once.
 *
 * The words are Serf's, and so is the order of a rotation: install the new key, use it, remove the old one.  Each is a query
 * to all members: the agent's answer counts those that answered and says what went wrong where.  It is a success only if
 * every member has answered and none has refused; whatever went wrong is on standard error, with --json in the document too.
 *
 * `kith keys` without one of these flags lists the keys of the store (store_keys.c): Serf's scripts and the store's users
 * both know their command by this name, and no flag of one is a flag of the other.
 *
 * Not here: what the answer is (key_answer.c); making a key (keygen.c), and checking one: the agent does. */
#include "cli/keyring.h"

#include <stdlib.h>
#include <string.h>

#include "cli/key_answer.h"

/* One of the four things that can be done. */
struct keyring_action {
    const char *flag;
    const char *command; /* of the RPC */
    const char *begins, *done;
    const char *failure;
};

static const struct keyring_action keyring_actions[] = {
    {"install", "install-key", "Installing key on all members...", "Successfully installed key!", "Error installing key"},
    {"use", "use-key", "Changing primary key on all members...", "Successfully changed primary key!",
     "Error changing primary key"},
    {"remove", "remove-key", "Removing key on all members...", "Successfully removed key!", "Error removing key"},
    {"list", "list-keys", "Asking all members for installed keys...", "Keys gathered, listing cluster keys...",
     "Failed to gather member keys"},
};
enum { KEYRING_LIST = KI_COUNT(keyring_actions) - 1 };

bool ki_keyring_asked(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (argv[i][0] != '-')
            continue;
        const char *name = argv[i] + (argv[i][1] == '-' ? 2 : 1);
        size_t len = strcspn(name, "=");
        for (size_t k = 0; k < KI_COUNT(keyring_actions); k++) {
            if (strlen(keyring_actions[k].flag) == len && memcmp(keyring_actions[k].flag, name, len) == 0)
                return true;
        }
    }
    return false;
}

/* ---- asking ---- */

/* Prints what came with a refusal or a success.  Of a success what members said is a warning. */
static int keyring_tell(const struct ki_rpc_client *client, const struct keyring_action *action, bool json,
                        const struct ki_key_answer *answer, bool done)
{
    bool list = action == &keyring_actions[KEYRING_LIST];
    int code = json ? ki_json_print(ki_key_answer_json(answer, action->flag, list), 0) : KI_EXIT_OK;
    fflush(stdout);
    ki_key_answer_print_messages(stderr, answer, done ? "warning:" : "failed:");
    if (!done)
        return ki_client_failed(client, KI_EXIT_FAILED, action->failure);
    if (json)
        return code;
    printf("==> %s\n", action->done);
    if (list)
        ki_key_answer_print_keys(stdout, answer);
    return code;
}

static int keyring_run(const struct ki_client_options *options, const struct keyring_action *action, const char *key)
{
    struct ki_rpc_client client;
    int code = ki_client_connect(&client, options);
    if (code != KI_EXIT_OK)
        return code;
    size_t cap = strlen(key) + 32;
    uint8_t *buf = malloc(cap);
    struct ki_pack body = ki_pack(buf, buf ? cap : 0, true);
    ki_pack_map(&body, 1);
    ki_pack_text(&body, "Key");
    ki_pack_text(&body, key);
    if (!options->json) {
        printf("==> %s\n", action->begins);
        fflush(stdout);
    }
    struct ki_key_answer answer = {.members = 0};
    struct ki_span object = {NULL, 0};
    bool list = action == &keyring_actions[KEYRING_LIST];
    bool done = ki_rpc_call(&client, action->command, list ? NULL : &body, KI_RPC_WAIT_LONG_MS, &object);
    if (!object.ptr) { /* refused before anybody was asked, or no answer at all */
        code = ki_client_failed(&client, KI_EXIT_FAILED, action->failure);
    } else if (!ki_key_answer_read(&answer, object)) {
        fprintf(stderr, "%s: the agent's answer is malformed\n", action->failure);
        code = KI_EXIT_FAILED;
    } else {
        code = keyring_tell(&client, action, options->json, &answer, done);
    }
    ki_key_answer_free(&answer);
    free(buf);
    ki_rpc_close(&client);
    return code;
}

int ki_cmd_keyring(int argc, char **argv)
{
    struct ki_client_options options = ki_client_options();
    const char *keys[KEYRING_LIST] = {"", "", ""}; /* in the order of the actions */
    bool list = false;
    const struct ki_flag flags[] = {
        {"install", KI_FLAG_TEXT, &keys[0], "key", "Install a key on all members: they can read with it from now on."},
        {"use", KI_FLAG_TEXT, &keys[1], "key", "Have all members encrypt with a key that is installed on each of them."},
        {"remove", KI_FLAG_TEXT, &keys[2], "key", "Remove a key from all members.  None of them may encrypt with it."},
        {"list", KI_FLAG_BOOL, &list, NULL, "List the keys, and how many members have each."},
        KI_JSON_FLAG(options),
        KI_CLIENT_FLAGS(options),
    };
    const struct ki_usage usage = {"keys", "", "Changes or lists the keys that the pool encrypts with.",
                                   flags, KI_COUNT(flags), 0, 0};
    int first, code;
    if (!ki_flags_parse(&usage, argc, argv, &first, &code))
        return code;
    size_t given = list ? 1 : 0, which = KEYRING_LIST;
    for (size_t i = 0; i < KEYRING_LIST; i++) {
        if (!keys[i][0])
            continue;
        given++;
        which = i;
    }
    if (given != 1)
        return ki_usage_error(&usage, "%s",
                              given > 1 ? "only one of -install, -use, -remove, or -list allowed"
                                        : "needs one of -install, -use, -remove, or -list");
    return keyring_run(&options, &keyring_actions[which], which < KEYRING_LIST ? keys[which] : "");
}
