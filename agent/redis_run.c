/* One request of the Redis door: which command it is, whether this client may run it now, and whether it waits for EXEC.
 *
 * The order of the questions is Redis's (processCommand() of its server.c), because the order decides which error is seen:
 * unknown, wrong count of arguments, not authenticated, not inside MULTI, not while subscribed; then it is queued or run.
 * A request that is refused between MULTI and EXEC spoils the transaction.
 *
 * Names are found by a hash of their small letters in a table that is filled once at the start; the rows stay where they
 * are, in redis_table.c. */
#include "agent/redis_conn.h"

#include <stdio.h>

#define RUN_NAME_MAX 32  /* bytes of the longest name, and more */
#define RUN_TEXT_MAX 128 /* bytes of a name or of arguments that an error repeats */

/* ---- names ---- */

/* FNV-1a (Fowler, Noll, Vo 1991): the names are ours, so nobody can make them collide. */
static uint32_t run_hash(const char *name, size_t len)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (uint8_t)name[i]) * 16777619u;
    return (hash ^ hash >> 15) & (KI_REDIS_LOOKUP - 1);
}

void ki_redis_lookup_init(struct ki_redis *redis)
{
    for (size_t row = 0; row < ki_redis_table_count; row++) {
        const char *name = ki_redis_table[row].name;
        KI_ASSERT(strlen(name) < RUN_NAME_MAX);
        uint32_t slot = run_hash(name, strlen(name));
        while (redis->lookup[slot] != 0)
            slot = (slot + 1) & (KI_REDIS_LOOKUP - 1);
        redis->lookup[slot] = (uint16_t)(row + 1);
    }
}

const struct ki_redis_entry *ki_redis_find(const struct ki_redis *redis, struct ki_span name)
{
    char small[RUN_NAME_MAX];
    if (name.len >= sizeof small)
        return NULL;
    for (size_t i = 0; i < name.len; i++)
        small[i] = (char)(name.ptr[i] >= 'A' && name.ptr[i] <= 'Z' ? name.ptr[i] - 'A' + 'a' : name.ptr[i]);
    small[name.len] = '\0';
    for (uint32_t slot = run_hash(small, name.len); redis->lookup[slot] != 0; slot = (slot + 1) & (KI_REDIS_LOOKUP - 1)) {
        const struct ki_redis_entry *entry = &ki_redis_table[redis->lookup[slot] - 1];
        if (strncmp(entry->name, small, sizeof small) == 0 && strlen(entry->name) == name.len)
            return entry;
    }
    return NULL;
}

/* ---- refusals ---- */

/* As printf's %.*s in Redis: a NUL ends it. */
static int run_shown(struct ki_span text, size_t most)
{
    size_t len = ki_min_size(text.len, most);
    const uint8_t *end = len > 0 ? memchr(text.ptr, '\0', len) : NULL;
    return (int)(end ? (size_t)(end - text.ptr) : len);
}

static void run_unknown(struct ki_redis_call *call)
{
    char text[3 * RUN_TEXT_MAX + 64];
    char args[RUN_TEXT_MAX + 8] = "";
    size_t len = 0;
    for (size_t i = 1; i < call->arg_count && len < RUN_TEXT_MAX; i++)
        len += (size_t)snprintf(args + len, sizeof args - len, "'%.*s' ", run_shown(call->args[i], RUN_TEXT_MAX - len),
                                (const char *)call->args[i].ptr);
    snprintf(text, sizeof text, "ERR unknown command '%.*s', with args beginning with: %s",
             run_shown(call->args[0], RUN_TEXT_MAX), (const char *)call->args[0].ptr, args);
    ki_redis_error(call, text);
}

void ki_redis_arity(struct ki_redis_call *call, const char *name)
{
    char text[RUN_TEXT_MAX];
    snprintf(text, sizeof text, "ERR wrong number of arguments for '%s' command", name);
    ki_redis_error(call, text);
}

void ki_redis_subcommand(struct ki_redis_call *call, const char *command)
{
    char text[2 * RUN_TEXT_MAX];
    snprintf(text, sizeof text, "ERR unknown subcommand '%.*s'. Try %s HELP.", run_shown(call->args[1], RUN_TEXT_MAX),
             (const char *)call->args[1].ptr, command);
    ki_redis_error(call, text);
}

static bool run_counts(int arity, size_t count)
{
    return arity >= 0 ? count == (size_t)arity : count >= (size_t)-arity;
}

void ki_redis_container(struct ki_redis_call *call, const char *command, const struct ki_redis_sub *subs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!ki_redis_word(call->args[1], subs[i].name))
            continue;
        if (run_counts(subs[i].arity, call->arg_count)) {
            subs[i].run(call);
            return;
        }
        char name[RUN_NAME_MAX * 2];
        size_t len = (size_t)snprintf(name, sizeof name, "%s|%s", command, subs[i].name);
        for (size_t at = 0; at < len; at++)
            name[at] = (char)(name[at] >= 'A' && name[at] <= 'Z' ? name[at] - 'A' + 'a' : name[at]);
        ki_redis_arity(call, name);
        return;
    }
    ki_redis_subcommand(call, command);
}

/* Writes why the command is refused, if it is. */
static bool run_refused(struct ki_redis_call *call, const struct ki_redis_entry *entry)
{
    const struct ki_redis_client *client = call->client;
    char text[RUN_TEXT_MAX * 2];
    if (!entry) {
        run_unknown(call);
    } else if (!run_counts(entry->arity, call->arg_count)) {
        ki_redis_arity(call, entry->name);
    } else if (!client->authenticated && !(entry->flags & KI_REDIS_NO_AUTH)) {
        ki_redis_error(call, "NOAUTH Authentication required.");
    } else if (client->in_multi && entry->flags & KI_REDIS_NO_MULTI) {
        ki_redis_error(call, "ERR Command not allowed inside a transaction");
    } else if (call->out->version == 2 && ki_redis_subscriptions(client) > 0 && !(entry->flags & KI_REDIS_PUBSUB_OK)) {
        snprintf(text, sizeof text,
                 "ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in "
                 "this context",
                 entry->name);
        ki_redis_error(call, text);
    } else {
        return false;
    }
    return true;
}

/* Is one of its keys an aggregate? */
static bool run_has_aggregate(const struct ki_redis_call *call, const struct ki_redis_entry *entry)
{
    size_t last = entry->last < 0 ? call->arg_count - (size_t)-entry->last : (size_t)entry->last;
    for (size_t i = (size_t)entry->first; entry->first > 0 && i <= last && i < call->arg_count; i += (size_t)entry->step) {
        if (ki_redis_is_aggregate(ki_redis_str(call->args[i])))
            return true;
    }
    return false;
}

/* The groups of commands that may read one. */
static bool run_reads_aggregate(const struct ki_redis_entry *entry)
{
    static const char *const groups[] = {"hash", "sorted-set", "generic", "transactions", "server"};
    for (size_t i = 0; i < KI_COUNT(groups); i++) {
        if (strcmp(entry->group, groups[i]) == 0)
            return true;
    }
    return false;
}

/* Would it write to one?  What ends in STORE writes to its first key, and reads the others. */
static bool run_writes_aggregate(const struct ki_redis_call *call, const struct ki_redis_entry *entry)
{
    static const char store[] = "store";
    size_t len = strlen(entry->name), end = sizeof store - 1;
    if (!(entry->flags & KI_REDIS_WRITE))
        return false;
    bool stores = len > end && strcmp(entry->name + len - end, store) == 0;
    return !stores || ki_redis_is_aggregate(ki_redis_str(call->args[entry->first]));
}

void ki_redis_execute(struct ki_redis_call *call, const struct ki_redis_entry *entry)
{
    if (!run_has_aggregate(call, entry)) {
        entry->run(call);
    } else if (run_writes_aggregate(call, entry)) {
        ki_redis_error(call, "READONLY You can't write against an aggregate. 'kith gauge set' contributes to it.");
    } else if (!run_reads_aggregate(entry)) {
        ki_redis_error_of(call, KITH_ERR_TYPE);
    } else {
        entry->run(call);
    }
    ki_redis_views_end(call);
}

void ki_redis_run(struct ki_redis_client *client, struct kith_time now)
{
    struct ki_redis *redis = client->redis;
    struct ki_redis_call call = {.client = client,
                                 .k = redis->config.k,
                                 .now = now,
                                 .args = client->in.args,
                                 .arg_count = client->in.arg_count,
                                 .out = &client->out};
    const struct ki_redis_entry *entry = ki_redis_find(redis, call.args[0]);
    if (run_refused(&call, entry)) {
        client->multi_broken = client->in_multi;
        return;
    }
    redis->counts[KI_REDIS_COMMANDS]++;
    client->last = entry;
    if (client->in_multi && !(entry->flags & KI_REDIS_AT_ONCE))
        ki_redis_queue(&call, entry);
    else
        ki_redis_execute(&call, entry);
}
