/* kith query: asks members something, and prints who has got the question and what they answer.
 *
 * Text is Serf's, a line as it comes; -format=json has Serf's shape and --json its own, both at the end and sorted.  What is
 * different: members that the filters select, are alive, and do not acknowledge are named on standard error, and then the
 * exit code is 1; so are members that -node names and that are not alive or not there.  With -no-ack nobody says that he
 * has got it, and nobody is missed.
 *
 * With -fold there is one answer of all, and the rest is that of query_fold.c.
 *
 * A pattern of -tag matches any part of the tag's value, as in Serf, while that of `kith members` must match all of it.
 * A bad one is named here; members would only ignore the query. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

#include "base/pattern.h"
#include "cli/payload.h"
#include "cli/pool_query.h"
#include "cli/query_fold.h"
#include "kith/aggregate.h"

enum query_form { QUERY_TEXT, QUERY_SERF_JSON, QUERY_JSON };

struct query {
    struct ki_client_options client_options;
    struct ki_rpc_client client;
    struct ki_pool_query ask;
    enum query_form form;
    uint32_t ack_count, response_count;
    struct ki_answers expected, acks, responses, missing; /* responses only in JSON */
};

/* ---- what has come ---- */

static void query_print(const char *what, struct ki_span from)
{
    printf("%s from '", what);
    ki_print_safe(stdout, from);
    putchar('\'');
}

/* An answer is often lines of text, and stays so; one newline at its end is not printed twice. */
static void query_print_payload(struct ki_span payload)
{
    if (payload.len > 0 && payload.ptr[payload.len - 1] == '\n')
        payload.len--;
    while (payload.len > 0) {
        const uint8_t *end = memchr(payload.ptr, '\n', payload.len);
        size_t len = end ? (size_t)(end - payload.ptr) : payload.len;
        ki_print_safe(stdout, ki_span(payload.ptr, len));
        if (end)
            putchar('\n');
        len += end ? 1 : 0;
        payload = ki_span(payload.ptr + len, payload.len - len);
    }
}

static bool query_took(struct query *query, const struct ki_query_record *record)
{
    bool text = query->form == QUERY_TEXT;
    switch (record->kind) {
    case KI_QUERY_ACK:
        query->ack_count++;
        if (text) {
            query_print("Ack", record->from);
            putchar('\n');
        }
        return ki_answers_add(&query->acks, record->from, ki_span(NULL, 0));
    case KI_QUERY_RESPONSE:
        query->response_count++;
        if (!text)
            return ki_answers_add(&query->responses, record->from, record->payload);
        query_print("Response", record->from);
        fputs(": ", stdout);
        query_print_payload(record->payload);
        putchar('\n');
        return true;
    case KI_QUERY_DONE:
        return true;
    }
    return true;
}

/* ---- how it ended ---- */

static int query_json(const struct query *query)
{
    json_t *responses = json_array();
    for (size_t i = 0; i < query->responses.count; i++) {
        json_t *response = json_pack("{s:o}", "from", ki_json_bytes(query->responses.items[i].from));
        ki_json_set_payload(response, query->responses.items[i].payload);
        json_array_append_new(responses, response);
    }
    return ki_json_print(json_pack("{s:o, s:o, s:o, s:o}", "name",
                                   ki_json_bytes(ki_span(query->ask.name, strlen(query->ask.name))), "acks",
                                   ki_answers_names(&query->acks), "responses", responses, "missing",
                                   ki_answers_names(&query->missing)),
                         0);
}

static int query_serf_json(const struct query *query)
{
    json_t *responses = json_object();
    for (size_t i = 0; i < query->responses.count; i++)
        ki_json_set(responses, query->responses.items[i].from, ki_json_bytes(query->responses.items[i].payload));
    return ki_json_print(json_pack("{s:o, s:o}", "Acks", ki_answers_names(&query->acks), "Responses", responses), 0);
}

static int query_end_text(const struct query *query)
{
    if (query->ask.wants_acks)
        printf("Total Acks: %u\n", (unsigned)query->ack_count);
    printf("Total Responses: %u\n", (unsigned)query->response_count);
    fflush(stdout);
    return KI_EXIT_OK;
}

static int query_end(struct query *query)
{
    ki_answers_sort(&query->acks);
    ki_answers_sort(&query->responses);
    if (query->ask.wants_acks && !ki_pool_missing(&query->expected, &query->acks, &query->missing)) {
        fprintf(stderr, "Error querying: out of memory\n");
        return KI_EXIT_FAILED;
    }
    int code = KI_EXIT_OK;
    switch (query->form) {
    case QUERY_TEXT:
        code = query_end_text(query);
        break;
    case QUERY_SERF_JSON:
        code = query_serf_json(query);
        break;
    case QUERY_JSON:
        code = query_json(query);
        break;
    }
    if (query->missing.count == 0)
        return code;
    fprintf(stderr, "Missing acks from:\n");
    for (size_t i = 0; i < query->missing.count; i++) {
        putc('\t', stderr);
        ki_print_safe(stderr, query->missing.items[i].from);
        fputs(" (", stderr);
        ki_print_safe(stderr, query->missing.items[i].payload);
        fputs(")\n", stderr);
    }
    return KI_EXIT_FAILED;
}

/* ---- asking ---- */

/* Finds out who has to acknowledge.  Returns the exit code, the reason printed. */
static int query_expect(struct query *query)
{
    struct ki_pool_members members;
    int code = KI_EXIT_OK;
    if (!ki_pool_members_ask(&query->client, query->ask.tags, &members)) {
        code = ki_client_failed(&query->client, KI_EXIT_FAILED, "Error retrieving members");
    } else if (!ki_pool_expected(&members.list, &query->ask, &query->expected)) {
        fprintf(stderr, "Error retrieving members: out of memory\n");
        code = KI_EXIT_FAILED;
    }
    ki_pool_members_free(&members);
    return code;
}

static int query_follow(struct query *query)
{
    struct ki_query_record record;
    do {
        if (!ki_pool_query_next(&query->client, &query->ask, &record))
            return ki_client_failed(&query->client, KI_EXIT_FAILED, "Error querying");
        if (!query_took(query, &record)) {
            fprintf(stderr, "Error querying: the answers are more than fit into memory\n");
            return KI_EXIT_FAILED;
        }
        fflush(stdout);
    } while (record.kind != KI_QUERY_DONE);
    return query_end(query);
}

static int query_run(struct query *query)
{
    int code = ki_client_connect(&query->client, &query->client_options);
    if (code != KI_EXIT_OK)
        return code;
    if (query->ask.wants_acks)
        code = query_expect(query);
    if (code == KI_EXIT_OK && !ki_pool_query_send(&query->client, &query->ask))
        code = ki_client_failed(&query->client, KI_EXIT_FAILED, "Error sending query");
    if (code == KI_EXIT_OK && query->form == QUERY_TEXT) {
        fputs("Query '", stdout);
        ki_print_safe(stdout, ki_span(query->ask.name, strlen(query->ask.name)));
        puts("' dispatched");
        fflush(stdout);
    }
    if (code == KI_EXIT_OK)
        code = query_follow(query);
    ki_answers_free(&query->expected);
    ki_answers_free(&query->acks);
    ki_answers_free(&query->responses);
    ki_answers_free(&query->missing);
    ki_rpc_close(&query->client);
    return code;
}

static bool query_check_tags(const struct ki_usage *usage, const struct ki_flag_list *tags, int *code)
{
    for (size_t i = 0; i < tags->count; i++) {
        const char *equals = strchr(tags->items[i], '=');
        if (!equals || equals == tags->items[i]) {
            *code = ki_usage_error(usage, "Invalid tag: '%s'", tags->items[i]);
            return false;
        }
        char reason[128];
        struct ki_span expression = ki_span(equals + 1, strlen(equals + 1));
        struct ki_pattern *compiled = ki_pattern_new(NULL, KI_PATTERN_WHOLE, expression, reason, sizeof reason);
        if (!compiled) {
            fprintf(stderr, "Error sending query: bad pattern '%s': %s\n", equals + 1, reason);
            *code = KI_EXIT_FAILED;
            return false;
        }
        ki_pattern_free(compiled);
    }
    return true;
}

/* What -fold and -gauge ask for.  Returns the exit code, and has asked if it should have. */
static int query_folded(const struct ki_usage *usage, struct query *query, char **operands, int count, const char *text,
                        bool is_gauge)
{
    enum ki_fold_want want;
    uint8_t *memory = NULL;
    const char *wrong = ki_fold_want_read(text, &want, &query->ask.top);
    if (!ki_flag_fits(usage, "fold", text, wrong))
        return KI_EXIT_USAGE;
    if (is_gauge && count > 1)
        return ki_usage_error(usage, "-gauge takes the name of a gauge, and no payload");
    if (is_gauge && (operands[0][0] == '\0' || strlen(operands[0]) > KITH_AGGREGATE_NAME_MAX))
        return ki_usage_error(usage, "the name of a gauge has 1 to %d bytes", KITH_AGGREGATE_NAME_MAX);
    query->ask.name = is_gauge ? KI_QUERY_GAUGE : operands[0];
    if (is_gauge)
        query->ask.payload = ki_span(operands[0], strlen(operands[0]));
    else if (!ki_payload_take(count > 1 ? operands[1] : NULL, &query->ask.payload, &memory))
        return KI_EXIT_FAILED;
    int code = ki_query_fold(&query->client_options, &query->ask, want);
    free(memory);
    return code;
}

/* What the flags of one kind have no meaning for in the other. */
static bool query_check_kind(const struct ki_usage *usage, bool folds, bool is_gauge, bool no_ack, uint32_t relay_factor,
                             const char *format)
{
    const char *wrong = !folds && is_gauge     ? "-gauge goes with -fold"
                        : folds && no_ack      ? "-fold wants no acks: leave -no-ack away"
                        : folds && relay_factor ? "-relay-factor is not for -fold: whoever is not heard of is asked again"
                        : folds && strcmp(format, "text") != 0 ? "-fold has no form of Serf's: use -json"
                                                               : NULL;
    if (wrong)
        (void)ki_usage_error(usage, "%s", wrong);
    return !wrong;
}

int ki_cmd_query(int argc, char **argv)
{
    struct query query = {.client_options = ki_client_options(), .client.line.fd = -1};
    struct ki_flag_list nodes = {.count = 0}, tags = {.count = 0};
    bool no_ack = false, is_gauge = false;
    uint32_t relay_factor = 0;
    const char *format = "text", *timeout = NULL, *fold = NULL;
    const struct ki_flag flags[] = {
        {"fold", KI_FLAG_TEXT, &fold, "count|sum|avg|min|max|top:K",
         "Answers are numbers: print what they come to, with one answer for\nall of the pool.  top:K: the K largest (32 at "
         "most), and whose."},
        {"format", KI_FLAG_TEXT, &format, "text|json", "Output format; json has Serf's shape."},
        {"gauge", KI_FLAG_BOOL, &is_gauge, NULL, "With -fold: name is a gauge, whose values are folded (kith gauge)."},
        {"no-ack", KI_FLAG_BOOL, &no_ack, NULL, "Do not have members acknowledge it; then nobody is missed."},
        {"node", KI_FLAG_LIST, &nodes, "name", "Only this member; may be given several times."},
        {"relay-factor", KI_FLAG_UINT, &relay_factor, "0",
         "Answers come by so many other members too, against loss; 0 to 255."},
        {"tag", KI_FLAG_LIST, &tags, "key=regexp",
         "Only members whose tag's value has a part that matches;\nmay be given several times: all must match."},
        {"timeout", KI_FLAG_TEXT, &timeout, "duration", "How long to wait for answers; the agent knows otherwise."},
        KI_JSON_FLAG(query.client_options),
        KI_CLIENT_FLAGS(query.client_options),
    };
    const struct ki_usage usage = {"query", "name [payload]",
                                   "Asks members something, and prints who has got it and what they answer.\n"
                                   "  A payload of - is standard input.  Fails if not all that are asked acknowledge it, or,"
                                   "\n  with -fold, answer.",
                                   flags, KI_COUNT(flags), 1, 2};
    static const char *const forms[] = {"text", "json"}; /* as in enum query_form */
    size_t form;
    int first, code;
    if (!ki_flags_parse(&usage, argc, argv, &first, &code) || !query_check_tags(&usage, &tags, &code))
        return code;
    if (!ki_flag_choice(&usage, "format", format, forms, KI_COUNT(forms), &form) ||
        !ki_flag_within(&usage, "relay-factor", relay_factor, 0, 255) ||
        !ki_client_duration(&usage, "timeout", timeout, &query.ask.timeout_ms) ||
        !query_check_kind(&usage, fold != NULL, is_gauge, no_ack, relay_factor, format))
        return KI_EXIT_USAGE;
    query.form = query.client_options.json ? QUERY_JSON : (enum query_form)form;
    query.ask.nodes = &nodes;
    query.ask.tags = &tags;
    if (fold)
        return query_folded(&usage, &query, argv + first, argc - first, fold, is_gauge);
    query.ask.name = argv[first];
    query.ask.relay_factor = (uint8_t)relay_factor;
    query.ask.wants_acks = !no_ack;
    uint8_t *memory;
    code = KI_EXIT_FAILED;
    if (ki_payload_take(first + 1 < argc ? argv[first + 1] : NULL, &query.ask.payload, &memory))
        code = query_run(&query);
    free(memory);
    return code;
}
