/* kith store status: how much the store holds, and whether the pool agrees on it.
 *
 * The agent answers KITH.STATUS with JSON of its own; what is printed is made from that, field by field, so that an older or
 * newer agent gives fewer fields and not others.  Times of the agent's clock become how long ago, which is all that they
 * mean elsewhere.
 *
 * With -wait it asks again until every other member has been seen with the root that this agent has.  That says that all
 * hold the same, as of a moment ago; writes that go on move it. */
#include "cli/store.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STATUS_EVERY_MS 100

static uint64_t status_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- what the agent said ---- */

static json_int_t status_number(const json_t *from, const char *name)
{
    return json_integer_value(json_object_get(from, name));
}

static const char *status_text(const json_t *from, const char *name)
{
    const char *text = json_string_value(json_object_get(from, name));
    return text ? text : "";
}

static void status_copy(json_t *to, const char *name, const json_t *from, const char *named)
{
    json_t *value = json_object_get(from, named);
    json_object_set(to, name, value ? value : json_null());
}

/* Milliseconds since a time of the agent's clock; null: never. */
static json_t *status_ago(const json_t *from, const json_t *peer)
{
    json_int_t now_us = status_number(from, "now_us"), then_us = status_number(peer, "synced_us");
    return then_us > 0 && now_us >= then_us ? json_integer((now_us - then_us) / 1000) : json_null();
}

static json_t *status_document(const json_t *from)
{
    static const char *const same[] = {"replica", "keys",   "cells",   "bytes",          "written",    "replicas",
                                       "root",    "rounds", "repairs", "repairs_failed", "differences"};
    json_t *document = json_object();
    json_t *peers = json_array();
    const json_t *listed = json_object_get(from, "peers");
    for (size_t i = 0; i < KI_COUNT(same); i++)
        status_copy(document, same[i], from, same[i]);
    status_copy(document, "partial", from, "is_partial");
    status_copy(document, "in_sync", from, "peers_in_sync");
    status_copy(document, "in_sync_of", from, "peers_count");
    for (size_t i = 0; i < json_array_size(listed); i++) {
        const json_t *one = json_array_get(listed, i);
        json_t *peer = json_object();
        status_copy(peer, "member", one, "member");
        status_copy(peer, "replica", one, "replica");
        status_copy(peer, "in_sync", one, "in_sync");
        json_object_set_new(peer, "synced_ms_ago", status_ago(from, one));
        status_copy(peer, "differences", one, "differences");
        json_array_append_new(peers, peer);
    }
    json_object_set_new(document, "peers", peers);
    return document;
}

/* ---- for people ---- */

static void status_ago_text(const json_t *ago_ms, char text[32])
{
    uint64_t ms = (uint64_t)json_integer_value(ago_ms);
    if (!json_is_integer(ago_ms))
        snprintf(text, 32, "never");
    else if (ms < 60000)
        snprintf(text, 32, "%" PRIu64 ".%" PRIu64 " s ago", ms / 1000, ms % 1000 / 100);
    else if (ms < 3600000)
        snprintf(text, 32, "%" PRIu64 " min ago", ms / 60000);
    else
        snprintf(text, 32, "%" PRIu64 " h ago", ms / 3600000);
}

static void status_peers(const json_t *peers)
{
    static const char title[] = "Peer";
    size_t widest = sizeof title - 1;
    for (size_t i = 0; i < json_array_size(peers); i++) {
        size_t width = ki_safe_width(ki_door_span(status_text(json_array_get(peers, i), "member")));
        widest = width > widest ? width : widest;
    }
    if (json_array_size(peers) > 0)
        printf("\n%-*s  %-16s  In sync  %-10s  Differences\n", (int)widest, title, "Replica", "Last sync");
    for (size_t i = 0; i < json_array_size(peers); i++) {
        const json_t *peer = json_array_get(peers, i);
        struct ki_span member = ki_door_span(status_text(peer, "member"));
        char ago[32];
        status_ago_text(json_object_get(peer, "synced_ms_ago"), ago);
        ki_print_safe(stdout, member);
        printf("%*s  ", (int)(widest - ki_safe_width(member)), "");
        ki_print_safe(stdout, ki_door_span(status_text(peer, "replica")));
        printf("  %-7s  %-10s  %lld\n", json_is_true(json_object_get(peer, "in_sync")) ? "yes" : "no", ago,
               (long long)status_number(peer, "differences"));
    }
}

static void status_print(const json_t *document)
{
    static const struct {
        const char *title, *name;
    } rows[] = {
        {"Keys", "keys"},          {"Cells", "cells"},   {"Bytes", "bytes"},     {"Written here", "written"},
        {"Replicas known", "replicas"}, {"Rounds", "rounds"}, {"Repairs", "repairs"}, {"Repairs failed", "repairs_failed"},
        {"Differences repaired", "differences"},
    };
    printf("%-20s  ", "Replica");
    ki_print_safe(stdout, ki_door_span(status_text(document, "replica")));
    printf("\n%-20s  ", "Root");
    const char *root = status_text(document, "root");
    ki_print_safe(stdout, ki_door_span(root[0] ? root : "not known yet"));
    putchar('\n');
    for (size_t i = 0; i < KI_COUNT(rows); i++)
        printf("%-20s  %lld\n", rows[i].title, (long long)status_number(document, rows[i].name));
    printf("%-20s  with %lld of %lld\n", "In sync", (long long)status_number(document, "in_sync"),
           (long long)status_number(document, "in_sync_of"));
    if (json_is_true(json_object_get(document, "partial")))
        printf("%-20s  yes: writes of others were refused, for want of memory or for their stamps\n", "Partial");
    status_peers(json_object_get(document, "peers"));
}

/* ---- asking ---- */

/* Returns KI_EXIT_OK and the document, or the exit code. */
static int status_ask(struct ki_door *door, json_t **document)
{
    struct ki_reply reply;
    if (!ki_resp_ask(&door->client, &reply, "KITH.STATUS", NULL))
        return ki_door_failed(door, NULL);
    struct ki_span text = ki_reply_text(reply);
    json_t *from = json_loadb((const char *)text.ptr, text.len, 0, NULL);
    if (!json_is_object(from)) {
        json_decref(from);
        ki_resp_odd(&door->client);
        return ki_door_failed(door, NULL);
    }
    *document = status_document(from);
    json_decref(from);
    return KI_EXIT_OK;
}

/* A store that is alone may have no root yet, and agrees with everybody. */
static bool status_agrees(const json_t *document)
{
    json_int_t peers = status_number(document, "in_sync_of");
    return peers == 0 || (json_is_string(json_object_get(document, "root")) && status_number(document, "in_sync") == peers);
}

int ki_cmd_store_status(int argc, char **argv)
{
    struct ki_door door = ki_door("store status");
    struct ki_flag_uint wait_s = {.given = false};
    const struct ki_flag flags[] = {
        {"wait", KI_FLAG_UINT_GIVEN, &wait_s, "seconds",
         "Wait so long for all members to be in sync; exit code 1 if they are not."},
        KI_DOOR_FLAGS(door),
    };
    const struct ki_usage usage = {"store status", "", "Tells how much the store holds, and whether the pool agrees on it.",
                                   flags, KI_COUNT(flags), 0, 0};
    json_t *document = NULL;
    int first, code;
    if (!ki_flags_parse(&usage, argc, argv, &first, &code))
        return code;
    uint64_t until_ms = status_now_ms() + (uint64_t)wait_s.value * 1000;
    code = ki_door_open(&door);
    if (code == KI_EXIT_OK)
        code = status_ask(&door, &document);
    while (code == KI_EXIT_OK && !status_agrees(document) && wait_s.given && status_now_ms() < until_ms) {
        struct timespec pause = {.tv_nsec = STATUS_EVERY_MS * 1000000L};
        nanosleep(&pause, NULL);
        json_decref(document);
        document = NULL;
        code = status_ask(&door, &document);
    }
    bool agrees = code == KI_EXIT_OK && status_agrees(document);
    if (code == KI_EXIT_OK && door.json)
        code = ki_json_print(json_incref(document), 0);
    else if (code == KI_EXIT_OK)
        status_print(document);
    if (code == KI_EXIT_OK && wait_s.given && !agrees) {
        fprintf(stderr, "kith store status: not in sync with all members after %u s\n", (unsigned)wait_s.value);
        code = KI_EXIT_FAILED;
    }
    json_decref(document);
    ki_door_close(&door);
    return code;
}
