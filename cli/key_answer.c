/* What an agent says of a change of keys: reading it, and showing it as JSON or in Serf's columns.
 *
 * It counts the members, those that answered and those that refused; says in a map what went wrong where; and, asked for the
 * keys, in another how many members have each.  Both maps are sorted here: Serf's come in random order.
 *
 * The counts of the maps are checked by the decoder against the bytes that are there, so memory is bounded by the size of
 * the answer, which the client limits.
 *
 * Not here: asking (keyring.c). */
#include "cli/key_answer.h"

#include <stdlib.h>

#include "wire/msgpack.h"

static int key_answer_order(const void *a, const void *b)
{
    const struct ki_key_answer_pair *left = a, *right = b;
    return ki_span_compare(left->name, right->name);
}

/* Reads a map of names and messages, or of names and numbers. */
static bool key_answer_read_pairs(struct ki_key_answer_pairs *pairs, struct ki_span raw, bool numbers)
{
    uint32_t count = 0;
    struct ki_reader r = ki_reader(raw.ptr, raw.len);
    if (!raw.ptr) /* nil: none */
        return true;
    if (!ki_unpack_map(&r, &count))
        return false;
    if (count == 0)
        return true;
    pairs->items = calloc(count, sizeof *pairs->items);
    if (!pairs->items)
        return false;
    pairs->count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct ki_key_answer_pair *pair = &pairs->items[i];
        if (!ki_unpack_bytes(&r, &pair->name) || !(numbers ? ki_unpack_uint(&r, UINT64_MAX, &pair->count)
                                                           : ki_unpack_bytes(&r, &pair->message)))
            return false;
    }
    qsort(pairs->items, count, sizeof *pairs->items, key_answer_order);
    return true;
}

bool ki_key_answer_read(struct ki_key_answer *answer, struct ki_span object)
{
    static const struct ki_field fields[] = {
        KI_FIELD(struct ki_key_answer, raw_messages, "Messages", KI_FIELD_RAW, 0, false),
        KI_FIELD(struct ki_key_answer, raw_keys, "Keys", KI_FIELD_RAW, 0, false),
        KI_FIELD(struct ki_key_answer, members, "NumNodes", KI_FIELD_U64, 0, false),
        KI_FIELD(struct ki_key_answer, errors, "NumErr", KI_FIELD_U64, 0, false),
        KI_FIELD(struct ki_key_answer, responses, "NumResp", KI_FIELD_U64, 0, false),
    };
    *answer = (struct ki_key_answer){.members = 0};
    struct ki_reader r = ki_reader(object.ptr, object.len);
    return ki_unpack_struct(&r, fields, KI_COUNT(fields), answer) &&
           key_answer_read_pairs(&answer->messages, answer->raw_messages, false) &&
           key_answer_read_pairs(&answer->keys, answer->raw_keys, true);
}

void ki_key_answer_free(struct ki_key_answer *answer)
{
    free(answer->messages.items);
    free(answer->keys.items);
    *answer = (struct ki_key_answer){.members = 0};
}

/* ---- JSON ---- */

static json_t *key_answer_number(uint64_t number)
{
    return json_integer((json_int_t)ki_min_u64(number, INT64_MAX));
}

json_t *ki_key_answer_json(const struct ki_key_answer *answer, const char *action, bool lists)
{
    json_t *messages = json_object();
    for (size_t i = 0; i < answer->messages.count; i++)
        ki_json_set(messages, answer->messages.items[i].name, ki_json_bytes(answer->messages.items[i].message));
    json_t *document = json_pack("{s:s, s:o, s:o, s:o, s:o}", "action", action, "members",
                                 key_answer_number(answer->members), "responses", key_answer_number(answer->responses),
                                 "errors", key_answer_number(answer->errors), "messages", messages);
    if (lists) {
        json_t *keys = json_array();
        for (size_t i = 0; i < answer->keys.count; i++)
            json_array_append_new(keys, json_pack("{s:o, s:o}", "key", ki_json_bytes(answer->keys.items[i].name),
                                                  "members", key_answer_number(answer->keys.items[i].count)));
        json_object_set_new(document, "keys", keys);
    }
    return document;
}

/* ---- text ---- */

static size_t key_answer_width(const struct ki_key_answer_pairs *pairs)
{
    size_t width = 0;
    for (size_t i = 0; i < pairs->count; i++)
        width = ki_max_u64(width, ki_safe_width(pairs->items[i].name));
    return width;
}

static void key_answer_print_name(FILE *to, struct ki_span name, size_t width)
{
    ki_print_safe(to, name);
    fprintf(to, "%*s  ", (int)(width - ki_safe_width(name)), "");
}

void ki_key_answer_print_messages(FILE *to, const struct ki_key_answer *answer, const char *title)
{
    size_t width = key_answer_width(&answer->messages);
    for (size_t i = 0; i < answer->messages.count; i++) {
        fprintf(to, "%s  ", title);
        key_answer_print_name(to, answer->messages.items[i].name, width);
        ki_print_safe(to, answer->messages.items[i].message);
        putc('\n', to);
    }
}

void ki_key_answer_print_keys(FILE *to, const struct ki_key_answer *answer)
{
    size_t width = key_answer_width(&answer->keys);
    putc('\n', to);
    for (size_t i = 0; i < answer->keys.count; i++) {
        key_answer_print_name(to, answer->keys.items[i].name, width);
        fprintf(to, "[%llu/%llu]\n", (unsigned long long)answer->keys.items[i].count,
                (unsigned long long)answer->members);
    }
}
