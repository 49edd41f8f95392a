/* PCRE2 on a leash.
 *
 * Serf's expressions are RE2's: linear in the text, without back references.  PCRE2 takes all of that
 * syntax and more, but backtracks, so each match has a limit of steps, of depth and of heap; a pattern
 * that reaches one is refused as a whole (the caller drops the connection, which is what Serf does with
 * a pattern it cannot compile) and so costs one limit. A pattern has a limit of length, and may not use
 * \C, which would cut characters in half.
 *
 * The whole string must match: by PCRE2's own anchors rather than by writing ^(?: and )$ around the
 * text, which "a)|(?:b" would escape.  Bytes that are no UTF-8 match nothing but do no harm. */
#include "agent/rpc_pattern.h"

#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define RPC_PATTERN_LEN_MAX 1024   /* bytes; a member's name has at most 255 */
#define RPC_PATTERN_STEPS   20000u /* about 1 ms; honest patterns need a few steps a character */
#define RPC_PATTERN_DEPTH   2000u
#define RPC_PATTERN_HEAP    1024u /* KiB */

struct ki_pattern {
    pcre2_code *code;
    pcre2_match_context *context;
    pcre2_match_data *match;
};

static bool rpc_pattern_compile(struct ki_pattern *pattern, struct ki_span expression, int *error)
{
    static const PCRE2_UCHAR empty[1];
    const PCRE2_UCHAR *text = expression.len ? expression.ptr : empty;
    uint32_t options = PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_UTF | PCRE2_MATCH_INVALID_UTF |
                       PCRE2_NEVER_BACKSLASH_C;
    PCRE2_SIZE at;
    if (expression.len > RPC_PATTERN_LEN_MAX) {
        *error = PCRE2_ERROR_NOMEMORY;
        return false;
    }
    pattern->code = pcre2_compile(text, expression.len, options, error, &at, NULL);
    return pattern->code != NULL;
}

struct ki_pattern *ki_pattern_new(struct ki_span expression, char *error, size_t cap)
{
    int code = PCRE2_ERROR_NOMEMORY;
    struct ki_pattern *pattern = calloc(1, sizeof *pattern);
    bool done = pattern && rpc_pattern_compile(pattern, expression, &code);
    if (done) {
        code = PCRE2_ERROR_NOMEMORY;
        pattern->context = pcre2_match_context_create(NULL);
        pattern->match = pcre2_match_data_create(1, NULL);
        done = pattern->context && pattern->match;
    }
    if (!done) {
        pcre2_get_error_message(code, (PCRE2_UCHAR *)error, cap);
        ki_pattern_free(pattern);
        return NULL;
    }
    pcre2_set_match_limit(pattern->context, RPC_PATTERN_STEPS);
    pcre2_set_depth_limit(pattern->context, RPC_PATTERN_DEPTH);
    pcre2_set_heap_limit(pattern->context, RPC_PATTERN_HEAP);
    return pattern;
}

void ki_pattern_free(struct ki_pattern *pattern)
{
    if (!pattern)
        return;
    pcre2_match_data_free(pattern->match);
    pcre2_match_context_free(pattern->context);
    pcre2_code_free(pattern->code);
    free(pattern);
}

enum ki_match ki_pattern_match(const struct ki_pattern *pattern, struct ki_span text)
{
    static const PCRE2_UCHAR empty[1];
    int result = pcre2_match(pattern->code, text.len ? text.ptr : empty, text.len, 0, 0,
                             pattern->match, pattern->context);
    /* Broken UTF-8 ends what PCRE2 takes for the text: only a match of all bytes counts. */
    const PCRE2_SIZE *range = pcre2_get_ovector_pointer(pattern->match);
    if (result >= 0)
        return range[0] == 0 && range[1] == text.len ? KI_MATCH_YES : KI_MATCH_NO;
    return result == PCRE2_ERROR_NOMATCH ? KI_MATCH_NO : KI_MATCH_TOO_DEAR;
}
