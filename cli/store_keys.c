/* kith get, set, del, incr, keys: the store from a shell.
 *
 * A value is any bytes.  A terminal gets them with control characters as \xNN; a pipe or a file gets the bytes themselves
 * and one newline; --json loses nothing and says where a value ends.  A key that is not there is a failure for `get`, which
 * has nothing to print, and none for `del`, which has nothing to do.
 *
 * `keys` sorts what it has found, for the store walks its keys in no order and may show one twice; all are held in memory
 * for that, up to STORE_KEYS_BYTES_MAX.
 *
 * Not here: sets, hashes and sorted sets.  Redis's own clients have commands for these, and the door speaks to them. */
#include "cli/store.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/resp_read.h"
#include "cli/keyring.h"

#define STORE_KEYS_BYTES_MAX ((size_t)1 << 30) /* of keys listed at once, with what holds them */
#define STORE_KEYS_SCAN      "1000"            /* keys that the agent looks at between two answers */

/* Bytes for whoever reads standard output. */
static void store_put_value(struct ki_span value)
{
    if (isatty(STDOUT_FILENO))
        ki_print_safe(stdout, value);
    else
        fwrite(value.ptr, 1, value.len, stdout);
    putchar('\n');
}

static json_t *store_key_json(const char *key)
{
    return json_pack("{s:o}", "key", ki_json_bytes(ki_door_span(key)));
}

/* ---- evidence ---- */

struct store_holder {
    struct ki_span replica, member;
    bool is_self;
};

/* Reads one of KITH.HOLDERS's: names and their values, one after the other.  false: it is none. */
static bool store_read_holder(struct ki_reply row, struct store_holder *out)
{
    size_t count = ki_reply_count(row);
    struct ki_reply at = ki_reply_first(row);
    unsigned seen = 0;
    for (size_t i = 0; i + 1 < count; i += 2) {
        struct ki_span name = ki_reply_text(at);
        struct ki_reply value = ki_reply_next(at);
        if (ki_span_equal(name, ki_span("replica", 7))) {
            out->replica = ki_reply_text(value);
            seen |= 1;
        } else if (ki_span_equal(name, ki_span("member", 6))) {
            out->member = ki_reply_text(value);
            seen |= 2;
        } else if (ki_span_equal(name, ki_span("self", 4))) {
            out->is_self = ki_reply_node(value)->integer == 1;
            seen |= 4;
        }
        at = ki_reply_next(value);
    }
    return seen == 7;
}

/* Prints who is known to hold it, or adds that to the document.  false: the answer is odd. */
static bool store_tell_holders(struct ki_reply reply, json_t *document)
{
    size_t count = ki_reply_count(reply);
    struct ki_reply at = ki_reply_first(reply);
    json_t *holders = document ? json_array() : NULL;
    if (!ki_reply_is(reply, KI_REPLY_ARRAY))
        return false;
    if (document)
        json_object_set_new(document, "holders", holders);
    for (size_t i = 0; i < count; i++, at = ki_reply_next(at)) {
        struct store_holder holder = {.is_self = false};
        if (!store_read_holder(at, &holder))
            return false;
        if (document) {
            json_array_append_new(holders, json_pack("{s:o, s:o, s:b}", "member", ki_json_bytes(holder.member), "replica",
                                                     ki_json_bytes(holder.replica), "self", holder.is_self));
            continue;
        }
        fputs("held by ", stdout);
        ki_print_safe(stdout, holder.member);
        fputs(" as ", stdout);
        ki_print_safe(stdout, holder.replica);
        puts(holder.is_self ? ", the agent asked" : "");
    }
    return true;
}

/* ---- get ---- */

static int store_absent(const struct ki_door *door, const char *key)
{
    fprintf(stderr, "kith %s: ", door->command);
    ki_print_safe(stderr, ki_door_span(key));
    fputs(" at ", stderr);
    ki_print_safe(stderr, ki_door_span(door->addr));
    fputs(": no such key\n", stderr);
    return KI_EXIT_FAILED;
}

/* Tells one value, or all siblings.  Returns whether anything was there; *odd: it was no answer to the question. */
static bool store_tell_value(struct ki_reply reply, bool siblings, json_t *document, bool *odd)
{
    if (!siblings) {
        bool there = ki_reply_is(reply, KI_REPLY_BULK);
        *odd = !there && !ki_reply_is(reply, KI_REPLY_NULL);
        if (document)
            json_object_set_new(document, "value", there ? ki_json_bytes(ki_reply_text(reply)) : json_null());
        else if (there)
            store_put_value(ki_reply_text(reply));
        return there;
    }
    *odd = !ki_reply_has(reply, 2) || !ki_reply_is(ki_reply_next(ki_reply_first(reply)), KI_REPLY_ARRAY);
    if (*odd)
        return false;
    struct ki_reply token = ki_reply_first(reply), values = ki_reply_next(token), at = ki_reply_first(values);
    json_t *list = document ? json_array() : NULL;
    size_t count = ki_reply_count(values);
    for (size_t i = 0; i < count; i++, at = ki_reply_next(at)) {
        if (document)
            json_array_append_new(list, ki_json_bytes(ki_reply_text(at)));
        else
            store_put_value(ki_reply_text(at));
    }
    if (document) {
        json_object_set_new(document, "siblings", list);
        json_object_set_new(document, "context", ki_json_bytes(ki_reply_text(token)));
    }
    return count > 0;
}

static int store_get(struct ki_door *door, const char *key, bool siblings, bool evidence)
{
    struct ki_reply reply;
    bool odd = false;
    json_t *document = door->json ? store_key_json(key) : NULL;
    bool asked = ki_resp_ask(&door->client, &reply, siblings ? "KITH.MVGET" : "GET", key, NULL);
    bool there = asked && store_tell_value(reply, siblings, document, &odd);
    if (asked && there && evidence) {
        asked = ki_resp_ask(&door->client, &reply, "KITH.HOLDERS", key, NULL);
        odd = asked && !store_tell_holders(reply, document);
    }
    if (!asked || odd) {
        json_decref(document);
        if (odd)
            ki_resp_odd(&door->client);
        return ki_door_failed(door, key);
    }
    int code = document ? ki_json_print(document, 0) : KI_EXIT_OK;
    return there ? code : store_absent(door, key);
}

int ki_cmd_get(int argc, char **argv)
{
    struct ki_door door = ki_door("get");
    bool siblings = false, evidence = false;
    const struct ki_flag flags[] = {
        {"siblings", KI_FLAG_BOOL, &siblings, NULL, "Read a key of siblings (KITH.MVSET): all values, in lines."},
        {"evidence", KI_FLAG_BOOL, &evidence, NULL, "Tell which members are known to hold this value."},
        KI_DOOR_FLAGS(door),
    };
    const struct ki_usage usage = {"get", "key", "Prints the value of a key.", flags, KI_COUNT(flags), 1, 1};
    char **operands;
    int count, code;
    if (!ki_flags_parse_around(&usage, argc, argv, &operands, &count, &code))
        return code;
    code = ki_door_open(&door);
    if (code == KI_EXIT_OK)
        code = store_get(&door, operands[0], siblings, evidence);
    ki_door_close(&door);
    return code;
}

/* ---- set ---- */

static int store_set(struct ki_door *door, char **operands, const struct ki_flag_uint *seconds, bool if_new)
{
    struct ki_span args[6] = {ki_span("SET", 3), ki_door_span(operands[0]), ki_door_span(operands[1])};
    size_t count = 3;
    char text[16];
    struct ki_reply reply;
    if (seconds->given) {
        snprintf(text, sizeof text, "%u", (unsigned)seconds->value);
        args[count++] = ki_span("EX", 2);
        args[count++] = ki_door_span(text);
    }
    if (if_new)
        args[count++] = ki_span("NX", 2);
    if (!ki_resp_call(&door->client, args, count, KI_RESP_WAIT_MS, &reply))
        return ki_door_failed(door, operands[0]);
    bool done = ki_reply_is(reply, KI_REPLY_SIMPLE);
    int code = KI_EXIT_OK;
    if (door->json) {
        json_t *document = store_key_json(operands[0]);
        json_object_set_new(document, "set", json_boolean(done));
        code = ki_json_print(document, 0);
    }
    if (done)
        return code;
    fprintf(stderr, "kith set: ");
    ki_print_safe(stderr, ki_door_span(operands[0]));
    fprintf(stderr, " is there already: nothing was changed\n");
    return KI_EXIT_FAILED;
}

int ki_cmd_set(int argc, char **argv)
{
    struct ki_door door = ki_door("set");
    struct ki_flag_uint seconds = {.given = false};
    bool if_new = false;
    const struct ki_flag flags[] = {
        {"ex", KI_FLAG_UINT_GIVEN, &seconds, "seconds", "The key ends after so many seconds."},
        {"nx", KI_FLAG_BOOL, &if_new, NULL,
         "Only if this agent has no such key.  Others may set it at the same\n"
         "time; of two such writes the later one shows."},
        KI_DOOR_FLAGS(door),
    };
    const struct ki_usage usage = {
        "set", "key value", "Sets a key, whatever was there.", flags, KI_COUNT(flags), 2, 2};
    char **operands;
    int count, code;
    if (!ki_flags_parse_around(&usage, argc, argv, &operands, &count, &code))
        return code;
    if (seconds.given && !ki_flag_within(&usage, "ex", seconds.value, 1, UINT32_MAX))
        return KI_EXIT_USAGE;
    code = ki_door_open(&door);
    if (code == KI_EXIT_OK)
        code = store_set(&door, operands, &seconds, if_new);
    ki_door_close(&door);
    return code;
}

/* ---- del and incr ---- */

/* Sends a request whose answer is a number. */
static int store_number(struct ki_door *door, const struct ki_span *args, size_t count, const char *key, int64_t *number)
{
    struct ki_reply reply;
    bool done = ki_resp_call(&door->client, args, count, KI_RESP_WAIT_MS, &reply) &&
                (ki_reply_is(reply, KI_REPLY_INTEGER) || ki_resp_odd(&door->client));
    if (!done)
        return ki_door_failed(door, key);
    *number = ki_reply_node(reply)->integer;
    return KI_EXIT_OK;
}

static int store_del(struct ki_door *door, char **keys, int count)
{
    int64_t deleted = 0;
    struct ki_span *args = calloc((size_t)count + 1, sizeof *args);
    if (!args) {
        fprintf(stderr, "kith del: out of memory\n");
        return KI_EXIT_FAILED;
    }
    args[0] = ki_span("DEL", 3);
    for (int i = 0; i < count; i++)
        args[i + 1] = ki_door_span(keys[i]);
    int code = store_number(door, args, (size_t)count + 1, NULL, &deleted);
    free(args);
    if (code == KI_EXIT_OK && door->json)
        return ki_json_print(json_pack("{s:I}", "deleted", (json_int_t)deleted), 0);
    if (code == KI_EXIT_OK)
        printf("%lld\n", (long long)deleted);
    return code;
}

int ki_cmd_del(int argc, char **argv)
{
    struct ki_door door = ki_door("del");
    const struct ki_flag flags[] = {KI_DOOR_FLAGS(door)};
    const struct ki_usage usage = {"del", "key ...", "Deletes keys of any type, and prints how many there were.",
                                   flags, KI_COUNT(flags), 1, -1};
    char **operands;
    int count, code;
    if (!ki_flags_parse_around(&usage, argc, argv, &operands, &count, &code))
        return code;
    code = ki_door_open(&door);
    if (code == KI_EXIT_OK)
        code = store_del(&door, operands, count);
    ki_door_close(&door);
    return code;
}

int ki_cmd_incr(int argc, char **argv)
{
    struct ki_door door = ki_door("incr");
    const struct ki_flag flags[] = {KI_DOOR_FLAGS(door)};
    const struct ki_usage usage = {
        "incr", "key [by]", "Adds to a counter, 1 if nothing else is said, and prints what it is then.\n"
        "  No increment is lost, wherever others count at the same time.",
        flags, KI_COUNT(flags), 1, 2};
    char **operands;
    int count, code;
    int64_t number = 0;
    if (!ki_flags_parse_around(&usage, argc, argv, &operands, &count, &code))
        return code;
    const char *by = count == 2 ? operands[1] : "1";
    if (!ki_resp_number((const uint8_t *)by, strlen(by), &number))
        return ki_usage_error(&usage, "%s is no whole number of 64 bits", by);
    code = ki_door_open(&door);
    if (code == KI_EXIT_OK) {
        const struct ki_span args[] = {ki_span("INCRBY", 6), ki_door_span(operands[0]), ki_door_span(by)};
        code = store_number(&door, args, KI_COUNT(args), operands[0], &number);
    }
    if (code == KI_EXIT_OK && door.json) {
        json_t *document = store_key_json(operands[0]);
        json_object_set_new(document, "value", json_integer((json_int_t)number));
        code = ki_json_print(document, 0);
    } else if (code == KI_EXIT_OK) {
        printf("%lld\n", (long long)number);
    }
    ki_door_close(&door);
    return code;
}

/* ---- keys ---- */

struct store_keys {
    struct ki_span *keys;
    size_t count, cap;
    size_t bytes; /* of them all, with what holds them */
};

static bool store_keys_add(struct store_keys *list, struct ki_span key)
{
    if (list->count == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 1024;
        struct ki_span *keys = realloc(list->keys, cap * sizeof *keys);
        if (!keys)
            return false;
        list->keys = keys;
        list->cap = cap;
    }
    list->bytes += key.len + sizeof key;
    uint8_t *copy = list->bytes <= STORE_KEYS_BYTES_MAX ? malloc(key.len + 1) : NULL;
    if (!copy)
        return false;
    memcpy(copy, key.ptr, key.len);
    list->keys[list->count++] = ki_span(copy, key.len);
    return true;
}

static int store_keys_order(const void *a, const void *b)
{
    return ki_span_compare(*(const struct ki_span *)a, *(const struct ki_span *)b);
}

static int store_keys_print(struct store_keys *list, bool json)
{
    json_t *document = json ? json_array() : NULL;
    if (list->count > 0)
        qsort(list->keys, list->count, sizeof *list->keys, store_keys_order);
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0 && ki_span_equal(list->keys[i - 1], list->keys[i]))
            continue;
        if (json)
            json_array_append_new(document, ki_json_bytes(list->keys[i]));
        else
            store_put_value(list->keys[i]);
    }
    return json ? ki_json_print(json_pack("{s:o}", "keys", document), 0) : KI_EXIT_OK;
}

/* Walks all keys.  Returns the exit code. */
static int store_keys_walk(struct ki_door *door, const char *pattern, struct store_keys *list)
{
    char cursor[32] = "0";
    struct ki_reply reply;
    do {
        if (!ki_resp_ask(&door->client, &reply, "SCAN", cursor, "MATCH", pattern, "COUNT", STORE_KEYS_SCAN, NULL))
            return ki_door_failed(door, NULL);
        struct ki_reply first = ki_reply_first(reply);
        struct ki_span next = ki_reply_has(reply, 2) ? ki_reply_text(first) : ki_span("", 0);
        if (next.len == 0 || next.len >= sizeof cursor) {
            ki_resp_odd(&door->client);
            return ki_door_failed(door, NULL);
        }
        memcpy(cursor, next.ptr, next.len);
        cursor[next.len] = '\0';
        struct ki_reply keys = ki_reply_next(first), at = ki_reply_first(keys);
        for (size_t i = 0; i < ki_reply_count(keys); i++, at = ki_reply_next(at)) {
            if (store_keys_add(list, ki_reply_text(at)))
                continue;
            fprintf(stderr, "kith keys: too many keys to hold in memory: ask for fewer with a pattern\n");
            return KI_EXIT_FAILED;
        }
    } while (strcmp(cursor, "0") != 0);
    return KI_EXIT_OK;
}

int ki_cmd_keys(int argc, char **argv)
{
    struct ki_door door = ki_door("keys");
    const struct ki_flag flags[] = {KI_DOOR_FLAGS(door)};
    const struct ki_usage usage = {"keys", "[pattern]",
                                   "Lists the keys of the store, sorted; only those that match a pattern of * ? [a-z]\n"
                                   "  [^a] \\x.  With -install, -use, -remove or -list it is about the keys of encryption:\n"
                                   "  see 'kith keys -list -help'.",
                                   flags, KI_COUNT(flags), 0, 1};
    struct store_keys list = {.count = 0};
    char **operands;
    int count, code;
    if (ki_keyring_asked(argc, argv))
        return ki_cmd_keyring(argc, argv);
    if (!ki_flags_parse_around(&usage, argc, argv, &operands, &count, &code))
        return code;
    code = ki_door_open(&door);
    if (code == KI_EXIT_OK)
        code = store_keys_walk(&door, count == 1 ? operands[0] : "*", &list);
    if (code == KI_EXIT_OK)
        code = store_keys_print(&list, door.json);
    ki_door_close(&door);
    for (size_t i = 0; i < list.count; i++)
        free((void *)(uintptr_t)list.keys[i].ptr);
    free(list.keys);
    return code;
}
