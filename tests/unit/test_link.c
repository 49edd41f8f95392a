/* The bytes of a link: vectors both ways, everything malformed, and frames that open in their place alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "unit/hex.h"
#include "wire/link.h"
#include "wire/memberlist.h"

#define HALF "000102030405060708090a0b0c0d0e0f"
#define OTHER_HALF "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"

/* ---- hellos ---- */

static const struct {
    const char *hex; /* from the 08 on */
    bool is_answer;
    uint64_t credit;
    const char *name, *payload;
} hellos[] = {
    {"0881aa557365724d73674c656e23 4b 01 01 00" HALF "0000000000100000 02 6b31 0002 6869", false, 1 << 20, "k1", "hi"},
    {"0881aa557365724d73674c656e30 4b 01 01 01" HALF OTHER_HALF "ffffffffffffffff 01 61 0000", true, UINT64_MAX, "a", ""},
};

static void hellos_are_as_drawn(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(hellos); i++) {
        uint8_t want[256], got[256];
        size_t len = hex_bytes(hellos[i].hex, want, sizeof want);
        struct ki_link_hello hello = {.version_min = 1,
                                      .version_max = 1,
                                      .is_answer = hellos[i].is_answer,
                                      .credit = hellos[i].credit,
                                      .name = ki_span(hellos[i].name, strlen(hellos[i].name)),
                                      .payload = ki_span(hellos[i].payload, strlen(hellos[i].payload))};
        hex_bytes(HALF OTHER_HALF, hello.session, sizeof hello.session);
        struct ki_pack p = ki_pack(got, sizeof got, false);
        ki_encode_link_opening(&p, &hello);
        assert_false(p.w.full);
        assert_int_equal(p.w.len, len);
        assert_memory_equal(got, want, len);

        struct ki_reader r = ki_reader(want + 1, len - 1);
        struct ki_user_header header;
        assert_true(ki_decode_user_header(&r, &header) && (size_t)header.len == r.left);
        assert_int_equal(ki_take_be(&r, 1), KI_LINK_TYPE);
        struct ki_link_hello out;
        struct ki_reader whole = r;
        assert_true(ki_decode_link_hello(&r, &out) && r.left == 0);
        assert_true(out.is_answer == hello.is_answer && out.credit == hello.credit && out.version_max == 1);
        assert_true(ki_span_equal(out.name, hello.name) && ki_span_equal(out.payload, hello.payload));
        assert_memory_equal(out.session, hello.session, hello.is_answer ? 32 : 16);
        if (!hello.is_answer)
            assert_true(out.session[16] == 0 && out.session[31] == 0);
        for (size_t cut = 0; cut < whole.left; cut++) {
            r = ki_reader(whole.pos, cut);
            assert_false(ki_decode_link_hello(&r, &out));
        }
    }
}

static void the_largest_hello_has_room(void **state)
{
    (void)state;
    static uint8_t name[255], payload[KI_LINK_PAYLOAD_MAX], buf[KI_LINK_OPENING_MAX];
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    ki_encode_link_opening(&p, &(struct ki_link_hello){.version_max = 255,
                                                       .is_answer = true,
                                                       .name = ki_span(name, sizeof name),
                                                       .payload = ki_span(payload, sizeof payload)});
    assert_false(p.w.full);
    assert_int_equal(p.w.len, 16 + 1 + 3 + 32 + 8 + 1 + 255 + 2 + 1024);
}

static void bad_hellos_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        bool fine;
    } cases[] = {
        {"01 01 00" HALF "0000000000000000 01 61 0000", true},
        {"01 01 00" HALF "0000000000000000 01 61 0000 ffff", true}, /* a later version's */
        {"07 09 00" HALF "0000000000000000 01 61 0000", true},      /* likewise: the caller sees it */
        {"02 01 00" HALF "0000000000000000 01 61 0000", false},     /* none */
        {"01 01 02" HALF OTHER_HALF "0000000000000000 01 61 0000", false},
        {"01 01 00" HALF "0000000000000000 00 0000", false}, /* no name */
        {"01 01 00" HALF "0000000000000000 02 61 0000", false},
        {"01 01 00" HALF "0000000000000000 01 61 0001", false},
    };
    for (size_t i = 0; i < KI_COUNT(cases); i++) {
        uint8_t buf[128];
        struct ki_link_hello out;
        struct ki_reader r = ki_reader(buf, hex_bytes(cases[i].hex, buf, sizeof buf));
        if (ki_decode_link_hello(&r, &out) != cases[i].fine)
            fail_msg("case %zu", i);
    }
    static uint8_t large[2000];
    struct ki_link_hello out;
    struct ki_writer w = ki_writer(large, sizeof large);
    hex_bytes("01 01 00" HALF "0000000000000000 01 61 0401", ki_reserve(&w, 31), 31);
    struct ki_reader r = ki_reader(large, sizeof large);
    assert_false(ki_decode_link_hello(&r, &out)); /* 1025 bytes of payload */
    large[30] = 0;
    r = ki_reader(large, sizeof large);
    assert_true(ki_decode_link_hello(&r, &out) && out.payload.len == 1024);
}

/* Each part is found, whatever stands around it. */
static void parts_are_found(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        bool fine;
        const char *parts[KI_LINK_SUBJECTS];
    } cases[] = {
        {"", true, {NULL}},
        {"00 0002 6869", true, {"hi"}},
        {"01 0000", true, {NULL, ""}},
        {"02 0001 76 00 0001 73 01 0002 6576", true, {"s", "ev", "v"}},
        {"03 0001 78 ff 0000 01 0001 65 03 0000 03 0000", true, {NULL, "e"}}, /* subjects that we do not know */
        {"00 0001 73 00 0001 73", false, {NULL}},                             /* twice */
        {"00 0000 00 0000", false, {NULL}},
        {"00", false, {NULL}},
        {"00 00", false, {NULL}},
        {"01 0002 65", false, {NULL}},
        {"03 0002 65", false, {NULL}},
        {"01 ffff 65", false, {NULL}},
        {"01 0001 65 02", false, {NULL}},
    };
    for (size_t i = 0; i < KI_COUNT(cases); i++) {
        uint8_t buf[64];
        struct ki_span parts[KI_LINK_SUBJECTS];
        size_t len = hex_bytes(cases[i].hex, buf, sizeof buf);
        if (ki_decode_link_parts(ki_span(buf, len), parts) != cases[i].fine)
            fail_msg("case %zu", i);
        for (unsigned s = 0; cases[i].fine && s < KI_LINK_SUBJECTS; s++) {
            const char *want = cases[i].parts[s];
            assert_int_equal(parts[s].ptr != NULL, want != NULL);
            assert_true(!want || ki_span_equal(parts[s], ki_span(want, strlen(want))));
        }
    }
}

/* ---- frames ---- */

static void frames_are_as_drawn(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        struct ki_link_frame frame;
    } cases[] = {
        {"01 07 00", {.kind = KI_LINK_DATA, .channel = 7}},
        {"01 ff 01", {.kind = KI_LINK_DATA, .channel = 255, .more = true}},
        {"02 0000000000140000", {.kind = KI_LINK_CREDIT, .credit = 20 << 16}},
        {"02 ffffffffffffffff", {.kind = KI_LINK_CREDIT, .credit = UINT64_MAX}},
        {"03 00", {.kind = KI_LINK_CLOSE}},
        {"03 05", {.kind = KI_LINK_CLOSE, .reason = 5}},
    };
    for (size_t i = 0; i < KI_COUNT(cases); i++) {
        uint8_t want[16], got[16];
        struct ki_link_frame out;
        const struct ki_link_frame *frame = &cases[i].frame;
        size_t len = hex_bytes(cases[i].hex, want, sizeof want);
        struct ki_writer w = ki_writer(got, sizeof got);
        ki_encode_link_frame(&w, frame);
        assert_int_equal(w.len, len);
        assert_memory_equal(got, want, len);
        if (frame->kind == KI_LINK_DATA) {
            assert_false(ki_decode_link_frame(ki_span(want, len), &out)); /* a part is never empty */
            want[len++] = 'x';
        }
        assert_true(ki_decode_link_frame(ki_span(want, len), &out));
        assert_true(out.kind == frame->kind && out.channel == frame->channel && out.more == frame->more);
        assert_true(out.credit == frame->credit && out.reason == frame->reason);
        assert_int_equal(out.part.len, frame->kind == KI_LINK_DATA);
        for (size_t cut = 0; cut < len; cut++)
            assert_false(ki_decode_link_frame(ki_span(want, cut), &out));
        want[len] = 0;
        assert_true(ki_decode_link_frame(ki_span(want, len + 1), &out) == (frame->kind == KI_LINK_DATA));
    }
    static const char *const bad[] = {"", "00", "04 00", "01 01 02 78", "01 01 ff 78", "ff"};
    for (size_t i = 0; i < KI_COUNT(bad); i++) {
        uint8_t buf[16];
        struct ki_link_frame out;
        assert_false(ki_decode_link_frame(ki_span(buf, hex_bytes(bad[i], buf, sizeof buf)), &out));
    }
}

/* ---- seals ---- */

static struct ki_mem mem;
static struct ki_keyring ring;

static int setup(void **state)
{
    (void)state;
    uint8_t key[16];
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_keyring_init(&ring, &mem);
    return ki_keyring_add(&ring, key, hex_bytes("000102030405060708090a0b0c0d0e0f", key, sizeof key));
}

static int teardown(void **state)
{
    (void)state;
    ki_keyring_free(&ring);
    return mem.used == 0 ? 0 : -1;
}

static const uint8_t nonce[KI_NONCE_LEN] = {0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f};

/* "hi" on channel 7 as the acceptor's frame 258, computed by an AES-GCM of another make. */
static void a_sealed_frame_is_as_drawn(void **state)
{
    (void)state;
    uint8_t session[KI_LINK_SESSION], want[64], got[64], plain[64];
    hex_bytes(HALF OTHER_HALF, session, sizeof session);
    struct ki_link_place place = {.label = ki_span("lab", 3), .session = session, .direction = 1, .counter = 258};
    static const char hex[] = "00000022 01 6465666768696a6b6c6d6e6f 1b654ecdb2 018447dc0588f8f69783a5dfc0a69b8a";
    size_t len = hex_bytes(hex, want, sizeof want), plain_len;
    ki_seal_link_frame(&ring, &place, nonce, ki_span("\1\7\0hi", 5), got);
    assert_int_equal(KI_LINK_HEAD + ki_sealed_len(1, 5), len);
    assert_memory_equal(got, want, len);
    assert_true(ki_open_link_frame(&ring, &place, ki_span(want + 4, len - 4), plain, &plain_len));
    assert_true(ki_span_equal(ki_span(plain, plain_len), ki_span("\1\7\0hi", 5)));
}

static void a_frame_opens_in_its_place_alone(void **state)
{
    (void)state;
    static uint8_t label[255];
    uint8_t session[KI_LINK_SESSION] = {1}, sealed[64], plain[64];
    struct ki_link_place place = {.label = ki_span(label, 255), .session = session, .counter = 1};
    size_t len;
    ki_seal_link_frame(&ring, &place, nonce, ki_span("\3\0", 2), sealed);
    struct ki_span body = ki_span(sealed + KI_LINK_HEAD, ki_sealed_len(1, 2));
    assert_true(ki_open_link_frame(&ring, &place, body, plain, &len) && len == 2);
    for (size_t i = 0; i < KI_LINK_SESSION; i++) {
        session[i] ^= 0x80;
        assert_false(ki_open_link_frame(&ring, &place, body, plain, &len));
        session[i] ^= 0x80;
    }
    for (unsigned bit = 0; bit < 64; bit++) {
        place.counter ^= UINT64_C(1) << bit;
        assert_false(ki_open_link_frame(&ring, &place, body, plain, &len));
        place.counter ^= UINT64_C(1) << bit;
    }
    place.direction = 1;
    assert_false(ki_open_link_frame(&ring, &place, body, plain, &len));
    place.direction = 0;
    place.label.len = 254;
    assert_false(ki_open_link_frame(&ring, &place, body, plain, &len));
    place.label.len = 255;
    for (size_t i = 1; i < body.len; i++) {
        sealed[KI_LINK_HEAD + i] ^= 1;
        assert_false(ki_open_link_frame(&ring, &place, body, plain, &len));
        sealed[KI_LINK_HEAD + i] ^= 1;
    }
    assert_true(ki_open_link_frame(&ring, &place, body, plain, &len));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hellos_are_as_drawn),
        cmocka_unit_test(the_largest_hello_has_room),
        cmocka_unit_test(bad_hellos_are_refused),
        cmocka_unit_test(parts_are_found),
        cmocka_unit_test(frames_are_as_drawn),
        cmocka_unit_test_setup_teardown(a_sealed_frame_is_as_drawn, setup, teardown),
        cmocka_unit_test_setup_teardown(a_frame_opens_in_its_place_alone, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
