/* The page of a report.
 *
 * Each part is turned into HTML when it is added, at the end of one buffer, so nothing has to be kept of the caller's
 * data and the order is that of the calls.  Writing adds the end of the page and nothing else: a page that was written
 * may grow and be written again.
 *
 * The page holds its style; it asks nothing of the network, has no script, and the same calls give the same bytes (no
 * date, no host).  Colours come in two sets, for light and for dark, both told apart with the common kinds of colour
 * blindness; identity never hangs on colour alone: curves are dashed or dotted, tooltips name them.
 *
 * A path that is no regular file (a pipe, /dev/null) is written into, never replaced: a rename would put a file where
 * the device was. */
#define _POSIX_C_SOURCE 200809L
#include "sim/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <kith/kith.h>

#include "sim/report_html.h"

struct sim_report {
    struct sim_html html;
};

static const char report_style[] =
    ":root{color-scheme:light dark;--back:#fff;--card:#f5f6f8;--text:#1b1f24;--soft:#5b6470;--rule:#dfe3e8;"
    "--c0:#0b62a8;--c1:#c04a00;--c2:#00785a;--c3:#a8447f;--c4:#6a4fc3;--c5:#8a6d00}\n"
    "@media (prefers-color-scheme:dark){:root{--back:#14171b;--card:#1e2329;--text:#e7eaee;--soft:#9aa4b0;--rule:#333a43;"
    "--c0:#6cb6f2;--c1:#ff9a57;--c2:#3ecfa3;--c3:#ee97cb;--c4:#b5a2ff;--c5:#dcbc45}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--back);color:var(--text);font:16px/1.5 system-ui,-apple-system,\"Segoe UI\",sans-serif}\n"
    "main{max-width:54rem;margin:0 auto;padding:1.5rem 1rem 3rem}\n"
    "h1{font-size:1.6rem;line-height:1.2;margin:0 0 .75rem}\n"
    "p{max-width:42rem;margin:1rem 0}\n"
    "pre{background:var(--card);border-radius:6px;padding:.6rem .8rem;white-space:pre-wrap;overflow-wrap:anywhere;"
    "font-size:.875rem}\n"
    "dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.75rem;margin:1.5rem 0}\n"
    "dl div{background:var(--card);border-radius:6px;padding:.6rem .8rem}\n"
    "dt{color:var(--soft);font-size:.85rem}\n"
    "dd{margin:0;font-size:1.4rem;font-weight:600;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}\n"
    ".table{overflow-x:auto;margin:1.5rem 0}\n"
    "table{border-collapse:collapse;font-size:.925rem;font-variant-numeric:tabular-nums}\n"
    "caption,figcaption{text-align:left;font-weight:600;padding-bottom:.4rem}\n"
    "th,td{text-align:left;padding:.3rem .8rem;border-bottom:1px solid var(--rule)}\n"
    "th{color:var(--soft);font-weight:500}\n"
    ".n{text-align:right;white-space:nowrap}\n"
    "figure{margin:2rem 0}\n"
    ".legend{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;font-size:.875rem;color:var(--soft)}\n"
    ".legend i{display:inline-block;width:1.6rem;margin-right:.45rem;vertical-align:middle;border-top:3px solid var(--c)}\n"
    ".legend .dashed{border-top-style:dashed}\n"
    ".legend .dotted{border-top-style:dotted}\n"
    ".legend .area{height:.8rem;border:0;background:var(--c);opacity:.25}\n"
    "svg{display:block;width:100%;height:auto}\n"
    "svg text{fill:var(--soft);font-size:13px}\n"
    "svg .x,svg .x text{text-anchor:middle}\n"
    "svg .y text{text-anchor:end}\n"
    ".grid path{stroke:var(--rule)}\n"
    ".frame{fill:none;stroke:var(--soft)}\n"
    ".line{fill:none;stroke:var(--c);stroke-width:2;stroke-linejoin:round;stroke-linecap:round}\n"
    ".line.dashed{stroke-dasharray:7 5}\n"
    ".line.dotted{stroke-dasharray:1 4}\n"
    ".band{fill:var(--c);opacity:.2}\n"
    ".dots circle{fill:var(--c)}\n"
    ".dots .hidden{fill-opacity:0}\n"
    ".dots circle:hover{fill-opacity:1;stroke:var(--text)}\n"
    ".s0{--c:var(--c0)}.s1{--c:var(--c1)}.s2{--c:var(--c2)}.s3{--c:var(--c3)}.s4{--c:var(--c4)}.s5{--c:var(--c5)}\n"
    "footer{color:var(--soft);font-size:.85rem;margin-top:2.5rem}\n"
    "@media (max-width:34rem){svg text{font-size:17px}svg .y text,svg .x text{font-size:16px}"
    "h1{font-size:1.3rem}}\n";

struct sim_report *ki_sim_report_new(const char *title, const char *command)
{
    struct sim_report *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    struct sim_html *h = &r->html;
    ki_sim_html_put(h, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                       "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>");
    ki_sim_html_text(h, title);
    ki_sim_html_put(h, "</title>\n<style>\n%s</style>\n</head>\n<body>\n<main>\n<h1>", report_style);
    ki_sim_html_text(h, title);
    ki_sim_html_put(h, "</h1>\n<pre><code>");
    ki_sim_html_text(h, command);
    ki_sim_html_put(h, "</code></pre>\n");
    return r;
}

void ki_sim_report_free(struct sim_report *r)
{
    if (!r)
        return;
    ki_sim_html_free(&r->html);
    free(r);
}

/* <tag>text</tag> */
static void report_element(struct sim_html *h, const char *tag, const char *attributes, const char *text)
{
    ki_sim_html_put(h, "<%s%s>", tag, attributes);
    ki_sim_html_text(h, text);
    ki_sim_html_put(h, "</%s>", tag);
}

void ki_sim_report_text(struct sim_report *r, const char *paragraph)
{
    if (!r)
        return;
    report_element(&r->html, "p", "", paragraph);
    ki_sim_html_put(&r->html, "\n");
}

void ki_sim_report_figures(struct sim_report *r, const char *const names[], const char *const values[], size_t count)
{
    if (!r || count == 0)
        return;
    ki_sim_html_put(&r->html, "<dl>\n");
    for (size_t i = 0; i < count; i++) {
        ki_sim_html_put(&r->html, "<div>");
        report_element(&r->html, "dt", "", names[i]);
        report_element(&r->html, "dd", "", values[i]);
        ki_sim_html_put(&r->html, "</div>\n");
    }
    ki_sim_html_put(&r->html, "</dl>\n");
}

/* A number alone; "2 s (of 5)" is words. */
static bool report_is_number(const char *cell)
{
    size_t sign = cell ? strspn(cell, "+-.<>~ ") : 0;
    return cell && cell[sign] >= '0' && cell[sign] <= '9' && cell[sign + strspn(cell + sign, "0123456789.,eE+-%")] == '\0';
}

/* The numbers of a column stand in line, and so do words: it is of whichever most of its cells are. */
static const char *report_column(const char *const cells[], size_t column_count, size_t row_count, size_t column)
{
    size_t numbers = 0;
    for (size_t row = 0; row < row_count; row++)
        numbers += report_is_number(cells[row * column_count + column]);
    return 2 * numbers > row_count ? " class=\"n\"" : "";
}

void ki_sim_report_table(struct sim_report *r, const char *caption, const char *const columns[], size_t column_count,
                         const char *const cells[], size_t row_count)
{
    if (!r)
        return;
    struct sim_html *h = &r->html;
    ki_sim_html_put(h, "<div class=\"table\"><table>\n");
    report_element(h, "caption", "", caption);
    ki_sim_html_put(h, "\n<thead><tr>");
    for (size_t c = 0; c < column_count; c++)
        report_element(h, "th", report_column(cells, column_count, row_count, c), columns[c]);
    ki_sim_html_put(h, "</tr></thead>\n<tbody>\n");
    for (size_t row = 0; row < row_count; row++) {
        ki_sim_html_put(h, "<tr>");
        for (size_t c = 0; c < column_count; c++)
            report_element(h, "td", report_column(cells, column_count, row_count, c), cells[row * column_count + c]);
        ki_sim_html_put(h, "</tr>\n");
    }
    ki_sim_html_put(h, "</tbody>\n</table></div>\n");
}

void ki_sim_report_plot(struct sim_report *r, const struct sim_plot *plot)
{
    if (r)
        ki_sim_html_plot(&r->html, plot);
}

static int report_write_into(const struct sim_report *r, const char *path, const char *mode)
{
    FILE *file = fopen(path, mode);
    if (!file)
        return -errno;
    errno = EIO; /* in case the C library does not say */
    bool good = fwrite(r->html.buf, 1, r->html.len, file) == r->html.len &&
                fprintf(file, "<footer>kith %s</footer>\n</main>\n</body>\n</html>\n", kith_version()) > 0 &&
                fflush(file) == 0;
    int result = good ? 0 : -errno;
    if (fclose(file) != 0 && good)
        result = -errno;
    return result;
}

/* A device, a pipe, a link: nothing that a file may take the place of. */
static bool report_is_other(const char *path, struct stat *there)
{
    return lstat(path, there) == 0 && !S_ISREG(there->st_mode);
}

/* The name beside the path, where a page begins; nothing is there any more.  The caller frees it; NULL: out of memory. */
static char *report_part(const char *path)
{
    static const char suffix[] = ".part";
    size_t len = strlen(path);
    char *part = malloc(len + sizeof suffix);
    if (!part)
        return NULL;
    memcpy(part, path, len);
    memcpy(part + len, suffix, sizeof suffix);
    unlink(part);
    return part;
}

int ki_sim_report_try(const char *path)
{
    struct stat there;
    if (stat(path, &there) == 0 && S_ISDIR(there.st_mode))
        return -EISDIR;
    if (report_is_other(path, &there))
        return access(path, W_OK) == 0 ? 0 : -errno; /* to open a pipe would be to be heard */
    char *part = report_part(path);
    if (!part)
        return -ENOMEM;
    int file = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int result = file >= 0 ? 0 : -errno;
    if (file >= 0) {
        close(file);
        unlink(part);
    }
    free(part);
    return result;
}

int ki_sim_report_save(const struct sim_report *r, const char *path)
{
    if (!r || r->html.failed)
        return -ENOMEM;
    struct stat there;
    if (report_is_other(path, &there))
        return report_write_into(r, path, "w");
    char *part = report_part(path);
    if (!part)
        return -ENOMEM;
    int result = report_write_into(r, part, "wx"); /* new: no link that somebody left is followed */
    if (result == 0 && rename(part, path) != 0)
        result = -errno;
    if (result != 0)
        unlink(part);
    free(part);
    return result;
}
