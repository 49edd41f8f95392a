/* kith query -fold: asks members for numbers, and prints what they come to.
 *
 * The answer is on standard output, whatever was missing for it on standard error; then the exit code is 1, as it is when
 * acknowledgements are missing to a usual query.
 *
 * Not here: what an answer looks like (fold_answer.c). */
#include "cli/query_fold.h"

#include <string.h>

static const char query_fold_failure[] = "Error querying";

static int query_fold_json(const struct ki_pool_query *query, const struct ki_fold_answer *answer,
                           enum ki_fold_want want)
{
    bool is_gauge = strcmp(query->name, KI_QUERY_GAUGE) == 0;
    struct ki_span name = is_gauge ? query->payload : ki_span(query->name, strlen(query->name));
    json_t *object = json_pack("{s:o}", is_gauge ? "gauge" : "name", ki_json_bytes(name));
    ki_fold_answer_json(answer, want, object);
    return ki_json_print(object, JSON_REAL_PRECISION(15));
}

static int query_fold_answered(const struct ki_client_options *options, const struct ki_pool_query *query,
                               const struct ki_fold_answer *answer, enum ki_fold_want want)
{
    int code = KI_EXIT_OK;
    if (options->json)
        code = query_fold_json(query, answer, want);
    else
        ki_fold_answer_print(stdout, answer, want);
    fflush(stdout);
    ki_fold_answer_complain(stderr, answer, want);
    return ki_fold_answer_is_whole(answer, want) ? code : KI_EXIT_FAILED;
}

int ki_query_fold(const struct ki_client_options *options, const struct ki_pool_query *query, enum ki_fold_want want)
{
    struct ki_rpc_client client;
    struct ki_fold_answer answer = {.members = 0};
    struct ki_span object;
    int code = ki_client_connect(&client, options);
    if (code != KI_EXIT_OK)
        return code;
    if (!ki_pool_query_fold(&client, query, &object)) {
        bool unsupported = ki_rpc_unsupported(&client);
        code = unsupported ? KI_EXIT_FAILED : ki_client_failed(&client, KI_EXIT_FAILED, query_fold_failure);
        if (unsupported)
            fprintf(stderr, "%s: this agent cannot fold answers: ask without -fold\n", query_fold_failure);
    } else if (!ki_fold_answer_read(&answer, object)) {
        fprintf(stderr, "%s: the agent's answer is malformed\n", query_fold_failure);
        code = KI_EXIT_FAILED;
    } else {
        code = query_fold_answered(options, query, &answer, want);
    }
    ki_fold_answer_free(&answer);
    ki_rpc_close(&client);
    return code;
}
