/* What an agent answers about aggregates: reading it, and showing it as JSON, in columns and in one line.
 *
 * What is not there is nil on the wire, null in JSON and "-" for a person: the average of nobody's values is no 0.
 *
 * The counts in the object are checked by the decoder against the bytes that are there, so memory is bounded by the size of
 * the answer, which the client limits.
 *
 * Not here: asking (aggregate.c, gauge.c). */
#include "cli/aggregate_answer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "wire/msgpack.h"

/* ---- reading ---- */

bool ki_aggregate_real_read(struct ki_span raw, struct ki_aggregate_real *out)
{
    struct ki_reader r = ki_reader(raw.ptr, raw.len);
    double value = 0;
    if (raw.ptr && !ki_unpack_double(&r, &value))
        return false;
    out->is_there = raw.ptr && isfinite(value);
    out->value = out->is_there ? value : 0;
    return true;
}

/* Makes an array of zeroed elements of an array's length.  NULL in *items: nothing in it. */
static bool aggregate_answer_array(struct ki_span raw, struct ki_reader *r, size_t size, void **items, size_t *count)
{
    uint32_t claimed = 0;
    *r = ki_reader(raw.ptr, raw.len);
    *items = NULL;
    *count = 0;
    if (raw.ptr && !ki_unpack_array(r, &claimed))
        return false;
    *items = claimed > 0 ? calloc(claimed, size) : NULL;
    *count = *items ? claimed : 0;
    return claimed == 0 || *items;
}

struct aggregate_answer_place {
    struct ki_span member, value;
    uint64_t rank;
};

bool ki_aggregate_places_read(struct ki_span raw, struct ki_aggregate_places *places)
{
    static const struct ki_field fields[] = {
        KI_FIELD(struct aggregate_answer_place, member, "Member", KI_FIELD_STR, 0, false),
        KI_FIELD(struct aggregate_answer_place, rank, "Rank", KI_FIELD_U64, 1, false),
        KI_FIELD(struct aggregate_answer_place, value, "Value", KI_FIELD_RAW, 2, false),
    };
    struct ki_reader r;
    void *items;
    bool good = aggregate_answer_array(raw, &r, sizeof *places->items, &items, &places->count);
    places->items = items;
    for (size_t i = 0; good && i < places->count; i++) {
        struct aggregate_answer_place place = {.rank = 0};
        struct ki_aggregate_real value = {.value = 0};
        good = ki_unpack_struct(&r, fields, KI_COUNT(fields), &place) && ki_aggregate_real_read(place.value, &value) &&
               value.is_there;
        places->items[i] =
            (struct ki_aggregate_place){.member = place.member, .value = value.value, .rank = place.rank};
    }
    return good;
}

struct aggregate_answer_quantile {
    struct ki_span q, rank_error, value;
};

static bool aggregate_answer_read_quantiles(struct ki_span raw, struct ki_aggregate_answer *answer)
{
    static const struct ki_field fields[] = {
        KI_FIELD(struct aggregate_answer_quantile, q, "Q", KI_FIELD_RAW, 0, false),
        KI_FIELD(struct aggregate_answer_quantile, rank_error, "RankError", KI_FIELD_RAW, 1, false),
        KI_FIELD(struct aggregate_answer_quantile, value, "Value", KI_FIELD_RAW, 2, false),
    };
    struct ki_reader r;
    void *items;
    bool good = aggregate_answer_array(raw, &r, sizeof *answer->quantiles, &items, &answer->quantile_count);
    answer->quantiles = items;
    for (size_t i = 0; good && i < answer->quantile_count; i++) {
        struct aggregate_answer_quantile one = {.q = {NULL, 0}};
        struct ki_aggregate_quantile *out = &answer->quantiles[i];
        struct ki_aggregate_real q = {.value = 0};
        good = ki_unpack_struct(&r, fields, KI_COUNT(fields), &one) && ki_aggregate_real_read(one.q, &q) &&
               ki_aggregate_real_read(one.rank_error, &out->rank_error) && ki_aggregate_real_read(one.value, &out->value);
        out->q = q.value;
    }
    return good;
}

/* As it comes. */
struct aggregate_answer_raw {
    struct ki_span engine, unit, quantiles, top, bottom;
    struct ki_span count, sum, coverage, effective_n, average, variance, min, max, error;
    uint64_t age_ms;
    uint32_t conflicts;
    bool converged;
};

static bool aggregate_answer_read_reals(const struct aggregate_answer_raw *raw, struct ki_aggregate_answer *answer)
{
    struct ki_aggregate_real always[3] = {{.value = 0}};
    const struct {
        struct ki_span raw;
        struct ki_aggregate_real *out;
    } rows[] = {
        {raw->count, &always[0]},     {raw->coverage, &always[1]},      {raw->effective_n, &always[2]},
        {raw->sum, &answer->sum},     {raw->average, &answer->average}, {raw->variance, &answer->variance},
        {raw->min, &answer->min},     {raw->max, &answer->max},         {raw->error, &answer->error},
    };
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        if (!ki_aggregate_real_read(rows[i].raw, rows[i].out))
            return false;
    }
    answer->count = always[0].value;
    answer->coverage = always[1].value;
    answer->effective_n = always[2].value;
    return true;
}

bool ki_aggregate_answer_read(struct ki_aggregate_answer *answer, struct ki_span object)
{
    static const struct ki_field fields[] = {
        KI_FIELD(struct aggregate_answer_raw, engine, "Engine", KI_FIELD_STR, 0, false),
        KI_FIELD(struct aggregate_answer_raw, unit, "Unit", KI_FIELD_STR, 0, false),
        KI_FIELD(struct aggregate_answer_raw, quantiles, "Quantiles", KI_FIELD_RAW, 0, false),
        KI_FIELD(struct aggregate_answer_raw, top, "Top", KI_FIELD_RAW, 0, false),
        KI_FIELD(struct aggregate_answer_raw, bottom, "Bottom", KI_FIELD_RAW, 0, false),
        KI_FIELD(struct aggregate_answer_raw, count, "Count", KI_FIELD_RAW, 0, false),
        KI_FIELD(struct aggregate_answer_raw, sum, "Sum", KI_FIELD_RAW, 0, false),
        KI_FIELD(struct aggregate_answer_raw, coverage, "Coverage", KI_FIELD_RAW, 0, false),
        KI_FIELD(struct aggregate_answer_raw, effective_n, "EffectiveN", KI_FIELD_RAW, 0, false),
        KI_FIELD(struct aggregate_answer_raw, average, "Average", KI_FIELD_RAW, 0, false),
        KI_FIELD(struct aggregate_answer_raw, variance, "Variance", KI_FIELD_RAW, 0, false),
        KI_FIELD(struct aggregate_answer_raw, min, "Min", KI_FIELD_RAW, 0, false),
        KI_FIELD(struct aggregate_answer_raw, max, "Max", KI_FIELD_RAW, 0, false),
        KI_FIELD(struct aggregate_answer_raw, error, "Error", KI_FIELD_RAW, 0, false),
        KI_FIELD(struct aggregate_answer_raw, age_ms, "Age", KI_FIELD_U64, 0, false),
        KI_FIELD(struct aggregate_answer_raw, conflicts, "Conflicts", KI_FIELD_U32, 0, false),
        KI_FIELD(struct aggregate_answer_raw, converged, "Converged", KI_FIELD_BOOL, 0, false),
    };
    struct aggregate_answer_raw raw = {.age_ms = 0};
    struct ki_reader r = ki_reader(object.ptr, object.len);
    *answer = (struct ki_aggregate_answer){.age_ms = 0};
    if (!ki_unpack_struct(&r, fields, KI_COUNT(fields), &raw) || !aggregate_answer_read_reals(&raw, answer) ||
        !aggregate_answer_read_quantiles(raw.quantiles, answer) ||
        !ki_aggregate_places_read(raw.top, &answer->top) || !ki_aggregate_places_read(raw.bottom, &answer->bottom))
        return false;
    answer->engine = raw.engine;
    answer->unit = raw.unit;
    answer->age_ms = raw.age_ms;
    answer->conflicts = raw.conflicts;
    answer->converged = raw.converged;
    return true;
}

void ki_aggregate_answer_free(struct ki_aggregate_answer *answer)
{
    free(answer->quantiles);
    free(answer->top.items);
    free(answer->bottom.items);
    *answer = (struct ki_aggregate_answer){.age_ms = 0};
}

/* ---- JSON ---- */

json_t *ki_aggregate_real_json(struct ki_aggregate_real real)
{
    return real.is_there ? json_real(real.value) : json_null();
}

/* Whole numbers as such: the exact engine counts, the network engine estimates. */
static json_t *aggregate_answer_json_count(double count)
{
    bool is_whole = count >= 0 && count < 9e15 && floor(count) == count;
    return is_whole ? json_integer((json_int_t)count) : json_real(count);
}

static json_t *aggregate_answer_json_places(const struct ki_aggregate_places *places)
{
    json_t *array = json_array();
    for (size_t i = 0; i < places->count; i++) {
        const struct ki_aggregate_place *place = &places->items[i];
        json_array_append_new(array, json_pack("{s:o, s:f, s:I}", "member", ki_json_bytes(place->member), "value",
                                               place->value, "rank", (json_int_t)ki_min_u64(place->rank, INT64_MAX)));
    }
    return array;
}

json_t *ki_aggregate_answer_json(const struct ki_aggregate_answer *answer, const char *name,
                                 const struct ki_aggregate_wanted *wanted)
{
    json_t *document = json_pack("{s:o, s:o, s:o, s:b, s:o}", "name", ki_json_bytes(ki_span(name, strlen(name))), "unit",
                                 ki_json_bytes(answer->unit), "engine", ki_json_bytes(answer->engine), "converged",
                                 answer->converged ? 1 : 0, "count", aggregate_answer_json_count(answer->count));
    const struct {
        const char *key;
        struct ki_aggregate_real real;
    } reals[] = {{"sum", answer->sum},           {"average", answer->average}, {"error", answer->error},
                 {"variance", answer->variance}, {"min", answer->min},         {"max", answer->max}};
    for (size_t i = 0; i < KI_COUNT(reals); i++)
        json_object_set_new(document, reals[i].key, ki_aggregate_real_json(reals[i].real));
    json_object_set_new(document, "effective_n", json_real(answer->effective_n));
    json_object_set_new(document, "coverage", json_real(answer->coverage));
    json_object_set_new(document, "conflicts", json_integer((json_int_t)answer->conflicts));
    json_object_set_new(document, "age_ms", json_integer((json_int_t)ki_min_u64(answer->age_ms, INT64_MAX)));
    json_t *quantiles = json_array();
    for (size_t i = 0; i < answer->quantile_count; i++) {
        const struct ki_aggregate_quantile *one = &answer->quantiles[i];
        json_array_append_new(quantiles, json_pack("{s:f, s:o, s:o}", "q", one->q, "value",
                                                   ki_aggregate_real_json(one->value), "rank_error",
                                                   ki_aggregate_real_json(one->rank_error)));
    }
    json_object_set_new(document, "quantiles", quantiles);
    if (wanted->top)
        json_object_set_new(document, "top", aggregate_answer_json_places(&answer->top));
    if (wanted->bottom || wanted->sorted)
        json_object_set_new(document, wanted->sorted ? "sorted" : "bottom", aggregate_answer_json_places(&answer->bottom));
    return document;
}

/* ---- text ---- */

static void aggregate_answer_number(FILE *to, struct ki_aggregate_real real)
{
    char room[KI_REAL_ROOM];
    fputs(real.is_there ? ki_real_text(real.value, room) : "-", to);
}

static void aggregate_answer_row(FILE *to, const char *title, struct ki_aggregate_real real)
{
    fprintf(to, "%-20s  ", title);
    aggregate_answer_number(to, real);
    putc('\n', to);
}

static void aggregate_answer_print_places(FILE *to, const char *title, const struct ki_aggregate_places *places)
{
    size_t width = strlen("Member");
    for (size_t i = 0; i < places->count; i++)
        width = ki_max_u64(width, ki_safe_width(places->items[i].member));
    fprintf(to, "\n%s\n  Rank  %-*s  Value\n", title, (int)width, "Member");
    for (size_t i = 0; i < places->count; i++) {
        const struct ki_aggregate_place *place = &places->items[i];
        char room[KI_REAL_ROOM];
        fprintf(to, "%6llu  ", (unsigned long long)place->rank);
        ki_print_safe(to, place->member);
        fprintf(to, "%*s  %s\n", (int)(width - ki_safe_width(place->member)), "", ki_real_text(place->value, room));
    }
}

static void aggregate_answer_print_head(FILE *to, const struct ki_aggregate_answer *answer, const char *name)
{
    fprintf(to, "%-20s  ", "Aggregate");
    ki_print_safe(to, ki_span(name, strlen(name)));
    if (answer->unit.len > 0) {
        fputs(" (", to);
        ki_print_safe(to, answer->unit);
        putc(')', to);
    }
    fprintf(to, "\n%-20s  ", "Engine");
    ki_print_safe(to, answer->engine);
    fprintf(to, "\n%-20s  %s\n", "Converged", answer->converged ? "yes" : "no");
}

void ki_aggregate_answer_print(FILE *to, const struct ki_aggregate_answer *answer, const char *name,
                               const struct ki_aggregate_wanted *wanted)
{
    aggregate_answer_print_head(to, answer, name);
    aggregate_answer_row(to, "Count", (struct ki_aggregate_real){.value = answer->count, .is_there = true});
    aggregate_answer_row(to, "Sum", answer->sum);
    aggregate_answer_row(to, "Average", answer->average);
    aggregate_answer_row(to, "  off by at most", answer->error);
    aggregate_answer_row(to, "Variance", answer->variance);
    aggregate_answer_row(to, "Smallest", answer->min);
    for (size_t i = 0; i < answer->quantile_count; i++) {
        const struct ki_aggregate_quantile *one = &answer->quantiles[i];
        char title[40];
        snprintf(title, sizeof title, "Quantile %.6g", one->q);
        fprintf(to, "%-20s  ", title);
        aggregate_answer_number(to, one->value);
        if (one->rank_error.is_there && one->rank_error.value > 0)
            fprintf(to, " (or that of a quantile up to %.3g away)", one->rank_error.value);
        putc('\n', to);
    }
    aggregate_answer_row(to, "Largest", answer->max);
    fprintf(to, "%-20s  %.4g %% of the kith members\n", "Coverage", answer->coverage * 100);
    fprintf(to, "%-20s  %.1f s ago\n", "Last change", (double)answer->age_ms / 1000);
    if (answer->conflicts > 0)
        fprintf(to, "%-20s  %u: members that contribute under this name with another schema, and are not counted\n",
                "Conflicts", (unsigned)answer->conflicts);
    if (wanted->top)
        aggregate_answer_print_places(to, "Largest values", &answer->top);
    if (wanted->bottom || wanted->sorted)
        aggregate_answer_print_places(to, wanted->sorted ? "Values in order" : "Smallest values", &answer->bottom);
}

static void aggregate_answer_line_places(FILE *to, const char *title, const struct ki_aggregate_places *places)
{
    for (size_t i = 0; i < places->count; i++) {
        char room[KI_REAL_ROOM];
        fputs(i == 0 ? title : ", ", to);
        ki_print_safe(to, places->items[i].member);
        fprintf(to, " %s", ki_real_text(places->items[i].value, room));
    }
}

void ki_aggregate_answer_line(FILE *to, const struct ki_aggregate_answer *answer, const struct ki_aggregate_wanted *wanted)
{
    const struct {
        const char *title;
        struct ki_aggregate_real real;
    } rows[] = {{"sum", answer->sum}, {"average", answer->average}, {"smallest", answer->min}, {"largest", answer->max}};
    char room[KI_REAL_ROOM];
    fprintf(to, "count %s", ki_real_text(answer->count, room));
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        fprintf(to, "  %s ", rows[i].title);
        aggregate_answer_number(to, rows[i].real);
    }
    for (size_t i = 0; i < answer->quantile_count; i++) {
        fprintf(to, "  quantile %.6g ", answer->quantiles[i].q);
        aggregate_answer_number(to, answer->quantiles[i].value);
    }
    aggregate_answer_line_places(to, "  largest: ", &answer->top);
    aggregate_answer_line_places(to, wanted->sorted ? "  in order: " : "  smallest: ", &answer->bottom);
    if (answer->coverage < 1)
        fprintf(to, "  coverage %.4g %%", answer->coverage * 100);
    if (answer->conflicts > 0)
        fprintf(to, "  conflicts %u", (unsigned)answer->conflicts);
    fprintf(to, "  %s\n", answer->converged ? "converged" : "not converged");
}
