/* kith gauge: numbers that an agent contributes to the pool's aggregates.
 *
 *     kith gauge set NAME VALUE      opens it if need be; flags say what is measured, and members must say the same
 *     kith gauge clear NAME          takes it back
 *     kith gauge list                what the agent contributes, its own gauges included
 *
 * A gauge lives as long as the agent: nothing of it is written down.  Without flags the schema is that which the pool has
 * already.  One that differs from the pool's is no error, for nobody decides which is right; but it is not counted with the
 * others, and a warning says so.
 *
 * Not here: what comes of the values (aggregate.c). */
#include "cli/aggregate_answer.h"

#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"

static const char gauge_failure[] = "Error setting the gauge";

/* Connects and asks, as ki_client_ask() does. */
static int gauge_ask(struct ki_rpc_client *client, const struct ki_client_options *options, const char *command,
                     const struct ki_pack *body, const char *failure, struct ki_span *reply)
{
    int code = ki_client_connect(client, options);
    if (code == KI_EXIT_OK && !ki_rpc_call(client, command, body, KI_RPC_WAIT_MS, reply))
        code = ki_aggregate_failed(client, failure);
    return code;
}

/* ---- set ---- */

struct gauge_set {
    struct ki_client_options options;
    const char *unit, *engine, *interval;
    struct ki_flag_real min, max, step;
    uint32_t interval_ms;
};

static bool gauge_has_schema(const struct gauge_set *set)
{
    return set->unit || set->engine || set->interval || set->min.given || set->max.given || set->step.given;
}

static void gauge_pack_real(struct ki_pack *p, const char *key, struct ki_flag_real real, double otherwise)
{
    ki_pack_text(p, key);
    ki_pack_double(p, real.given ? real.value : otherwise);
}

/* What no flag says is the default of aggregate.h. */
static void gauge_pack_schema(struct ki_pack *p, const struct gauge_set *set)
{
    struct kith_schema defaults;
    kith_schema_init(&defaults);
    ki_pack_map(p, 6);
    ki_pack_text(p, "Engine");
    ki_pack_text(p, set->engine ? set->engine : "auto");
    ki_pack_text(p, "Interval");
    ki_pack_uint(p, set->interval ? set->interval_ms : defaults.interval_ms);
    gauge_pack_real(p, "Max", set->max, defaults.max);
    gauge_pack_real(p, "Min", set->min, defaults.min);
    gauge_pack_real(p, "Step", set->step, defaults.step);
    ki_pack_text(p, "Unit");
    ki_pack_text(p, set->unit ? set->unit : "");
}

static int gauge_say(const struct gauge_set *set, const char *name, double value, struct ki_span reply)
{
    struct reply {
        uint32_t conflicts;
    } answer = {0};
    static const struct ki_field fields[] = {KI_FIELD(struct reply, conflicts, "Conflicts", KI_FIELD_U32, 0, false)};
    struct ki_reader r = ki_reader(reply.ptr, reply.len);
    struct ki_span text = ki_span(name, strlen(name));
    int code = KI_EXIT_OK;
    if (!ki_unpack_struct(&r, fields, KI_COUNT(fields), &answer)) {
        fprintf(stderr, "%s: the agent's answer is malformed\n", gauge_failure);
        return KI_EXIT_FAILED;
    }
    if (set->options.json)
        code = ki_json_print(json_pack("{s:o, s:f, s:I}", "name", ki_json_bytes(text), "value", value, "conflicts",
                                       (json_int_t)answer.conflicts),
                             JSON_REAL_PRECISION(15));
    fflush(stdout);
    if (answer.conflicts > 0) {
        fputs("kith gauge: warning: ", stderr);
        ki_print_safe(stderr, text);
        fprintf(stderr,
                " has another schema at %u other member%s, whose values are not counted with this one: clear it, and "
                "set it without flags to take theirs\n",
                (unsigned)answer.conflicts, answer.conflicts == 1 ? "" : "s");
    }
    return code;
}

static int gauge_run_set(const struct gauge_set *set, const char *name, double value)
{
    size_t cap = strlen(name) + (set->unit ? strlen(set->unit) : 0) + 256;
    uint8_t *buf = malloc(cap);
    struct ki_pack body = ki_pack(buf, buf ? cap : 0, true);
    struct ki_rpc_client client;
    struct ki_span reply = {NULL, 0};
    ki_pack_map(&body, 3);
    ki_pack_text(&body, "Name");
    ki_pack_text(&body, name);
    ki_pack_text(&body, "Schema");
    if (gauge_has_schema(set))
        gauge_pack_schema(&body, set);
    else
        ki_pack_nil(&body);
    ki_pack_text(&body, "Value");
    ki_pack_double(&body, value);
    int code = gauge_ask(&client, &set->options, "kith-gauge-set", &body, gauge_failure, &reply);
    if (code == KI_EXIT_OK)
        code = gauge_say(set, name, value, reply);
    free(buf);
    ki_rpc_close(&client);
    return code;
}

static int gauge_cmd_set(int argc, char **argv)
{
    struct gauge_set set = {.options = ki_client_options()};
    const struct ki_flag flags[] = {
        {"unit", KI_FLAG_TEXT, &set.unit, "text", "What the number counts, for readers; up to 16 bytes."},
        {"min", KI_FLAG_REAL_GIVEN, &set.min, "-1e15", "The smallest value that any member may contribute."},
        {"max", KI_FLAG_REAL_GIVEN, &set.max, "1e15", "The largest one."},
        {"step", KI_FLAG_REAL_GIVEN, &set.step, "0", "A change up to this is not told."},
        {"interval", KI_FLAG_TEXT, &set.interval, "1s", "A change is told at most once in so long; 1s to 1h."},
        {"engine", KI_FLAG_TEXT, &set.engine, "auto|exact|network", "How it is computed; auto otherwise."},
        KI_JSON_FLAG(set.options),
        KI_CLIENT_FLAGS(set.options),
    };
    const struct ki_usage usage = {"gauge set", "name value",
                                   "Contributes a number of the agent to the pool's aggregate of this name.  Without flags "
                                   "it means\n  what it means to the others.",
                                   flags, KI_COUNT(flags), 2, 2};
    static const char *const engines[] = KI_ENGINE_WORDS;
    size_t engine;
    char **operands;
    double value = 0;
    int count, code;
    if (!ki_flags_parse_around(&usage, argc, argv, &operands, &count, &code))
        return code;
    const char *wrong = ki_flag_real(operands[1], &value);
    if (wrong)
        return ki_usage_error(&usage, "%s: the value %s", operands[1], wrong);
    if ((set.engine && !ki_flag_choice(&usage, "engine", set.engine, engines, KI_COUNT(engines), &engine)) ||
        !ki_client_duration(&usage, "interval", set.interval, &set.interval_ms))
        return KI_EXIT_USAGE;
    return gauge_run_set(&set, operands[0], value);
}

/* ---- clear ---- */

static int gauge_cmd_clear(int argc, char **argv)
{
    struct ki_client_options options = ki_client_options();
    const struct ki_flag flags[] = {KI_JSON_FLAG(options), KI_CLIENT_FLAGS(options)};
    const struct ki_usage usage = {"gauge clear", "name", "Takes back what the agent contributes under this name.",
                                   flags, KI_COUNT(flags), 1, 1};
    char **operands;
    int count, code;
    if (!ki_flags_parse_around(&usage, argc, argv, &operands, &count, &code))
        return code;
    const char *name = operands[0];
    size_t cap = strlen(name) + 32;
    uint8_t *buf = malloc(cap);
    struct ki_pack body = ki_pack(buf, buf ? cap : 0, true);
    struct ki_rpc_client client;
    ki_pack_map(&body, 1);
    ki_pack_text(&body, "Name");
    ki_pack_text(&body, name);
    code = gauge_ask(&client, &options, "kith-gauge-clear", &body, "Error clearing the gauge", NULL);
    if (code == KI_EXIT_OK && options.json)
        code = ki_json_print(json_pack("{s:o, s:b}", "name", ki_json_bytes(ki_span(name, strlen(name))), "cleared", 1), 0);
    free(buf);
    ki_rpc_close(&client);
    return code;
}

/* ---- list ---- */

static int gauge_cmd_list(int argc, char **argv)
{
    static const char failure[] = "Error listing the gauges";
    struct ki_client_options options = ki_client_options();
    const struct ki_flag flags[] = {KI_JSON_FLAG(options), KI_CLIENT_FLAGS(options)};
    const struct ki_usage usage = {"gauge list", "", "Lists what the agent contributes.", flags, KI_COUNT(flags), 0, 0};
    struct ki_aggregate_list list = {.count = 0};
    struct ki_rpc_client client;
    struct ki_span object = {NULL, 0};
    int first, code;
    if (!ki_flags_parse(&usage, argc, argv, &first, &code))
        return code;
    code = gauge_ask(&client, &options, "kith-aggregates", NULL, failure, &object);
    if (code == KI_EXIT_OK && !ki_aggregate_list_read(&list, object)) {
        fprintf(stderr, "%s: the agent's answer is malformed\n", failure);
        code = KI_EXIT_FAILED;
    } else if (code == KI_EXIT_OK && options.json) {
        code = ki_json_print(ki_aggregate_list_json(&list, true), JSON_REAL_PRECISION(15));
    } else if (code == KI_EXIT_OK) {
        ki_aggregate_list_print(stdout, &list, true);
    }
    ki_aggregate_list_free(&list);
    ki_rpc_close(&client);
    return code;
}

/* ---- kith gauge ---- */

int ki_cmd_gauge(int argc, char **argv)
{
    static const struct ki_sub_command commands[] = {
        {"set", "Contributes a number to an aggregate", gauge_cmd_set},
        {"clear", "Takes it back", gauge_cmd_clear},
        {"list", "Lists what the agent contributes", gauge_cmd_list},
    };
    return ki_sub_commands("gauge", commands, KI_COUNT(commands), argc, argv);
}
