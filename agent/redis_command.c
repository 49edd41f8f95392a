/* COMMAND: the table of commands, told to client libraries and to redis-cli.
 *
 * Libraries read arity and the places of keys; these are Redis's.  DOCS knows of no command: redis-cli then shows no hints,
 * and no wrong ones.
 *
 * Deliberately not here: GETKEYS, classes of rights (there is one user), tips for clusters (there is no slot). */
#include "agent/redis_conn.h"

static const struct {
    unsigned flag;
    const char *name;
} command_flags[] = {
    {KI_REDIS_WRITE, "write"},       {KI_REDIS_READ, "readonly"},   {KI_REDIS_DENY_OOM, "denyoom"},
    {KI_REDIS_ADMIN, "admin"},       {KI_REDIS_PUBSUB, "pubsub"},   {KI_REDIS_LOADING, "loading"},
    {KI_REDIS_STALE, "stale"},       {KI_REDIS_FAST, "fast"},       {KI_REDIS_NO_AUTH, "no_auth"},
    {KI_REDIS_NO_MULTI, "no_multi"},
};

static void command_tell(struct ki_redis_call *call, const struct ki_redis_entry *entry)
{
    ki_resp_put_array(call->out, 10);
    ki_redis_text(call, entry->name);
    ki_resp_put_integer(call->out, entry->arity);
    size_t mark = ki_redis_defer(call);
    uint64_t count = 0;
    for (size_t i = 0; i < KI_COUNT(command_flags); i++) {
        if (!(entry->flags & command_flags[i].flag))
            continue;
        ki_resp_put_simple(call->out, ki_span(command_flags[i].name, strlen(command_flags[i].name)));
        count++;
    }
    ki_redis_deferred_set(call, mark, count);
    ki_resp_put_integer(call->out, entry->first);
    ki_resp_put_integer(call->out, entry->last);
    ki_resp_put_integer(call->out, entry->step);
    ki_resp_put_set(call->out, 0);   /* classes of rights: there is one user */
    ki_resp_put_array(call->out, 0); /* tips, places of keys, subcommands */
    ki_resp_put_array(call->out, 0);
    ki_resp_put_array(call->out, 0);
}

static void command_all(struct ki_redis_call *call)
{
    ki_resp_put_array(call->out, ki_redis_table_count);
    for (size_t i = 0; i < ki_redis_table_count; i++)
        command_tell(call, &ki_redis_table[i]);
}

static void command_count(struct ki_redis_call *call)
{
    ki_resp_put_integer(call->out, (int64_t)ki_redis_table_count);
}

static void command_docs(struct ki_redis_call *call)
{
    ki_resp_put_map(call->out, 0);
}

static void command_info(struct ki_redis_call *call)
{
    if (call->arg_count == 2) {
        command_all(call);
        return;
    }
    ki_resp_put_array(call->out, call->arg_count - 2);
    for (size_t i = 2; i < call->arg_count; i++) {
        const struct ki_redis_entry *entry = ki_redis_find(call->client->redis, call->args[i]);
        if (entry)
            command_tell(call, entry);
        else
            ki_resp_put_null(call->out);
    }
}

static void command_list(struct ki_redis_call *call)
{
    bool filter = call->arg_count == 5 && ki_redis_word(call->args[2], "FILTERBY") &&
                  ki_redis_word(call->args[3], "PATTERN");
    if (call->arg_count != 2 && !filter) {
        ki_redis_syntax(call);
        return;
    }
    size_t mark = ki_redis_defer(call);
    uint64_t count = 0;
    for (size_t i = 0; i < ki_redis_table_count; i++) {
        const char *name = ki_redis_table[i].name;
        if (filter && !ki_redis_match(call->args[4], ki_span(name, strlen(name))))
            continue;
        ki_redis_text(call, name);
        count++;
    }
    ki_redis_deferred_set(call, mark, count);
}

static const struct ki_redis_sub command_subs[] = {
    {"COUNT", 2, command_count},
    {"DOCS", -2, command_docs},
    {"INFO", -2, command_info},
    {"LIST", -2, command_list},
};

void ki_redis_command_command(struct ki_redis_call *call)
{
    if (call->arg_count == 1)
        command_all(call);
    else
        ki_redis_container(call, "COMMAND", command_subs, KI_COUNT(command_subs));
}
