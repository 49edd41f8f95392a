/* What an agent answers to `kith keys` and to `kith event -confirm`: read, printed and turned into JSON; every truncation
 * is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/confirmation.h"
#include "cli/key_answer.h"
#include "wire/msgpack.h"

static void pack_number(struct ki_pack *p, const char *key, uint64_t value)
{
    ki_pack_text(p, key);
    ki_pack_uint(p, value);
}

static void is_json(json_t *object, const char *wanted)
{
    char *json = json_dumps(object, JSON_COMPACT);
    assert_string_equal(json, wanted);
    free(json);
    json_decref(object);
}

/* ---- keys ---- */

static void pack_list(struct ki_pack *p)
{
    ki_pack_map(p, 5);
    ki_pack_text(p, "Messages");
    ki_pack_nil(p);
    ki_pack_text(p, "Keys");
    ki_pack_map(p, 2);
    pack_number(p, "zzz=", 3);
    pack_number(p, "a=", UINT64_MAX);
    pack_number(p, "NumNodes", 3);
    pack_number(p, "NumErr", 0);
    pack_number(p, "NumResp", 3);
}

static void pack_refusals(struct ki_pack *p)
{
    ki_pack_map(p, 5);
    pack_number(p, "NumResp", 2);
    pack_number(p, "NumErr", 2);
    pack_number(p, "NumNodes", 3);
    ki_pack_text(p, "Keys");
    ki_pack_map(p, 0);
    ki_pack_text(p, "Messages");
    ki_pack_map(p, 2);
    ki_pack_text(p, "two");
    ki_pack_text(p, "no\nkey");
    ki_pack_text(p, "fif\033");
    ki_pack_bytes(p, ki_span("\xff", 1));
}

static void pack_nothing(struct ki_pack *p)
{
    ki_pack_map(p, 0);
}

static const struct {
    void (*pack)(struct ki_pack *p);
    const char *messages, *keys;
    const char *json; /* with its keys */
} answers[] = {
    {pack_list, "", "\na=    [18446744073709551615/3]\nzzz=  [3/3]\n",
     "{\"action\":\"use\",\"members\":3,\"responses\":3,\"errors\":0,\"messages\":{},\"keys\":["
     "{\"key\":\"a=\",\"members\":9223372036854775807},{\"key\":\"zzz=\",\"members\":3}]}"},
    {pack_refusals, "failed:  fif\\x1b  \\xff\nfailed:  two      no\\x0akey\n", "\n",
     "{\"action\":\"use\",\"members\":3,\"responses\":2,\"errors\":2,\"messages\":{\"fif\\u001B\":{\"base64\":\"/w==\"},"
     "\"two\":\"no\\nkey\"},\"keys\":[]}"},
    {pack_nothing, "", "\n", "{\"action\":\"use\",\"members\":0,\"responses\":0,\"errors\":0,\"messages\":{},\"keys\":[]}"},
};

static void test_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(answers); i++) {
        uint8_t buf[512];
        char text[2][256] = {"", ""};
        struct ki_pack p = ki_pack(buf, sizeof buf, true);
        answers[i].pack(&p);
        assert_false(p.w.full);
        struct ki_key_answer answer;
        assert_true(ki_key_answer_read(&answer, ki_span(buf, p.w.len)));
        for (size_t what = 0; what < 2; what++) {
            FILE *file = fmemopen(text[what], sizeof text[what], "w");
            assert_non_null(file);
            if (what == 0)
                ki_key_answer_print_messages(file, &answer, "failed:");
            else
                ki_key_answer_print_keys(file, &answer);
            fclose(file);
        }
        assert_string_equal(text[0], answers[i].messages);
        assert_string_equal(text[1], answers[i].keys);
        is_json(ki_key_answer_json(&answer, "use", true), answers[i].json);
        json_t *without = ki_key_answer_json(&answer, "use", false);
        assert_null(json_object_get(without, "keys"));
        json_decref(without);
        ki_key_answer_free(&answer);
        for (size_t cut = 0; cut < p.w.len; cut++) {
            assert_false(ki_key_answer_read(&answer, ki_span(buf, cut)));
            ki_key_answer_free(&answer);
        }
    }
}

/* ---- confirmations ---- */

static const struct {
    uint64_t confirmed, members;
    const char *missing[2], *unable[2];
    bool whole;
    const char *text, *json;
} confirmations[] = {
    {3, 3, {NULL}, {NULL}, true, "", "{\"confirmed\":3,\"members\":3,\"missing\":[],\"unable\":[]}"},
    {2, 3, {NULL}, {NULL}, false, "", "{\"confirmed\":2,\"members\":3,\"missing\":[],\"unable\":[]}"},
    {UINT64_MAX, 4, {"b", "a\t"}, {"\xc3\xbc"}, false,
     "Not confirmed in time by:\n\tb\n\ta\\x09\nCannot confirm, for they are no kith agents:\n\t\xc3\xbc\n",
     "{\"confirmed\":9223372036854775807,\"members\":4,\"missing\":[\"b\",\"a\\t\"],\"unable\":[\"\xc3\xbc\"]}"},
    {4, 4, {NULL}, {"s"}, false, "Cannot confirm, for they are no kith agents:\n\ts\n",
     "{\"confirmed\":4,\"members\":4,\"missing\":[],\"unable\":[\"s\"]}"},
};

static void pack_names(struct ki_pack *p, const char *key, const char *const names[2])
{
    size_t count = names[0] ? (names[1] ? 2 : 1) : 0;
    ki_pack_text(p, key);
    if (count == 0)
        ki_pack_nil(p);
    else
        ki_pack_array(p, count);
    for (size_t i = 0; i < count; i++)
        ki_pack_text(p, names[i]);
}

static void test_confirmations(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(confirmations); i++) {
        uint8_t buf[256];
        char text[256] = "";
        struct ki_pack p = ki_pack(buf, sizeof buf, true);
        ki_pack_map(&p, 4);
        pack_number(&p, "Confirmed", confirmations[i].confirmed);
        pack_number(&p, "Members", confirmations[i].members);
        pack_names(&p, "Missing", confirmations[i].missing);
        pack_names(&p, "Unable", confirmations[i].unable);
        assert_false(p.w.full);
        struct ki_confirmation confirmation;
        assert_true(ki_confirmation_read(&confirmation, ki_span(buf, p.w.len)));
        assert_int_equal(ki_confirmation_is_whole(&confirmation), confirmations[i].whole);
        FILE *file = fmemopen(text, sizeof text, "w");
        assert_non_null(file);
        ki_confirmation_print(file, &confirmation);
        fclose(file);
        assert_string_equal(text, confirmations[i].text);
        json_t *object = json_object();
        ki_confirmation_json(&confirmation, object);
        is_json(object, confirmations[i].json);
        ki_confirmation_free(&confirmation);
        for (size_t cut = 0; cut < p.w.len; cut++) {
            assert_false(ki_confirmation_read(&confirmation, ki_span(buf, cut)));
            ki_confirmation_free(&confirmation);
        }
    }
}

/* What is of another kind than it should be is refused, also in the lists and maps, and also what comes second. */
static void test_other_kinds(void **state)
{
    (void)state;
    static const char *const keys[] = {"Messages", "Keys", "Missing", "Unable"};
    for (size_t i = 0; i < KI_COUNT(keys); i++) {
        for (unsigned inside = 0; inside < 2; inside++) {
            uint8_t buf[64];
            struct ki_pack p = ki_pack(buf, sizeof buf, true);
            ki_pack_map(&p, 1);
            ki_pack_text(&p, keys[i]);
            if (inside && i < 2)
                ki_pack_map(&p, 1);
            else if (inside)
                ki_pack_array(&p, 2);
            if (inside)
                ki_pack_text(&p, "name");
            ki_pack_bool(&p, true); /* in place of the whole, or of what comes second in it */
            struct ki_key_answer answer;
            struct ki_confirmation confirmation;
            assert_int_equal(ki_key_answer_read(&answer, ki_span(buf, p.w.len)), i >= 2);
            assert_int_equal(ki_confirmation_read(&confirmation, ki_span(buf, p.w.len)), i < 2);
            ki_key_answer_free(&answer);
            ki_confirmation_free(&confirmation);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_confirmations),
        cmocka_unit_test(test_other_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
