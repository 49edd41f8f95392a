/* Tables for src/wire/serf_event.c: user events with and without kith's mark, marks, keys and their texts, relays.  The
 * golden ones were captured from running Serf 0.9.4 agents; all go both ways, cut at every length, and with what is
 * hostile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "unit/hex.h"
#include "wire/serf_event.h"

#define TEXT(s) ki_span((s), sizeof(s) - 1)

#define EVENT_HEX "0384a24343c3a54c54696d6501a44e616d65a66465706c6f79a75061796c6f6164a676312e322e33"
#define MARK_HEX "0102030405060708 000000000000002a 0000000000000007 05 616c706861"
#define MARKED_HEX                                                                                                    \
    "0385a24343c2a44b697468be" MARK_HEX "a54c54696d6501a44e616d65a66465706c6f79a75061796c6f6164a676312e322e33"
#define KEY_HEX "0781a34b6579a0"
#define RELAY_HEX                                                                                                     \
    "0982a8446573744164647283a24950a47f000001a4506f7274cd461aa45a6f6e65a0a8446573744e616d65a5616c706861"
#define LIST_HEX                                                                                                      \
    "0884a44b65797391b8" "41414543417751464267634943516f4c4441304f44773d3d" "a74d657373616765a0"                        \
    "aa5072696d6172794b6579b8" "41414543417751464267634943516f4c4441304f44773d3d" "a6526573756c74c3"
#define REFUSED_HEX "0884a44b657973c0a74d657373616765a26e6faa5072696d6172794b6579a0a6526573756c74c2"

static uint8_t input[1024];

static struct ki_reader open_body(const char *hex, uint8_t type)
{
    size_t len = hex_bytes(hex, input, sizeof input);
    assert_true(len > 1 && input[0] == type);
    return ki_reader(input + 1, len - 1);
}

static void check_encoded(const struct ki_pack *p, const char *hex)
{
    uint8_t want[1024];
    size_t len = hex_bytes(hex, want, sizeof want);
    assert_false(p->w.full);
    assert_int_equal(p->w.len, len);
    assert_memory_equal(p->w.start, want, len);
}

/* Every beginning of the body, each from a block of just that length, is malformed. */
static void check_cuts(struct ki_reader whole, bool (*decodes)(struct ki_reader *))
{
    for (size_t cut = 0; cut < whole.left; cut++) {
        uint8_t *exact = malloc(cut ? cut : 1);
        assert_non_null(exact);
        memcpy(exact, whole.pos, cut);
        struct ki_reader r = ki_reader(exact, cut);
        assert_false(decodes(&r));
        assert_true(r.bad);
        free(exact);
    }
}

/* ---- events ---- */

static bool decodes_event(struct ki_reader *r)
{
    struct ki_serf_event msg;
    return ki_decode_serf_event(r, &msg);
}

static void events_both_ways(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        bool coalesce, marked;
    } rows[] = {{EVENT_HEX, true, false}, {MARKED_HEX, false, true}};
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        uint8_t buf[256], mark[64];
        struct ki_serf_event msg;
        struct ki_reader r = open_body(rows[i].hex, KI_SERF_USER_EVENT), whole = r;
        assert_true(ki_decode_serf_event(&r, &msg));
        assert_int_equal(r.left, 0);
        assert_true(msg.ltime == 1 && msg.coalesce == rows[i].coalesce);
        assert_true(ki_span_equal(msg.name, TEXT("deploy")) && ki_span_equal(msg.payload, TEXT("v1.2.3")));
        assert_int_equal(msg.mark.ptr != NULL, rows[i].marked);
        if (rows[i].marked)
            assert_true(ki_span_equal(msg.mark, ki_span(mark, hex_bytes(MARK_HEX, mark, sizeof mark))));
        struct ki_pack p = ki_pack(buf, sizeof buf, false);
        ki_encode_serf_event(&p, &msg);
        check_encoded(&p, rows[i].hex);
        check_cuts(whole, decodes_event);
    }
}

static void event_forms(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        bool fine;
    } rows[] = {
        {"83 a54c54696d6505 a44e616d65a161 a24343c3", true},         /* no payload */
        {"94 05 a161 a162 c3", true},                                /* as an array, in the order of declaration */
        {"96 05 a161 a162 c3 a16d 01", true},                        /* kith's mark is the fifth; the rest is skipped */
        {"84 a15a 9101 a44e616d65a161 a54c54696d65 d30000000000000005 a25a5ac0", true},
        {"81 a44e616d65a161", true},
        {"82 a44e616d65a161 a75061796c6f6164c40100", true},          /* bin, where bytes belong */
        {"82 a44e616d65a161 a44b697468c0", true},                    /* no mark */
        {"82 a44e616d65a0 a54c54696d6505", false},                   /* no name */
        {"81 a54c54696d6505", false},
        {"80", false},
        {"82 a44e616d65c40161 a54c54696d6505", false},               /* bin, where a string belongs */
        {"82 a44e616d65a161 a54c54696d65ff", false},                 /* -1 */
        {"82 a44e616d65a161 a2434305", false},
        {"82 a44e616d65a161 a44b69746805", false},
        {"82 a44e616d65a161 a75061796c6f616491c3", false},
        {"df ffffffff a44e616d65a161", false},
        {"a161", false},
    };
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        struct ki_serf_event msg;
        struct ki_reader r = ki_reader(input, hex_bytes(rows[i].hex, input, sizeof input));
        assert_int_equal(ki_decode_serf_event(&r, &msg), rows[i].fine);
        assert_int_equal(r.bad, !rows[i].fine);
        if (rows[i].fine)
            assert_true(ki_span_equal(msg.name, TEXT("a")));
    }
}

static void greatest_numbers(void **state)
{
    (void)state;
    uint8_t buf[64];
    struct ki_serf_event msg = {.ltime = UINT64_MAX, .name = TEXT("e"), .payload = TEXT("")}, got;
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    ki_encode_serf_event(&p, &msg);
    struct ki_reader r = ki_reader(buf + 1, p.w.len - 1);
    assert_true(!p.w.full && ki_decode_serf_event(&r, &got));
    assert_true(got.ltime == UINT64_MAX && got.payload.len == 0 && !got.mark.ptr);
}

/* ---- marks ---- */

static void marks_both_ways(void **state)
{
    (void)state;
    uint8_t bytes[64], buf[KI_EVENT_MARK_MAX];
    size_t len = hex_bytes(MARK_HEX, bytes, sizeof bytes);
    struct ki_event_mark mark;
    assert_true(ki_decode_event_mark(ki_span(bytes, len), &mark));
    assert_true(mark.boot == 0x0102030405060708 && mark.seq == 42 && mark.before == 7);
    assert_int_equal(mark.flags, KI_EVENT_CONFIRM | KI_EVENT_QUERY);
    assert_true(ki_span_equal(mark.origin, TEXT("alpha")));
    assert_int_equal(ki_encode_event_mark(buf, &mark), len);
    assert_memory_equal(buf, bytes, len);
    for (size_t cut = 0; cut <= len - 5; cut++) /* to before the first byte of the name */
        assert_false(ki_decode_event_mark(ki_span(bytes, cut), &mark));
}

static void mark_limits(void **state)
{
    (void)state;
    static uint8_t name[256];
    static const struct {
        uint64_t seq;
        size_t len;
        bool fine;
    } rows[] = {{1, 1, true},          {0, 1, false},   {INT64_MAX, 255, true}, {(uint64_t)INT64_MAX + 1, 1, false},
                {UINT64_MAX, 1, false}, {1, 0, false}, {1, 256, false}};
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        uint8_t bytes[25 + 256];
        struct ki_writer w = ki_writer(bytes, sizeof bytes);
        struct ki_event_mark mark;
        ki_put_be(&w, UINT64_MAX, 8);
        ki_put_be(&w, rows[i].seq, 8);
        ki_put_be(&w, UINT64_MAX, 8);
        ki_put_u8(&w, 0xff); /* flags that a later version adds */
        ki_put(&w, name, rows[i].len);
        assert_int_equal(ki_decode_event_mark(ki_span(bytes, w.len), &mark), rows[i].fine);
        if (rows[i].fine) {
            uint8_t again[KI_EVENT_MARK_MAX];
            assert_int_equal(ki_encode_event_mark(again, &mark), w.len);
            assert_memory_equal(again, bytes, w.len);
        }
    }
}

/* ---- keys ---- */

static bool decodes_key(struct ki_reader *r)
{
    struct ki_span key;
    return ki_decode_serf_key_request(r, &key);
}

static bool decodes_keys(struct ki_reader *r)
{
    struct ki_serf_key_response msg;
    return ki_decode_serf_key_response(r, &msg);
}

static void key_requests_both_ways(void **state)
{
    (void)state;
    static const char *const rows[] = {KEY_HEX, "0781a34b6579b0000102030405060708090a0b0c0d0e0f"};
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        uint8_t buf[64];
        struct ki_span key;
        struct ki_reader r = open_body(rows[i], KI_SERF_KEY_REQUEST), whole = r;
        assert_true(ki_decode_serf_key_request(&r, &key));
        assert_true(r.left == 0 && key.len == 16 * i);
        struct ki_pack p = ki_pack(buf, sizeof buf, false);
        ki_encode_serf_key_request(&p, key);
        check_encoded(&p, rows[i]);
        check_cuts(whole, decodes_key);
    }
    struct ki_span key;
    uint8_t nil = 0xc0, buf[16];
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    ki_encode_serf_key_request(&p, ki_span(NULL, 0)); /* said as Serf says it: not nil */
    check_encoded(&p, KEY_HEX);
    struct ki_reader r = ki_reader(&nil, 1);
    assert_true(ki_decode_serf_key_request(&r, &key)); /* nil: a struct of zeros */
    assert_int_equal(key.len, 0);
}

static void key_answers_both_ways(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        bool result;
    } rows[] = {{LIST_HEX, true}, {REFUSED_HEX, false}};
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        uint8_t buf[256];
        struct ki_serf_key_response msg;
        struct ki_reader r = open_body(rows[i].hex, KI_SERF_KEY_RESPONSE), whole = r;
        assert_true(ki_decode_serf_key_response(&r, &msg));
        assert_true(r.left == 0 && msg.result == rows[i].result);
        assert_true(ki_span_equal(msg.message, rows[i].result ? TEXT("") : TEXT("no")));
        assert_int_equal(msg.primary.len, rows[i].result ? 24 : 0);
        struct ki_pack p = ki_pack(buf, sizeof buf, false);
        ki_encode_serf_key_response(&p, &msg);
        check_encoded(&p, rows[i].hex);
        check_cuts(whole, decodes_keys);
    }
}

static void what_is_no_list_of_texts_is_malformed(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        bool fine;
    } rows[] = {
        {"81 a44b65797390", true},
        {"81 a44b65797392 a161 a0", true},
        {"81 a44b657973c0", true}, /* nil */
        {"80", true},
        {"81 a44b65797391 05", false},
        {"81 a44b657973a161", false},
        {"81 a44b65797380", false},
        {"81 a44b65797391 c40161", false},
        {"81 a6526573756c7405", false},
        {"81 a44b657973 dd ffffffff a161", false},
        {"91 c3", true},
        {"94 c3 a26f6b 91a161 a161", true},
    };
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        struct ki_reader r = ki_reader(input, hex_bytes(rows[i].hex, input, sizeof input));
        assert_int_equal(decodes_keys(&r), rows[i].fine);
        assert_int_equal(r.bad, !rows[i].fine);
    }
}

static void key_texts(void **state)
{
    (void)state;
    uint8_t key[32], back[32], text[KI_KEY_TEXT_MAX];
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)i;
    static const struct {
        size_t len;
        const char *text;
    } rows[] = {{16, "AAECAwQFBgcICQoLDA0ODw=="},
                {24, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"},
                {32, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}};
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        struct ki_span want = ki_span(rows[i].text, strlen(rows[i].text));
        size_t len = ki_key_text(ki_span(key, rows[i].len), text);
        assert_true(ki_span_equal(ki_span(text, len), want));
        assert_int_equal(ki_key_from_text(want, back), rows[i].len);
        assert_memory_equal(back, key, rows[i].len);
        for (size_t cut = 0; cut < want.len; cut++) /* 16 and 24 bytes are no beginnings of the longer ones' texts */
            assert_int_equal(ki_key_from_text(ki_span(want.ptr, cut), back), i == 2 && cut == 32 ? 24 : 0);
    }
    static const char *const wrong[] = {"", "AAEC", "AAECAwQFBgcICQoLDA0OD", "AAECAwQFBgcICQoLDA0ODw=",
                                        "AAECAwQFBgcICQoLDA0OD*==", "AAECAwQFBgcICQoLDA0ODw==A", "====",
                                        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIj"};
    for (size_t i = 0; i < KI_COUNT(wrong); i++)
        assert_int_equal(ki_key_from_text(ki_span(wrong[i], strlen(wrong[i])), back), 0);
}

/* ---- relays ---- */

static bool decodes_relay(struct ki_reader *r)
{
    struct ki_serf_relay msg;
    struct ki_span message;
    return ki_decode_serf_relay(r, &msg, &message);
}

static void relays_both_ways(void **state)
{
    (void)state;
    uint8_t buf[256];
    struct ki_serf_relay msg;
    struct ki_span message;
    struct ki_reader r = open_body(RELAY_HEX "0585", KI_SERF_RELAY), whole = r;
    assert_true(ki_decode_serf_relay(&r, &msg, &message));
    assert_true(ki_span_equal(msg.ip, ki_span("\x7f\0\0\1", 4)) && msg.port == 17946);
    assert_true(ki_span_equal(msg.name, TEXT("alpha")) && ki_span_equal(message, ki_span("\5\x85", 2)));
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    ki_encode_serf_relay_front(&p, &msg);
    check_encoded(&p, RELAY_HEX);
    whole.left -= 1; /* all but the inner message's last byte is one, too: it is opaque */
    assert_true(decodes_relay(&whole));
    whole = open_body(RELAY_HEX, KI_SERF_RELAY);
    check_cuts(ki_reader(whole.pos, whole.left), decodes_relay);
    assert_false(decodes_relay(&whole)); /* nothing to pass on */
}

static void relay_forms(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        bool fine;
    } rows[] = {
        {"82 a84465737441646472 82 a24950a40a000001 a4506f727401 a8446573744e616d65a161 05", true},
        {"81 a84465737441646472 82 a24950b000000000000000000000000000000001 a4506f727401 05", true}, /* nobody is named */
        {"92 93 a40a000001 01 a0 a161 05", true},
        {"82 a84465737441646472 82 a24950a30a0000 a4506f727401 a8446573744e616d65a161 05", false},
        {"82 a84465737441646472 82 a24950a0 a4506f727401 a8446573744e616d65a161 05", false},
        {"82 a84465737441646472 82 a24950c0 a4506f727401 a8446573744e616d65a161 05", false},
        {"82 a84465737441646472 82 a24950a40a000001 a4506f7274ce00010000 a8446573744e616d65a161 05", false},
        {"82 a84465737441646472 c0 a8446573744e616d65a161 05", false},
        {"82 a84465737441646472 a161 a8446573744e616d65a161 05", false},
        {"81 a8446573744e616d65a161 05", false},
        {"80 05", false},
    };
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        struct ki_reader r = ki_reader(input, hex_bytes(rows[i].hex, input, sizeof input));
        assert_int_equal(decodes_relay(&r), rows[i].fine);
        assert_int_equal(r.bad, !rows[i].fine);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_both_ways),
        cmocka_unit_test(event_forms),
        cmocka_unit_test(greatest_numbers),
        cmocka_unit_test(marks_both_ways),
        cmocka_unit_test(mark_limits),
        cmocka_unit_test(key_requests_both_ways),
        cmocka_unit_test(key_answers_both_ways),
        cmocka_unit_test(what_is_no_list_of_texts_is_malformed),
        cmocka_unit_test(key_texts),
        cmocka_unit_test(relays_both_ways),
        cmocka_unit_test(relay_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
