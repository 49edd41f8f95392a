/* kith reachability: whether a query from this agent reaches all live members, and their answers come back.
 *
 * The words are Serf's.  It asks with Serf's own `_serf_ping`, which every member acknowledges and no handler sees, and
 * compares who did with who is alive in the agent's view: one that is missing cannot be reached, or has failed just now; one
 * that answers and is not alive there has been taken for failed.  Both are failures, named on standard error.
 *
 * It waits until the agent says that the query is over, although all may have answered long before: who answers and should
 * not may come last. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/pool_query.h"

struct reachability {
    struct ki_client_options options;
    struct ki_rpc_client client;
    struct ki_pool_query ask;
    size_t member_count;
    bool verbose;
    uint64_t start_us, last_us, end_us;
    struct ki_answers alive, acks, missing, unexpected;
};

static uint64_t reachability_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int reachability_no_memory(void)
{
    fprintf(stderr, "Error testing reachability: out of memory\n");
    return KI_EXIT_FAILED;
}

/* ---- asking ---- */

static int reachability_expect(struct reachability *test)
{
    struct ki_pool_members members;
    int code = KI_EXIT_OK;
    if (!ki_pool_members_ask(&test->client, test->ask.tags, &members))
        code = ki_client_failed(&test->client, KI_EXIT_FAILED, "Error getting members");
    else if (!ki_pool_expected(&members.list, &test->ask, &test->alive))
        code = reachability_no_memory();
    test->member_count = members.list.count;
    ki_pool_members_free(&members);
    return code;
}

static int reachability_follow(struct reachability *test)
{
    struct ki_query_record record;
    test->start_us = test->last_us = reachability_now_us();
    for (;;) {
        if (!ki_pool_query_next(&test->client, &test->ask, &record))
            return ki_client_failed(&test->client, KI_EXIT_FAILED, "Error testing reachability");
        test->end_us = reachability_now_us();
        if (record.kind == KI_QUERY_DONE)
            return KI_EXIT_OK;
        if (record.kind != KI_QUERY_ACK)
            continue;
        test->last_us = test->end_us;
        if (!ki_answers_add(&test->acks, record.from, ki_span(NULL, 0)))
            return reachability_no_memory();
        if (!test->verbose || test->options.json)
            continue;
        fputs("\tAck from '", stdout);
        ki_print_safe(stdout, record.from);
        puts("'");
        fflush(stdout);
    }
}

/* ---- how it ended ---- */

static void reachability_name(const char *title, const struct ki_answers *names)
{
    if (names->count == 0)
        return;
    fprintf(stderr, "%s\n", title);
    for (size_t i = 0; i < names->count; i++) {
        putc('\t', stderr);
        ki_print_safe(stderr, names->items[i].from);
        putc('\n', stderr);
    }
}

static void reachability_text(const struct reachability *test)
{
    if (test->verbose)
        printf("Query time: %.2f sec, time to last response: %.2f sec\n",
               (double)(test->end_us - test->start_us) / 1e6, (double)(test->last_us - test->start_us) / 1e6);
    if (test->missing.count == 0 && test->unexpected.count == 0) {
        puts("Successfully contacted all live nodes");
        return;
    }
    fflush(stdout);
    reachability_name("Received less acks than live nodes! Missing acks from:", &test->missing);
    reachability_name("Received more acks than live nodes! Acks from non-live nodes:", &test->unexpected);
    fprintf(stderr, "Look whether the address that each member advertises leads to it from all others, by UDP and by TCP:\n"
                    "firewalls, translated addresses and a second network of a host are the usual reasons.\n");
}

static int reachability_json(const struct reachability *test)
{
    return ki_json_print(json_pack("{s:I, s:I, s:o, s:o, s:o, s:f, s:f}", "members", (json_int_t)test->member_count,
                                   "alive", (json_int_t)test->alive.count, "acks", ki_answers_names(&test->acks),
                                   "missing", ki_answers_names(&test->missing), "unexpected",
                                   ki_answers_names(&test->unexpected), "query_seconds",
                                   (double)(test->end_us - test->start_us) / 1e6, "last_ack_seconds",
                                   (double)(test->last_us - test->start_us) / 1e6),
                         0);
}

static int reachability_end(struct reachability *test)
{
    ki_answers_sort(&test->acks);
    if (!ki_pool_missing(&test->alive, &test->acks, &test->missing) ||
        !ki_pool_missing(&test->acks, &test->alive, &test->unexpected))
        return reachability_no_memory();
    int code = KI_EXIT_OK;
    if (test->options.json)
        code = reachability_json(test);
    else
        reachability_text(test);
    return test->missing.count + test->unexpected.count > 0 ? KI_EXIT_FAILED : code;
}

static int reachability_run(struct reachability *test)
{
    int code = ki_client_connect(&test->client, &test->options);
    if (code == KI_EXIT_OK)
        code = reachability_expect(test);
    if (code == KI_EXIT_OK && !test->options.json)
        printf("Total members: %zu, live members: %zu\n", test->member_count, test->alive.count);
    if (code == KI_EXIT_OK && !ki_pool_query_send(&test->client, &test->ask))
        code = ki_client_failed(&test->client, KI_EXIT_FAILED, "Error sending query");
    if (code == KI_EXIT_OK && !test->options.json)
        puts("Starting reachability test...");
    fflush(stdout);
    if (code == KI_EXIT_OK)
        code = reachability_follow(test);
    if (code == KI_EXIT_OK)
        code = reachability_end(test);
    ki_answers_free(&test->alive);
    ki_answers_free(&test->acks);
    ki_answers_free(&test->missing);
    ki_answers_free(&test->unexpected);
    ki_rpc_close(&test->client);
    return code;
}

int ki_cmd_reachability(int argc, char **argv)
{
    static const struct ki_flag_list none = {.count = 0};
    struct reachability test = {.options = ki_client_options(),
                                .client.line.fd = -1,
                                .ask = {.name = "_serf_ping", .nodes = &none, .tags = &none, .wants_acks = true}};
    const struct ki_flag flags[] = {
        {"verbose", KI_FLAG_BOOL, &test.verbose, NULL, "Print each answer as it comes, and how long it took."},
        KI_JSON_FLAG(test.options),
        KI_CLIENT_FLAGS(test.options),
    };
    const struct ki_usage usage = {"reachability",  "", "Tests whether all live members can be reached, and answer.", flags,
                                   KI_COUNT(flags), 0,  0};
    int first, code;
    if (!ki_flags_parse(&usage, argc, argv, &first, &code))
        return code;
    return reachability_run(&test);
}
