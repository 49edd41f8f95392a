/* What has changed, for those who asked: keyspace notifications and watched keys, both fed by the core's changes.
 *
 *     core --change--> watched: its clients' transactions are broken
 *                  \-> `__keyspace@0__:KEY` EVENT and `__keyevent@0__:EVENT` KEY, to channels and to patterns
 *
 * A change tells what was written, not by which command: successive changes of one key may come as one, and those of other
 * nodes come as merges.  So the events are those of Redis for what a change says (incrby for every counter, expire for
 * PERSIST too, one sadd for each member), and a client that must know the value reads it.  Which classes are told is
 * Redis's notify-keyspace-events, by default none.
 *
 * PUBLISH is in redis_publish.c: what it says comes back as an event, and is told by what is here.
 *
 * Messages are written first and sent when all are written: a client that cannot take them is closed, and nobody is closed
 * while lists are walked. */
#include "agent/redis_conn.h"

#include <stdio.h>

#define NOTIFY_KEY_MAX 65536 /* bytes of a key */

/* ---- the classes ---- */

static const struct {
    char letter;
    unsigned flag;
} notify_letters[] = {
    {'g', KI_REDIS_NOTIFY_GENERIC}, {'$', KI_REDIS_NOTIFY_STRING},  {'l', KI_REDIS_NOTIFY_LIST},
    {'s', KI_REDIS_NOTIFY_SET},     {'h', KI_REDIS_NOTIFY_HASH},    {'z', KI_REDIS_NOTIFY_SORTED},
    {'x', KI_REDIS_NOTIFY_EXPIRED}, {'e', KI_REDIS_NOTIFY_EVICTED}, {'t', KI_REDIS_NOTIFY_STREAM},
    {'d', KI_REDIS_NOTIFY_MODULE},  {'n', KI_REDIS_NOTIFY_NEW},     {'K', KI_REDIS_NOTIFY_KEYSPACE},
    {'E', KI_REDIS_NOTIFY_KEYEVENT}, {'m', KI_REDIS_NOTIFY_MISS},
};
#define NOTIFY_ALL                                                                                                     \
    (KI_REDIS_NOTIFY_GENERIC | KI_REDIS_NOTIFY_STRING | KI_REDIS_NOTIFY_LIST | KI_REDIS_NOTIFY_SET |                   \
     KI_REDIS_NOTIFY_HASH | KI_REDIS_NOTIFY_SORTED | KI_REDIS_NOTIFY_EXPIRED | KI_REDIS_NOTIFY_EVICTED |               \
     KI_REDIS_NOTIFY_STREAM | KI_REDIS_NOTIFY_MODULE)

bool ki_redis_notify_parse(struct ki_span text, unsigned *out)
{
    unsigned flags = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned flag = text.ptr[i] == 'A' ? NOTIFY_ALL : 0;
        for (size_t j = 0; j < KI_COUNT(notify_letters); j++) {
            if (text.ptr[i] == (uint8_t)notify_letters[j].letter)
                flag = notify_letters[j].flag;
        }
        if (flag == 0)
            return false;
        flags |= flag;
    }
    *out = flags;
    return true;
}

void ki_redis_notify_print(unsigned flags, char out[KI_REDIS_NOTIFY_TEXT])
{
    bool all = (flags & NOTIFY_ALL) == NOTIFY_ALL;
    if (all)
        *out++ = 'A';
    for (size_t j = 0; j < KI_COUNT(notify_letters); j++) {
        if (flags & notify_letters[j].flag && !(all && notify_letters[j].flag & (NOTIFY_ALL | KI_REDIS_NOTIFY_NEW)))
            *out++ = notify_letters[j].letter;
    }
    *out = '\0';
}

/* ---- messages ---- */

static void notify_put(struct ki_redis_client *client, const struct ki_redis_name *pattern, struct ki_span channel,
                       struct ki_span message)
{
    struct ki_resp_writer *out = &client->out;
    ki_resp_put_push(out, pattern ? 4 : 3);
    ki_resp_put_bulk(out, pattern ? ki_span("pmessage", 8) : ki_span("message", 7));
    if (pattern)
        ki_resp_put_bulk(out, ki_redis_name_span(pattern));
    ki_resp_put_bulk(out, channel);
    ki_resp_put_bulk(out, message);
    if (ki_resp_unsent(out).len > KI_REDIS_PUSH_MAX)
        out->full = true;
    if (ki_list_empty(&client->pushed))
        ki_list_push(&client->redis->pushed, &client->pushed);
}

static void notify_name(const struct ki_redis_name *name, bool is_pattern, struct ki_span channel, struct ki_span message)
{
    for (struct ki_list *at = name->interests.next; at != &name->interests; at = at->next) {
        const struct ki_redis_interest *interest = KI_CONTAINER(at, struct ki_redis_interest, of_name);
        notify_put(interest->user->owner, is_pattern ? name : NULL, channel, message);
    }
}

void ki_redis_tell(struct ki_redis *redis, struct ki_span channel, struct ki_span message)
{
    const struct ki_redis_name *name = ki_redis_names_find(&redis->channels, channel);
    if (name)
        notify_name(name, false, channel, message);
    for (struct ki_list *at = redis->patterns.all.next; at != &redis->patterns.all; at = at->next) {
        name = KI_CONTAINER(at, struct ki_redis_name, all);
        if (ki_redis_match(ki_redis_name_span(name), channel))
            notify_name(name, true, channel, message);
    }
}

static void notify_event(struct ki_redis *redis, unsigned class, const char *event, struct kith_str key)
{
    char channel[NOTIFY_KEY_MAX + 32];
    struct ki_span name = ki_span(event, strlen(event));
    struct ki_span bytes = ki_span(key.ptr, ki_min_size(key.len, NOTIFY_KEY_MAX));
    if (!(redis->notify & class))
        return;
    if (redis->notify & KI_REDIS_NOTIFY_KEYSPACE) {
        size_t len = (size_t)snprintf(channel, sizeof channel, "__keyspace@0__:");
        if (bytes.len > 0)
            memcpy(channel + len, bytes.ptr, bytes.len);
        ki_redis_tell(redis, ki_span(channel, len + bytes.len), name);
    }
    if (redis->notify & KI_REDIS_NOTIFY_KEYEVENT) {
        size_t len = (size_t)snprintf(channel, sizeof channel, "__keyevent@0__:%s", event);
        ki_redis_tell(redis, ki_span(channel, len), bytes);
    }
}

static const struct {
    uint32_t bit;
    unsigned class;
    const char *event;
} notify_wrote[] = {
    {KITH_WROTE_STRING, KI_REDIS_NOTIFY_STRING, "set"},
    {KITH_WROTE_COUNTER, KI_REDIS_NOTIFY_STRING, "incrby"},
    {KITH_WROTE_SIBLING, KI_REDIS_NOTIFY_STRING, "kith.mvset"},
    {KITH_WROTE_SORTED, KI_REDIS_NOTIFY_SORTED, "zadd"},
    {KITH_WROTE_SORTED_COUNTER, KI_REDIS_NOTIFY_SORTED, "zincr"},
    {KITH_WROTE_SET, KI_REDIS_NOTIFY_SET, "sadd"},
    {KITH_WROTE_HASH, KI_REDIS_NOTIFY_HASH, "hset"},
    {KITH_WROTE_HASH_COUNTER, KI_REDIS_NOTIFY_HASH, "hincrby"},
    {KITH_WROTE_EXPIRY, KI_REDIS_NOTIFY_GENERIC, "expire"},
}, notify_removed[] = {
    {KITH_WROTE_SORTED | KITH_WROTE_SORTED_COUNTER, KI_REDIS_NOTIFY_SORTED, "zrem"},
    {KITH_WROTE_SET, KI_REDIS_NOTIFY_SET, "srem"},
    {KITH_WROTE_HASH | KITH_WROTE_HASH_COUNTER, KI_REDIS_NOTIFY_HASH, "hdel"},
};

static void notify_change(struct ki_redis *redis, const struct kith_change *change)
{
    for (size_t i = 0; i < KI_COUNT(notify_wrote); i++) {
        if (change->wrote & notify_wrote[i].bit)
            notify_event(redis, notify_wrote[i].class, notify_wrote[i].event, change->key);
    }
    for (size_t i = 0; i < KI_COUNT(notify_removed) && !change->is_gone; i++) {
        if (change->removed & notify_removed[i].bit)
            notify_event(redis, notify_removed[i].class, notify_removed[i].event, change->key);
    }
    if (change->is_gone && change->is_expired)
        notify_event(redis, KI_REDIS_NOTIFY_EXPIRED, "expired", change->key);
    else if (change->is_gone)
        notify_event(redis, KI_REDIS_NOTIFY_GENERIC, "del", change->key);
}

/* ---- changes ---- */

static void notify_break(const struct ki_redis_name *name)
{
    for (struct ki_list *at = name->interests.next; at != &name->interests; at = at->next) {
        struct ki_redis_client *client = KI_CONTAINER(at, struct ki_redis_interest, of_name)->user->owner;
        client->watch_broken = true;
    }
}

/* Changes were dropped: any watched key may have been among them. */
static void notify_break_all(struct ki_redis *redis)
{
    for (struct ki_list *at = redis->watched.all.next; at != &redis->watched.all; at = at->next)
        notify_break(KI_CONTAINER(at, struct ki_redis_name, all));
}

void ki_redis_tell_end(struct ki_redis *redis)
{
    while (!ki_list_empty(&redis->pushed)) {
        struct ki_redis_client *client = KI_CONTAINER(redis->pushed.next, struct ki_redis_client, pushed);
        ki_list_remove(&client->pushed);
        if (redis->config.withhold)
            ki_redis_hold(client);
        ki_redis_flush(client);
    }
}

/* Somebody has subscribed, and there is something to be told. */
static bool notify_tells(const struct ki_redis *redis)
{
    return redis->notify & (KI_REDIS_NOTIFY_KEYSPACE | KI_REDIS_NOTIFY_KEYEVENT) &&
           redis->channels.count + redis->patterns.count > 0;
}

void ki_redis_interest(struct ki_redis *redis)
{
    kith_watch(redis->config.k, redis->watched.count > 0 || notify_tells(redis));
}

void ki_redis_changes(struct ki_redis *redis)
{
    kith *k = redis->config.k;
    struct kith_change change;
    bool told = notify_tells(redis);
    while (kith_poll_change(k, &change)) {
        if (redis->watched.count > 0) {
            struct ki_redis_name *name = ki_redis_names_find(&redis->watched, ki_span(change.key.ptr, change.key.len));
            if (name)
                notify_break(name);
        }
        if (told)
            notify_change(redis, &change);
    }
    uint64_t dropped = redis->dropped_counter < kith_counter_count() ? kith_counter(k, redis->dropped_counter) : 0;
    if (dropped != redis->dropped_seen)
        notify_break_all(redis);
    redis->dropped_seen = dropped;
    ki_redis_tell_end(redis);
    ki_redis_interest(redis); /* nobody may be left */
}

/* ---- commands ---- */

static void notify_answer(struct ki_redis_call *call, const char *kind, const struct ki_span *name)
{
    ki_resp_put_push(call->out, 3);
    ki_redis_text(call, kind);
    if (name)
        ki_resp_put_bulk(call->out, *name);
    else
        ki_resp_put_null(call->out);
    ki_resp_put_integer(call->out, (int64_t)ki_redis_subscriptions(call->client));
}

static void notify_subscribe(struct ki_redis_call *call, const char *kind, struct ki_redis_names *names,
                             struct ki_redis_names_user *user)
{
    for (size_t i = 1; i < call->arg_count; i++) {
        if (user->count >= KI_REDIS_NAMES_MAX || ki_redis_names_add(names, user, call->args[i]) < 0) {
            ki_redis_error(call, "ERR too many subscriptions");
            return;
        }
        notify_answer(call, kind, &call->args[i]);
    }
    ki_redis_interest(call->client->redis);
}

static void notify_unsubscribe(struct ki_redis_call *call, const char *kind, struct ki_redis_names *names,
                               struct ki_redis_names_user *user)
{
    for (size_t i = 1; i < call->arg_count; i++) {
        (void)ki_redis_names_remove(names, user, call->args[i]);
        notify_answer(call, kind, &call->args[i]);
    }
    if (call->arg_count > 1)
        return;
    if (user->count == 0)
        notify_answer(call, kind, NULL);
    while (user->count > 0) {
        struct ki_redis_interest *interest = KI_CONTAINER(user->interests.next, struct ki_redis_interest, of_user);
        struct ki_span name = ki_redis_name_span(interest->name);
        size_t left = ki_redis_subscriptions(call->client) - 1;
        ki_resp_put_push(call->out, 3); /* as notify_answer(), while the name is still there */
        ki_redis_text(call, kind);
        ki_resp_put_bulk(call->out, name);
        ki_resp_put_integer(call->out, (int64_t)left);
        ki_redis_names_drop(names, interest);
    }
}

void ki_redis_subscribe(struct ki_redis_call *call)
{
    notify_subscribe(call, "subscribe", &call->client->redis->channels, &call->client->channels);
}

void ki_redis_psubscribe(struct ki_redis_call *call)
{
    notify_subscribe(call, "psubscribe", &call->client->redis->patterns, &call->client->patterns);
}

void ki_redis_unsubscribe(struct ki_redis_call *call)
{
    notify_unsubscribe(call, "unsubscribe", &call->client->redis->channels, &call->client->channels);
}

void ki_redis_punsubscribe(struct ki_redis_call *call)
{
    notify_unsubscribe(call, "punsubscribe", &call->client->redis->patterns, &call->client->patterns);
}

void ki_redis_unsubscribe_all(struct ki_redis_client *client)
{
    ki_redis_names_drop_all(&client->redis->channels, &client->channels);
    ki_redis_names_drop_all(&client->redis->patterns, &client->patterns);
}
