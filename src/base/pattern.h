/* A regular expression of a stranger's (filters of queries, members-filtered), matched in bounded work. */
#ifndef KI_PATTERN_H
#define KI_PATTERN_H

#include "base/mem.h"

struct ki_pattern; /* released with ki_pattern_free(), before `mem` goes */

enum ki_pattern_fit {
    KI_PATTERN_WHOLE, /* matches if all of the text does */
    KI_PATTERN_WITHIN /* if some part of it does */
};

enum ki_match { KI_MATCH_NO, KI_MATCH_YES, KI_MATCH_TOO_DEAR };

/* Returns the compiled pattern, or NULL with the reason in error (cap may be 0).  mem: NULL means the C library's. */
struct ki_pattern *ki_pattern_new(struct ki_mem *mem, enum ki_pattern_fit fit, struct ki_span expression, char *error,
                                  size_t cap);
void ki_pattern_free(struct ki_pattern *pattern); /* NULL is fine */

/* TOO_DEAR: the limit of steps or of memory was reached; nothing is known then. */
enum ki_match ki_pattern_match(const struct ki_pattern *pattern, struct ki_span text);

#endif
