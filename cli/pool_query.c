/* Queries, for the commands that ask the pool.
 *
 * The agent answers with a header, and then with records on the same number: acks and responses as they come, and one
 * that says it is over.  Serf's agent may say so first by some acks and responses from nobody, read from channels that it
 * has just closed; its own command line stops at these, too.  What is kept is copied, for the next record takes the place
 * of the last, and bounded.
 *
 * Serf leaves it to people to see who is missing in a list of acks.  Here the agent's members are asked for first, so that
 * who has to acknowledge is known: the filters of a query are told to the members, each of which looks at itself, and the
 * same filters can be put to the agent's list of members.  There a pattern must match the whole value and in a query any
 * part of it, so it is put between two that match anything, line ends too.  Members that come later are not expected.
 *
 * Not here: printing (query.c, reachability.c). */
#include "cli/pool_query.h"

#include <stdlib.h>
#include <string.h>

#include "wire/msgpack.h"

#define POOL_QUERY_BYTES_MAX ((size_t)1 << 30) /* of answers kept at once, with what holds them */

static struct ki_span pool_query_span(const char *text)
{
    return ki_span(text, strlen(text));
}

/* ---- asking ---- */

static void pool_query_pack_tags(struct ki_pack *p, const struct ki_flag_list *tags)
{
    ki_pack_map(p, tags->count);
    for (size_t i = 0; i < tags->count; i++) {
        const char *equals = strchr(tags->items[i], '=');
        ki_pack_str(p, ki_span(tags->items[i], (size_t)(equals - tags->items[i])));
        ki_pack_text(p, equals + 1);
    }
}

/* The memory behind it is the caller's to free. */
static struct ki_pack pool_query_pack(const struct ki_pool_query *query, bool folds)
{
    size_t cap = strlen(query->name) + query->payload.len + 192;
    for (size_t i = 0; i < query->nodes->count; i++)
        cap += strlen(query->nodes->items[i]) + 5;
    for (size_t i = 0; i < query->tags->count; i++)
        cap += strlen(query->tags->items[i]) + 10;
    uint8_t *buf = malloc(cap);
    struct ki_pack p = ki_pack(buf, buf ? cap : 0, true);
    ki_pack_map(&p, folds ? 6 : 7);
    ki_pack_text(&p, "FilterNodes");
    ki_pack_array(&p, query->nodes->count);
    for (size_t i = 0; i < query->nodes->count; i++)
        ki_pack_text(&p, query->nodes->items[i]);
    ki_pack_text(&p, "FilterTags");
    pool_query_pack_tags(&p, query->tags);
    if (folds) {
        ki_pack_text(&p, "Top");
        ki_pack_uint(&p, query->top);
    } else {
        ki_pack_text(&p, "RequestAck");
        ki_pack_bool(&p, query->wants_acks);
        ki_pack_text(&p, "RelayFactor");
        ki_pack_uint(&p, query->relay_factor);
    }
    ki_pack_text(&p, "Timeout");
    ki_pack_int(&p, (int64_t)query->timeout_ms * 1000000);
    ki_pack_text(&p, "Name");
    ki_pack_text(&p, query->name);
    ki_pack_text(&p, "Payload");
    ki_pack_bytes(&p, query->payload);
    return p;
}

bool ki_pool_query_send(struct ki_rpc_client *client, const struct ki_pool_query *query)
{
    struct ki_pack body = pool_query_pack(query, false);
    bool sent = ki_rpc_call(client, "query", &body, KI_RPC_WAIT_MS, NULL);
    free(body.w.start);
    return sent;
}

bool ki_pool_query_fold(struct ki_rpc_client *client, const struct ki_pool_query *query, struct ki_span *object)
{
    struct ki_pack body = pool_query_pack(query, true);
    bool answered = ki_rpc_call(client, "kith-query", &body, ki_client_wait_ms(query->timeout_ms), object);
    free(body.w.start);
    return answered;
}

bool ki_query_record_read(struct ki_query_record *record, struct ki_span object)
{
    struct raw {
        struct ki_span type, from, payload;
    } raw = {.type = {NULL, 0}};
    static const struct ki_field fields[] = {
        KI_FIELD(struct raw, type, "Type", KI_FIELD_STR, 0, false),
        KI_FIELD(struct raw, from, "From", KI_FIELD_STR, 0, false),
        KI_FIELD(struct raw, payload, "Payload", KI_FIELD_BYTES, 0, false),
    };
    struct ki_reader r = ki_reader(object.ptr, object.len);
    if (!ki_unpack_struct(&r, fields, KI_COUNT(fields), &raw))
        return false;
    bool ack = ki_span_equal(raw.type, ki_span("ack", 3)), response = ki_span_equal(raw.type, ki_span("response", 8));
    *record = (struct ki_query_record){.kind = KI_QUERY_DONE, .from = raw.from, .payload = raw.payload};
    if (raw.from.len > 0 && (ack || response))
        record->kind = ack ? KI_QUERY_ACK : KI_QUERY_RESPONSE;
    return ack || response || ki_span_equal(raw.type, ki_span("done", 4));
}

bool ki_pool_query_next(struct ki_rpc_client *client, const struct ki_pool_query *query, struct ki_query_record *record)
{
    uint64_t seq;
    struct ki_span refusal, object;
    if (!ki_rpc_header(client, ki_client_wait_ms(query->timeout_ms), &seq, &refusal) ||
        !ki_rpc_object(client, KI_RPC_WAIT_MS, &object))
        return false;
    return ki_query_record_read(record, object) ||
           ki_line_fail(&client->line, false, "the agent's answer is malformed");
}

/* ---- answers ---- */

bool ki_answers_add(struct ki_answers *answers, struct ki_span from, struct ki_span payload)
{
    if (answers->count == answers->cap) {
        size_t cap = answers->cap ? answers->cap * 2 : 64;
        struct ki_answer *items = realloc(answers->items, cap * sizeof *items);
        if (!items)
            return false;
        answers->items = items;
        answers->cap = cap;
    }
    size_t len = from.len + payload.len;
    if (len + sizeof *answers->items > POOL_QUERY_BYTES_MAX - answers->bytes)
        return false;
    uint8_t *copy = malloc(len + 1);
    if (!copy)
        return false;
    if (from.len > 0)
        memcpy(copy, from.ptr, from.len);
    if (payload.len > 0)
        memcpy(copy + from.len, payload.ptr, payload.len);
    answers->bytes += len + sizeof *answers->items;
    answers->items[answers->count++] =
        (struct ki_answer){.from = ki_span(copy, from.len), .payload = ki_span(copy + from.len, payload.len)};
    return true;
}

static int pool_query_order(const void *a, const void *b)
{
    const struct ki_answer *left = a, *right = b;
    int order = ki_span_compare(left->from, right->from);
    return order != 0 ? order : ki_span_compare(left->payload, right->payload);
}

void ki_answers_sort(struct ki_answers *answers)
{
    if (answers->count > 0)
        qsort(answers->items, answers->count, sizeof *answers->items, pool_query_order);
}

static int pool_query_find(const void *key, const void *item)
{
    const struct ki_answer *answer = item;
    return ki_span_compare(*(const struct ki_span *)key, answer->from);
}

bool ki_answers_has(const struct ki_answers *answers, struct ki_span from)
{
    return answers->count > 0 &&
           bsearch(&from, answers->items, answers->count, sizeof *answers->items, pool_query_find) != NULL;
}

json_t *ki_answers_names(const struct ki_answers *answers)
{
    json_t *names = json_array();
    for (size_t i = 0; i < answers->count; i++)
        json_array_append_new(names, ki_json_bytes(answers->items[i].from));
    return names;
}

void ki_answers_free(struct ki_answers *answers)
{
    for (size_t i = 0; i < answers->count; i++)
        free((void *)(uintptr_t)answers->items[i].from.ptr); /* one piece of memory each, which begins with the name */
    free(answers->items);
    *answers = (struct ki_answers){.count = 0};
}

/* ---- who should have ---- */

char *ki_pool_pattern(const char *anywhere)
{
    static const char form[] = "(?s:.*)(?:%s)(?s:.*)";
    size_t cap = sizeof form + strlen(anywhere);
    char *whole = malloc(cap);
    if (whole)
        snprintf(whole, cap, form, anywhere);
    return whole;
}

/* The memory behind it is the caller's to free. */
static struct ki_pack pool_query_pack_filter(const struct ki_flag_list *tags)
{
    size_t cap = 64;
    for (size_t i = 0; i < tags->count; i++)
        cap += strlen(tags->items[i]) + 32;
    uint8_t *buf = malloc(cap);
    struct ki_pack p = ki_pack(buf, buf ? cap : 0, true);
    ki_pack_map(&p, 1);
    ki_pack_text(&p, "Tags");
    ki_pack_map(&p, tags->count);
    for (size_t i = 0; i < tags->count; i++) {
        const char *equals = strchr(tags->items[i], '=');
        char *pattern = ki_pool_pattern(equals + 1);
        ki_pack_str(&p, ki_span(tags->items[i], (size_t)(equals - tags->items[i])));
        if (pattern)
            ki_pack_text(&p, pattern);
        else
            p.w.full = true;
        free(pattern);
    }
    return p;
}

bool ki_pool_members_ask(struct ki_rpc_client *client, const struct ki_flag_list *tags, struct ki_pool_members *members)
{
    struct ki_pack body = pool_query_pack_filter(tags);
    struct ki_span reply = {NULL, 0};
    *members = (struct ki_pool_members){.object = NULL};
    bool asked = ki_rpc_call(client, "members-filtered", &body, KI_RPC_WAIT_MS, &reply);
    free(body.w.start);
    if (!asked)
        return false;
    members->object = malloc(reply.len + 1);
    if (!members->object)
        return ki_line_fail(&client->line, false, "out of memory");
    memcpy(members->object, reply.ptr, reply.len);
    return ki_member_list_read(&members->list, ki_span(members->object, reply.len)) ||
           ki_line_fail(&client->line, false, "the agent's answer is malformed");
}

void ki_pool_members_free(struct ki_pool_members *members)
{
    ki_member_list_free(&members->list);
    free(members->object);
    members->object = NULL;
}

static bool pool_query_named(const struct ki_flag_list *nodes, size_t count, struct ki_span name)
{
    for (size_t i = 0; i < count; i++) {
        if (ki_span_equal(pool_query_span(nodes->items[i]), name))
            return true;
    }
    return false;
}

static bool pool_query_listed(const struct ki_member_list *list, struct ki_span name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (ki_span_equal(list->members[i].name, name))
            return true;
    }
    return false;
}

bool ki_pool_expected(const struct ki_member_list *list, const struct ki_pool_query *query, struct ki_answers *expected)
{
    const struct ki_flag_list *nodes = query->nodes;
    bool good = true;
    for (size_t i = 0; i < list->count && good; i++) {
        const struct ki_listed_member *member = &list->members[i];
        bool wanted = nodes->count > 0 ? pool_query_named(nodes, nodes->count, member->name)
                                       : ki_span_equal(member->status, ki_span("alive", 5));
        if (wanted)
            good = ki_answers_add(expected, member->name, member->status);
    }
    for (size_t i = 0; i < nodes->count && query->tags->count == 0 && good; i++) {
        struct ki_span name = pool_query_span(nodes->items[i]);
        if (!pool_query_listed(list, name) && !pool_query_named(nodes, i, name)) /* or named twice */
            good = ki_answers_add(expected, name, ki_span("unknown", 7));
    }
    ki_answers_sort(expected);
    return good;
}

bool ki_pool_missing(const struct ki_answers *expected, const struct ki_answers *acks, struct ki_answers *missing)
{
    for (size_t i = 0; i < expected->count; i++) {
        const struct ki_answer *one = &expected->items[i];
        if (!ki_answers_has(acks, one->from) && !ki_answers_add(missing, one->from, one->payload))
            return false;
    }
    return true;
}
