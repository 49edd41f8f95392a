/* PUBLISH, across nodes.
 *
 *     PUBLISH --kith_send_event()--> every member of kith's kind, this one too --KITH_EVENT_USER--> ki_redis_published()
 *
 * A message is a user event for members of kith's kind alone, its name the channel.  So it reaches the subscribers of all
 * nodes, each once, and what is published at one node comes in the order in which it was.  What a node could not get any
 * more (the event GAP) is counted there; RESP has no word for it.
 *
 * Who subscribes elsewhere is not known here: the answer counts the clients of this node, as that of a node of a Redis
 * cluster does.
 * Deliberately not here: who hears (redis_notify.c, redis_names.c). */
#include "agent/redis_conn.h"
#include "kith/event.h"

void ki_redis_published(struct ki_redis *redis, const struct kith_message *message)
{
    ki_redis_tell(redis, ki_span(message->name.ptr, message->name.len),
                   ki_span(message->payload.ptr, message->payload.len));
    ki_redis_tell_end(redis);
}

static size_t publish_hearers(struct ki_redis *redis, struct ki_span channel)
{
    const struct ki_redis_name *name = ki_redis_names_find(&redis->channels, channel);
    return name ? name->count : 0;
}

void ki_redis_publish(struct ki_redis_call *call)
{
    struct ki_redis *redis = call->client->redis;
    struct ki_span channel = call->args[1], message = call->args[2];
    struct kith_user_event event = {.name = {(const char *)channel.ptr, channel.len},
                                    .payload = {(const char *)message.ptr, message.len},
                                    .kith_only = true};
    int error = kith_send_event(redis->config.k, call->now, &event, NULL);
    size_t hearers = publish_hearers(redis, channel);
    switch (error) {
    case 0:
        break;
    case KITH_ERR_ARG:
        ki_redis_error(call, "ERR a channel's name has 1 to 255 bytes");
        return;
    case KITH_ERR_FULL:
        ki_redis_error(call, "ERR too many messages wait to be told: try again a little later");
        return;
    case KITH_ERR_TOO_LONG:
        ki_redis_error(call, "ERR the message is larger than event_size_max, a key of the agent's configuration, allows");
        return;
    case KITH_ERR_STATE:
        ki_redis_error(call, "ERR this node is leaving its pool");
        return;
    default:
        ki_redis_error(call, "ERR out of memory");
        return;
    }
    for (struct ki_list *at = redis->patterns.all.next; at != &redis->patterns.all; at = at->next) {
        const struct ki_redis_name *pattern = KI_CONTAINER(at, struct ki_redis_name, all);
        if (ki_redis_match(ki_redis_name_span(pattern), channel))
            hearers += pattern->count;
    }
    ki_resp_put_integer(call->out, (int64_t)hearers);
}

static void publish_channels(struct ki_redis_call *call)
{
    struct ki_redis *redis = call->client->redis;
    bool all = call->arg_count == 2;
    size_t count = 0;
    for (int pass = 0; pass < 2; pass++) { /* counted first: the length comes before what it counts */
        if (pass == 1)
            ki_resp_put_array(call->out, count);
        for (struct ki_list *at = redis->channels.all.next; at != &redis->channels.all; at = at->next) {
            struct ki_span name = ki_redis_name_span(KI_CONTAINER(at, struct ki_redis_name, all));
            if (!all && !ki_redis_match(call->args[2], name))
                continue;
            count++;
            if (pass == 1)
                ki_resp_put_bulk(call->out, name);
        }
    }
}

/* Of this node's clients, as Redis tells of its own. */
void ki_redis_pubsub(struct ki_redis_call *call)
{
    struct ki_redis *redis = call->client->redis;
    if (ki_redis_word(call->args[1], "CHANNELS") && call->arg_count <= 3) {
        publish_channels(call);
    } else if (ki_redis_word(call->args[1], "NUMPAT") && call->arg_count == 2) {
        ki_resp_put_integer(call->out, (int64_t)redis->patterns.count);
    } else if (ki_redis_word(call->args[1], "NUMSUB")) {
        ki_resp_put_array(call->out, 2 * (call->arg_count - 2));
        for (size_t i = 2; i < call->arg_count; i++) {
            ki_resp_put_bulk(call->out, call->args[i]);
            ki_resp_put_integer(call->out, (int64_t)publish_hearers(redis, call->args[i]));
        }
    } else {
        ki_redis_error(call, "ERR unknown subcommand or wrong number of arguments for 'pubsub'");
    }
}
