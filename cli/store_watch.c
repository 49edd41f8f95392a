/* kith watch: a line for every change of some keys, by whoever made it, until interrupted.
 *
 * These are the door's keyspace notifications.  An agent sends none until it is told which, and that is one setting for all
 * of its clients; so what is set already is kept, and all events of keys are added to it.  They stay on afterwards, because
 * somebody else may have come to rely on them, and cost nothing while nobody listens.
 *
 * A line says what happened to a key, not what it holds now: successive changes may come as one.  Ends when the agent does
 * (exit code 1), or by a signal (0).  Every line is flushed, so that it can be piped. */
#include "cli/store.h"

#include <stdlib.h>
#include <string.h>

#include "agent/redis.h"

static const char watch_prefix[] = "__keyspace@0__:";

/* Has the door tell of all changes of keys, and keeps what it tells already. */
static bool watch_turn_on(struct ki_resp_client *client)
{
    static const char name[] = "notify-keyspace-events";
    char classes[64];
    struct ki_reply reply;
    if (!ki_resp_ask(client, &reply, "CONFIG", "GET", name, NULL))
        return false;
    if (!ki_reply_has(reply, 2))
        return ki_resp_odd(client);
    struct ki_span set = ki_reply_text(ki_reply_next(ki_reply_first(reply)));
    if (set.len + sizeof "KA" > sizeof classes)
        return ki_resp_odd(client);
    memcpy(classes, set.ptr, set.len);
    memcpy(classes + set.len, "KA", sizeof "KA");
    return (memchr(classes, 'K', set.len) && memchr(classes, 'A', set.len)) ||
           ki_resp_ask(client, &reply, "CONFIG", "SET", name, classes, NULL);
}

static bool watch_subscribe(struct ki_resp_client *client, char **patterns, int count)
{
    const size_t prefix = sizeof watch_prefix - 1;
    bool done = true;
    for (int i = 0; i < count && done; i++) {
        size_t len = strlen(patterns[i]);
        char *text = malloc(prefix + len + 1);
        done = text != NULL;
        if (!done)
            break;
        memcpy(text, watch_prefix, prefix);
        memcpy(text + prefix, patterns[i], len);
        const struct ki_span args[] = {ki_span("PSUBSCRIBE", 10), ki_span(text, prefix + len)};
        done = ki_resp_send(client, args, KI_COUNT(args)); /* messages may come before the answers */
        free(text);
    }
    return done;
}

/* Several patterns may match one key, and each brings a message: only that of the first counts. */
static bool watch_is_first(struct ki_span pattern, struct ki_span key, char **patterns, int count)
{
    for (int i = 0; i < count; i++) {
        struct ki_span own = ki_door_span(patterns[i]);
        if (ki_redis_match(own, key))
            return ki_span_equal(own, pattern);
    }
    return false;
}

static void watch_print(struct ki_span key, struct ki_span event, bool json)
{
    if (json) {
        (void)ki_json_print_line(json_pack("{s:o, s:o}", "key", ki_json_bytes(key), "event", ki_json_bytes(event)));
        return; /* what cannot be written shows when the lines are flushed */
    }
    ki_print_safe(stdout, event);
    putchar(' ');
    ki_print_safe(stdout, key);
    putchar('\n');
}

static int watch_follow(struct ki_door *door, char **patterns, int count)
{
    const size_t prefix = sizeof watch_prefix - 1;
    struct ki_reply reply;
    while (ki_resp_receive(&door->client, KI_DIAL_FOREVER, &reply)) {
        if (!ki_reply_has(reply, 3))
            continue;
        struct ki_reply kind = ki_reply_first(reply), pattern = ki_reply_next(kind), channel = ki_reply_next(pattern);
        struct ki_span key = ki_reply_text(channel), own = ki_reply_text(pattern);
        if (ki_reply_count(reply) != 4 || key.len < prefix || own.len < prefix || /* the answer to a subscription */
            !ki_span_equal(ki_reply_text(kind), ki_span("pmessage", 8)))
            continue;
        key = ki_span(key.ptr + prefix, key.len - prefix);
        if (!watch_is_first(ki_span(own.ptr + prefix, own.len - prefix), key, patterns, count))
            continue;
        watch_print(key, ki_reply_text(ki_reply_next(channel)), door->json);
        if (fflush(stdout) != 0) {
            fprintf(stderr, "kith watch: cannot write the output\n");
            return KI_EXIT_FAILED;
        }
    }
    (void)ki_door_failed(door, NULL);
    return KI_EXIT_FAILED; /* it was there */
}

int ki_cmd_watch(int argc, char **argv)
{
    struct ki_door door = ki_door("watch");
    const struct ki_flag flags[] = {KI_DOOR_FLAGS(door)};
    const struct ki_usage usage = {
        "watch", "key ...",
        "Prints a line for each change of these keys, until interrupted: what happened, and the key.\n"
        "  A key may be a pattern of * ? [a-z] [^a] \\x.  It has the agent tell of changes (CONFIG SET\n"
        "  notify-keyspace-events), and leaves that on.",
        flags, KI_COUNT(flags), 1, -1};
    char **operands;
    int count, code;
    if (!ki_flags_parse_around(&usage, argc, argv, &operands, &count, &code))
        return code;
    ki_client_until_interrupted();
    code = ki_door_open(&door);
    if (code == KI_EXIT_OK && (!watch_turn_on(&door.client) || !watch_subscribe(&door.client, operands, count)))
        code = ki_door_failed(&door, NULL);
    if (code == KI_EXIT_OK)
        code = watch_follow(&door, operands, count);
    ki_door_close(&door);
    return code;
}
