/* Tables for src/wire/msgpack.c and fields.c: what each value looks like in both dialects, what every encoding reads
 * as, what is malformed, and the struct tables with every kind of field. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "unit/hex.h"
#include "wire/msgpack.h"

static uint8_t input[70000];

static struct ki_reader open_hex(const char *hex)
{
    return ki_reader(input, hex_bytes(hex, input, sizeof(input)));
}

static void check_bytes(const struct ki_pack *p, const char *hex)
{
    uint8_t want[256];
    size_t len = hex_bytes(hex, want, sizeof(want));
    assert_false(p->w.full);
    assert_int_equal(p->w.len, len);
    assert_memory_equal(p->w.start, want, len);
}

/* ---- numbers ---- */

static const struct {
    uint64_t value;
    const char *hex;
} unsigned_rows[] = {
    {0, "00"},
    {1, "01"},
    {127, "7f"},
    {128, "cc80"},
    {255, "ccff"},
    {256, "cd0100"},
    {65535, "cdffff"},
    {65536, "ce00010000"},
    {UINT32_MAX, "ceffffffff"},
    {UINT64_C(1) << 32, "cf0000000100000000"},
    {UINT64_MAX, "cfffffffffffffffff"},
};

static void test_unsigned(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(unsigned_rows); i++) {
        uint8_t buf[16];
        struct ki_pack p = ki_pack(buf, sizeof(buf), i % 2 == 0);
        ki_pack_uint(&p, unsigned_rows[i].value);
        check_bytes(&p, unsigned_rows[i].hex);
        struct ki_reader r = ki_reader(buf, p.w.len);
        uint64_t back = 1;
        assert_true(ki_unpack_uint(&r, UINT64_MAX, &back));
        assert_true(back == unsigned_rows[i].value);
        assert_int_equal(r.left, 0);
        if (unsigned_rows[i].value > 0) {
            r = ki_reader(buf, p.w.len);
            assert_false(ki_unpack_uint(&r, unsigned_rows[i].value - 1, &back));
            assert_true(r.bad);
        }
    }
}

static const struct {
    int64_t value;
    const char *hex;
} signed_rows[] = {
    {0, "00"},
    {127, "7f"},
    {128, "cc80"},
    {333, "cd014d"},
    {INT64_MAX, "cf7fffffffffffffff"},
    {-1, "ff"},
    {-32, "e0"},
    {-33, "d0df"},
    {-128, "d080"},
    {-129, "d1ff7f"},
    {-32768, "d18000"},
    {-32769, "d2ffff7fff"},
    {INT32_MIN, "d280000000"},
    {(int64_t)INT32_MIN - 1, "d3ffffffff7fffffff"},
    {INT64_MIN, "d38000000000000000"},
};

static void test_signed(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(signed_rows); i++) {
        uint8_t buf[16];
        struct ki_pack p = ki_pack(buf, sizeof(buf), false);
        ki_pack_int(&p, signed_rows[i].value);
        check_bytes(&p, signed_rows[i].hex);
        struct ki_reader r = ki_reader(buf, p.w.len);
        int64_t back = 1;
        assert_true(ki_unpack_int(&r, &back));
        assert_true(back == signed_rows[i].value);
    }
}

/* Any width and sign reads as the number it is. */
static const struct {
    const char *hex;
    int64_t value;
} wide_rows[] = {
    {"d001", 1},
    {"d10001", 1},
    {"d1014d", 333},
    {"d200000001", 1},
    {"d30000000000000001", 1},
    {"d37fffffffffffffff", INT64_MAX},
    {"cc05", 5},
    {"cd0005", 5},
    {"ce00000005", 5},
    {"cf0000000000000005", 5},
    {"d0ff", -1},
    {"d1ffff", -1},
    {"d2ffffffff", -1},
    {"d3ffffffffffffffff", -1},
    {"c0", 0},
};

static void test_every_width(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(wide_rows); i++) {
        struct ki_reader r = open_hex(wide_rows[i].hex);
        int64_t value = 7;
        assert_true(ki_unpack_int(&r, &value));
        assert_true(value == wide_rows[i].value);
        assert_int_equal(r.left, 0);
        r = open_hex(wide_rows[i].hex);
        uint64_t plain = 7;
        assert_int_equal(ki_unpack_uint(&r, UINT64_MAX, &plain), wide_rows[i].value >= 0);
        if (wide_rows[i].value >= 0)
            assert_true(plain == (uint64_t)wide_rows[i].value);
    }
    struct ki_reader r = open_hex("cf8000000000000000");
    int64_t value;
    assert_false(ki_unpack_int(&r, &value));
}

/* ---- strings, bytes, containers ---- */

static const struct {
    size_t len;
    const char *raw;      /* heads: gossip, for both */
    const char *ext_text; /* RPC */
    const char *ext_bytes;
} string_rows[] = {
    {0, "a0", "a0", "c400"},
    {1, "a1", "a1", "c401"},
    {31, "bf", "bf", "c41f"},
    {32, "da0020", "d920", "c420"},
    {255, "da00ff", "d9ff", "c4ff"},
    {256, "da0100", "da0100", "c50100"},
    {65535, "daffff", "daffff", "c5ffff"},
    {65536, "db00010000", "db00010000", "c600010000"},
};

static void check_string(size_t len, bool ext, bool bytes, const char *head)
{
    static uint8_t filler[65536], buf[65536 + 8];
    struct ki_pack p = ki_pack(buf, sizeof(buf), ext);
    memset(filler, 'x', len);
    if (bytes)
        ki_pack_bytes(&p, ki_span(filler, len));
    else
        ki_pack_str(&p, ki_span(filler, len));
    uint8_t want[8];
    size_t head_len = hex_bytes(head, want, sizeof(want));
    assert_int_equal(p.w.len, head_len + len);
    assert_memory_equal(buf, want, head_len);
    assert_memory_equal(buf + head_len, filler, len);
    struct ki_reader r = ki_reader(buf, p.w.len);
    struct ki_span back;
    assert_true(ki_unpack_bytes(&r, &back));
    assert_true(ki_span_equal(back, ki_span(filler, len)));
    assert_ptr_equal(back.ptr, buf + head_len);
    r = ki_reader(buf, p.w.len);
    assert_int_equal(ki_unpack_str(&r, &back), !(ext && bytes)); /* a bin is no string */
    r = ki_reader(buf, p.w.len - 1);
    assert_false(len > 0 && ki_unpack_bytes(&r, &back));
}

static void test_strings(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(string_rows); i++) {
        check_string(string_rows[i].len, false, false, string_rows[i].raw);
        check_string(string_rows[i].len, false, true, string_rows[i].raw);
        check_string(string_rows[i].len, true, false, string_rows[i].ext_text);
        check_string(string_rows[i].len, true, true, string_rows[i].ext_bytes);
    }
}

static const struct {
    size_t count;
    const char *array, *map;
} container_rows[] = {
    {0, "90", "80"},
    {15, "9f", "8f"},
    {16, "dc0010", "de0010"},
    {512, "dc0200", "de0200"},
    {65535, "dcffff", "deffff"},
    {65536, "dd00010000", "df00010000"},
};

static void test_containers(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(container_rows); i++) {
        uint8_t buf[8];
        struct ki_pack p = ki_pack(buf, sizeof(buf), false);
        ki_pack_array(&p, container_rows[i].count);
        check_bytes(&p, container_rows[i].array);
        p = ki_pack(buf, sizeof(buf), true);
        ki_pack_map(&p, container_rows[i].count);
        check_bytes(&p, container_rows[i].map);
    }
}

/* A count is believed when the bytes left could hold it, and not one beyond. */
static void test_counts_are_bounded(void **state)
{
    (void)state;
    uint32_t count;
    struct ki_reader r = open_hex("93010203");
    assert_true(ki_unpack_array(&r, &count) && count == 3);
    r = open_hex("940102 03");
    assert_false(ki_unpack_array(&r, &count));
    r = open_hex("82 01 02 03 04");
    assert_true(ki_unpack_map(&r, &count) && count == 2);
    r = open_hex("82 01 02 03");
    assert_false(ki_unpack_map(&r, &count));
    r = open_hex("ddffffffff");
    assert_false(ki_unpack_array(&r, &count));
    r = open_hex("dfffffffff 00");
    assert_false(ki_unpack_map(&r, &count));
    r = open_hex("c0");
    assert_true(ki_unpack_array(&r, &count) && count == 0);
    r = open_hex("80");
    assert_false(ki_unpack_array(&r, &count));
    r = open_hex("90");
    assert_false(ki_unpack_map(&r, &count));
}

static void test_scalars(void **state)
{
    (void)state;
    uint8_t buf[32];
    struct ki_pack p = ki_pack(buf, sizeof(buf), false);
    ki_pack_nil(&p);
    ki_pack_bool(&p, false);
    ki_pack_bool(&p, true);
    ki_pack_double(&p, 1.5);
    ki_pack_bytes(&p, ki_span(NULL, 0));
    ki_pack_text(&p, "Nack");
    check_bytes(&p, "c0 c2 c3 cb3ff8000000000000 c0 a44e61636b");
    struct ki_reader r = ki_reader(buf, p.w.len);
    struct ki_token token;
    bool flag = true;
    assert_true(ki_unpack_bool(&r, &flag) && !flag);
    assert_true(ki_unpack_bool(&r, &flag) && !flag);
    assert_true(ki_unpack_bool(&r, &flag) && flag);
    assert_true(ki_unpack(&r, &token) && token.kind == KI_TOKEN_DOUBLE && token.as.real == 1.5);
    assert_false(ki_unpack_bool(&r, &flag) && flag);
    assert_false(ki_unpack_bool(&r, &flag));
    r = open_hex("cac0200000 c70305010203 d40107");
    assert_true(ki_unpack(&r, &token) && token.kind == KI_TOKEN_DOUBLE && token.as.real == -2.5);
    assert_true(ki_unpack(&r, &token) && token.kind == KI_TOKEN_EXT && token.as.bytes.len == 3);
    assert_int_equal(token.as.bytes.ptr[2], 3);
    assert_true(ki_unpack(&r, &token) && token.kind == KI_TOKEN_EXT && token.as.bytes.len == 1);
    assert_int_equal(r.left, 0);
    double real = 7;
    r = open_hex("c0 cb3ff8000000000000 ca40200000 02 d0fe");
    assert_true(ki_unpack_double(&r, &real) && real == 0);
    assert_true(ki_unpack_double(&r, &real) && real == 1.5);
    assert_true(ki_unpack_double(&r, &real) && real == 2.5);
    assert_true(ki_unpack_double(&r, &real) && real == 2);
    assert_true(ki_unpack_double(&r, &real) && real == -2);
    assert_int_equal(r.left, 0);
    r = open_hex("c3");
    assert_false(ki_unpack_double(&r, &real));
}

/* Each head with what must be there for it, given whole, is one token; cut anywhere it is malformed. */
static const char *const whole_rows[] = {
    "c0",
    "c3",
    "7f",
    "e0",
    "cc80",
    "cd0100",
    "ce00010000",
    "cf0000000100000000",
    "d080",
    "d18000",
    "d280000000",
    "d38000000000000000",
    "ca3f800000",
    "cb3ff0000000000000",
    "a3616263",
    "d903616263",
    "da0003616263",
    "db00000003616263",
    "c403010203",
    "c50003010203",
    "c600000003010203",
    "d40102",
    "d5010202",
    "d601020202 02",
    "d7010202020202020202",
    "d80102020202020202020202020202020202",
    "c7030101 0203",
    "c8000301010203",
    "c90000000301010203",
    "92 01 02",
    "dc0002 01 02",
    "dd00000002 01 02",
    "81 01 02",
    "de0001 01 02",
    "df00000001 01 02",
    "c700 01",
    "a0",
    "90",
    "80",
};

static void test_truncation(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(whole_rows); i++) {
        struct ki_reader r = open_hex(whole_rows[i]);
        size_t whole = r.left;
        assert_true(ki_unpack_skip(&r));
        assert_int_equal(r.left, 0);
        for (size_t len = 0; len < whole; len++) {
            uint8_t *exact = malloc(len ? len : 1); /* so that a sanitizer sees a byte too far */
            assert_non_null(exact);
            memcpy(exact, input, len);
            r = ki_reader(exact, len);
            assert_false(ki_unpack_skip(&r));
            assert_true(r.bad && r.ended);
            assert_false(ki_unpack_skip(&r)); /* and stays so */
            free(exact);
        }
    }
}

static const struct {
    const char *hex;
    bool ended; /* more bytes could mend it */
} malformed_rows[] = {
    {"", true},              /* nothing */
    {"c1", false},           /* reserved */
    {"dbffffffff 61", true}, /* lengths near 2^32 */
    {"c6ffffffff 61", true},
    {"c9ffffffff 01", true},
    {"ddffffffff 00", true},
    {"df80000000 0000", true}, /* twice the count would be 2^32 */
    {"93 01 c1 02", false},    /* reserved, inside */
};

static void test_malformed(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(malformed_rows); i++) {
        struct ki_reader r = open_hex(malformed_rows[i].hex);
        assert_false(ki_unpack_skip(&r));
        assert_true(r.bad);
        assert_int_equal(r.ended, malformed_rows[i].ended);
    }
}

static void test_wrong_kinds(void **state)
{
    (void)state;
    uint64_t number;
    int64_t integer;
    struct ki_span span;
    struct ki_reader r = open_hex("a131");
    assert_false(ki_unpack_uint(&r, UINT64_MAX, &number));
    r = open_hex("cb3ff0000000000000");
    assert_false(ki_unpack_uint(&r, UINT64_MAX, &number));
    r = open_hex("c3");
    assert_false(ki_unpack_int(&r, &integer));
    r = open_hex("03");
    assert_false(ki_unpack_str(&r, &span));
    r = open_hex("c40161");
    assert_false(ki_unpack_str(&r, &span)); /* go-msgpack 0.5.5 refuses it too */
    r = open_hex("92 01 02");
    assert_false(ki_unpack_bytes(&r, &span));
    r = open_hex("d40161");
    assert_false(ki_unpack_bytes(&r, &span));
    r = open_hex("c0");
    assert_true(ki_unpack_bytes(&r, &span) && span.ptr == NULL && span.len == 0);
    r = open_hex("a0");
    assert_true(ki_unpack_bytes(&r, &span) && span.ptr != NULL && span.len == 0);
}

/* 32 levels are skipped, the 33rd is not, and what follows a skipped object is still there. */
static void test_depth(void **state)
{
    (void)state;
    uint8_t nest[64];
    for (int map = 0; map < 2; map++) {
        size_t step = map ? 2 : 1;
        for (size_t levels = 1; levels <= 34 && levels * step + 2 < sizeof(nest); levels++) {
            size_t len = 0;
            for (size_t i = 0; i < levels; i++) {
                nest[len++] = map ? 0x81 : 0x91;
                if (map)
                    nest[len++] = 0xc0;
            }
            nest[len++] = 0x05;
            nest[len++] = 0x2a;
            struct ki_reader r = ki_reader(nest, len);
            assert_int_equal(ki_unpack_skip(&r), levels <= 32);
            if (levels <= 32)
                assert_true(r.left == 1 && *r.pos == 0x2a);
        }
    }
}

/* Nothing is written beyond the end, and a number or a head is written whole or not at all. */
static void test_full_writer(void **state)
{
    (void)state;
    for (size_t cap = 0; cap < 9; cap++) {
        uint8_t buf[10];
        memset(buf, 0x55, sizeof(buf));
        struct ki_pack p = ki_pack(buf, cap, false);
        ki_pack_uint(&p, UINT64_MAX);
        assert_true(p.w.full);
        assert_int_equal(p.w.len, 0);
        ki_pack_nil(&p);
        assert_int_equal(p.w.len, 0);
        for (size_t i = 0; i < sizeof(buf); i++)
            assert_int_equal(buf[i], 0x55);
    }
}

/* ---- structs ---- */

struct sample {
    uint8_t small;
    uint16_t port;
    uint32_t seq;
    uint64_t clock;
    int64_t delta;
    bool flag;
    struct ki_span name;
    struct ki_span blob;
    struct ki_span raw;
};

static const struct ki_field sample_fields[] = {
    KI_FIELD(struct sample, small, "Small", KI_FIELD_U8, 8, true),
    KI_FIELD(struct sample, port, "Port", KI_FIELD_U16, 5, true),
    KI_FIELD(struct sample, seq, "Seq", KI_FIELD_U32, 7, true),
    KI_FIELD(struct sample, clock, "Clock", KI_FIELD_U64, 1, true),
    KI_FIELD(struct sample, delta, "Delta", KI_FIELD_I64, 2, true),
    KI_FIELD(struct sample, flag, "Flag", KI_FIELD_BOOL, 3, true),
    KI_FIELD(struct sample, name, "Name", KI_FIELD_STR, 4, true),
    KI_FIELD(struct sample, blob, "Blob", KI_FIELD_BYTES, 0, true),
    KI_FIELD(struct sample, raw, "Raw", KI_FIELD_RAW, 6, false),
};

#define SAMPLE_HEX                                                                            \
    "89 a4426c6f62 a20102 a5436c6f636b cf0000000100000000 a544656c7461 d1ff00 a4466c6167 c3 " \
    "a44e616d65 a16e"                                                                         \
    "a4506f7274 cd1f0a a3526177 920102 a3536571 ce00010000 a5536d616c6c ccc8"

static struct sample whole_sample(void)
{
    return (struct sample){.small = 200,
                           .port = 7946,
                           .seq = 65536,
                           .clock = UINT64_C(1) << 32,
                           .delta = -256,
                           .flag = true,
                           .name = ki_span("n", 1),
                           .blob = ki_span("\x01\x02", 2),
                           .raw = ki_span("\x92\x01\x02", 3)};
}

static void check_sample(const struct sample *got, const struct sample *want)
{
    assert_int_equal(got->small, want->small);
    assert_int_equal(got->port, want->port);
    assert_int_equal(got->seq, want->seq);
    assert_true(got->clock == want->clock);
    assert_true(got->delta == want->delta);
    assert_int_equal(got->flag, want->flag);
    assert_true(ki_span_equal(got->name, want->name));
    assert_true(ki_span_equal(got->blob, want->blob));
    assert_true(ki_span_equal(got->raw, want->raw));
}

static bool read_sample(const char *hex, struct sample *out)
{
    struct ki_reader r = open_hex(hex);
    memset(out, 0, sizeof(*out));
    bool good = ki_unpack_struct(&r, sample_fields, KI_COUNT(sample_fields), out);
    assert_int_equal(good, !r.bad);
    return good;
}

static void test_struct(void **state)
{
    (void)state;
    uint8_t buf[256];
    struct ki_pack p = ki_pack(buf, sizeof(buf), false);
    struct sample want = whole_sample(), got, empty = {0};
    ki_pack_struct(&p, sample_fields, KI_COUNT(sample_fields), &want);
    check_bytes(&p, SAMPLE_HEX);
    assert_true(read_sample(SAMPLE_HEX, &got));
    check_sample(&got, &want);
    /* as an array: the order of declaration; missing elements zero, extra ones skipped */
    assert_true(read_sample(
        "99 ccc8 cd1f0a ce00010000 cf0000000100000000 d1ff00 c3 a16e a20102 920102", &got));
    check_sample(&got, &want);
    assert_true(read_sample(
        "9b ccc8 cd1f0a ce00010000 cf0000000100000000 d1ff00 c3 a16e a20102 920102 8105c0 c3",
        &got));
    check_sample(&got, &want);
    assert_true(read_sample("90", &got));
    check_sample(&got, &empty);
    assert_true(read_sample("c0", &got));
    check_sample(&got, &empty);
    /* empty ones are left out, but for the one that may not be */
    p = ki_pack(buf, sizeof(buf), false);
    ki_pack_struct(&p, sample_fields, KI_COUNT(sample_fields), &empty);
    check_bytes(&p, "81 a3526177 c0");
    assert_true(read_sample("81 a3526177 c0", &got));
    check_sample(&got, &empty);
    assert_null(got.raw.ptr);
}

static void test_struct_map_forms(void **state)
{
    (void)state;
    struct sample got;
    /* any order, unknown keys of any kind, nil for zero, the last of two equal keys, a bin for bytes */
    assert_true(read_sample("86 a3536571 05 a158 82 01 9202c0 a0 c3 a4506f7274 c0 a4426c6f62 "
                            "c40107 a3536571 06 a24162 cb0000000000000000",
                            &got));
    assert_int_equal(got.seq, 6);
    assert_int_equal(got.port, 0);
    assert_int_equal(got.blob.len, 1);
    /* names are compared whole */
    assert_true(read_sample("82 a2536505 a453657171 05", &got) && got.seq == 0);
    static const char *const bad[] = {
        "81 a5536d616c6c cd0100",   /* 256 into 8 bits */
        "81 a4506f7274 ce00010000", /* 65536 into 16 */
        "81 a3536571 cf0000000100000000",
        "81 a5436c6f636b ff", /* negative into unsigned */
        "81 a544656c7461 cf8000000000000000",
        "81 a4466c6167 01",     /* a number is no truth */
        "81 a44e616d65 c4016e", /* a bin is no string */
        "81 a4426c6f62 920102", /* an array is no bytes here */
        "81 a3526177 c1",
        "81 05 05", /* a key is a string */
        "81 c40153 05",
        "82 a3536571 05", /* a pair short */
        "81 a15a c1",     /* an unknown key with a broken value */
        "05",
        "a0",
    };
    for (size_t i = 0; i < KI_COUNT(bad); i++)
        assert_false(read_sample(bad[i], &got));
}

/* Cut anywhere, a struct is malformed; a writer with too little room says so. */
static void test_struct_cut(void **state)
{
    (void)state;
    struct sample want = whole_sample(), got;
    uint8_t whole[256], buf[256];
    size_t len = hex_bytes(SAMPLE_HEX, whole, sizeof(whole));
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *exact = malloc(cut ? cut : 1);
        assert_non_null(exact);
        memcpy(exact, whole, cut);
        struct ki_reader r = ki_reader(exact, cut);
        memset(&got, 0, sizeof(got));
        assert_false(ki_unpack_struct(&r, sample_fields, KI_COUNT(sample_fields), &got));
        free(exact);
        struct ki_pack p = ki_pack(buf, cut, false);
        ki_pack_struct(&p, sample_fields, KI_COUNT(sample_fields), &want);
        assert_true(p.w.full);
        assert_true(p.w.len <= cut);
    }
}

/* ---- the shortcuts of typed reads ---- */

struct typed { /* what a typed read makes of bytes */
    bool fine, bad, ended;
    uint64_t number;
    struct ki_span bytes;
    size_t left;
};

enum { TYPED_UINT, TYPED_SHORT, TYPED_STR, TYPED_BYTES, TYPED_KINDS };

static struct typed typed_read(int kind, const uint8_t *buf, size_t len)
{
    struct ki_reader r = ki_reader(buf, len);
    struct typed out = {.fine = false};
    if (kind == TYPED_STR)
        out.fine = ki_unpack_str(&r, &out.bytes);
    else if (kind == TYPED_BYTES)
        out.fine = ki_unpack_bytes(&r, &out.bytes);
    else
        out.fine = ki_unpack_uint(&r, kind == TYPED_UINT ? UINT64_MAX : UINT16_MAX, &out.number);
    out.bad = r.bad;
    out.ended = r.ended;
    out.left = r.left;
    return out;
}

/* The same, by the token. */
static struct typed typed_by_token(int kind, const uint8_t *buf, size_t len)
{
    struct ki_reader r = ki_reader(buf, len);
    struct ki_token token;
    struct typed out = {.fine = ki_unpack(&r, &token)}; /* a number that is none reads as 0 */
    if (out.fine && token.kind != KI_TOKEN_NIL) {
        bool is_str = token.kind == KI_TOKEN_STR;
        bool wanted = token.kind == KI_TOKEN_UINT && (kind == TYPED_UINT || token.as.uint <= UINT16_MAX);
        if (kind == TYPED_STR || kind == TYPED_BYTES)
            wanted = is_str || (kind == TYPED_BYTES && token.kind == KI_TOKEN_BIN);
        out.fine = wanted;
        if (wanted && token.kind == KI_TOKEN_UINT)
            out.number = token.as.uint;
        else if (wanted)
            out.bytes = token.as.bytes;
        r.bad = !wanted;
    }
    out.bad = r.bad;
    out.ended = r.ended;
    out.left = r.left;
    return out;
}

/* Every first byte and a few that follow, cut at every length. */
static void test_typed_reads_agree_with_tokens(void **state)
{
    (void)state;
    static uint8_t buf[300];
    static const uint8_t seconds[] = {0x00, 0x01, 0x02, 0x1f, 0x80, 0xff};
    for (unsigned first = 0; first < 256; first++) {
        for (unsigned i = 0; i < KI_COUNT(seconds); i++) {
            memset(buf, (int)i, sizeof buf);
            buf[0] = (uint8_t)first;
            buf[1] = first == 0xda || first == 0xc5 ? (uint8_t)(i & 1) : seconds[i];
            buf[2] = seconds[i];
            for (size_t len = 0; len <= sizeof buf; len += len < 50 ? 1 : 50) {
                for (int kind = 0; kind < TYPED_KINDS; kind++) {
                    struct typed a = typed_read(kind, buf, len), b = typed_by_token(kind, buf, len);
                    bool same = a.fine == b.fine && a.bad == b.bad && a.ended == b.ended && a.number == b.number &&
                                a.bytes.ptr == b.bytes.ptr && a.bytes.len == b.bytes.len;
                    if (!same || (a.fine && a.left != b.left))
                        fail_msg("bytes %02x %02x %02x of %zu, kind %d", buf[0], buf[1], buf[2], len, kind);
                }
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unsigned),    cmocka_unit_test(test_signed),
        cmocka_unit_test(test_every_width), cmocka_unit_test(test_strings),
        cmocka_unit_test(test_containers),  cmocka_unit_test(test_counts_are_bounded),
        cmocka_unit_test(test_scalars),     cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_malformed),   cmocka_unit_test(test_wrong_kinds),
        cmocka_unit_test(test_depth),       cmocka_unit_test(test_full_writer),
        cmocka_unit_test(test_struct),      cmocka_unit_test(test_struct_map_forms),
        cmocka_unit_test(test_struct_cut),
        cmocka_unit_test(test_typed_reads_agree_with_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
