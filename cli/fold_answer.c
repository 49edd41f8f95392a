/* One answer of all members: reading it, and showing what was wanted of it.
 *
 * All measures come with each answer.  For a person the one that was wanted stands alone in the first line (of the largest
 * each has one), and how many it rests on in the last; JSON has them all, and the one that was wanted as "value".
 *
 * Counting counts who answers at all; for everything else an answer has to be a number, and of none there is no value: null
 * in JSON, "-" for a person, and a failure.
 *
 * Not here: asking (query_fold.c). */
#include "cli/fold_answer.h"

#include <stdlib.h>
#include <string.h>

#include "kith/event.h"
#include "wire/msgpack.h"

/* ---- reading ---- */

static const char *const fold_answer_words[] = {"count", "sum", "avg", "min", "max", "top"}; /* as in enum ki_fold_want */

const char *ki_fold_want_read(const char *text, enum ki_fold_want *out, uint32_t *top)
{
    const char *colon = strchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : strlen(text), word = 0;
    *top = 0;
    while (word < KI_COUNT(fold_answer_words) &&
           (strlen(fold_answer_words[word]) != len || memcmp(fold_answer_words[word], text, len) != 0))
        word++;
    if (word == KI_COUNT(fold_answer_words) || (word == KI_FOLD_WANT_TOP) != (colon != NULL))
        return "is none of count, sum, avg, min, max, top:K";
    *out = (enum ki_fold_want)word;
    for (const char *at = colon ? colon + 1 : ""; *at; at++) {
        if (*at < '0' || *at > '9' || *top > KITH_FOLD_TOP_MAX)
            *top = KITH_FOLD_TOP_MAX + 1;
        else
            *top = *top * 10 + (uint32_t)(*at - '0');
    }
    return !colon || (*top >= 1 && *top <= KITH_FOLD_TOP_MAX) ? NULL : "tells 1 to 32 of the largest";
}

/* As it comes. */
struct fold_answer_raw {
    uint64_t members, answers, unusable, silent;
    struct ki_span sum, average, variance, min, max, top, missing, unable;
};

bool ki_fold_answer_read(struct ki_fold_answer *answer, struct ki_span object)
{
    static const struct ki_field fields[] = {
        KI_FIELD(struct fold_answer_raw, members, "Members", KI_FIELD_U64, 0, false),
        KI_FIELD(struct fold_answer_raw, answers, "Answers", KI_FIELD_U64, 0, false),
        KI_FIELD(struct fold_answer_raw, unusable, "Unusable", KI_FIELD_U64, 0, false),
        KI_FIELD(struct fold_answer_raw, silent, "Silent", KI_FIELD_U64, 0, false),
        KI_FIELD(struct fold_answer_raw, sum, "Sum", KI_FIELD_RAW, 0, false),
        KI_FIELD(struct fold_answer_raw, average, "Average", KI_FIELD_RAW, 0, false),
        KI_FIELD(struct fold_answer_raw, variance, "Variance", KI_FIELD_RAW, 0, false),
        KI_FIELD(struct fold_answer_raw, min, "Min", KI_FIELD_RAW, 0, false),
        KI_FIELD(struct fold_answer_raw, max, "Max", KI_FIELD_RAW, 0, false),
        KI_FIELD(struct fold_answer_raw, top, "Top", KI_FIELD_RAW, 0, false),
        KI_FIELD(struct fold_answer_raw, missing, "Missing", KI_FIELD_RAW, 0, false),
        KI_FIELD(struct fold_answer_raw, unable, "Unable", KI_FIELD_RAW, 0, false),
    };
    struct fold_answer_raw raw = {.members = 0};
    struct ki_reader r = ki_reader(object.ptr, object.len);
    *answer = (struct ki_fold_answer){.members = 0};
    bool good = ki_unpack_struct(&r, fields, KI_COUNT(fields), &raw);
    answer->members = raw.members;
    answer->answers = raw.answers;
    answer->unusable = raw.unusable;
    answer->silent = raw.silent;
    return good && ki_aggregate_real_read(raw.sum, &answer->sum) && ki_aggregate_real_read(raw.average, &answer->average) &&
           ki_aggregate_real_read(raw.variance, &answer->variance) && ki_aggregate_real_read(raw.min, &answer->min) &&
           ki_aggregate_real_read(raw.max, &answer->max) && ki_aggregate_places_read(raw.top, &answer->top) &&
           ki_confirmation_names_read(&answer->missing, raw.missing) &&
           ki_confirmation_names_read(&answer->unable, raw.unable);
}

void ki_fold_answer_free(struct ki_fold_answer *answer)
{
    free(answer->top.items);
    free(answer->missing.items);
    free(answer->unable.items);
    *answer = (struct ki_fold_answer){.members = 0};
}

/* ---- what was wanted ---- */

static struct ki_aggregate_real fold_answer_value(const struct ki_fold_answer *answer, enum ki_fold_want want)
{
    switch (want) {
    case KI_FOLD_WANT_COUNT:
        return (struct ki_aggregate_real){.value = (double)answer->answers + (double)answer->unusable, .is_there = true};
    case KI_FOLD_WANT_SUM:
        return answer->sum;
    case KI_FOLD_WANT_AVG:
        return answer->average;
    case KI_FOLD_WANT_MIN:
        return answer->min;
    case KI_FOLD_WANT_MAX:
        return answer->max;
    case KI_FOLD_WANT_TOP:
        return (struct ki_aggregate_real){.is_there = answer->top.count > 0};
    }
    KI_UNREACHABLE();
}

bool ki_fold_answer_is_whole(const struct ki_fold_answer *answer, enum ki_fold_want want)
{
    return answer->silent == 0 && fold_answer_value(answer, want).is_there;
}

static json_t *fold_answer_json_count(uint64_t count)
{
    return json_integer((json_int_t)ki_min_u64(count, INT64_MAX));
}

void ki_fold_answer_json(const struct ki_fold_answer *answer, enum ki_fold_want want, json_t *object)
{
    const struct {
        const char *key;
        struct ki_aggregate_real real;
    } reals[] = {{"sum", answer->sum}, {"average", answer->average}, {"variance", answer->variance},
                 {"min", answer->min}, {"max", answer->max}};
    json_object_set_new(object, "fold", json_string(fold_answer_words[want]));
    if (want == KI_FOLD_WANT_COUNT)
        json_object_set_new(object, "value", fold_answer_json_count(answer->answers + answer->unusable));
    else if (want != KI_FOLD_WANT_TOP)
        json_object_set_new(object, "value", ki_aggregate_real_json(fold_answer_value(answer, want)));
    json_object_set_new(object, "members", fold_answer_json_count(answer->members));
    json_object_set_new(object, "answers", fold_answer_json_count(answer->answers));
    json_object_set_new(object, "unusable", fold_answer_json_count(answer->unusable));
    json_object_set_new(object, "silent", fold_answer_json_count(answer->silent));
    for (size_t i = 0; i < KI_COUNT(reals); i++)
        json_object_set_new(object, reals[i].key, ki_aggregate_real_json(reals[i].real));
    json_t *top = json_array();
    for (size_t i = 0; i < answer->top.count; i++)
        json_array_append_new(top, json_pack("{s:o, s:f}", "member", ki_json_bytes(answer->top.items[i].member), "value",
                                             answer->top.items[i].value));
    json_object_set_new(object, "top", top);
    json_object_set_new(object, "missing", ki_confirmation_names_json(&answer->missing));
    json_object_set_new(object, "unable", ki_confirmation_names_json(&answer->unable));
}

static void fold_answer_print_top(FILE *to, const struct ki_aggregate_places *top)
{
    size_t width = 1;
    for (size_t i = 0; i < top->count; i++)
        width = ki_max_u64(width, ki_safe_width(top->items[i].member));
    for (size_t i = 0; i < top->count; i++) {
        struct ki_span member = top->items[i].member.len > 0 ? top->items[i].member : ki_span("?", 1);
        char room[KI_REAL_ROOM];
        ki_print_safe(to, member);
        fprintf(to, "%*s  %s\n", (int)(width - ki_safe_width(member)), "", ki_real_text(top->items[i].value, room));
    }
}

void ki_fold_answer_print(FILE *to, const struct ki_fold_answer *answer, enum ki_fold_want want)
{
    struct ki_aggregate_real value = fold_answer_value(answer, want);
    char room[KI_REAL_ROOM];
    if (!value.is_there)
        fputs("-\n", to);
    else if (want == KI_FOLD_WANT_TOP)
        fold_answer_print_top(to, &answer->top);
    else
        fprintf(to, "%s\n", ki_real_text(value.value, room));
    fprintf(to, "%llu of %llu members answered", (unsigned long long)(answer->answers + answer->unusable),
            (unsigned long long)answer->members);
    if (answer->unusable > 0)
        fprintf(to, ", %llu of them with no number", (unsigned long long)answer->unusable);
    putc('\n', to);
}

/* ---- what was not there ---- */

static void fold_answer_names(FILE *to, const struct ki_confirmation_names *names, const char *why)
{
    for (size_t i = 0; i < names->count; i++) {
        putc('\t', to);
        ki_print_safe(to, names->items[i]);
        fprintf(to, "%s\n", why);
    }
}

void ki_fold_answer_complain(FILE *to, const struct ki_fold_answer *answer, enum ki_fold_want want)
{
    size_t named = answer->missing.count + answer->unable.count;
    if (answer->silent > 0)
        fputs("No answers from:\n", to);
    fold_answer_names(to, &answer->missing, "");
    fold_answer_names(to, &answer->unable, " (no kith agent)");
    if (answer->silent > named)
        fprintf(to, "\t%s%llu that cannot be named\n", named > 0 ? "and " : "",
                (unsigned long long)(answer->silent - named));
    if (!fold_answer_value(answer, want).is_there)
        fputs("Nobody has answered with a number\n", to);
}
