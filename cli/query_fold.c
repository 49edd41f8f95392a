/* kith query -fold: asks members for numbers, and prints what they come to.
 *
 * The answer is on standard output, whatever was missing for it on standard error; then the exit code is 1, as it is when
 * acknowledgements are missing to a usual query.
 *
 * Members answer with what they contribute to a gauge, in whatever unit: where that is not the same for all, a warning says
 * so, and JSON how many differ.
 *
 * Not here: what an answer looks like (fold_answer.c). */
#include "cli/query_fold.h"

#include <string.h>

static const char query_fold_failure[] = "Error querying";

static int query_fold_failed(const struct ki_rpc_client *client)
{
    if (!ki_rpc_unsupported(client))
        return ki_client_failed(client, KI_EXIT_FAILED, query_fold_failure);
    fprintf(stderr, "%s: this agent cannot fold answers: ask without -fold\n", query_fold_failure);
    return KI_EXIT_FAILED;
}

static int query_fold_malformed(void)
{
    fprintf(stderr, "%s: the agent's answer is malformed\n", query_fold_failure);
    return KI_EXIT_FAILED;
}

static bool query_fold_is_gauge(const struct ki_pool_query *query)
{
    return strcmp(query->name, KI_QUERY_GAUGE) == 0;
}

/* How many members contribute to the gauge with another schema than most.  Returns the exit code. */
static int query_fold_conflicts(struct ki_rpc_client *client, struct ki_span gauge, uint32_t *conflicts)
{
    struct ki_aggregate_list list = {.count = 0};
    struct ki_span object;
    *conflicts = 0;
    if (!ki_rpc_call(client, "kith-aggregates", NULL, KI_RPC_WAIT_MS, &object))
        return query_fold_failed(client);
    bool good = ki_aggregate_list_read(&list, object);
    for (size_t i = 0; i < list.count; i++) {
        if (ki_span_equal(list.items[i].name, gauge))
            *conflicts = list.items[i].conflicts;
    }
    ki_aggregate_list_free(&list);
    return good ? KI_EXIT_OK : query_fold_malformed();
}

static int query_fold_json(const struct ki_pool_query *query, const struct ki_fold_answer *answer,
                           enum ki_fold_want want, uint32_t conflicts)
{
    bool is_gauge = query_fold_is_gauge(query);
    struct ki_span name = is_gauge ? query->payload : ki_span(query->name, strlen(query->name));
    json_t *object = json_pack("{s:o}", is_gauge ? "gauge" : "name", ki_json_bytes(name));
    ki_fold_answer_json(answer, want, object);
    if (is_gauge)
        json_object_set_new(object, "conflicts", json_integer((json_int_t)conflicts));
    return ki_json_print(object, JSON_REAL_PRECISION(15));
}

static void query_fold_warn(struct ki_span gauge, uint32_t conflicts)
{
    fputs("kith query: warning: ", stderr);
    ki_print_safe(stderr, gauge);
    fprintf(stderr,
            " has another schema at %u member%s, whose values are in this answer too: kith aggregate leaves them out\n",
            (unsigned)conflicts, conflicts == 1 ? "" : "s");
}

static int query_fold_answered(const struct ki_client_options *options, const struct ki_pool_query *query,
                               const struct ki_fold_answer *answer, enum ki_fold_want want, uint32_t conflicts)
{
    int code = KI_EXIT_OK;
    if (options->json)
        code = query_fold_json(query, answer, want, conflicts);
    else
        ki_fold_answer_print(stdout, answer, want);
    fflush(stdout);
    if (conflicts > 0)
        query_fold_warn(query->payload, conflicts);
    ki_fold_answer_complain(stderr, answer, want);
    return ki_fold_answer_is_whole(answer, want) ? code : KI_EXIT_FAILED;
}

/* Asks, on a connection.  Returns the exit code. */
static int query_fold_ask(struct ki_rpc_client *client, const struct ki_client_options *options,
                          const struct ki_pool_query *query, enum ki_fold_want want)
{
    struct ki_fold_answer answer = {.members = 0};
    struct ki_span object;
    uint32_t conflicts = 0;
    int code = KI_EXIT_OK;
    if (query_fold_is_gauge(query))
        code = query_fold_conflicts(client, query->payload, &conflicts);
    if (code == KI_EXIT_OK && !ki_pool_query_fold(client, query, &object))
        code = query_fold_failed(client);
    if (code == KI_EXIT_OK)
        code = ki_fold_answer_read(&answer, object) ? query_fold_answered(options, query, &answer, want, conflicts)
                                                    : query_fold_malformed();
    ki_fold_answer_free(&answer);
    return code;
}

int ki_query_fold(const struct ki_client_options *options, const struct ki_pool_query *query, enum ki_fold_want want)
{
    struct ki_rpc_client client;
    int code = ki_client_connect(&client, options);
    if (code != KI_EXIT_OK)
        return code;
    code = query_fold_ask(&client, options, query, want);
    ki_rpc_close(&client);
    return code;
}
