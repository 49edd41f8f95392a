/* kith-aggregates, kith-aggregate, kith-gauge-set, kith-gauge-clear: what the pool computes, over the RPC.
 *
 * All end at once.  An answer is gathered before any of it is packed, because packing may be done twice, and because what
 * the core lends of one reading is gone with the next.  What members are called is copied, so an answer costs memory that
 * the count of contributions bounds.
 *
 * Of what is not there nil is told, never a zero: the average of nothing, our own value when we have none.
 *
 * Errors say which aggregate, what is wrong with it, and what to do.
 *
 * Not here: what an answer means (aggregate.h). */
#include "agent/rpc_conn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RPC_AGGREGATES_TEXT      512 /* of an error */
#define RPC_AGGREGATES_QUANTILES 64  /* in one request */

static const char *const rpc_aggregates_engines[] = KI_ENGINE_WORDS;

/* ---- errors ---- */

/* As much of a name as an error repeats. */
static int rpc_aggregates_shown(struct kith_str name)
{
    return (int)ki_min_size(name.len, KITH_AGGREGATE_NAME_MAX);
}

static void rpc_aggregates_state_error(enum kith_engine engine, char out[RPC_AGGREGATES_TEXT])
{
    const char *why = "there are no aggregates here: this node is leaving, or in a pool of bare memberlist nodes";
    if (engine == KITH_ENGINE_NETWORK)
        why = "the network engine cannot be started now: this node is leaving, or in a pool of bare memberlist nodes";
    else if (engine == KITH_ENGINE_EXACT)
        why = "the exact engine has not got it: its schema leaves it to the network engine, or the pool is too large, or of "
              "bare memberlist nodes; ask the network engine";
    snprintf(out, RPC_AGGREGATES_TEXT, "%s", why);
}

/* What any of the commands may be refused with. */
static void rpc_aggregates_error(int status, struct kith_str name, enum kith_engine engine, char out[RPC_AGGREGATES_TEXT])
{
    int len = rpc_aggregates_shown(name);
    snprintf(out, RPC_AGGREGATES_TEXT, "\"%.*s\": %s", len, name.ptr, kith_strerror(status));
    if (name.len == 0 || name.len > KITH_AGGREGATE_NAME_MAX)
        snprintf(out, RPC_AGGREGATES_TEXT, "Name: the name of an aggregate has 1 to %d bytes, this one has %zu",
                 KITH_AGGREGATE_NAME_MAX, name.len);
    else if (status == KITH_ERR_NOT_FOUND)
        snprintf(out, RPC_AGGREGATES_TEXT,
                 "no aggregate is called \"%.*s\": no member that this agent knows of contributes to it", len, name.ptr);
    else if (status == KITH_ERR_REFUSED)
        snprintf(out, RPC_AGGREGATES_TEXT,
                 "\"%.*s\" is the agent's own: choose another name, or start the agent with -gauges=false", len, name.ptr);
    else if (status == KITH_ERR_FULL)
        snprintf(out, RPC_AGGREGATES_TEXT,
                 "\"%.*s\" would be one aggregate too many (aggregates_max): clear one, or raise the limit", len, name.ptr);
    else if (status == KITH_ERR_STATE)
        rpc_aggregates_state_error(engine, out);
}

/* ---- places and quantiles ---- */

struct rpc_aggregates_places {
    struct kith_place *items; /* names lie in `names`; NULL: not asked for */
    char *names;
    size_t count;
};

struct rpc_aggregates_answer {
    struct kith_aggregate_answer values;
    char unit[KITH_UNIT_MAX];
    size_t unit_len;
    double q[RPC_AGGREGATES_QUANTILES], quantile[RPC_AGGREGATES_QUANTILES], rank_error[RPC_AGGREGATES_QUANTILES];
    size_t quantile_count;
    struct rpc_aggregates_places top, bottom;
};

static void rpc_aggregates_free(struct rpc_aggregates_answer *answer)
{
    free(answer->top.items);
    free(answer->top.names);
    free(answer->bottom.items);
    free(answer->bottom.names);
}

/* Makes the names ours. */
static int rpc_aggregates_keep(struct rpc_aggregates_places *places)
{
    size_t len = 0;
    for (size_t i = 0; i < places->count; i++)
        len += places->items[i].member.len;
    places->names = malloc(len + 1);
    if (!places->names)
        return KITH_ERR_NOMEM;
    char *at = places->names;
    for (size_t i = 0; i < places->count; i++) {
        struct kith_str *member = &places->items[i].member;
        if (member->len > 0)
            memcpy(at, member->ptr, member->len);
        member->ptr = at;
        at += member->len;
    }
    return 0;
}

/* So many from one end.  That an engine does not keep them all is no error: there are fewer then. */
static int rpc_aggregates_list(struct ki_rpc_conn *conn, struct kith_str name, const struct rpc_aggregates_answer *answer,
                               bool from_largest, uint64_t wanted, struct rpc_aggregates_places *places)
{
    uint64_t most = answer->values.count < KI_RPC_GATHER_MAX ? (uint64_t)(answer->values.count + 0.5) : KI_RPC_GATHER_MAX;
    size_t cap = (size_t)ki_min_u64(wanted, most);
    if (wanted == 0)
        return 0;
    places->items = calloc(cap + 1, sizeof *places->items);
    if (!places->items)
        return KITH_ERR_NOMEM;
    int status = cap == 0 ? KITH_ERR_NOT_FOUND
                          : ki_agent_aggregate_list(conn->rpc->agent, name, answer->values.engine, from_largest,
                                                    places->items, cap, &places->count);
    if (status == KITH_ERR_NOT_FOUND) {
        places->count = 0;
        status = 0;
    }
    return status == 0 ? rpc_aggregates_keep(places) : status;
}

/* ---- kith-aggregate ---- */

struct rpc_aggregates_request {
    struct ki_span name, engine, quantiles;
    uint32_t top, bottom;
};

static int rpc_aggregates_gather(struct ki_rpc_conn *conn, struct kith_str name, enum kith_engine engine,
                                 const struct rpc_aggregates_request *request, struct rpc_aggregates_answer *answer)
{
    struct ki_agent *agent = conn->rpc->agent;
    struct kith_aggregate known;
    int status = ki_agent_aggregate_read(agent, name, engine, &answer->values);
    engine = answer->values.engine; /* all of one answer by one engine */
    for (size_t i = 0; i < answer->quantile_count && status == 0 && answer->values.count > 0; i++)
        status =
            ki_agent_aggregate_quantile(agent, name, engine, answer->q[i], &answer->quantile[i], &answer->rank_error[i]);
    if (status == 0)
        status = rpc_aggregates_list(conn, name, answer, true, request->top, &answer->top);
    if (status == 0)
        status = rpc_aggregates_list(conn, name, answer, false, request->bottom, &answer->bottom);
    if (status == 0 && ki_agent_aggregate_find(agent, name, &known) == 0) {
        answer->unit_len = ki_min_size(known.schema.unit.len, sizeof answer->unit);
        if (answer->unit_len > 0)
            memcpy(answer->unit, known.schema.unit.ptr, answer->unit_len);
    }
    return status;
}

static void rpc_aggregates_real(struct ki_pack *p, const char *key, double value, bool is_there)
{
    ki_pack_text(p, key);
    if (is_there)
        ki_pack_double(p, value);
    else
        ki_pack_nil(p);
}

static void rpc_aggregates_pack_places(struct ki_pack *p, const char *key, const struct rpc_aggregates_places *places)
{
    ki_pack_text(p, key);
    ki_pack_array(p, places->count);
    for (size_t i = 0; i < places->count; i++) {
        const struct kith_place *place = &places->items[i];
        ki_pack_map(p, 3);
        ki_pack_text(p, "Member");
        ki_pack_str(p, ki_span(place->member.ptr, place->member.len));
        ki_pack_text(p, "Rank");
        ki_pack_uint(p, place->rank);
        rpc_aggregates_real(p, "Value", place->value, true);
    }
}

static void rpc_aggregates_pack_answer(struct ki_pack *p, const void *arg)
{
    const struct rpc_aggregates_answer *answer = arg;
    const struct kith_aggregate_answer *values = &answer->values;
    bool any = values->count > 0;
    ki_pack_map(p, 17);
    ki_pack_text(p, "Age");
    ki_pack_uint(p, values->age_us / 1000);
    rpc_aggregates_real(p, "Average", values->average, any);
    rpc_aggregates_pack_places(p, "Bottom", &answer->bottom);
    ki_pack_text(p, "Conflicts");
    ki_pack_uint(p, values->conflicts);
    ki_pack_text(p, "Converged");
    ki_pack_bool(p, values->converged);
    rpc_aggregates_real(p, "Count", values->count, true);
    rpc_aggregates_real(p, "Coverage", values->coverage_ppm / 1e6, true);
    rpc_aggregates_real(p, "EffectiveN", values->effective_n, true);
    ki_pack_text(p, "Engine");
    ki_pack_text(p, rpc_aggregates_engines[values->engine]);
    rpc_aggregates_real(p, "Error", values->error, any);
    rpc_aggregates_real(p, "Max", values->max, any);
    rpc_aggregates_real(p, "Min", values->min, any);
    ki_pack_text(p, "Quantiles");
    ki_pack_array(p, answer->quantile_count);
    for (size_t i = 0; i < answer->quantile_count; i++) {
        ki_pack_map(p, 3);
        rpc_aggregates_real(p, "Q", answer->q[i], true);
        rpc_aggregates_real(p, "RankError", answer->rank_error[i], any);
        rpc_aggregates_real(p, "Value", answer->quantile[i], any);
    }
    rpc_aggregates_real(p, "Sum", values->sum, true);
    rpc_aggregates_pack_places(p, "Top", &answer->top);
    ki_pack_text(p, "Unit");
    ki_pack_str(p, ki_span(answer->unit, answer->unit_len));
    rpc_aggregates_real(p, "Variance", values->variance, any);
}

/* The body that comes with an error. */
static void rpc_aggregates_pack_none(struct ki_pack *p, const void *arg)
{
    (void)arg;
    ki_pack_map(p, 0);
}

/* "" is auto.  False: it is no engine, told in the error. */
static bool rpc_aggregates_engine(struct ki_span word, enum kith_engine *out, char error[RPC_AGGREGATES_TEXT])
{
    *out = KITH_ENGINE_AUTO;
    for (size_t i = 0; i < KI_COUNT(rpc_aggregates_engines); i++) {
        if (ki_span_equal(word, ki_span(rpc_aggregates_engines[i], strlen(rpc_aggregates_engines[i])))) {
            *out = (enum kith_engine)i;
            return true;
        }
    }
    if (word.len > 0)
        snprintf(error, RPC_AGGREGATES_TEXT, "Engine: it is none of auto, exact, network");
    return word.len == 0;
}

/* False: malformed.  A quantile that is none is told in the error. */
static bool rpc_aggregates_read_quantiles(struct ki_span object, struct rpc_aggregates_answer *answer,
                                          char error[RPC_AGGREGATES_TEXT])
{
    uint32_t count;
    struct ki_reader r = ki_reader(object.ptr, object.len);
    if (!object.ptr)
        return true;
    if (!ki_unpack_array(&r, &count))
        return false;
    if (count > RPC_AGGREGATES_QUANTILES) {
        snprintf(error, RPC_AGGREGATES_TEXT, "Quantiles: one request has %d at most", RPC_AGGREGATES_QUANTILES);
        return true;
    }
    for (; answer->quantile_count < count; answer->quantile_count++) {
        double *q = &answer->q[answer->quantile_count];
        if (!ki_unpack_double(&r, q))
            return false;
        if (!(*q >= 0 && *q <= 1))
            snprintf(error, RPC_AGGREGATES_TEXT, "Quantiles: each is from 0 to 1");
    }
    return true;
}

bool ki_rpc_run_kith_aggregate(struct ki_rpc_conn *conn, struct ki_reader *body)
{
    static const struct ki_field fields[] = {
        KI_FIELD(struct rpc_aggregates_request, name, "Name", KI_FIELD_STR, 2, false),
        KI_FIELD(struct rpc_aggregates_request, engine, "Engine", KI_FIELD_STR, 1, false),
        KI_FIELD(struct rpc_aggregates_request, quantiles, "Quantiles", KI_FIELD_RAW, 3, false),
        KI_FIELD(struct rpc_aggregates_request, top, "Top", KI_FIELD_U32, 4, false),
        KI_FIELD(struct rpc_aggregates_request, bottom, "Bottom", KI_FIELD_U32, 0, false),
    };
    struct rpc_aggregates_request request = {.top = 0};
    struct rpc_aggregates_answer answer = {.unit_len = 0};
    enum kith_engine engine;
    char error[RPC_AGGREGATES_TEXT] = "";
    if (!ki_unpack_struct(body, fields, KI_COUNT(fields), &request) ||
        !rpc_aggregates_read_quantiles(request.quantiles, &answer, error))
        return false;
    if (rpc_aggregates_engine(request.engine, &engine, error) && !error[0]) {
        struct kith_str name = ki_rpc_str(request.name);
        int status = rpc_aggregates_gather(conn, name, engine, &request, &answer);
        if (status != 0)
            rpc_aggregates_error(status, name, engine, error);
    }
    ki_rpc_reply(conn, conn->seq, error, error[0] ? rpc_aggregates_pack_none : rpc_aggregates_pack_answer, &answer);
    rpc_aggregates_free(&answer);
    return true;
}

/* ---- kith-aggregates ---- */

static void rpc_aggregates_pack_schema(struct ki_pack *p, const struct kith_schema *schema)
{
    ki_pack_text(p, "Engine");
    ki_pack_text(p, rpc_aggregates_engines[schema->engine]);
    ki_pack_text(p, "Interval");
    ki_pack_uint(p, schema->interval_ms);
    rpc_aggregates_real(p, "Max", schema->max, true);
    rpc_aggregates_real(p, "Min", schema->min, true);
    rpc_aggregates_real(p, "Step", schema->step, true);
    ki_pack_text(p, "Unit");
    ki_pack_str(p, ki_span(schema->unit.ptr, schema->unit.len));
}

/* arg: struct ki_rpc.  Nothing changes while it walks, so it may walk twice. */
static void rpc_aggregates_pack_all(struct ki_pack *p, const void *arg)
{
    const struct ki_rpc *rpc = arg;
    struct kith_aggregate aggregate;
    size_t count = 0;
    for (size_t cursor = 0; ki_agent_aggregate_next(rpc->agent, &cursor, &aggregate);)
        count++;
    ki_pack_map(p, 1);
    ki_pack_text(p, "Aggregates");
    ki_pack_array(p, count);
    for (size_t cursor = 0; ki_agent_aggregate_next(rpc->agent, &cursor, &aggregate);) {
        ki_pack_map(p, 7);
        ki_pack_text(p, "Builtin");
        ki_pack_bool(p, ki_agent_gauge_is_own(rpc->agent, aggregate.name));
        ki_pack_text(p, "Conflicts");
        ki_pack_uint(p, aggregate.conflicts);
        ki_pack_text(p, "Contributors");
        ki_pack_uint(p, aggregate.contributors);
        ki_pack_text(p, "Name");
        ki_pack_str(p, ki_span(aggregate.name.ptr, aggregate.name.len));
        ki_pack_text(p, "Open");
        ki_pack_bool(p, aggregate.is_open);
        rpc_aggregates_real(p, "Own", aggregate.own, aggregate.has_own);
        ki_pack_text(p, "Schema");
        ki_pack_map(p, 6);
        rpc_aggregates_pack_schema(p, &aggregate.schema);
    }
}

bool ki_rpc_run_kith_aggregates(struct ki_rpc_conn *conn, struct ki_reader *body)
{
    (void)body;
    ki_rpc_reply(conn, conn->seq, "", rpc_aggregates_pack_all, conn->rpc);
    return true;
}

/* ---- kith-gauge-set, kith-gauge-clear ---- */

struct rpc_aggregates_set {
    struct ki_span name, schema;
    double value;
};

struct rpc_aggregates_schema {
    struct ki_span unit, engine;
    double min, max, step;
    uint32_t interval_ms;
};

/* Reads a schema whole: what it does not say is 0, and refused where 0 will not do.  False: malformed. */
static bool rpc_aggregates_read_schema(struct ki_span object, struct kith_schema *out, char error[RPC_AGGREGATES_TEXT])
{
    static const struct ki_field fields[] = {
        KI_FIELD(struct rpc_aggregates_schema, unit, "Unit", KI_FIELD_STR, 5, false),
        KI_FIELD(struct rpc_aggregates_schema, min, "Min", KI_FIELD_DOUBLE, 3, false),
        KI_FIELD(struct rpc_aggregates_schema, max, "Max", KI_FIELD_DOUBLE, 2, false),
        KI_FIELD(struct rpc_aggregates_schema, step, "Step", KI_FIELD_DOUBLE, 4, false),
        KI_FIELD(struct rpc_aggregates_schema, interval_ms, "Interval", KI_FIELD_U32, 1, false),
        KI_FIELD(struct rpc_aggregates_schema, engine, "Engine", KI_FIELD_STR, 0, false),
    };
    struct rpc_aggregates_schema read = {.interval_ms = 0};
    struct ki_reader r = ki_reader(object.ptr, object.len);
    if (!ki_unpack_struct(&r, fields, KI_COUNT(fields), &read))
        return false;
    kith_schema_init(out);
    out->unit = ki_rpc_str(read.unit);
    out->min = read.min;
    out->max = read.max;
    out->step = read.step;
    out->interval_ms = read.interval_ms;
    (void)rpc_aggregates_engine(read.engine, &out->engine, error);
    return true;
}

static void rpc_aggregates_pack_set(struct ki_pack *p, const void *arg)
{
    const struct kith_aggregate *aggregate = arg;
    ki_pack_map(p, 1);
    ki_pack_text(p, "Conflicts");
    ki_pack_uint(p, aggregate->conflicts);
}

static void rpc_aggregates_set_error(struct ki_rpc_conn *conn, int status, const struct rpc_aggregates_set *request,
                                     const struct kith_schema *schema, char out[RPC_AGGREGATES_TEXT])
{
    struct kith_str name = ki_rpc_str(request->name);
    struct kith_aggregate known;
    int len = rpc_aggregates_shown(name);
    bool is_known = ki_agent_aggregate_find(conn->rpc->agent, name, &known) == 0;
    struct kith_schema held;
    kith_schema_init(&held);
    held = schema ? *schema : is_known ? known.schema : held;
    rpc_aggregates_error(status, name, KITH_ENGINE_AUTO, out);
    if (status == KITH_ERR_NUMBER)
        snprintf(out, RPC_AGGREGATES_TEXT,
                 "%.15g is no value for \"%.*s\", which has finite ones from %.15g to %.15g; nothing is changed",
                 request->value, len, name.ptr, held.min, held.max);
    else if (status == KITH_ERR_TYPE)
        snprintf(out, RPC_AGGREGATES_TEXT,
                 "\"%.*s\" is open here with another schema: set it without one, or clear it first", len, name.ptr);
    else if (status == KITH_ERR_ARG && name.len > 0 && name.len <= KITH_AGGREGATE_NAME_MAX)
        snprintf(out, RPC_AGGREGATES_TEXT,
                 "the schema of \"%.*s\" will not do: a unit of %d bytes at most, min below max, a step of 0 or more, all "
                 "three within 1e100 either way, an interval of 1 s to 1 h",
                 len, name.ptr, KITH_UNIT_MAX);
}

bool ki_rpc_run_kith_gauge_set(struct ki_rpc_conn *conn, struct ki_reader *body)
{
    static const struct ki_field fields[] = {
        KI_FIELD(struct rpc_aggregates_set, name, "Name", KI_FIELD_STR, 0, false),
        KI_FIELD(struct rpc_aggregates_set, value, "Value", KI_FIELD_DOUBLE, 2, false),
        KI_FIELD(struct rpc_aggregates_set, schema, "Schema", KI_FIELD_RAW, 1, false),
    };
    struct rpc_aggregates_set request = {.value = 0};
    struct kith_schema schema;
    struct kith_aggregate known = {.conflicts = 0};
    char error[RPC_AGGREGATES_TEXT] = "";
    if (!ki_unpack_struct(body, fields, KI_COUNT(fields), &request) ||
        (request.schema.ptr && !rpc_aggregates_read_schema(request.schema, &schema, error)))
        return false;
    if (!error[0]) {
        struct kith_str name = ki_rpc_str(request.name);
        const struct kith_schema *given = request.schema.ptr ? &schema : NULL;
        int status = ki_agent_gauge_set(conn->rpc->agent, name, request.value, given);
        if (status != 0)
            rpc_aggregates_set_error(conn, status, &request, given, error);
        else
            (void)ki_agent_aggregate_find(conn->rpc->agent, name, &known);
    }
    ki_rpc_reply(conn, conn->seq, error, error[0] ? rpc_aggregates_pack_none : rpc_aggregates_pack_set, &known);
    return true;
}

bool ki_rpc_run_kith_gauge_clear(struct ki_rpc_conn *conn, struct ki_reader *body)
{
    struct clear {
        struct ki_span name;
    } request = {{NULL, 0}};
    static const struct ki_field fields[] = {KI_FIELD(struct clear, name, "Name", KI_FIELD_STR, 0, false)};
    char error[RPC_AGGREGATES_TEXT] = "";
    if (!ki_unpack_struct(body, fields, KI_COUNT(fields), &request))
        return false;
    struct kith_str name = ki_rpc_str(request.name);
    int status = ki_agent_gauge_clear(conn->rpc->agent, name);
    if (status != 0)
        rpc_aggregates_error(status, name, KITH_ENGINE_AUTO, error);
    if (status == KITH_ERR_NOT_FOUND && name.len > 0 && name.len <= KITH_AGGREGATE_NAME_MAX)
        snprintf(error, sizeof error, "\"%.*s\" is not set here: nothing to clear", rpc_aggregates_shown(name), name.ptr);
    ki_rpc_reply(conn, conn->seq, error, NULL, NULL);
    return true;
}
