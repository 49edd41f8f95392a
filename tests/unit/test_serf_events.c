/* The events in the state of a push/pull (src/wire/serf.c): Serf's form with empty slots and several events of one time,
 * kith's with marks, all malformed ones, and walkers over bytes that nobody has checked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "unit/hex.h"
#include "wire/serf.h"

#define TEXT(s) ki_span((s), sizeof(s) - 1)
#define FRONT "0286 aa4576656e744c54696d6509 a64576656e7473"
#define REST "a54c54696d6501 ab4c6566744d656d6265727390 aa51756572794c54696d6501 ac5374617475734c54696d657380"
/* As kith says it: an event for each group, with its mark if it has one. */
#define OWN                                                                                                           \
    "92 82 a64576656e747391 83 a44b697468a26d31 a44e616d65a161 a75061796c6f6164a17a a54c54696d6503"                    \
    "82 a64576656e747391 82 a44e616d65a162 a75061796c6f6164c0 a54c54696d6504"

static uint8_t input[1024];

/* What the walk gives, as text: time, name, payload, mark. */
static const char *walk(struct ki_span events, bool *bad)
{
    static char text[512];
    struct ki_serf_events w = {.r = ki_reader(events.ptr, events.len), .groups = UINT32_MAX};
    struct ki_serf_state_event event;
    enum ki_serf_events_step step;
    size_t len = 0;
    text[0] = '\0';
    for (unsigned steps = 0; (step = ki_serf_events_next(&w, &event)) != KI_SERF_EVENTS_END; steps++) {
        assert_true(steps < 1000 && len < sizeof text - 64);
        if (step == KI_SERF_EVENTS_EVENT)
            len += (size_t)snprintf(text + len, sizeof text - len, "%d:%.*s=%.*s%s%.*s ", (int)event.ltime,
                                    (int)event.name.len, (const char *)event.name.ptr, (int)event.payload.len,
                                    (const char *)event.payload.ptr, event.mark.ptr ? "#" : "", (int)event.mark.len,
                                    (const char *)event.mark.ptr);
    }
    *bad = w.r.bad;
    assert_int_equal(ki_serf_events_next(&w, &event), KI_SERF_EVENTS_END); /* the end stays the end */
    return text;
}

static const struct {
    const char *hex;  /* of Events */
    const char *text; /* NULL: the state is malformed */
} rows[] = {
    {"90", ""},
    {"c0", ""},
    {"93 c0 c0 c0", ""},
    {OWN, "3:a=z#m1 4:b= "},
    /* several of one time, between empty slots, and what later versions add */
    {"94 c0 82 a54c54696d6507 a64576656e747392 82 a44e616d65a161 a75061796c6f6164a131 82 a44e616d65a162 "
     "a75061796c6f6164a132 c0 83 a54c54696d6508 a64576656e747391 82 a44e616d65a163 a15a90 a15ac0",
     "7:a=1 7:b=2 8:c= "},
    {"91 92 05 91 92 a161 a162", "5:a=b "}, /* as arrays, in the order of declaration */
    {"91 92 05 91 93 a161 a162 a16d", "5:a=b#m "},
    {"91 92 05 90", ""}, /* a time without events */
    {"91 92 05 c0", ""},
    {"91 91 05", ""},
    {"91 80", ""},
    {"92 92 05 91c0 92 06 91 91 a161", "5:= 6:a= "}, /* one without a name is nobody's business here */
    {"91 92 cfffffffffffffffff 91 91 a161", "-1:a= "},
    {"91 92 05 91 92 a161 c401ff", "5:a=\xff "}, /* bin, where bytes belong */
    {"91 05", NULL},
    {"91 a161", NULL},
    {"91 92 ff 90", NULL},
    {"91 92 05 05", NULL},
    {"91 92 05 80", NULL},
    {"91 92 05 91 05", NULL},
    {"91 92 05 91 91 05", NULL},
    {"91 92 05 91 91 c40161", NULL},
    {"91 92 05 91 92 a161 05", NULL},
    {"91 92 05 91 93 a161 a162 05", NULL},
    {"92 92 05 91 91 a161 05", NULL}, /* a good one, and a bad one behind it */
    {"91 92 05 92 91 a161 05", NULL},
    {"80", NULL},
    {"a161", NULL},
    {"dd ffffffff", NULL},
};

static void forms(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        size_t len = hex_bytes(FRONT, input, sizeof input), at = len;
        len += hex_bytes(rows[i].hex, input + len, sizeof input - len);
        size_t events_len = len - at;
        len += hex_bytes(REST, input + len, sizeof input - len);
        struct ki_reader r = ki_reader(input + 1, len - 1);
        struct ki_serf_state got;
        bool fine = ki_decode_serf_state(&r, &got), bad;
        if (fine != (rows[i].text != NULL))
            print_error("row %zu: %s\n", i, rows[i].hex);
        assert_int_equal(fine, rows[i].text != NULL);
        assert_int_equal(r.bad, !fine);
        if (!fine) {
            walk(ki_span(input + at, events_len), &bad);
            assert_true(bad);
            continue;
        }
        assert_true(r.left == 0 && got.event_ltime == 9 && got.ltime == 1);
        assert_string_equal(walk(got.events, &bad), rows[i].text);
        assert_false(bad);
        for (size_t cut = 0; cut + 1 < len; cut++) {
            uint8_t *exact = malloc(cut ? cut : 1);
            assert_non_null(exact);
            memcpy(exact, input + 1, cut);
            r = ki_reader(exact, cut);
            assert_false(ki_decode_serf_state(&r, &got));
            free(exact);
        }
    }
}

static void kith_says_it_so(void **state)
{
    (void)state;
    uint8_t want[512], buf[512];
    size_t len = hex_bytes(FRONT OWN REST, want, sizeof want);
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    struct ki_serf_state_event first = {.ltime = 3, .name = TEXT("a"), .payload = TEXT("z"), .mark = TEXT("m1")};
    struct ki_serf_state_event second = {.ltime = 4, .name = TEXT("b")};
    ki_encode_serf_state_begin(&p, 9, 2);
    size_t before = p.w.len;
    ki_encode_serf_state_event(&p, &first);
    assert_true(p.w.len - before <= KI_SERF_STATE_EVENT_MAX + 4);
    ki_encode_serf_state_event(&p, &second);
    ki_encode_serf_state_left_members(&p, 1, 0);
    ki_encode_serf_state_middle(&p, 1, 0);
    assert_int_equal(p.w.len, len);
    assert_memory_equal(buf, want, len);
}

/* What is reserved for an event holds the longest heads there are. */
static void an_event_fits_what_is_reserved(void **state)
{
    (void)state;
    static uint8_t text[70000], buf[3 * 70000 + KI_SERF_STATE_EVENT_MAX];
    static const size_t lens[] = {0, 1, 31, 32, 255, 65535, 65536, 70000};
    for (size_t i = 0; i < KI_COUNT(lens); i++) {
        struct ki_pack p = ki_pack(buf, 3 * lens[i] + KI_SERF_STATE_EVENT_MAX, false);
        ki_encode_serf_state_event(&p, &(struct ki_serf_state_event){.ltime = UINT64_MAX,
                                                                     .name = ki_span(text, lens[i]),
                                                                     .payload = ki_span(text, lens[i]),
                                                                     .mark = ki_span(text, lens[i])});
        assert_false(p.w.full);
    }
}

/* Bytes that nobody has checked: the walk ends, within them. */
static void noise_ends(void **state)
{
    (void)state;
    static const uint8_t likely[] = {0x90, 0x91, 0x92, 0x80, 0x81, 0xc0, 0xa0, 0xa1, 0x05, 0xdc, 0xdd, 0xc4};
    struct ki_rng rng;
    ki_rng_init(&rng, 5);
    for (unsigned round = 0; round < 20000; round++) {
        size_t len = ki_rng_below(&rng, 24);
        uint8_t *exact = malloc(len ? len : 1);
        bool bad;
        assert_non_null(exact);
        for (size_t i = 0; i < len; i++)
            exact[i] = ki_rng_below(&rng, 4) ? likely[ki_rng_below(&rng, sizeof likely)] : (uint8_t)ki_rng_below(&rng, 256);
        walk(ki_span(exact, len), &bad);
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms),
        cmocka_unit_test(kith_says_it_so),
        cmocka_unit_test(an_event_fits_what_is_reserved),
        cmocka_unit_test(noise_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
