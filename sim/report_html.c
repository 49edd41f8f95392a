/* A growing buffer of HTML.
 *
 * Two ways in, and no third: ki_sim_html_put() for markup, whose format is a literal of ours and whose arguments are
 * numbers or literals; ki_sim_html_text() for everything that came from outside, a name on the command line or a member's
 * name.  Text cannot end a tag or an attribute, and a page stays valid UTF-8 whatever the names are.
 *
 * Running out of memory sets a flag that stays; the buffer then ends where it did. */
#include "sim/report_html.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ki_sim_html_free(struct sim_html *h)
{
    free(h->buf);
    *h = (struct sim_html){.buf = NULL};
}

static bool html_reserve(struct sim_html *h, size_t more)
{
    if (h->failed)
        return false;
    if (h->cap - h->len > more)
        return true;
    size_t cap = (h->len + more) * 2 + 4096;
    char *buf = realloc(h->buf, cap);
    if (!buf) {
        h->failed = true;
        return false;
    }
    h->buf = buf;
    h->cap = cap;
    return true;
}

static void html_bytes(struct sim_html *h, const char *bytes, size_t len)
{
    if (!html_reserve(h, len))
        return;
    memcpy(h->buf + h->len, bytes, len);
    h->len += len;
    h->buf[h->len] = '\0';
}

void ki_sim_html_put(struct sim_html *h, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0 || !html_reserve(h, (size_t)len))
        return;
    va_start(args, format);
    vsnprintf(h->buf + h->len, (size_t)len + 1, format, args);
    va_end(args);
    h->len += (size_t)len;
}

/* Length of the UTF-8 character at `at`, of which a page may hold all but control characters; 0: none. */
static size_t html_char(const uint8_t *at)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (at[0] < 0x80)
        return (at[0] >= 0x20 && at[0] != 0x7f) || at[0] == '\n' || at[0] == '\t' ? 1 : 0;
    size_t len = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    if (at[0] < 0xc2 || at[0] > 0xf4)
        return 0;
    uint32_t code = at[0] & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((at[i] & 0xc0) != 0x80) /* the NUL at the end is one of these */
            return 0;
        code = code << 6 | (at[i] & 0x3f);
    }
    bool surrogate = code >= 0xd800 && code <= 0xdfff;
    return code < least[len] || code < 0xa0 || surrogate || code > 0x10ffff ? 0 : len;
}

void ki_sim_html_text(struct sim_html *h, const char *text)
{
    static const struct {
        char from;
        const char *to;
    } escapes[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&#39;"}};
    for (const char *at = text ? text : ""; *at;) {
        size_t len = html_char((const uint8_t *)at);
        const char *escape = len == 0 ? "\xef\xbf\xbd" : NULL;
        for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++) {
            if (*at == escapes[i].from)
                escape = escapes[i].to;
        }
        html_bytes(h, escape ? escape : at, escape ? strlen(escape) : len);
        at += len > 0 ? len : 1;
    }
}
