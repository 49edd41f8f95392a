/* kith join, leave, force-leave, tags: ask the agent to do something, wait, and say how it ended.
 *
 * The sentences are Serf's, since scripts look for them; with --json each prints one object instead.
 * What fails goes to standard error and ends with 1, or with 4 when no agent answers.
 *
 * Not here: what asks the whole pool, and so has many answers (query.c, keyring.c). */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

/* ---- join ---- */

static struct ki_pack asks_pack_join(char **addrs, int count, bool replay)
{
    size_t cap = 64;
    for (int i = 0; i < count; i++)
        cap += strlen(addrs[i]) + 5;
    uint8_t *buf = malloc(cap);
    struct ki_pack p = ki_pack(buf, buf ? cap : 0, true);
    ki_pack_map(&p, 2);
    ki_pack_text(&p, "Existing");
    ki_pack_array(&p, (size_t)count);
    for (int i = 0; i < count; i++)
        ki_pack_text(&p, addrs[i]);
    ki_pack_text(&p, "Replay");
    ki_pack_bool(&p, replay);
    return p;
}

static int asks_joined(struct ki_span reply, bool json)
{
    struct joined {
        uint64_t count;
    } joined = {0};
    static const struct ki_field fields[] = {
        KI_FIELD(struct joined, count, "Num", KI_FIELD_U64, 0, false)};
    struct ki_reader r = ki_reader(reply.ptr, reply.len);
    if (!ki_unpack_struct(&r, fields, KI_COUNT(fields), &joined)) {
        fprintf(stderr, "Error joining the cluster: the agent's answer is malformed\n");
        return KI_EXIT_FAILED;
    }
    if (json)
        return ki_json_print(json_pack("{s:I}", "joined", (json_int_t)joined.count), 0);
    printf("Successfully joined cluster by contacting %llu nodes.\n",
           (unsigned long long)joined.count);
    return KI_EXIT_OK;
}

int ki_cmd_join(int argc, char **argv)
{
    struct ki_client_options options = ki_client_options();
    bool replay = false;
    const struct ki_flag flags[] = {
        {"replay", KI_FLAG_BOOL, &replay, NULL, "Replay past user events."},
        KI_JSON_FLAG(options),
        KI_CLIENT_FLAGS(options),
    };
    const struct ki_usage usage = {
        "join", "address ...",   "Makes the agent join a pool by one of its members.",
        flags,  KI_COUNT(flags), 1,
        -1};
    int first;
    int code;
    if (!ki_flags_parse(&usage, argc, argv, &first, &code))
        return code;
    struct ki_rpc_client client;
    struct ki_pack body = asks_pack_join(argv + first, argc - first, replay);
    struct ki_span reply;
    code = ki_client_ask(&client, &options, "join", &body, "Error joining the cluster", &reply);
    if (code == KI_EXIT_OK)
        code = asks_joined(reply, options.json);
    free(body.w.start);
    ki_rpc_close(&client);
    return code;
}

/* ---- leave and force-leave ---- */

int ki_cmd_leave(int argc, char **argv)
{
    struct ki_client_options options = ki_client_options();
    const struct ki_flag flags[] = {KI_JSON_FLAG(options), KI_CLIENT_FLAGS(options)};
    const struct ki_usage usage = {
        "leave", "", "Makes the agent leave its pool gracefully, and end.", flags, KI_COUNT(flags),
        0,       0};
    int first;
    int code;
    if (!ki_flags_parse(&usage, argc, argv, &first, &code))
        return code;
    struct ki_rpc_client client;
    code = ki_client_ask(&client, &options, "leave", NULL, "Error leaving", NULL);
    if (code == KI_EXIT_OK && options.json)
        code = ki_json_print(json_pack("{s:b}", "left", 1), 0);
    else if (code == KI_EXIT_OK)
        puts("Graceful leave complete");
    ki_rpc_close(&client);
    return code;
}

int ki_cmd_force_leave(int argc, char **argv)
{
    struct ki_client_options options = ki_client_options();
    bool prune = false;
    const struct ki_flag flags[] = {
        {"prune", KI_FLAG_BOOL, &prune, NULL, "Make all members forget it at once."},
        KI_JSON_FLAG(options),
        KI_CLIENT_FLAGS(options),
    };
    const struct ki_usage usage = {
        "force-leave",
        "name",
        "Declares a failed member left, so that nobody tries to reach it any more.\n"
        "  One that is alive in truth comes back.",
        flags,
        KI_COUNT(flags),
        1,
        1};
    int first;
    int code;
    if (!ki_flags_parse(&usage, argc, argv, &first, &code))
        return code;
    size_t cap = strlen(argv[first]) + 64;
    uint8_t *buf = malloc(cap);
    struct ki_pack body = ki_pack(buf, buf ? cap : 0, true);
    ki_pack_map(&body, 2);
    ki_pack_text(&body, "Node");
    ki_pack_text(&body, argv[first]);
    ki_pack_text(&body, "Prune");
    ki_pack_bool(&body, prune);
    struct ki_rpc_client client;
    code = ki_client_ask(&client, &options, "force-leave", &body, "Error force leaving", NULL);
    if (code == KI_EXIT_OK && options.json) {
        json_t *name = ki_json_bytes(ki_span(argv[first], strlen(argv[first])));
        code = ki_json_print(json_pack("{s:o, s:b}", "node", name, "pruned", prune ? 1 : 0), 0);
    }
    free(buf);
    ki_rpc_close(&client);
    return code;
}

/* ---- tags ---- */

static struct ki_pack asks_pack_tags(const struct ki_flag_list *set,
                                     const struct ki_flag_list *deleted)
{
    size_t cap = 64;
    for (size_t i = 0; i < set->count; i++)
        cap += strlen(set->items[i]) + 10;
    for (size_t i = 0; i < deleted->count; i++)
        cap += strlen(deleted->items[i]) + 5;
    uint8_t *buf = malloc(cap);
    struct ki_pack p = ki_pack(buf, buf ? cap : 0, true);
    ki_pack_map(&p, 2);
    ki_pack_text(&p, "Tags");
    ki_pack_map(&p, set->count);
    for (size_t i = 0; i < set->count; i++) {
        const char *equals = strchr(set->items[i], '=');
        ki_pack_str(&p, ki_span(set->items[i], (size_t)(equals - set->items[i])));
        ki_pack_text(&p, equals + 1);
    }
    ki_pack_text(&p, "DeleteTags");
    ki_pack_array(&p, deleted->count);
    for (size_t i = 0; i < deleted->count; i++)
        ki_pack_text(&p, deleted->items[i]);
    return p;
}

int ki_cmd_tags(int argc, char **argv)
{
    struct ki_client_options options = ki_client_options();
    struct ki_flag_list set = {.count = 0};
    struct ki_flag_list deleted = {.count = 0};
    const struct ki_flag flags[] = {
        {"set", KI_FLAG_LIST, &set, "key=value",
         "Create or change a tag; may be given several times."},
        {"delete", KI_FLAG_LIST, &deleted, "key",
         "Remove a tag if it is there; may be given several times."},
        KI_JSON_FLAG(options),
        KI_CLIENT_FLAGS(options),
    };
    const struct ki_usage usage = {"tags",
                                   "",
                                   "Changes the tags of the agent: first deletes, then sets.",
                                   flags,
                                   KI_COUNT(flags),
                                   0,
                                   0};
    int first;
    int code;
    if (!ki_flags_parse(&usage, argc, argv, &first, &code))
        return code;
    if (set.count + deleted.count == 0)
        return ki_usage_error(&usage, "nothing to do: give -set or -delete");
    for (size_t i = 0; i < set.count; i++) {
        const char *equals = strchr(set.items[i], '=');
        if (!equals || equals == set.items[i])
            return ki_usage_error(&usage, "Invalid tag: '%s'", set.items[i]);
    }
    struct ki_rpc_client client;
    struct ki_pack body = asks_pack_tags(&set, &deleted);
    code = ki_client_ask(&client, &options, "tags", &body, "Error setting tags", NULL);
    if (code == KI_EXIT_OK && options.json)
        code = ki_json_print(
            json_pack("{s:i, s:i}", "set", (int)set.count, "deleted", (int)deleted.count), 0);
    else if (code == KI_EXIT_OK)
        puts("Successfully updated agent tags");
    free(body.w.start);
    ki_rpc_close(&client);
    return code;
}
