/* Axes with round ticks, text that stays text, plots of awkward data, and pages that are written whole or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "sim/report.h"
#include "sim/report_axis.h"
#include "sim/report_html.h"

/* ---- axes ---- */

static const struct {
    bool log, tight;
    double min, max;
    const char *ticks; /* their labels */
} axes[] = {
    {false, false, 0, 1, "0 0.2 0.4 0.6 0.8 1.0"},
    {false, false, 0.3, 0.9, "0 0.2 0.4 0.6 0.8 1.0"},
    {false, false, 0, 97, "0 20 40 60 80 100"},
    {false, false, 3, 10000, "0 2000 4000 6000 8000 10000"},
    {false, false, 0, 48000, "0 10k 20k 30k 40k 50k"},
    {false, false, 0, 1.2e6, "0 0.2M 0.4M 0.6M 0.8M 1.0M 1.2M"},
    {false, false, 0, 3e9, "0 0.5G 1.0G 1.5G 2.0G 2.5G 3.0G"},
    {false, false, -3, 5, "-4 -2 0 2 4 6"},
    {false, false, 0, 0.0025, "0 0.0005 0.0010 0.0015 0.0020 0.0025"},
    {false, true, 0, 17, "0 5 10 15"},
    {false, true, 3, 17, "4 6 8 10 12 14 16"},
    {false, true, 120, 121, "120.0 120.2 120.4 120.6 120.8 121.0"},
    {false, false, 5, 5, "0 2 4 6 8"},
    {false, true, 5, 5, "3 4 5 6 7"},
    {false, false, 0, 0, "0 0.2 0.4 0.6 0.8 1.0"},
    {false, false, -2, -2, "-2.0 -1.8 -1.6 -1.4 -1.2 -1.0"},
    {true, false, 1, 1000, "1 10 100 1k"},
    {true, false, 3, 70, "1 2 5 10 20 50 100"},
    {true, false, 1e-6, 1, "10⁻⁶ 10⁻⁵ 10⁻⁴ 0.001 0.01 0.1 1"},
    {true, false, 100, 1e6, "100 1k 10k 100k 1M"},
    {true, false, 1e-12, 1e3, "10⁻¹² 10⁻¹⁰ 10⁻⁸ 10⁻⁶ 10⁻⁴ 0.01 1 100"},
    {true, false, 7, 7, "1 2 5 10"},
    {true, false, 10, 10, "10 20 50 100"},
    {true, false, 2e-5, 3e-4, "10⁻⁵ 2·10⁻⁵ 5·10⁻⁵ 10⁻⁴ 2·10⁻⁴ 5·10⁻⁴ 0.001"},
};

static void test_ticks(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(axes); i++) {
        struct sim_axis axis;
        char label[SIM_LABEL_MAX];
        char all[SIM_TICKS_MAX * (SIM_LABEL_MAX + 1)] = "";
        size_t len = 0;
        ki_sim_axis_fit(&axis, axes[i].log, axes[i].tight, axes[i].min, axes[i].max);
        assert_true(axis.low < axis.high && axis.low <= axes[i].min && axis.high >= axes[i].max);
        for (size_t t = 0; t < axis.tick_count; t++) {
            len += (size_t)snprintf(all + len, sizeof all - len, "%s%s", t ? " " : "",
                                    ki_sim_axis_label(&axis, axis.ticks[t], label));
            assert_true(axis.ticks[t] >= axis.low - 1e-9 && axis.ticks[t] <= axis.high + 1e-9 * fabs(axis.high));
            double at = ki_sim_axis_at(&axis, axis.ticks[t]);
            assert_true(at >= -1e-9 && at <= 1 + 1e-9);
        }
        if (strcmp(all, axes[i].ticks) != 0)
            print_error("row %zu: %s\n   wanted: %s\n", i, all, axes[i].ticks);
        assert_string_equal(all, axes[i].ticks);
    }
}

/* Whatever the range, there is a readable number of ticks in order, and all ends. */
static void test_any_range_has_ticks(void **state)
{
    (void)state;
    static const double ends[] = {-1e299, -1e18, -1e18 + 256, -12345.678, -1e-12, 0, 1e-290, 1e-12, 1e-3, 0.9999999, 1,
                                  1.0000001, 3, 9.99, 1e5, 123456789, 1e18, 1e18 + 256, 9e299};
    for (size_t i = 0; i < KI_COUNT(ends) * KI_COUNT(ends) * 4; i++) {
        double min = ends[i / 4 / KI_COUNT(ends)];
        double max = ends[i / 4 % KI_COUNT(ends)];
        struct sim_axis axis;
        if (min > max || !ki_sim_axis_shows(i & 1, min) || !ki_sim_axis_shows(i & 1, max))
            continue;
        ki_sim_axis_fit(&axis, i & 1, i & 2, min, max);
        assert_in_range(axis.tick_count, 2, 12);
        for (size_t t = 0; t < axis.tick_count; t++) {
            char label[SIM_LABEL_MAX];
            assert_true(isfinite(ki_sim_axis_at(&axis, axis.ticks[t])));
            assert_true(t == 0 || axis.ticks[t] > axis.ticks[t - 1]);
            assert_in_range(strlen(ki_sim_axis_label(&axis, axis.ticks[t], label)), 1, SIM_LABEL_MAX - 1);
        }
        assert_true(ki_sim_axis_at(&axis, min) >= -1e-6 && ki_sim_axis_at(&axis, max) <= 1 + 1e-6);
    }
}

static void test_what_an_axis_shows(void **state)
{
    (void)state;
    assert_true(ki_sim_axis_shows(false, 0) && ki_sim_axis_shows(false, -5) && ki_sim_axis_shows(true, 1e-9));
    assert_false(ki_sim_axis_shows(true, 0) || ki_sim_axis_shows(true, -1));
    assert_false(ki_sim_axis_shows(false, (double)NAN) || ki_sim_axis_shows(false, HUGE_VAL) ||
                 ki_sim_axis_shows(true, (double)NAN));
}

/* ---- text ---- */

static const struct {
    const char *text, *html;
} texts[] = {
    {"plain", "plain"},
    {NULL, ""},
    {"", ""},
    {"<script>alert(\"1\" & '2')</script>", "&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)&lt;/script&gt;"},
    {"&amp;", "&amp;amp;"},
    {"Grüße 中 \xf0\x9f\x8c\x8d", "Grüße 中 \xf0\x9f\x8c\x8d"},
    {"a\nb\tc", "a\nb\tc"},
    {"\x1b[2J\x7f\x01", "\xef\xbf\xbd[2J\xef\xbf\xbd\xef\xbf\xbd"},
    {"\xc0\xbc|\xf5|\xc3", "\xef\xbf\xbd\xef\xbf\xbd|\xef\xbf\xbd|\xef\xbf\xbd"},
    {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},           /* a surrogate */
    {"\xc2\x9b\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* C1, and one cut off */
    {"\xe0\x80\xbc", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},                 /* '<' in three bytes */
};

static void test_text_is_escaped(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(texts); i++) {
        struct sim_html h = {.buf = NULL};
        ki_sim_html_put(&h, "[");
        ki_sim_html_text(&h, texts[i].text);
        ki_sim_html_put(&h, "%s", "]");
        char wanted[256];
        snprintf(wanted, sizeof wanted, "[%s]", texts[i].html);
        assert_string_equal(h.buf, wanted);
        assert_int_equal(h.len, strlen(wanted));
        ki_sim_html_free(&h);
    }
}

/* ---- pages ---- */

static char folder[] = "/tmp/kith-report-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder); /* tests leave nothing behind */
}

static char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* The file's text, and the file is gone.  The caller frees it. */
static char *take(const char *name)
{
    FILE *file = fopen(path_of(name), "rb");
    assert_non_null(file);
    char *text = calloc(1, 1 << 22);
    size_t len = fread(text, 1, (1 << 22) - 1, file);
    assert_true(len < (1 << 22) - 1 && strlen(text) == len);
    fclose(file);
    remove(path_of(name));
    return text;
}

static char *page_of(const struct sim_plot *plot)
{
    struct sim_report *r = ki_sim_report_new("t", "c");
    ki_sim_report_plot(r, plot);
    assert_int_equal(ki_sim_report_save(r, path_of("plot.html")), 0);
    ki_sim_report_free(r);
    char *text = take("plot.html");
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "inf"));
    return text;
}

static size_t count(const char *text, const char *what)
{
    size_t found = 0;
    for (const char *at = strstr(text, what); at; at = strstr(at + 1, what))
        found++;
    return found;
}

/* Every tag that opens closes, in order; no quote is left open; attributes hold no '<'. */
static void check_nesting(const char *text)
{
    static const char *const lone[] = {"!doctype", "meta", "link", "br"};
    char stack[64][16];
    size_t depth = 0;
    for (const char *at = strchr(text, '<'); at; at = strchr(at, '<')) {
        char name[16] = "";
        const char *end = strchr(at, '>');
        bool closing = at[1] == '/';
        sscanf(at + 1 + closing, "%15[a-z0-9!]", name);
        assert_non_null(end);
        assert_true(name[0] != '\0' && memchr(at + 1, '<', (size_t)(end - at - 1)) == NULL);
        bool is_lone = end[-1] == '/';
        for (size_t i = 0; i < KI_COUNT(lone); i++)
            is_lone |= strcmp(name, lone[i]) == 0;
        if (closing) {
            assert_true(depth > 0);
            assert_string_equal(stack[--depth], name);
        } else if (!is_lone) {
            assert_true(depth < KI_COUNT(stack));
            memcpy(stack[depth++], name, sizeof name);
        }
        at = end;
    }
    assert_int_equal(depth, 0);
}

static void test_page(void **state)
{
    (void)state;
    const char *names[] = {"agreed after", "nodes <all>"};
    const char *values[] = {"1.5 s", "1,000 & more"};
    const char *columns[] = {"node", "time (s)"};
    const char *cells[] = {"a<b", "1.5", "\"c\"", "-", "e", "~3"};
    const char *words[] = {"x", "2 of 3", "y", "4 s (5 s)", "z", "6"}; /* most are no numbers alone */
    const double x[] = {0, 1, 2};
    const double y[] = {0, 5, 9};
    const double low[] = {0, 4, 8};
    const struct sim_series series[] = {{"node \"<1>\"", x, y, 3, false}, {"theory", x, low, 3, true}};
    struct sim_report *r = ki_sim_report_new("A & <b>", "kith sim run --name '<x>'");
    ki_sim_report_text(r, "a paragraph & more");
    ki_sim_report_figures(r, names, values, 2);
    ki_sim_report_table(r, "times", columns, 2, cells, 3);
    ki_sim_report_table(r, "words", columns, 2, words, 3);
    ki_sim_report_plot(r, &(struct sim_plot){.title = "T<", .x_label = "time (s)", .y_label = "nodes", .series = series,
                                             .series_count = 2, .band = &(struct sim_band){"band", x, low, y, 3}});
    assert_int_equal(ki_sim_report_save(r, path_of("page.html")), 0);
    char *text = take("page.html");
    check_nesting(text);
    static const char *const holds[] = {
        "<!doctype html>", "<title>A &amp; &lt;b&gt;</title>", "<h1>A &amp; &lt;b&gt;</h1>",
        "<code>kith sim run --name &#39;&lt;x&gt;&#39;</code>", "<p>a paragraph &amp; more</p>", "prefers-color-scheme:dark",
        "<dt>nodes &lt;all&gt;</dt><dd>1,000 &amp; more</dd>", "<td>a&lt;b</td><td class=\"n\">1.5</td>",
        "<td class=\"n\">-</td>",
        "<td>e</td><td class=\"n\">~3</td>", "<td>2 of 3</td>", "<td>6</td>",
        "<figcaption>T&lt;</figcaption>", ">time (s)</text>", ">nodes</text>",
        "<title>node &quot;&lt;1&gt;&quot;: 1, 5</title>", "<i class=\"s1 dashed\"></i>theory", "class=\"line s1 dashed\"",
        "<i class=\"area s0\"></i>band"};
    for (size_t i = 0; i < KI_COUNT(holds); i++) {
        if (!strstr(text, holds[i]))
            print_error("missing: %s\n", holds[i]);
        assert_non_null(strstr(text, holds[i]));
    }
    assert_null(strstr(text, "<script"));
    assert_null(strstr(text, "http:")); /* asks nothing of anybody */
    assert_null(strstr(text, "https:"));
    assert_null(strstr(text, "url("));
    assert_int_equal(ki_sim_report_save(r, path_of("again.html")), 0); /* the same bytes once more */
    char *again = take("again.html");
    assert_string_equal(text, again);
    free(again);
    free(text);
    ki_sim_report_free(r);
}

static void test_empty_plots(void **state)
{
    (void)state;
    const double zeros[] = {0, 0};
    const double nothing[] = {(double)NAN, HUGE_VAL};
    const struct sim_series none = {.name = "none"};
    const struct sim_series below = {.name = "below", .x = zeros, .y = zeros, .count = 2};
    const struct sim_series no_number = {.name = "n", .x = zeros, .y = nothing, .count = 2};
    const struct sim_plot plots[] = {
        {.title = "no series"},
        {.title = "an empty series", .series = &none, .series_count = 1},
        {.title = "zeros on a logarithmic axis", .y_log = true, .series = &below, .series_count = 1},
        {.title = "no numbers", .series = &no_number, .series_count = 1},
    };
    for (size_t i = 0; i < KI_COUNT(plots); i++) {
        char *text = page_of(&plots[i]);
        check_nesting(text);
        assert_non_null(strstr(text, ">no data</text>"));
        free(text);
    }
}

static void test_one_point(void **state)
{
    (void)state;
    const double x = 7, y = 3;
    const struct sim_series one = {.name = "one", .x = &x, .y = &y, .count = 1};
    for (unsigned i = 0; i < 8; i++) {
        char *text = page_of(&(struct sim_plot){
            .title = "t", .x_log = i & 1, .y_log = i & 2, .step = i & 4, .series = &one, .series_count = 1});
        check_nesting(text);
        assert_int_equal(count(text, "<circle cx="), 1); /* a line of one point is nothing: the dot is there */
        assert_non_null(strstr(text, "<title>one: 7, 3</title>"));
        free(text);
    }
}

/* What cannot be drawn interrupts the line; a point alone between gaps is a visible dot. */
static void test_gaps(void **state)
{
    (void)state;
    const double x[] = {0, 1, 2, 3, 4, 5, 6};
    const double y[] = {1, 10, 0, 100, (double)NAN, 1000, 100};
    const struct sim_series series = {.name = "s", .x = x, .y = y, .count = 7};
    char *text = page_of(&(struct sim_plot){.title = "t", .y_log = true, .series = &series, .series_count = 1});
    const char *line = strstr(text, "class=\"line s0\" d=\"");
    assert_non_null(line);
    line += strlen("class=\"line s0\" d=\"");
    char path[256];
    snprintf(path, sizeof path, "%.*s", (int)strcspn(line, "\""), line);
    assert_int_equal(count(path, "M"), 3); /* 1-10, 100, 1000-100 */
    assert_int_equal(count(path, "L"), 2);
    assert_int_equal(count(text, "<circle"), 5);
    assert_null(strstr(text, "s: 2, 0<")); /* neither the zero */
    assert_null(strstr(text, "s: 4, "));   /* nor what is no number */
    free(text);
}

/* A long curve costs what a screen can show, and its extremes are among it. */
static void test_long_curves_are_thinned(void **state)
{
    (void)state;
    enum { POINTS = 200000 };
    double *x = malloc(2 * POINTS * sizeof *x);
    double *y = x + POINTS;
    for (int i = 0; i < POINTS; i++) {
        x[i] = i;
        y[i] = i == 123456 ? 100 : i % 3;
    }
    const struct sim_series series = {.name = "s", .x = x, .y = y, .count = POINTS};
    for (unsigned step = 0; step < 2; step++) {
        char *text = page_of(&(struct sim_plot){.title = "t", .step = step, .series = &series, .series_count = 1});
        check_nesting(text);
        assert_in_range(strlen(text), 1000, 60000);
        assert_in_range(count(text, "<circle"), 50, 100);
        assert_int_equal(count(text, "V14.0"), 1); /* the peak, at the top */
        free(text);
    }
    free(x);
}

/* ---- writing ---- */

static void test_a_failed_write_leaves_what_was_there(void **state)
{
    (void)state;
    struct sim_report *r = ki_sim_report_new("t", "c");
    assert_int_equal(ki_sim_report_save(r, path_of("no/such/page.html")), -ENOENT);
    assert_int_equal(mkdir(path_of("folder"), 0700), 0);
    assert_int_equal(ki_sim_report_save(r, path_of("folder")), -EISDIR);
    rmdir(path_of("folder"));
    if (access("/dev/full", W_OK) == 0)
        assert_int_equal(ki_sim_report_save(r, "/dev/full"), -ENOSPC);
    assert_int_equal(ki_sim_report_save(r, "/dev/null"), 0);
    struct stat there;
    assert_true(stat("/dev/null", &there) == 0 && S_ISCHR(there.st_mode)); /* not replaced */
    ki_sim_report_free(r);
    assert_int_equal(ki_sim_report_save(NULL, path_of("x")), -ENOMEM);
    assert_int_not_equal(access(path_of("x"), F_OK), 0);
}

/* What ki_sim_report_save() would say, said beforehand, and nothing is left of it. */
static void test_trying(void **state)
{
    (void)state;
    assert_int_equal(ki_sim_report_try(path_of("new.html")), 0);
    assert_int_not_equal(access(path_of("new.html"), F_OK), 0);
    assert_int_not_equal(access(path_of("new.html.part"), F_OK), 0);
    assert_int_equal(ki_sim_report_try(path_of("no/such/page.html")), -ENOENT);
    assert_int_equal(mkdir(path_of("folder"), 0700), 0);
    assert_int_equal(ki_sim_report_try(path_of("folder")), -EISDIR);
    rmdir(path_of("folder"));
    assert_int_equal(ki_sim_report_try("/dev/null"), 0);
    if (access("/proc", W_OK) == 0) /* as root: what is allowed may still be impossible */
        assert_int_not_equal(ki_sim_report_try("/proc/x"), 0);
    FILE *there = fopen(path_of("kept.html"), "w");
    assert_non_null(there);
    fputs("kept", there);
    fclose(there);
    assert_int_equal(ki_sim_report_try(path_of("kept.html")), 0);
    char *text = take("kept.html");
    assert_string_equal(text, "kept");
    free(text);
    unlink(path_of("kept.html"));
}

static void test_writing_replaces(void **state)
{
    (void)state;
    struct sim_report *r = ki_sim_report_new("first", "c");
    assert_int_equal(ki_sim_report_save(r, path_of("page.html")), 0);
    FILE *left = fopen(path_of("page.html.part"), "w"); /* of a run that was killed */
    assert_non_null(left);
    fclose(left);
    ki_sim_report_text(r, "second");
    assert_int_equal(ki_sim_report_save(r, path_of("page.html")), 0);
    assert_int_not_equal(access(path_of("page.html.part"), F_OK), 0);
    char *text = take("page.html");
    assert_non_null(strstr(text, "<p>second</p>"));
    check_nesting(text);
    free(text);
    ki_sim_report_free(r);
}

static void test_null_does_nothing(void **state)
{
    (void)state;
    ki_sim_report_text(NULL, "x");
    ki_sim_report_figures(NULL, NULL, NULL, 0);
    ki_sim_report_table(NULL, "x", NULL, 0, NULL, 0);
    ki_sim_report_plot(NULL, &(struct sim_plot){.title = "x"});
    ki_sim_report_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ticks),
        cmocka_unit_test(test_any_range_has_ticks),
        cmocka_unit_test(test_what_an_axis_shows),
        cmocka_unit_test(test_text_is_escaped),
        cmocka_unit_test(test_page),
        cmocka_unit_test(test_empty_plots),
        cmocka_unit_test(test_one_point),
        cmocka_unit_test(test_gaps),
        cmocka_unit_test(test_long_curves_are_thinned),
        cmocka_unit_test(test_a_failed_write_leaves_what_was_there),
        cmocka_unit_test(test_writing_replaces),
        cmocka_unit_test(test_trying),
        cmocka_unit_test(test_null_does_nothing),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
