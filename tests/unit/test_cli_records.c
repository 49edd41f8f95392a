/* What an agent's streams are made of: records of events and queries read, printed and turned into JSON; payloads and
 * -from as they are given. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/event_record.h"
#include "cli/payload.h"
#include "cli/pool_query.h"
#include "wire/msgpack.h"

/* ---- events ---- */

static void pack_span(struct ki_pack *p, const char *key, const char *value, size_t len)
{
    ki_pack_text(p, key);
    ki_pack_bytes(p, ki_span(value, len));
}

static void pack_text(struct ki_pack *p, const char *key, const char *value)
{
    ki_pack_text(p, key);
    ki_pack_text(p, value);
}

static void pack_number(struct ki_pack *p, const char *key, uint64_t value)
{
    ki_pack_text(p, key);
    ki_pack_uint(p, value);
}

static void pack_user(struct ki_pack *p)
{
    ki_pack_map(p, 5);
    pack_text(p, "Event", "user");
    pack_number(p, "LTime", 7);
    pack_text(p, "Name", "deploy");
    pack_span(p, "Payload", "v1\nx", 4);
    ki_pack_text(p, "Coalesce");
    ki_pack_bool(p, true);
}

static void pack_binary(struct ki_pack *p)
{
    ki_pack_map(p, 6);
    pack_number(p, "Index", UINT64_MAX);
    pack_span(p, "Payload", "\xff\x00", 2);
    pack_text(p, "Name", "\033[2J");
    pack_text(p, "Event", "user");
    pack_number(p, "LTime", UINT64_MAX);
    pack_number(p, "Later", 1); /* what nobody knows yet */
}

static void pack_query(struct ki_pack *p)
{
    ki_pack_map(p, 6);
    pack_text(p, "Event", "query");
    pack_number(p, "ID", 3);
    pack_number(p, "LTime", 9);
    pack_text(p, "Name", "load");
    ki_pack_text(p, "Payload");
    ki_pack_nil(p);
    pack_number(p, "Index", 12);
}

static void pack_numbered(struct ki_pack *p)
{
    ki_pack_map(p, 7);
    pack_text(p, "Event", "user");
    pack_number(p, "Index", 13);
    pack_number(p, "LTime", 7);
    pack_text(p, "Name", "deploy");
    pack_text(p, "Origin", "alpha");
    pack_span(p, "Payload", "v1", 2);
    pack_number(p, "Seq", 4);
}

static void pack_lost(struct ki_pack *p)
{
    ki_pack_map(p, 5);
    pack_text(p, "Event", "gap");
    pack_number(p, "From", 5);
    pack_number(p, "Index", 14);
    pack_text(p, "Origin", "al\033pha");
    pack_number(p, "To", 11);
}

static void pack_gap(struct ki_pack *p)
{
    ki_pack_map(p, 3);
    pack_text(p, "Event", "gap");
    pack_number(p, "From", 5);
    pack_number(p, "To", 11);
}

static void pack_members(struct ki_pack *p)
{
    static const char *const names[] = {"b", "a"};
    ki_pack_map(p, 2);
    pack_text(p, "Event", "member-failed");
    ki_pack_text(p, "Members");
    ki_pack_array(p, 2);
    for (size_t i = 0; i < 2; i++) {
        ki_pack_map(p, 4);
        pack_text(p, "Name", names[i]);
        pack_span(p, "Addr", "\x7f\x00\x00\x01", 4);
        pack_number(p, "Port", 7946 + i);
        pack_text(p, "Status", "failed");
    }
}

#define MEMBER_JSON(name, port)                                                                            \
    "{\"name\":\"" name "\",\"addr\":\"127.0.0.1:" port "\",\"port\":" port ",\"tags\":{},\"status\":\"failed\"," \
    "\"protocol\":{\"max\":0,\"min\":0,\"version\":0}}"

static const struct {
    void (*pack)(struct ki_pack *p);
    const char *text;
    const char *json;
} events[] = {
    {pack_user, "user deploy: v1\\x0ax",
     "{\"event\":\"user\",\"ltime\":7,\"name\":\"deploy\",\"payload\":\"v1\\nx\",\"coalesce\":true}"},
    {pack_binary, "18446744073709551615 user \\x1b[2J: \\xff\\x00",
     "{\"index\":9223372036854775807,\"event\":\"user\",\"ltime\":9223372036854775807,\"name\":\"\\u001B[2J\","
     "\"payload_base64\":\"/wA=\",\"coalesce\":false}"},
    {pack_query, "12 query load",
     "{\"index\":12,\"event\":\"query\",\"id\":3,\"ltime\":9,\"name\":\"load\",\"payload\":\"\"}"},
    {pack_numbered, "13 user deploy: v1",
     "{\"index\":13,\"event\":\"user\",\"ltime\":7,\"name\":\"deploy\",\"payload\":\"v1\",\"coalesce\":false,"
     "\"origin\":\"alpha\",\"seq\":4}"},
    {pack_lost, "14 gap: user events 5 to 11 of al\\x1bpha are lost",
     "{\"index\":14,\"event\":\"gap\",\"origin\":\"al\\u001Bpha\",\"from\":5,\"to\":11}"},
    {pack_gap, "gap: 5 to 11 are no longer kept", "{\"event\":\"gap\",\"from\":5,\"to\":11}"},
    {pack_members, "member-failed a 127.0.0.1:7947, b 127.0.0.1:7946",
     "{\"event\":\"member-failed\",\"members\":[" MEMBER_JSON("a", "7947") "," MEMBER_JSON("b", "7946") "]}"},
};

static void test_events(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(events); i++) {
        uint8_t buf[512];
        char text[256] = "";
        struct ki_pack p = ki_pack(buf, sizeof buf, true);
        events[i].pack(&p);
        assert_false(p.w.full);
        struct ki_event_record record;
        assert_true(ki_event_record_read(&record, ki_span(buf, p.w.len)));
        FILE *file = fmemopen(text, sizeof text, "w");
        assert_non_null(file);
        ki_event_record_print(file, &record);
        fclose(file);
        assert_string_equal(text, events[i].text);
        json_t *object = ki_event_record_json(&record);
        char *json = json_dumps(object, JSON_COMPACT);
        assert_string_equal(json, events[i].json);
        free(json);
        json_decref(object);
        ki_event_record_free(&record);
        for (size_t cut = 0; cut < p.w.len; cut++) { /* every truncation is refused and leaks nothing */
            assert_false(ki_event_record_read(&record, ki_span(buf, cut)));
            ki_event_record_free(&record);
        }
    }
}

/* ---- queries ---- */

static void test_queries(void **state)
{
    (void)state;
    static const struct {
        const char *type, *from;
        bool good;
        enum ki_query_kind kind;
    } rows[] = {
        {"ack", "one", true, KI_QUERY_ACK},
        {"response", "one", true, KI_QUERY_RESPONSE},
        {"ack", "", true, KI_QUERY_DONE},
        {"response", "", true, KI_QUERY_DONE},
        {"done", "", true, KI_QUERY_DONE},
        {"done", "one", true, KI_QUERY_DONE},
        {"acknowledged", "one", false, KI_QUERY_DONE},
        {"", "", false, KI_QUERY_DONE},
    };
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        uint8_t buf[128];
        struct ki_pack p = ki_pack(buf, sizeof buf, true);
        struct ki_query_record record;
        ki_pack_map(&p, 3);
        pack_text(&p, "Type", rows[i].type);
        pack_text(&p, "From", rows[i].from);
        pack_span(&p, "Payload", "\xff", 1);
        assert_int_equal(ki_query_record_read(&record, ki_span(buf, p.w.len)), rows[i].good);
        if (rows[i].good) {
            assert_int_equal(record.kind, rows[i].kind);
            assert_true(ki_span_equal(record.from, ki_span(rows[i].from, strlen(rows[i].from))));
            assert_true(ki_span_equal(record.payload, ki_span("\xff", 1)));
        }
        for (size_t cut = 0; cut < p.w.len; cut++)
            assert_false(ki_query_record_read(&record, ki_span(buf, cut)));
    }
}

/* ---- payloads ---- */

/* What `ki_payload_take("-")` makes of standard input with these bytes. */
static bool take_input(size_t len, struct ki_span *payload, uint8_t **memory)
{
    FILE *file = tmpfile();
    int before = dup(STDIN_FILENO);
    assert_non_null(file);
    for (size_t i = 0; i < len; i++)
        assert_int_not_equal(putc((int)(i % 251), file), EOF);
    rewind(file);
    assert_int_equal(dup2(fileno(file), STDIN_FILENO), STDIN_FILENO);
    bool good = ki_payload_take("-", payload, memory);
    assert_int_equal(dup2(before, STDIN_FILENO), STDIN_FILENO);
    close(before);
    fclose(file);
    return good;
}

static void test_payloads(void **state)
{
    (void)state;
    struct ki_span payload;
    uint8_t *memory;
    assert_true(ki_payload_take(NULL, &payload, &memory));
    assert_null(payload.ptr);
    assert_null(memory);
    assert_true(ki_payload_take("--", &payload, &memory));
    assert_true(ki_span_equal(payload, ki_span("--", 2)));
    assert_null(memory);
    static const size_t lens[] = {0, 1, 4095, 4096, 4097, 100000};
    for (size_t i = 0; i < KI_COUNT(lens); i++) {
        assert_true(take_input(lens[i], &payload, &memory));
        assert_non_null(payload.ptr); /* no bytes are a payload, too */
        assert_int_equal(payload.len, lens[i]);
        for (size_t at = 0; at < payload.len; at++)
            assert_int_equal(payload.ptr[at], at % 251);
        free(memory);
    }
    assert_true(take_input(KI_PAYLOAD_MAX, &payload, &memory));
    assert_int_equal(payload.len, KI_PAYLOAD_MAX);
    free(memory);
    assert_false(take_input(KI_PAYLOAD_MAX + 1, &payload, &memory));
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_queries),
        cmocka_unit_test(test_payloads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
