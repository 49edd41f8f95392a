/* kith aggregate: what the pool's members contribute to, and what comes of it: sum, average, quantiles, order.
 *
 * The exact engine answers at once.  The network engine begins when it is asked, so the command asks again until the answer
 * has converged or its time is over, shows on a terminal how far it is, and fails if it has not: the answer is printed all
 * the same, and says so itself.
 *
 * -watch asks twice a second and prints a line when the answer is another than before; that only its age has grown is no
 * change.  It ends by a signal (exit code 0), or when the agent does or nobody contributes any more (1).
 *
 * Not here: what an answer holds (aggregate_answer.c). */
#include "cli/aggregate_answer.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/agent.h"
#include "cli/sim_progress.h"

#define AGGREGATE_EVERY_MS 500 /* the network engine's tick */
#define AGGREGATE_QUANTILES 64 /* that an agent takes */
#define AGGREGATE_REQUEST  1024 /* bytes: 64 quantiles, an engine and what is around them and the name */

struct aggregate {
    struct ki_client_options options;
    struct ki_rpc_client client;
    const char *name;
    struct ki_aggregate_wanted wanted;
    double *quantiles;
    size_t quantile_count;
    uint32_t top, bottom;
    const char *engine;
    uint32_t timeout_ms;
    bool watch;
};

static const char aggregate_failure[] = "Error reading the aggregate";

/* ---- asking ---- */

/* Returns KI_EXIT_OK, or the exit code with the reason printed.  Free the answer in either case. */
static int aggregate_ask(struct aggregate *a, struct ki_aggregate_answer *answer)
{
    size_t cap = AGGREGATE_REQUEST + strlen(a->name); /* the agent says what is wrong with a long one */
    uint8_t *buf = malloc(cap);
    struct ki_pack body = ki_pack(buf, buf ? cap : 0, true);
    struct ki_span object;
    *answer = (struct ki_aggregate_answer){.count = 0};
    ki_pack_map(&body, 5);
    ki_pack_text(&body, "Name");
    ki_pack_text(&body, a->name);
    ki_pack_text(&body, "Engine");
    ki_pack_text(&body, a->engine);
    ki_pack_text(&body, "Quantiles");
    ki_pack_array(&body, a->quantile_count);
    for (size_t i = 0; i < a->quantile_count; i++)
        ki_pack_double(&body, a->quantiles[i]);
    ki_pack_text(&body, "Top");
    ki_pack_uint(&body, a->top);
    ki_pack_text(&body, "Bottom");
    ki_pack_uint(&body, a->bottom);
    bool answered = ki_rpc_call(&a->client, "kith-aggregate", &body, KI_RPC_WAIT_MS, &object);
    free(buf);
    if (!answered)
        return ki_aggregate_failed(&a->client, aggregate_failure);
    if (ki_aggregate_answer_read(answer, object))
        return KI_EXIT_OK;
    fprintf(stderr, "%s: the agent's answer is malformed\n", aggregate_failure);
    return KI_EXIT_FAILED;
}

static void aggregate_pause(void)
{
    struct timespec pause = {.tv_nsec = AGGREGATE_EVERY_MS * 1000000L};
    nanosleep(&pause, NULL);
}

static bool aggregate_is_settled(const struct ki_aggregate_answer *answer)
{
    return answer->converged || !ki_span_equal(answer->engine, ki_span("network", 7));
}

/* Asks until the answer has settled, or the time is over. */
static int aggregate_wait(struct aggregate *a, struct ki_aggregate_answer *answer)
{
    struct ki_sim_progress progress;
    ki_sim_progress_begin(&progress);
    uint64_t waited_ms = 0;
    int code = aggregate_ask(a, answer);
    while (code == KI_EXIT_OK && !aggregate_is_settled(answer) && waited_ms < a->timeout_ms) {
        ki_sim_progress_show(&progress, waited_ms, a->timeout_ms, "count %.4g, average %.4g, coverage %.3g %%; at most",
                             answer->count, answer->average.value, answer->coverage * 100);
        aggregate_pause();
        waited_ms = (ki_sim_wall_us() - progress.began_us) / 1000;
        ki_aggregate_answer_free(answer);
        code = aggregate_ask(a, answer);
    }
    ki_sim_progress_wipe(&progress);
    return code;
}

/* ---- printing ---- */

/* That there are more than are shown is said; the network engine keeps the ends only. */
static void aggregate_tell_kept(const char *which, uint32_t wanted, size_t shown, double count)
{
    if (shown < wanted && (double)shown < count - 0.5)
        fprintf(stderr, "kith aggregate: only the %zu %s are known: the network engine keeps no more\n", shown, which);
}

static int aggregate_print(const struct aggregate *a, const struct ki_aggregate_answer *answer)
{
    int code = KI_EXIT_OK;
    if (a->options.json)
        code = ki_json_print(ki_aggregate_answer_json(answer, a->name, &a->wanted), JSON_REAL_PRECISION(15));
    else
        ki_aggregate_answer_print(stdout, answer, a->name, &a->wanted);
    fflush(stdout);
    aggregate_tell_kept("largest", a->top, answer->top.count, answer->count);
    aggregate_tell_kept("smallest", a->bottom, answer->bottom.count, answer->count);
    if (aggregate_is_settled(answer))
        return code;
    fprintf(stderr, "kith aggregate: not converged after %.3g s: ask again, or wait longer (-timeout)\n",
            a->timeout_ms / 1000.0);
    return KI_EXIT_FAILED;
}

/* The answer in one line, to be freed; NULL: out of memory. */
static char *aggregate_line(const struct ki_aggregate_answer *answer, const struct ki_aggregate_wanted *wanted)
{
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    if (!to)
        return NULL;
    ki_aggregate_answer_line(to, answer, wanted);
    if (fclose(to) == 0)
        return text;
    free(text);
    return NULL;
}

/* Prints a line if it is another one than before, and keeps it. */
static int aggregate_tell(const struct aggregate *a, const struct ki_aggregate_answer *answer, char **before)
{
    char *line = aggregate_line(answer, &a->wanted);
    bool good = line != NULL;
    if (good && (!*before || strcmp(line, *before) != 0)) {
        if (a->options.json)
            good = ki_json_print_line(ki_aggregate_answer_json(answer, a->name, &a->wanted));
        else
            fputs(line, stdout);
        good = fflush(stdout) == 0 && good;
    }
    free(*before);
    *before = line;
    if (!good)
        fprintf(stderr, "kith aggregate: cannot write the output\n");
    return good ? KI_EXIT_OK : KI_EXIT_FAILED;
}

static int aggregate_follow(struct aggregate *a)
{
    char *before = NULL;
    int code;
    ki_client_until_interrupted();
    for (;;) {
        struct ki_aggregate_answer answer;
        code = aggregate_ask(a, &answer);
        if (code == KI_EXIT_OK)
            code = aggregate_tell(a, &answer, &before);
        ki_aggregate_answer_free(&answer);
        if (code != KI_EXIT_OK)
            break;
        aggregate_pause();
    }
    code = before ? KI_EXIT_FAILED : code; /* it was there */
    free(before);
    return code;
}

/* ---- the command ---- */

static int aggregate_list(struct aggregate *a)
{
    struct ki_aggregate_list list = {.count = 0};
    struct ki_span object;
    int code = KI_EXIT_OK;
    if (!ki_rpc_call(&a->client, "kith-aggregates", NULL, KI_RPC_WAIT_MS, &object)) {
        code = ki_aggregate_failed(&a->client, aggregate_failure);
    } else if (!ki_aggregate_list_read(&list, object)) {
        fprintf(stderr, "%s: the agent's answer is malformed\n", aggregate_failure);
        code = KI_EXIT_FAILED;
    } else if (a->options.json) {
        code = ki_json_print(ki_aggregate_list_json(&list, false), JSON_REAL_PRECISION(15));
    } else {
        ki_aggregate_list_print(stdout, &list, false);
    }
    ki_aggregate_list_free(&list);
    return code;
}

static int aggregate_run(struct aggregate *a)
{
    int code = ki_client_connect(&a->client, &a->options);
    if (code != KI_EXIT_OK)
        return code;
    if (!a->name) {
        code = aggregate_list(a);
    } else if (a->watch) {
        code = aggregate_follow(a);
    } else {
        struct ki_aggregate_answer answer;
        code = aggregate_wait(a, &answer);
        if (code == KI_EXIT_OK)
            code = aggregate_print(a, &answer);
        ki_aggregate_answer_free(&answer);
    }
    ki_rpc_close(&a->client);
    return code;
}

static bool aggregate_quantiles(const struct ki_usage *usage, const struct ki_flag_list *list, double *out)
{
    for (size_t i = 0; i < list->count; i++) {
        const char *wrong = ki_flag_real(list->items[i], &out[i]);
        if (!wrong && !(out[i] >= 0 && out[i] <= 1))
            wrong = "must be 0 to 1";
        if (!ki_flag_fits(usage, "quantile", list->items[i], wrong))
            return false;
    }
    return list->count <= AGGREGATE_QUANTILES ||
           ki_flag_wrong(usage, "quantile", list->items[AGGREGATE_QUANTILES], "is one more than the %d that are allowed",
                         AGGREGATE_QUANTILES);
}

int ki_cmd_aggregate(int argc, char **argv)
{
    struct aggregate a = {.options = ki_client_options()};
    struct ki_flag_list quantiles = {.count = 0};
    double reals[KI_FLAG_LIST_MAX];
    const char *timeout = NULL;
    const struct ki_flag flags[] = {
        {"engine", KI_FLAG_TEXT, &a.engine, "auto|exact|network",
         "Who is to answer; auto otherwise.  The network engine is asked\nuntil it has converged."},
        {"sorted", KI_FLAG_BOOL, &a.wanted.sorted, NULL, "Also all values in order."},
        {"top", KI_FLAG_UINT, &a.top, "0", "Also so many of the largest values."},
        {"bottom", KI_FLAG_UINT, &a.bottom, "0", "Also so many of the smallest values."},
        {"quantile", KI_FLAG_LIST, &quantiles, "q",
         "Also the value below which this part of the values lies, 0 to 1;\nmay be given several times."},
        {"watch", KI_FLAG_BOOL, &a.watch, NULL, "Print a line when the answer changes, until interrupted."},
        {"timeout", KI_FLAG_TEXT, &timeout, "60s", "How long to wait for the network engine."},
        KI_JSON_FLAG(a.options),
        KI_CLIENT_FLAGS(a.options),
    };
    const struct ki_usage usage = {"aggregate", "[name]",
                                   "Prints what comes of the values that members contribute under a name, or, without a "
                                   "name,\n  what there is.",
                                   flags, KI_COUNT(flags), 0, 1};
    static const char *const engines[] = KI_ENGINE_WORDS;
    size_t engine;
    char **operands;
    int count, code;
    if (!ki_flags_parse_around(&usage, argc, argv, &operands, &count, &code))
        return code;
    bool more = a.wanted.sorted || a.watch || a.top > 0 || a.bottom > 0 || quantiles.count > 0 || a.engine || timeout;
    const char *wrong = count == 0 && more                 ? "needs the name of an aggregate"
                        : a.wanted.sorted && a.bottom > 0  ? "-sorted has the smallest values too: leave -bottom away"
                        : a.watch && timeout               ? "-watch goes on until interrupted: leave -timeout away"
                                                           : NULL;
    if (wrong)
        return ki_usage_error(&usage, "%s", wrong);
    a.engine = a.engine ? a.engine : "auto";
    if (!ki_flag_choice(&usage, "engine", a.engine, engines, KI_COUNT(engines), &engine) ||
        !aggregate_quantiles(&usage, &quantiles, reals) ||
        !ki_client_duration(&usage, "timeout", timeout ? timeout : "60s", &a.timeout_ms))
        return KI_EXIT_USAGE;
    a.name = count > 0 ? operands[0] : NULL;
    a.quantiles = reals;
    a.quantile_count = quantiles.count;
    a.wanted.top = a.top > 0;
    a.wanted.bottom = a.bottom > 0;
    if (a.wanted.sorted)
        a.bottom = UINT32_MAX;
    return aggregate_run(&a);
}
