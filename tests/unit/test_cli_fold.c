/* What an agent answers to `kith query -fold`: what can be wanted, what is printed of it and why it is not whole, and JSON
 * with null where there is nothing; every truncation is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/fold_answer.h"
#include "wire/msgpack.h"

static void what_can_be_wanted(void **state)
{
    static const struct {
        const char *text;
        bool fine;
        enum ki_fold_want want;
        uint32_t top;
    } rows[] = {
        {"count", true, KI_FOLD_WANT_COUNT, 0},
        {"sum", true, KI_FOLD_WANT_SUM, 0},
        {"avg", true, KI_FOLD_WANT_AVG, 0},
        {"min", true, KI_FOLD_WANT_MIN, 0},
        {"max", true, KI_FOLD_WANT_MAX, 0},
        {"top:1", true, KI_FOLD_WANT_TOP, 1},
        {"top:32", true, KI_FOLD_WANT_TOP, 32},
        {"top:007", true, KI_FOLD_WANT_TOP, 7},
        {"top:33", false, 0, 0},
        {"top:0", false, 0, 0},
        {"top:", false, 0, 0},
        {"top", false, 0, 0},
        {"top:3x", false, 0, 0},
        {"top:-1", false, 0, 0},
        {"top:4294967297", false, 0, 0},
        {"top:99999999999999999999", false, 0, 0},
        {"avg:3", false, 0, 0},
        {"average", false, 0, 0},
        {"av", false, 0, 0},
        {"", false, 0, 0},
        {":", false, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        enum ki_fold_want want = KI_FOLD_WANT_COUNT;
        uint32_t top;
        bool fine = ki_fold_want_read(rows[i].text, &want, &top) == NULL;
        if (fine != rows[i].fine || (fine && (want != rows[i].want || top != rows[i].top)))
            fail_msg("'%s' is taken wrongly", rows[i].text);
    }
}

/* ---- answers ---- */

struct said {
    uint64_t members, answers, unusable, silent;
    double value; /* each real, if there are answers */
    const char *largest, *missing, *unable; /* one name each; NULL: none */
};

static void pack_number(struct ki_pack *p, const char *key, uint64_t value)
{
    ki_pack_text(p, key);
    ki_pack_uint(p, value);
}

static void pack_real(struct ki_pack *p, const char *key, const struct said *said, double value)
{
    ki_pack_text(p, key);
    if (said->answers > 0)
        ki_pack_double(p, value);
    else
        ki_pack_nil(p);
}

static void pack_name(struct ki_pack *p, const char *key, const char *name)
{
    ki_pack_text(p, key);
    ki_pack_array(p, name ? 1 : 0);
    if (name)
        ki_pack_text(p, name);
}

static struct ki_span pack(uint8_t *buf, size_t cap, const struct said *said)
{
    struct ki_pack p = ki_pack(buf, cap, true);
    ki_pack_map(&p, 12);
    pack_number(&p, "Answers", said->answers);
    pack_real(&p, "Average", said, said->value);
    pack_real(&p, "Max", said, said->value + 1);
    pack_number(&p, "Members", said->members);
    pack_real(&p, "Min", said, said->value - 1);
    pack_name(&p, "Missing", said->missing);
    pack_number(&p, "Silent", said->silent);
    pack_real(&p, "Sum", said, said->value * 10);
    ki_pack_text(&p, "Top");
    ki_pack_array(&p, said->largest ? 2 : 0);
    for (int i = 0; said->largest && i < 2; i++) {
        ki_pack_map(&p, 2);
        ki_pack_text(&p, "Member");
        ki_pack_text(&p, i == 0 ? said->largest : ""); /* and one that the agent does not know */
        ki_pack_text(&p, "Value");
        ki_pack_double(&p, said->value - i);
    }
    pack_name(&p, "Unable", said->unable);
    pack_number(&p, "Unusable", said->unusable);
    pack_real(&p, "Variance", said, 4);
    assert_false(p.w.full);
    return ki_span(buf, p.w.len);
}

typedef void writer(FILE *to, const struct ki_fold_answer *answer, enum ki_fold_want want);

static void says(writer *write, const struct ki_fold_answer *answer, enum ki_fold_want want, const char *wanted)
{
    char *text = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&text, &len);
    assert_non_null(file);
    write(file, answer, want);
    fclose(file);
    assert_string_equal(text, wanted);
    free(text);
}

static const struct said good = {.members = 12, .answers = 12, .value = 0.25, .largest = "a\tb"};
static const struct said some = {
    .members = 12, .answers = 8, .unusable = 1, .silent = 3, .value = 1e6, .missing = "b", .unable = "c"};
static const struct said nobody = {.members = 2, .silent = 1, .unusable = 1}, none = {.members = 0};

static void what_is_printed(void **state)
{
    static const struct {
        const struct said *said;
        enum ki_fold_want want;
        bool whole;
        const char *text, *complaint;
    } rows[] = {
        {&good, KI_FOLD_WANT_AVG, true, "0.25\n12 of 12 members answered\n", ""},
        {&good, KI_FOLD_WANT_SUM, true, "2.5\n12 of 12 members answered\n", ""},
        {&good, KI_FOLD_WANT_MIN, true, "-0.75\n12 of 12 members answered\n", ""},
        {&good, KI_FOLD_WANT_MAX, true, "1.25\n12 of 12 members answered\n", ""},
        {&good, KI_FOLD_WANT_COUNT, true, "12\n12 of 12 members answered\n", ""},
        {&good, KI_FOLD_WANT_TOP, true, "a\\x09b  0.25\n?       -0.75\n12 of 12 members answered\n", ""},
        {&some, KI_FOLD_WANT_COUNT, false, "9\n9 of 12 members answered, 1 of them with no number\n",
         "No answers from:\n\tb\n\tc (no kith agent)\n\tand 1 that cannot be named\n"},
        {&some, KI_FOLD_WANT_AVG, false, "1000000\n9 of 12 members answered, 1 of them with no number\n",
         "No answers from:\n\tb\n\tc (no kith agent)\n\tand 1 that cannot be named\n"},
        {&nobody, KI_FOLD_WANT_AVG, false, "-\n1 of 2 members answered, 1 of them with no number\n",
         "No answers from:\n\t1 that cannot be named\nNobody has answered with a number\n"},
        {&none, KI_FOLD_WANT_COUNT, true, "0\n0 of 0 members answered\n", ""},
        {&none, KI_FOLD_WANT_TOP, false, "-\n0 of 0 members answered\n", "Nobody has answered with a number\n"},
    };
    (void)state;
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        uint8_t buf[1024];
        struct ki_fold_answer answer;
        assert_true(ki_fold_answer_read(&answer, pack(buf, sizeof buf, rows[i].said)));
        says(ki_fold_answer_print, &answer, rows[i].want, rows[i].text);
        says(ki_fold_answer_complain, &answer, rows[i].want, rows[i].complaint);
        assert_int_equal(ki_fold_answer_is_whole(&answer, rows[i].want), rows[i].whole);
        ki_fold_answer_free(&answer);
    }
}

static void json(void **state)
{
    static const struct {
        const struct said *said;
        enum ki_fold_want want;
        const char *text;
    } rows[] = {
        {&good, KI_FOLD_WANT_AVG,
         "{\"fold\":\"avg\",\"value\":0.25,\"members\":12,\"answers\":12,\"unusable\":0,\"silent\":0,\"sum\":2.5,"
         "\"average\":0.25,\"variance\":4.0,\"min\":-0.75,\"max\":1.25,\"top\":[{\"member\":\"a\\tb\",\"value\":0.25},"
         "{\"member\":\"\",\"value\":-0.75}],\"missing\":[],\"unable\":[]}"},
        {&some, KI_FOLD_WANT_COUNT,
         "{\"fold\":\"count\",\"value\":9,\"members\":12,\"answers\":8,\"unusable\":1,\"silent\":3,\"sum\":10000000.0,"
         "\"average\":1000000.0,\"variance\":4.0,\"min\":999999.0,\"max\":1000001.0,\"top\":[],\"missing\":[\"b\"],"
         "\"unable\":[\"c\"]}"},
        {&nobody, KI_FOLD_WANT_MAX,
         "{\"fold\":\"max\",\"value\":null,\"members\":2,\"answers\":0,\"unusable\":1,\"silent\":1,\"sum\":null,"
         "\"average\":null,\"variance\":null,\"min\":null,\"max\":null,\"top\":[],\"missing\":[],\"unable\":[]}"},
        {&none, KI_FOLD_WANT_TOP,
         "{\"fold\":\"top\",\"members\":0,\"answers\":0,\"unusable\":0,\"silent\":0,\"sum\":null,\"average\":null,"
         "\"variance\":null,\"min\":null,\"max\":null,\"top\":[],\"missing\":[],\"unable\":[]}"},
    };
    (void)state;
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        uint8_t buf[1024];
        struct ki_fold_answer answer;
        json_t *object = json_object();
        assert_true(ki_fold_answer_read(&answer, pack(buf, sizeof buf, rows[i].said)));
        ki_fold_answer_json(&answer, rows[i].want, object);
        char *text = json_dumps(object, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(15));
        assert_string_equal(text, rows[i].text);
        free(text);
        json_decref(object);
        ki_fold_answer_free(&answer);
    }
}

static void what_is_torn_is_refused(void **state)
{
    (void)state;
    uint8_t buf[1024];
    struct ki_span object = pack(buf, sizeof buf, &some);
    for (size_t len = 0; len < object.len; len++) {
        uint8_t *torn = malloc(len + 1); /* nothing behind it may be looked at */
        struct ki_fold_answer answer;
        assert_non_null(torn);
        memcpy(torn, object.ptr, len);
        assert_false(ki_fold_answer_read(&answer, ki_span(torn, len)));
        ki_fold_answer_free(&answer);
        free(torn);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_can_be_wanted),
        cmocka_unit_test(what_is_printed),
        cmocka_unit_test(json),
        cmocka_unit_test(what_is_torn_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
