/* Text of a page as it grows: markup of ours as it is, everybody else's escaped. */
#ifndef KI_SIM_REPORT_HTML_H
#define KI_SIM_REPORT_HTML_H

#include <stdbool.h>
#include <stddef.h>

struct sim_plot;

struct sim_html {
    char *buf; /* owned; zero at first */
    size_t len, cap;
    bool failed; /* out of memory: what comes after is dropped */
};

void ki_sim_html_free(struct sim_html *h);
/* Markup and numbers, by a format of ours. */
void ki_sim_html_put(struct sim_html *h, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Plain text, for between tags and for attributes in double quotes.  Control characters and what is no UTF-8 become
 * U+FFFD.  NULL is empty. */
void ki_sim_html_text(struct sim_html *h, const char *text);

/* A plot as a <figure> with inline SVG: report_plot.c. */
void ki_sim_html_plot(struct sim_html *h, const struct sim_plot *plot);

#endif
