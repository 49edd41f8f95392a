/* serf/filter.c: whom filters let through, what is malformed, what costs too much; what kith writes is what Serf writes; and
 * memory that fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "serf/filter.h"
#include "unit/failing.h"
#include "unit/hex.h"

#define TEXT(s) ki_span((s), sizeof(s) - 1)
#define META "ff82 a2646ba374776f a4726f6c65aa7765622d736572766572" /* dk=two role=web-server */
#define PASS KI_FILTER_PASS
#define REJECT KI_FILTER_REJECT
#define BAD KI_FILTER_BAD
#define DEAR KI_FILTER_TOO_DEAR

/* A filter by tag: 01, {Expr, Tag}. */
#define ROLE "a4726f6c65"
#define WEB_FILTER "b5 01 82 a445787072a4 5e776562 a3546167" ROLE /* ^web */

static uint8_t input[8192];

static enum ki_filter_result match(const char *hex, struct ki_span name, struct ki_span meta)
{
    struct ki_mem mem;
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    size_t len = hex_bytes(hex, input, sizeof input);
    uint8_t *exact = malloc(len ? len : 1);
    assert_non_null(exact);
    memcpy(exact, input, len);
    enum ki_filter_result result = ki_filters_match(&mem, ki_span(exact, len), name, meta);
    assert_int_equal(mem.used, 0);
    if (result == PASS)
        assert_true(ki_filters_fine(ki_span(exact, len)));
    free(exact);
    return result;
}

static const struct {
    const char *hex;
    enum ki_filter_result result;
    bool fine; /* can be read, whomever it lets through */
} rows[] = {
    {"", PASS, true},
    {"c0", PASS, true}, /* nil: none */
    {"90", PASS, true},
    /* by name */
    {"91 a7 00 91 a462657461", PASS, true},
    {"91 a4 00 91 a161", REJECT, true},
    {"91 a9 00 92 a161 a462657461", PASS, true},
    {"91 a2 00 90", REJECT, true}, /* nobody is named */
    {"91 a2 00 c0", REJECT, true},
    {"91 c407 00 91 a462657461", PASS, true}, /* bin, where bytes belong */
    {"91 a6 00 91 a3626574", REJECT, true},   /* no beginning of it */
    {"91 a8 00 91 a56265746131", REJECT, true},
    /* by tag */
    {"91" WEB_FILTER, PASS, true},
    {"91 b4 01 82 a445787072a3 776562 a3546167" ROLE, PASS, true},          /* web, somewhere in it */
    {"91 b5 01 82 a445787072a4 77656224 a3546167" ROLE, REJECT, true},      /* web$ */
    {"91 b1 01 82 a445787072a0 a3546167" ROLE, PASS, true},                 /* the empty expression */
    {"91 b3 01 82 a445787072a2 5e24 a3546167" ROLE, REJECT, true},          /* ^$ */
    {"91 b0 01 82 a445787072a2 5e24 a3546167a178", PASS, true},             /* a tag that is not there is empty */
    {"91 af 01 82 a445787072a1 2e a3546167a178", REJECT, true},
    {"91 ae 01 82 a3546167" ROLE "a15a05", PASS, true},                     /* no expression; a key more */
    {"91 ab 01 92" ROLE "a3776562", PASS, true},                            /* as an array */
    /* all of them have to */
    {"92 a7 00 91 a462657461" WEB_FILTER, PASS, true},
    {"92 a4 00 91 a161" WEB_FILTER, REJECT, true},
    {"92" WEB_FILTER "a4 00 91 a161", REJECT, true},
    {"92" WEB_FILTER "b3 01 82 a445787072a4 5e747721 a3546167a2646b", REJECT, true},
    /* malformed */
    {"05", BAD, false},
    {"80", BAD, false},
    {"91 05", BAD, false},
    {"91 91a161", BAD, false},
    {"91 a0", BAD, false}, /* an empty one, at which stock agents fall over */
    {"91 a1 00", BAD, false},
    {"91 a2 02 90", BAD, false}, /* no known kind */
    {"91 a2 ff 90", BAD, false},
    {"91 a2 00 05", BAD, true}, /* no array: stock agents read it, and fail there */
    {"91 a3 00 91 05", BAD, true},
    {"91 a6 00 92 a3626574", BAD, false}, /* two announced, one there */
    {"91 a1 01", BAD, false},
    {"91 a2 01 05", BAD, false},
    {"91 aa 01 81 a445787072 91c0 c0", BAD, false},
    {"91 b2 01 82 a445787072a1 28 a3546167" ROLE, BAD, true}, /* "(" */
    {"92 a7 00 91 a462657461 a0", BAD, false},
    {"92 a4 00 91 a161 a0", REJECT, false}, /* decided before */
};

static void who_passes(void **state)
{
    (void)state;
    uint8_t meta[64];
    size_t meta_len = hex_bytes(META, meta, sizeof meta);
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        enum ki_filter_result got = match(rows[i].hex, TEXT("beta"), ki_span(meta, meta_len));
        size_t len = hex_bytes(rows[i].hex, input, sizeof input);
        bool fine = ki_filters_fine(ki_span(input, len));
        if (got != rows[i].result || fine != rows[i].fine)
            print_error("row %zu: %s: %d, %d\n", i, rows[i].hex, (int)got, (int)fine);
        assert_int_equal(got, rows[i].result);
        assert_int_equal(fine, rows[i].fine);
    }
}

static void old_and_empty_metas(void **state)
{
    (void)state;
    assert_int_equal(match("91" WEB_FILTER, TEXT("beta"), TEXT("web")), PASS); /* all of the meta is the role */
    assert_int_equal(match("91" WEB_FILTER, TEXT("beta"), TEXT("")), REJECT);
    assert_int_equal(match("91" WEB_FILTER, TEXT("beta"), TEXT("\xff\x05")), REJECT);
}

static void cut_anywhere(void **state)
{
    (void)state;
    uint8_t whole[256];
    size_t len = hex_bytes("92 a7 00 91 a462657461" WEB_FILTER, whole, sizeof whole);
    for (size_t cut = 1; cut < len; cut++) {
        uint8_t *exact = malloc(cut);
        struct ki_mem mem;
        assert_non_null(exact);
        memcpy(exact, whole, cut);
        ki_mem_init(&mem, NULL, NULL, NULL, 0);
        assert_int_equal(ki_filters_match(&mem, ki_span(exact, cut), TEXT("beta"), TEXT("web")), BAD);
        assert_false(ki_filters_fine(ki_span(exact, cut)));
        free(exact);
    }
}

/* A pattern that takes for ever, patterns without end, and one that is too long. */
static void what_is_too_dear(void **state)
{
    (void)state;
    static uint8_t buf[65536];
    static char expression[1100];
    struct ki_mem mem;
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    ki_pack_array(&p, 1);
    ki_encode_filter_tag(&p, TEXT("role"), TEXT("(a*)*[bc]"));
    assert_int_equal(
        ki_filters_match(&mem, ki_span(buf, p.w.len), TEXT("beta"), TEXT("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")), DEAR);
    for (size_t count = 15; count <= 17; count++) {
        p = ki_pack(buf, sizeof buf, false);
        ki_pack_array(&p, count);
        for (size_t i = 0; i < count; i++)
            ki_encode_filter_tag(&p, TEXT("role"), TEXT("web"));
        assert_int_equal(ki_filters_match(&mem, ki_span(buf, p.w.len), TEXT("beta"), TEXT("web")), count > 16 ? DEAR : PASS);
    }
    memset(expression, 'a', sizeof expression);
    for (size_t len = 1024; len <= 1025; len++) {
        p = ki_pack(buf, sizeof buf, false);
        ki_pack_array(&p, 1);
        ki_encode_filter_tag(&p, TEXT("role"), ki_span(expression, len));
        assert_int_equal(ki_filters_match(&mem, ki_span(buf, p.w.len), TEXT("beta"), TEXT("a")), len > 1024 ? BAD : REJECT);
    }
    assert_int_equal(mem.used, 0);
}

/* ---- writing ---- */

static void written_as_serf_writes_them(void **state)
{
    (void)state;
    uint8_t buf[256], want[256]; /* the filters of the query of a running Serf 0.9.4 */
    size_t len = hex_bytes("92a70091a462657461b40182a445787072a3702e2aa3546167a4726f6c65", want, sizeof want);
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    ki_pack_array(&p, 2);
    ki_encode_filter_names(&p, 1, ki_filter_text_len(4));
    ki_pack_str(&p, TEXT("beta"));
    ki_encode_filter_tag(&p, TEXT("role"), TEXT("p.*"));
    assert_int_equal(p.w.len, len);
    assert_memory_equal(buf, want, len);
}

/* Whatever the lengths, the head that is written first tells the truth. */
static void lengths_are_told_right(void **state)
{
    (void)state;
    static const size_t lens[] = {0, 1, 31, 32, 255, 256, 65535, 65536, 70000};
    static uint8_t text[70000], buf[400000];
    for (size_t i = 0; i < KI_COUNT(lens); i++) {
        for (size_t count = 0; count <= 16; count += count < 14 ? 14 : 1) { /* 0, 14, 15, 16 names */
            size_t names = lens[i] > 255 ? 1 : count, texts_len = names * ki_filter_text_len(lens[i]);
            struct ki_pack p = ki_pack(buf, sizeof buf, false);
            struct ki_filter filter;
            uint32_t left = UINT32_MAX;
            ki_pack_array(&p, 2);
            ki_encode_filter_names(&p, names, texts_len);
            for (size_t n = 0; n < names; n++)
                ki_pack_str(&p, ki_span(text, lens[i]));
            ki_encode_filter_tag(&p, ki_span(text, lens[i]), ki_span(text, lens[KI_COUNT(lens) - 1 - i]));
            struct ki_reader r = ki_reader(buf, p.w.len);
            assert_true(!p.w.full && ki_filter_next(&r, &left, &filter) && !filter.by_tag);
            assert_true(ki_filter_next(&r, &left, &filter) && filter.by_tag);
            assert_true(filter.tag.len == lens[i] && filter.expression.len == lens[KI_COUNT(lens) - 1 - i]);
            assert_false(ki_filter_next(&r, &left, &filter));
            assert_true(!r.bad && r.left == 0);
        }
    }
}

static void memory_runs_out(void **state)
{
    (void)state;
    uint8_t meta[64], filters[64];
    size_t meta_len = hex_bytes(META, meta, sizeof meta), len = hex_bytes("91" WEB_FILTER, filters, sizeof filters);
    enum ki_filter_result result = BAD;
    int until = 0;
    for (; result != PASS; until++) {
        struct failing failing = {.until = until};
        struct ki_mem mem;
        ki_mem_init(&mem, failing_resize, failing_release, &failing, 0);
        result = ki_filters_match(&mem, ki_span(filters, len), TEXT("beta"), ki_span(meta, meta_len));
        assert_int_equal(mem.used, 0);
        assert_true(until < 100 && (result == PASS || result == BAD || result == DEAR)); /* nobody is let through by it */
    }
    assert_true(until > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_passes),
        cmocka_unit_test(old_and_empty_metas),
        cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(what_is_too_dear),
        cmocka_unit_test(written_as_serf_writes_them),
        cmocka_unit_test(lengths_are_told_right),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
