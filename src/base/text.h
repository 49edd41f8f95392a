/* One line of text, built in a buffer of the caller's: for traces, without stdio.  Always ends in NUL; what does not
 * fit is cut between two characters, and "..." says so. */
#ifndef KI_TEXT_H
#define KI_TEXT_H

#include "base/base.h"

struct ki_text {
    char *buf;
    size_t len, cap;
    size_t cut; /* where "..." still fits behind whole characters */
    bool full;
};

struct ki_text ki_text(char *buf, size_t cap); /* cap 1 or more; "" at first */
void ki_text_put(struct ki_text *t, const char *plain); /* from the program's text, as it is */
void ki_text_uint(struct ki_text *t, uint64_t value);
/* Bytes from the network: what a reader cannot see or might take for ours (control characters, space, '|', '\', and
 * what is not UTF-8) goes out as \xNN. */
void ki_text_name(struct ki_text *t, struct ki_span name);

#endif
