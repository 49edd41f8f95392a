/* Events as an agent tells them: reading one, and showing it as JSON or as a line.
 *
 * Serf's records are of three forms, told apart by the word in "Event": a user event, a query, and members to whom
 * something happened, whatever the word then is.  A kith agent adds the index of each and who sent it, and a fourth form, a
 * gap: what it does not keep any more, by its own indexes, or what has not reached it of a member, by that one's numbers.
 *
 * JSON loses nothing: a payload that is no UTF-8 has a key of its own, so that nobody takes base64 for the text.  Numbers
 * end at 2^63 - 1, as JSON's do here.
 *
 * Not here: following the stream (stream.c, monitor.c). */
#include "cli/event_record.h"

#include "wire/msgpack.h"

static bool event_record_is(const struct ki_event_record *record, const char *word, size_t len)
{
    return ki_span_equal(record->event, ki_span(word, len));
}

bool ki_event_record_read(struct ki_event_record *record, struct ki_span object)
{
    static const struct ki_field fields[] = {
        KI_FIELD(struct ki_event_record, event, "Event", KI_FIELD_STR, 0, false),
        KI_FIELD(struct ki_event_record, ltime, "LTime", KI_FIELD_U64, 0, false),
        KI_FIELD(struct ki_event_record, name, "Name", KI_FIELD_STR, 0, false),
        KI_FIELD(struct ki_event_record, payload, "Payload", KI_FIELD_BYTES, 0, false),
        KI_FIELD(struct ki_event_record, coalesce, "Coalesce", KI_FIELD_BOOL, 0, false),
        KI_FIELD(struct ki_event_record, id, "ID", KI_FIELD_U64, 0, false),
        KI_FIELD(struct ki_event_record, index, "Index", KI_FIELD_U64, 0, false),
        KI_FIELD(struct ki_event_record, origin, "Origin", KI_FIELD_STR, 0, false),
        KI_FIELD(struct ki_event_record, seq, "Seq", KI_FIELD_U64, 0, false),
        KI_FIELD(struct ki_event_record, from, "From", KI_FIELD_U64, 0, false),
        KI_FIELD(struct ki_event_record, to, "To", KI_FIELD_U64, 0, false),
    };
    *record = (struct ki_event_record){.index = 0};
    struct ki_reader r = ki_reader(object.ptr, object.len);
    if (!ki_unpack_struct(&r, fields, KI_COUNT(fields), record))
        return false;
    if (event_record_is(record, "user", 4))
        record->kind = KI_EVENT_USER;
    else if (event_record_is(record, "query", 5))
        record->kind = KI_EVENT_QUERY;
    else if (event_record_is(record, "gap", 3))
        record->kind = KI_EVENT_GAP;
    else
        record->kind = KI_EVENT_MEMBERS;
    return record->kind != KI_EVENT_MEMBERS || ki_member_list_read(&record->members, object);
}

void ki_event_record_free(struct ki_event_record *record)
{
    ki_member_list_free(&record->members);
}

/* ---- JSON ---- */

static void event_record_set(json_t *object, const char *key, uint64_t number)
{
    json_object_set_new(object, key, json_integer((json_int_t)ki_min_u64(number, INT64_MAX)));
}

static void event_record_set_origin(json_t *object, const struct ki_event_record *record)
{
    if (record->origin.len > 0)
        json_object_set_new(object, "origin", ki_json_bytes(record->origin));
    if (record->seq > 0)
        event_record_set(object, "seq", record->seq);
}

json_t *ki_event_record_json(const struct ki_event_record *record)
{
    json_t *object = json_object();
    if (record->index > 0)
        event_record_set(object, "index", record->index);
    json_object_set_new(object, "event", ki_json_bytes(record->event));
    switch (record->kind) {
    case KI_EVENT_USER:
    case KI_EVENT_QUERY:
        if (record->kind == KI_EVENT_QUERY)
            event_record_set(object, "id", record->id);
        event_record_set(object, "ltime", record->ltime);
        json_object_set_new(object, "name", ki_json_bytes(record->name));
        ki_json_set_payload(object, record->payload);
        if (record->kind == KI_EVENT_USER)
            json_object_set_new(object, "coalesce", json_boolean(record->coalesce));
        event_record_set_origin(object, record);
        break;
    case KI_EVENT_GAP:
        event_record_set_origin(object, record);
        event_record_set(object, "from", record->from);
        event_record_set(object, "to", record->to);
        break;
    case KI_EVENT_MEMBERS: {
        json_t *members = json_array();
        for (size_t i = 0; i < record->members.count; i++)
            json_array_append_new(members, ki_listed_json(&record->members.members[i]));
        json_object_set_new(object, "members", members);
        break;
    }
    }
    return object;
}

/* ---- text ---- */

static void event_record_print_members(FILE *to, const struct ki_member_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        char addr[KI_ADDR_TEXT_MAX];
        ki_listed_addr(&list->members[i], addr);
        fputs(i > 0 ? ", " : " ", to);
        ki_print_safe(to, list->members[i].name);
        fprintf(to, " %s", addr);
    }
}

static void event_record_print_gap(FILE *to, const struct ki_event_record *record)
{
    unsigned long long first = record->from, last = record->to;
    if (record->origin.len == 0) {
        fprintf(to, ": %llu to %llu are no longer kept", first, last);
        return;
    }
    fprintf(to, ": user events %llu to %llu of ", first, last);
    ki_print_safe(to, record->origin);
    fputs(" are lost", to);
}

void ki_event_record_print(FILE *to, const struct ki_event_record *record)
{
    if (record->index > 0)
        fprintf(to, "%llu ", (unsigned long long)record->index);
    ki_print_safe(to, record->event);
    switch (record->kind) {
    case KI_EVENT_USER:
    case KI_EVENT_QUERY:
        putc(' ', to);
        ki_print_safe(to, record->name);
        if (record->payload.len > 0)
            fputs(": ", to);
        ki_print_safe(to, record->payload);
        break;
    case KI_EVENT_GAP:
        event_record_print_gap(to, record);
        break;
    case KI_EVENT_MEMBERS:
        event_record_print_members(to, &record->members);
        break;
    }
}
