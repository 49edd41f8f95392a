/* kith keys -install, -use, -remove, -list: the keys that the pool encrypts with, on all its members at once.
 *
 * The words are Serf's, and so is the order of a rotation: install the new key, use it, remove the old one.  Each is a query
 * to all members: the agent's answer counts those that answered and says what went wrong where.  It is a success only if
 * every member has answered and none has refused; whatever went wrong is on standard error, with --json in the document too.
 *
 * `kith keys` without one of these flags lists the keys of the store (store_keys.c): Serf's scripts and the store's users
 * both know their command by this name, and no flag of one is a flag of the other.
 *
 * Not here: making a key (keygen.c), and checking one: the agent does. */
#include "cli/keyring.h"

#include <stdlib.h>
#include <string.h>

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

/* ---- the answer ---- */

struct keyring_pair {
    struct ki_span name; /* of a member, or a key in base64 */
    struct ki_span message;
    uint64_t count; /* members that have the key */
};

struct keyring_pairs {
    struct keyring_pair *items; /* sorted by name */
    size_t count;
};

struct keyring_reply {
    struct ki_span raw_messages, raw_keys;
    uint64_t members, errors, responses;
    struct keyring_pairs messages, keys;
};

static int keyring_order(const void *a, const void *b)
{
    const struct keyring_pair *left = a, *right = b;
    return ki_span_compare(left->name, right->name);
}

/* Reads a map of names and messages, or of names and numbers. */
static bool keyring_read_pairs(struct keyring_pairs *pairs, struct ki_span raw, bool numbers)
{
    uint32_t count = 0;
    struct ki_reader r = ki_reader(raw.ptr, raw.len);
    if (!raw.ptr) /* nil: none */
        return true;
    if (!ki_unpack_map(&r, &count))
        return false;
    if (count == 0)
        return true;
    pairs->items = calloc(count, sizeof *pairs->items);
    if (!pairs->items)
        return false;
    pairs->count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct keyring_pair *pair = &pairs->items[i];
        if (!ki_unpack_bytes(&r, &pair->name) || !(numbers ? ki_unpack_uint(&r, UINT64_MAX, &pair->count)
                                                           : ki_unpack_bytes(&r, &pair->message)))
            return false;
    }
    qsort(pairs->items, count, sizeof *pairs->items, keyring_order);
    return true;
}

static bool keyring_read(struct keyring_reply *out, struct ki_span object)
{
    static const struct ki_field fields[] = {
        KI_FIELD(struct keyring_reply, raw_messages, "Messages", KI_FIELD_RAW, 0, false),
        KI_FIELD(struct keyring_reply, raw_keys, "Keys", KI_FIELD_RAW, 0, false),
        KI_FIELD(struct keyring_reply, members, "NumNodes", KI_FIELD_U64, 0, false),
        KI_FIELD(struct keyring_reply, errors, "NumErr", KI_FIELD_U64, 0, false),
        KI_FIELD(struct keyring_reply, responses, "NumResp", KI_FIELD_U64, 0, false),
    };
    struct ki_reader r = ki_reader(object.ptr, object.len);
    return ki_unpack_struct(&r, fields, KI_COUNT(fields), out) &&
           keyring_read_pairs(&out->messages, out->raw_messages, false) &&
           keyring_read_pairs(&out->keys, out->raw_keys, true);
}

/* ---- printing ---- */

/* What members said, in Serf's columns.  Of a success it is a warning. */
static void keyring_print_messages(const struct keyring_pairs *messages, const char *title)
{
    size_t width = 0;
    for (size_t i = 0; i < messages->count; i++)
        width = ki_max_u64(width, ki_safe_width(messages->items[i].name));
    for (size_t i = 0; i < messages->count; i++) {
        const struct keyring_pair *pair = &messages->items[i];
        fprintf(stderr, "%s  ", title);
        ki_print_safe(stderr, pair->name);
        fprintf(stderr, "%*s  ", (int)(width - ki_safe_width(pair->name)), "");
        ki_print_safe(stderr, pair->message);
        putc('\n', stderr);
    }
}

static void keyring_print_keys(const struct keyring_reply *reply)
{
    size_t width = 0;
    for (size_t i = 0; i < reply->keys.count; i++)
        width = ki_max_u64(width, ki_safe_width(reply->keys.items[i].name));
    putchar('\n');
    for (size_t i = 0; i < reply->keys.count; i++) {
        const struct keyring_pair *pair = &reply->keys.items[i];
        ki_print_safe(stdout, pair->name);
        printf("%*s  [%llu/%llu]\n", (int)(width - ki_safe_width(pair->name)), "", (unsigned long long)pair->count,
               (unsigned long long)reply->members);
    }
}

static json_t *keyring_number(uint64_t number)
{
    return json_integer((json_int_t)ki_min_u64(number, INT64_MAX));
}

static int keyring_print_json(const struct keyring_action *action, const struct keyring_reply *reply)
{
    json_t *messages = json_object();
    for (size_t i = 0; i < reply->messages.count; i++)
        ki_json_set(messages, reply->messages.items[i].name, ki_json_bytes(reply->messages.items[i].message));
    json_t *document = json_pack("{s:s, s:o, s:o, s:o, s:o}", "action", action->flag, "members",
                                 keyring_number(reply->members), "responses", keyring_number(reply->responses), "errors",
                                 keyring_number(reply->errors), "messages", messages);
    if (action == &keyring_actions[KEYRING_LIST]) {
        json_t *keys = json_array();
        for (size_t i = 0; i < reply->keys.count; i++)
            json_array_append_new(keys, json_pack("{s:o, s:o}", "key", ki_json_bytes(reply->keys.items[i].name), "members",
                                                  keyring_number(reply->keys.items[i].count)));
        json_object_set_new(document, "keys", keys);
    }
    return ki_json_print(document, 0);
}

/* ---- asking ---- */

/* Prints what came with a refusal or a success. */
static int keyring_tell(const struct ki_rpc_client *client, const struct keyring_action *action, bool json,
                        const struct keyring_reply *reply, bool done)
{
    int code = json ? keyring_print_json(action, reply) : KI_EXIT_OK;
    fflush(stdout);
    keyring_print_messages(&reply->messages, done ? "warning:" : "failed:");
    if (!done)
        return ki_client_failed(client, KI_EXIT_FAILED, action->failure);
    if (json)
        return code;
    printf("==> %s\n", action->done);
    if (action == &keyring_actions[KEYRING_LIST])
        keyring_print_keys(reply);
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
    struct keyring_reply reply = {.members = 0};
    struct ki_span object = {NULL, 0};
    bool list = action == &keyring_actions[KEYRING_LIST];
    bool done = ki_rpc_call(&client, action->command, list ? NULL : &body, KI_RPC_WAIT_LONG_MS, &object);
    if (!object.ptr) { /* refused before anybody was asked, or no answer at all */
        code = ki_client_failed(&client, KI_EXIT_FAILED, action->failure);
    } else if (!keyring_read(&reply, object)) {
        fprintf(stderr, "%s: the agent's answer is malformed\n", action->failure);
        code = KI_EXIT_FAILED;
    } else {
        code = keyring_tell(&client, action, options->json, &reply, done);
    }
    free(reply.messages.items);
    free(reply.keys.items);
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
