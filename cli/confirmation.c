/* Who has an event: reading what a kith agent says of it, and showing it.
 *
 * It counts the members and those that have confirmed, and names the others in two lists: those that have not said so in
 * time, and those that cannot.  All of it is read before anything is shown.
 *
 * The counts of the lists are checked by the decoder against the bytes that are there, so memory is bounded by the size of
 * the answer, which the client limits.
 *
 * Not here: sending (event.c). */
#include "cli/confirmation.h"

#include <stdlib.h>

#include "wire/msgpack.h"

bool ki_confirmation_names_read(struct ki_confirmation_names *names, struct ki_span raw)
{
    uint32_t count = 0;
    struct ki_reader r = ki_reader(raw.ptr, raw.len);
    if (!raw.ptr) /* nil: none */
        return true;
    if (!ki_unpack_array(&r, &count))
        return false;
    if (count == 0)
        return true;
    names->items = calloc(count, sizeof *names->items);
    if (!names->items)
        return false;
    names->count = count;
    for (uint32_t i = 0; i < count; i++) {
        if (!ki_unpack_str(&r, &names->items[i]))
            return false;
    }
    return true;
}

bool ki_confirmation_read(struct ki_confirmation *confirmation, struct ki_span object)
{
    static const struct ki_field fields[] = {
        KI_FIELD(struct ki_confirmation, confirmed, "Confirmed", KI_FIELD_U64, 0, false),
        KI_FIELD(struct ki_confirmation, members, "Members", KI_FIELD_U64, 0, false),
        KI_FIELD(struct ki_confirmation, raw_missing, "Missing", KI_FIELD_RAW, 0, false),
        KI_FIELD(struct ki_confirmation, raw_unable, "Unable", KI_FIELD_RAW, 0, false),
    };
    *confirmation = (struct ki_confirmation){.confirmed = 0};
    struct ki_reader r = ki_reader(object.ptr, object.len);
    return ki_unpack_struct(&r, fields, KI_COUNT(fields), confirmation) &&
           ki_confirmation_names_read(&confirmation->missing, confirmation->raw_missing) &&
           ki_confirmation_names_read(&confirmation->unable, confirmation->raw_unable);
}

void ki_confirmation_free(struct ki_confirmation *confirmation)
{
    free(confirmation->missing.items);
    free(confirmation->unable.items);
    *confirmation = (struct ki_confirmation){.confirmed = 0};
}

bool ki_confirmation_is_whole(const struct ki_confirmation *confirmation)
{
    return confirmation->missing.count == 0 && confirmation->unable.count == 0 &&
           confirmation->confirmed >= confirmation->members;
}

json_t *ki_confirmation_names_json(const struct ki_confirmation_names *names)
{
    json_t *array = json_array();
    for (size_t i = 0; i < names->count; i++)
        json_array_append_new(array, ki_json_bytes(names->items[i]));
    return array;
}

void ki_confirmation_json(const struct ki_confirmation *confirmation, json_t *object)
{
    json_object_set_new(object, "confirmed", json_integer((json_int_t)ki_min_u64(confirmation->confirmed, INT64_MAX)));
    json_object_set_new(object, "members", json_integer((json_int_t)ki_min_u64(confirmation->members, INT64_MAX)));
    json_object_set_new(object, "missing", ki_confirmation_names_json(&confirmation->missing));
    json_object_set_new(object, "unable", ki_confirmation_names_json(&confirmation->unable));
}

static void confirmation_print_names(FILE *to, const char *title, const struct ki_confirmation_names *names)
{
    if (names->count > 0)
        fprintf(to, "%s\n", title);
    for (size_t i = 0; i < names->count; i++) {
        putc('\t', to);
        ki_print_safe(to, names->items[i]);
        putc('\n', to);
    }
}

void ki_confirmation_print(FILE *to, const struct ki_confirmation *confirmation)
{
    confirmation_print_names(to, "Not confirmed in time by:", &confirmation->missing);
    confirmation_print_names(to, "Cannot confirm, for they are no kith agents:", &confirmation->unable);
}
