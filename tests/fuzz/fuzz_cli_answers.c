/* What an agent may answer to `kith keys`, `kith event -confirm`, `kith query -fold`, `kith aggregate` and `kith gauge`: any
 * bytes are refused, or printed as text that drives no terminal and as JSON that parses again.  And what the sorted maps and
 * the lists hold lies in what came. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/aggregate_answer.h"
#include "cli/confirmation.h"
#include "cli/fold_answer.h"
#include "cli/key_answer.h"
#include "scenario/lone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void answers_within(struct ki_span object, struct ki_span part)
{
    LONE_CHECK(part.len == 0 || (part.ptr >= object.ptr && part.len <= object.len &&
                                 (size_t)(part.ptr - object.ptr) <= object.len - part.len));
}

/* Lines and tabs are ours; nothing else may drive a terminal. */
static void answers_text(char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        LONE_CHECK(((uint8_t)text[i] >= 0x20 && text[i] != 0x7f) || text[i] == '\n' || text[i] == '\t');
    free(text);
}

static void answers_json(json_t *object)
{
    char *json = json_dumps(object, JSON_COMPACT);
    LONE_CHECK(json && !strchr(json, '\n'));
    json_t *again = json_loads(json, JSON_ALLOW_NUL, NULL);
    LONE_CHECK(again && json_equal(object, again));
    json_decref(again);
    json_decref(object);
    free(json);
}

static size_t answers_lines(const char *text)
{
    size_t lines = 0;
    for (; (text = strchr(text, '\n')) != NULL; text++)
        lines++;
    return lines;
}

static void answers_pairs(struct ki_span object, const struct ki_key_answer_pairs *pairs)
{
    for (size_t i = 0; i < pairs->count; i++) {
        answers_within(object, pairs->items[i].name);
        answers_within(object, pairs->items[i].message);
        LONE_CHECK(i == 0 || ki_span_compare(pairs->items[i - 1].name, pairs->items[i].name) <= 0);
    }
}

static void answers_keys(struct ki_span object)
{
    struct ki_key_answer answer;
    char *text = NULL;
    size_t len = 0;
    if (ki_key_answer_read(&answer, object)) {
        FILE *file = open_memstream(&text, &len);
        LONE_CHECK(file);
        ki_key_answer_print_messages(file, &answer, "failed:");
        ki_key_answer_print_keys(file, &answer);
        fclose(file);
        LONE_CHECK(answers_lines(text) == answer.messages.count + 1 + answer.keys.count);
        answers_text(text, len);
        answers_pairs(object, &answer.messages);
        answers_pairs(object, &answer.keys);
        answers_json(ki_key_answer_json(&answer, "list", true));
        answers_json(ki_key_answer_json(&answer, "use", false));
    }
    ki_key_answer_free(&answer);
}

static void answers_names(struct ki_span object, const struct ki_confirmation_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        answers_within(object, names->items[i]);
}

static void answers_confirmation(struct ki_span object)
{
    struct ki_confirmation confirmation;
    char *text = NULL;
    size_t len = 0;
    if (ki_confirmation_read(&confirmation, object)) {
        size_t missing = confirmation.missing.count, unable = confirmation.unable.count;
        FILE *file = open_memstream(&text, &len);
        LONE_CHECK(file);
        ki_confirmation_print(file, &confirmation);
        fclose(file);
        LONE_CHECK(answers_lines(text) == missing + (missing > 0) + unable + (unable > 0));
        answers_text(text, len);
        answers_names(object, &confirmation.missing);
        answers_names(object, &confirmation.unable);
        LONE_CHECK(!ki_confirmation_is_whole(&confirmation) || missing + unable == 0);
        json_t *document = json_object();
        ki_confirmation_json(&confirmation, document);
        LONE_CHECK(json_array_size(json_object_get(document, "missing")) == missing);
        answers_json(document);
    }
    ki_confirmation_free(&confirmation);
}

static void answers_places(struct ki_span object, const struct ki_aggregate_places *places)
{
    for (size_t i = 0; i < places->count; i++)
        answers_within(object, places->items[i].member);
}

static void answers_aggregate(struct ki_span object)
{
    static const struct ki_aggregate_wanted wanted[] = {{.top = true, .bottom = true}, {.sorted = true}};
    struct ki_aggregate_answer answer;
    if (ki_aggregate_answer_read(&answer, object)) {
        answers_within(object, answer.engine);
        answers_within(object, answer.unit);
        answers_places(object, &answer.top);
        answers_places(object, &answer.bottom);
        for (size_t i = 0; i < 3; i++) {
            char *text = NULL;
            size_t len = 0;
            FILE *file = open_memstream(&text, &len);
            LONE_CHECK(file);
            if (i < 2)
                ki_aggregate_answer_print(file, &answer, "name", &wanted[i]);
            else
                ki_aggregate_answer_line(file, &answer, &wanted[0]);
            fclose(file);
            LONE_CHECK(i < 2 || answers_lines(text) == 1);
            answers_text(text, len);
        }
        for (size_t i = 0; i < 2; i++)
            answers_json(ki_aggregate_answer_json(&answer, "name", &wanted[i]));
    }
    ki_aggregate_answer_free(&answer);
}

static void answers_aggregates(struct ki_span object)
{
    struct ki_aggregate_list list;
    if (ki_aggregate_list_read(&list, object)) {
        for (size_t i = 0; i < list.count; i++) {
            answers_within(object, list.items[i].name);
            answers_within(object, list.items[i].unit);
        }
        for (int gauges = 0; gauges < 2; gauges++) {
            char *text = NULL;
            size_t len = 0;
            FILE *file = open_memstream(&text, &len);
            LONE_CHECK(file);
            ki_aggregate_list_print(file, &list, gauges);
            fclose(file);
            LONE_CHECK(gauges || answers_lines(text) == list.count + (list.count > 0));
            answers_text(text, len);
            answers_json(ki_aggregate_list_json(&list, gauges));
        }
    }
    ki_aggregate_list_free(&list);
}

static void answers_folded(const struct ki_fold_answer *answer, enum ki_fold_want want)
{
    char *text = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&text, &len);
    LONE_CHECK(file);
    ki_fold_answer_print(file, answer, want);
    ki_fold_answer_complain(file, answer, want);
    fclose(file);
    answers_text(text, len);
    LONE_CHECK(!ki_fold_answer_is_whole(answer, want) || answer->silent == 0);
    json_t *document = json_object();
    ki_fold_answer_json(answer, want, document);
    answers_json(document);
}

static void answers_fold(struct ki_span object)
{
    struct ki_fold_answer answer;
    if (ki_fold_answer_read(&answer, object)) {
        answers_places(object, &answer.top);
        answers_names(object, &answer.missing);
        answers_names(object, &answer.unable);
        for (unsigned want = KI_FOLD_WANT_COUNT; want <= KI_FOLD_WANT_TOP; want++)
            answers_folded(&answer, (enum ki_fold_want)want);
    }
    ki_fold_answer_free(&answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    answers_fold(ki_span(data, size));
    answers_aggregate(ki_span(data, size));
    answers_aggregates(ki_span(data, size));
    answers_keys(ki_span(data, size));
    answers_confirmation(ki_span(data, size));
    return 0;
}
