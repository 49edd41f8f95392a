/* MULTI, EXEC, DISCARD, WATCH, UNWATCH: several commands as one group of writes.
 *
 * EXEC runs what was queued between kith_store_begin() and kith_store_commit(): other nodes, and the disk, see all of it
 * or nothing.  No other client's command runs in between, because nothing here gives way.  As in Redis, a command that
 * fails does not undo the others.
 *
 * WATCH is local.  A watched key that changes, by whomever, breaks the transaction of every client that watches it; the
 * news comes through the core's changes, which are taken in before WATCH (they are old then), and before EXEC looks.  A
 * key whose time has come is noticed by reading it.
 *
 * Not here: isolation from other nodes: their writes merge before and after, never in between. */
#include "agent/redis_conn.h"

static void multi_drop_queue(struct ki_redis_client *client)
{
    while (client->queue) {
        struct ki_redis_queued *queued = client->queue;
        client->queue = queued->next;
        free(queued);
    }
    client->queue_end = &client->queue;
    client->queue_count = client->queue_bytes = 0;
}

void ki_redis_multi_end(struct ki_redis_client *client)
{
    multi_drop_queue(client);
    client->in_multi = client->multi_broken = false;
}

void ki_redis_unwatch_all(struct ki_redis_client *client)
{
    ki_redis_names_drop_all(&client->redis->watched, &client->watches);
    client->watch_broken = false;
}

void ki_redis_queue(struct ki_redis_call *call, const struct ki_redis_entry *entry)
{
    struct ki_redis_client *client = call->client;
    size_t size = sizeof(struct ki_redis_queued) + call->arg_count * sizeof *call->args;
    size_t bytes = size;
    for (size_t i = 0; i < call->arg_count; i++)
        bytes += call->args[i].len;
    struct ki_redis_queued *queued = bytes <= KI_REDIS_QUERY_MAX - client->queue_bytes ? malloc(bytes) : NULL;
    if (!queued) {
        client->multi_broken = true;
        ki_redis_error_of(call, KITH_ERR_NOMEM);
        return;
    }
    *queued = (struct ki_redis_queued){.entry = entry, .arg_count = call->arg_count};
    uint8_t *at = (uint8_t *)queued + size;
    for (size_t i = 0; i < call->arg_count; i++) {
        if (call->args[i].len > 0)
            memcpy(at, call->args[i].ptr, call->args[i].len);
        queued->args[i] = ki_span(at, call->args[i].len);
        at += call->args[i].len;
    }
    *client->queue_end = queued;
    client->queue_end = &queued->next;
    client->queue_count++;
    client->queue_bytes += bytes;
    ki_resp_put_simple(call->out, ki_span("QUEUED", 6));
}

void ki_redis_multi(struct ki_redis_call *call)
{
    if (call->client->in_multi) {
        ki_redis_error(call, "ERR MULTI calls can not be nested");
        return;
    }
    call->client->in_multi = true;
    ki_redis_ok(call);
}

void ki_redis_discard(struct ki_redis_call *call)
{
    if (!call->client->in_multi) {
        ki_redis_error(call, "ERR DISCARD without MULTI");
        return;
    }
    ki_redis_multi_end(call->client);
    ki_redis_unwatch_all(call->client);
    ki_redis_ok(call);
}

static bool multi_is_broken(struct ki_redis_call *call)
{
    struct ki_list *head = &call->client->watches.interests;
    for (struct ki_list *at = head->next; at != head; at = at->next) {
        const struct ki_redis_name *name = KI_CONTAINER(at, struct ki_redis_interest, of_user)->name;
        (void)kith_type_of(call->k, call->now, ki_redis_str(ki_redis_name_span(name)));
    }
    ki_redis_changes(call->client->redis);
    return call->client->watch_broken;
}

static void multi_run(struct ki_redis_call *call)
{
    struct ki_redis_client *client = call->client;
    int open = kith_store_begin(call->k);
    ki_resp_put_array(call->out, client->queue_count);
    client->in_exec = true;
    for (struct ki_redis_queued *queued = client->queue; queued; queued = queued->next) {
        struct ki_redis_call one = *call;
        one.args = queued->args;
        one.arg_count = queued->arg_count;
        client->redis->counts[KI_REDIS_COMMANDS]++;
        ki_redis_execute(&one, queued->entry);
    }
    client->in_exec = false;
    if (open == 0)
        (void)kith_store_commit(call->k, call->now);
}

void ki_redis_exec(struct ki_redis_call *call)
{
    struct ki_redis_client *client = call->client;
    if (!client->in_multi) {
        ki_redis_error(call, "ERR EXEC without MULTI");
        return;
    }
    bool refused = client->multi_broken;
    bool changed = multi_is_broken(call);
    ki_redis_unwatch_all(client);
    client->in_multi = client->multi_broken = false;
    if (refused)
        ki_redis_error(call, "EXECABORT Transaction discarded because of previous errors.");
    else if (changed)
        ki_resp_put_null_array(call->out);
    else
        multi_run(call);
    ki_redis_multi_end(client);
}

void ki_redis_watch(struct ki_redis_call *call)
{
    struct ki_redis_client *client = call->client;
    if (client->in_multi) {
        ki_redis_error(call, "ERR WATCH inside MULTI is not allowed");
        return;
    }
    for (size_t i = 1; i < call->arg_count; i++)
        (void)kith_type_of(call->k, call->now, ki_redis_str(call->args[i])); /* what has ended already is no news later */
    ki_redis_changes(client->redis);
    if (ki_redis_closing(client)) /* it did not take its messages */
        return;
    for (size_t i = 1; i < call->arg_count; i++) {
        if (client->watches.count >= KI_REDIS_NAMES_MAX ||
            ki_redis_names_add(&client->redis->watched, &client->watches, call->args[i]) < 0) {
            ki_redis_error(call, "ERR too many watched keys");
            return;
        }
    }
    ki_redis_interest(client->redis);
    ki_redis_ok(call);
}

void ki_redis_unwatch(struct ki_redis_call *call)
{
    ki_redis_unwatch_all(call->client);
    ki_redis_ok(call);
}
