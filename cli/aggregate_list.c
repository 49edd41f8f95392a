/* Which aggregates an agent knows: reading the list, and showing it as JSON or in columns.  And how a command about
 * aggregates fails: an agent that hangs up at the question has none.
 *
 * One list has two uses: all that members contribute to (`kith aggregate`), and what this agent contributes itself
 * (`kith gauge list`).
 *
 * The count in the object is checked by the decoder against the bytes that are there, so memory is bounded by the size of
 * the answer, which the client limits. */
#include "cli/aggregate_answer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "wire/msgpack.h"

int ki_aggregate_failed(const struct ki_rpc_client *client, const char *what)
{
    if (!ki_rpc_unsupported(client))
        return ki_client_failed(client, KI_EXIT_FAILED, what);
    fprintf(stderr, "%s: this agent knows nothing of aggregates: it is Serf's, or an older one\n", what);
    return KI_EXIT_FAILED;
}

struct aggregate_list_one {
    struct ki_span name, own, schema;
    uint32_t contributors, conflicts;
    bool builtin, open;
};

struct aggregate_list_schema {
    struct ki_span unit, engine;
    double min, max, step;
    uint32_t interval_ms;
};

static bool aggregate_list_read_one(struct ki_reader *r, struct ki_listed_aggregate *out)
{
    static const struct ki_field fields[] = {
        KI_FIELD(struct aggregate_list_one, name, "Name", KI_FIELD_STR, 0, false),
        KI_FIELD(struct aggregate_list_one, own, "Own", KI_FIELD_RAW, 0, false),
        KI_FIELD(struct aggregate_list_one, schema, "Schema", KI_FIELD_RAW, 0, false),
        KI_FIELD(struct aggregate_list_one, contributors, "Contributors", KI_FIELD_U32, 0, false),
        KI_FIELD(struct aggregate_list_one, conflicts, "Conflicts", KI_FIELD_U32, 0, false),
        KI_FIELD(struct aggregate_list_one, builtin, "Builtin", KI_FIELD_BOOL, 0, false),
        KI_FIELD(struct aggregate_list_one, open, "Open", KI_FIELD_BOOL, 0, false),
    };
    static const struct ki_field schema_fields[] = {
        KI_FIELD(struct aggregate_list_schema, unit, "Unit", KI_FIELD_STR, 0, false),
        KI_FIELD(struct aggregate_list_schema, engine, "Engine", KI_FIELD_STR, 0, false),
        KI_FIELD(struct aggregate_list_schema, min, "Min", KI_FIELD_DOUBLE, 0, false),
        KI_FIELD(struct aggregate_list_schema, max, "Max", KI_FIELD_DOUBLE, 0, false),
        KI_FIELD(struct aggregate_list_schema, step, "Step", KI_FIELD_DOUBLE, 0, false),
        KI_FIELD(struct aggregate_list_schema, interval_ms, "Interval", KI_FIELD_U32, 0, false),
    };
    struct aggregate_list_one one = {.contributors = 0};
    struct aggregate_list_schema schema = {.interval_ms = 0};
    if (!ki_unpack_struct(r, fields, KI_COUNT(fields), &one))
        return false;
    struct ki_reader inner = ki_reader(one.schema.ptr, one.schema.len);
    struct ki_reader own = ki_reader(one.own.ptr, one.own.len);
    if (!one.schema.ptr || !ki_unpack_struct(&inner, schema_fields, KI_COUNT(schema_fields), &schema) ||
        (one.own.ptr && !ki_unpack_double(&own, &out->own.value)))
        return false;
    out->name = one.name;
    out->unit = schema.unit;
    out->engine = schema.engine;
    out->min = schema.min;
    out->max = schema.max;
    out->step = schema.step;
    out->interval_ms = schema.interval_ms;
    out->contributors = one.contributors;
    out->conflicts = one.conflicts;
    out->builtin = one.builtin;
    out->open = one.open;
    out->own.is_there = one.own.ptr != NULL;
    return isfinite(out->min) && isfinite(out->max) && isfinite(out->step) && isfinite(out->own.value);
}

bool ki_aggregate_list_read(struct ki_aggregate_list *list, struct ki_span object)
{
    struct reply {
        struct ki_span aggregates;
    } reply = {{NULL, 0}};
    static const struct ki_field fields[] = {
        KI_FIELD(struct reply, aggregates, "Aggregates", KI_FIELD_RAW, 0, false)};
    struct ki_reader r = ki_reader(object.ptr, object.len);
    uint32_t count = 0;
    *list = (struct ki_aggregate_list){.count = 0};
    if (!ki_unpack_struct(&r, fields, KI_COUNT(fields), &reply))
        return false;
    r = ki_reader(reply.aggregates.ptr, reply.aggregates.len);
    if (!reply.aggregates.ptr)
        return true;
    if (!ki_unpack_array(&r, &count))
        return false;
    list->items = calloc((size_t)count + 1, sizeof *list->items);
    if (!list->items)
        return false;
    for (; list->count < count; list->count++) {
        if (!aggregate_list_read_one(&r, &list->items[list->count]))
            return false;
    }
    return true;
}

void ki_aggregate_list_free(struct ki_aggregate_list *list)
{
    free(list->items);
    *list = (struct ki_aggregate_list){.count = 0};
}

/* ---- showing ---- */

json_t *ki_aggregate_list_json(const struct ki_aggregate_list *list, bool gauges)
{
    json_t *array = json_array();
    for (size_t i = 0; i < list->count; i++) {
        const struct ki_listed_aggregate *one = &list->items[i];
        if (gauges && !one->open)
            continue;
        json_t *own = one->own.is_there ? json_real(one->own.value) : json_null();
        json_t *schema = json_pack("{s:o, s:f, s:f, s:f, s:I, s:o}", "unit", ki_json_bytes(one->unit), "min", one->min,
                                   "max", one->max, "step", one->step, "interval_ms", (json_int_t)one->interval_ms,
                                   "engine", ki_json_bytes(one->engine));
        json_array_append_new(array, json_pack("{s:o, s:o, s:b, s:b, s:I, s:I, s:o}", "name", ki_json_bytes(one->name),
                                               "value", own, "open", one->open ? 1 : 0, "builtin", one->builtin ? 1 : 0,
                                               "contributors", (json_int_t)one->contributors, "conflicts",
                                               (json_int_t)one->conflicts, "schema", schema));
    }
    return json_pack("{s:o}", gauges ? "gauges" : "aggregates", array);
}

static void aggregate_list_cell(FILE *to, struct ki_span text, size_t width)
{
    ki_print_safe(to, text);
    fprintf(to, "%*s  ", (int)(width - ki_safe_width(text)), "");
}

static void aggregate_list_row(FILE *to, const struct ki_listed_aggregate *one, bool gauges)
{
    char own[KI_REAL_ROOM], min[KI_REAL_ROOM], max[KI_REAL_ROOM], step[KI_REAL_ROOM];
    fprintf(to, "%-12s  ", one->own.is_there ? ki_real_text(one->own.value, own) : "-");
    if (gauges) {
        fprintf(to, "%s to %s, step %s, each %.10g s, engine ", ki_real_text(one->min, min), ki_real_text(one->max, max),
                ki_real_text(one->step, step), one->interval_ms / 1000.0);
        ki_print_safe(to, one->engine);
        fputs(one->builtin ? "; the agent's own" : "", to);
    } else {
        fprintf(to, "%u", (unsigned)one->contributors);
    }
    if (one->conflicts > 0)
        fprintf(to, "%s%u with another schema", gauges ? "; " : ", and ", (unsigned)one->conflicts);
    putc('\n', to);
}

void ki_aggregate_list_print(FILE *to, const struct ki_aggregate_list *list, bool gauges)
{
    size_t name_width = strlen("Name"), unit_width = strlen("Unit");
    bool any = false;
    for (size_t i = 0; i < list->count; i++) {
        any = any || !gauges || list->items[i].open;
        name_width = ki_max_u64(name_width, ki_safe_width(list->items[i].name));
        unit_width = ki_max_u64(unit_width, ki_safe_width(list->items[i].unit));
    }
    if (!any)
        return;
    fprintf(to, "%-*s  %-*s  %-12s  %s\n", (int)name_width, "Name", (int)unit_width, "Unit", gauges ? "Value" : "Here",
            gauges ? "Schema" : "Contributors");
    for (size_t i = 0; i < list->count; i++) {
        const struct ki_listed_aggregate *one = &list->items[i];
        if (gauges && !one->open)
            continue;
        aggregate_list_cell(to, one->name, name_width);
        aggregate_list_cell(to, one->unit, unit_width);
        aggregate_list_row(to, one, gauges);
    }
}
