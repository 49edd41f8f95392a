/* A regular expression of a client's (members-filtered), matched against whole strings, in bounded work. */
#ifndef KI_AGENT_RPC_PATTERN_H
#define KI_AGENT_RPC_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/base.h"

struct ki_pattern; /* released with ki_pattern_free() */

enum ki_match { KI_MATCH_NO, KI_MATCH_YES, KI_MATCH_TOO_DEAR };

/* Returns the compiled pattern, or NULL with the reason in error. */
struct ki_pattern *ki_pattern_new(struct ki_span expression, char *error, size_t cap);
void ki_pattern_free(struct ki_pattern *pattern); /* NULL is fine */

/* TOO_DEAR: the limit of steps was reached; nothing is known then. */
enum ki_match ki_pattern_match(const struct ki_pattern *pattern, struct ki_span text);

#endif
