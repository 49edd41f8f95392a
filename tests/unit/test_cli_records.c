/* What an agent's stream is made of: records of events read, printed and turned into JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/event_record.h"
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
