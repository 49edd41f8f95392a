/* PCRE2 on a leash.
 *
 * Serf's expressions are RE2's: linear in the text, without back references.  PCRE2 takes all of that syntax and more, but
 * backtracks, so each match has a limit of steps, of depth and of heap; a pattern that reaches one is refused as a whole
 * and so costs one limit.  A pattern has a limit of length, and may not use \C, which would cut characters in half.
 *
 * Where the whole string must match, PCRE2's own anchors see to it rather than ^(?: and )$ around the text, which
 * "a)|(?:b" would escape.  Bytes that are no UTF-8 match nothing but do no harm.
 *
 * All memory is the caller's, and its limit is the limit of what a pattern compiles to. */
#include "base/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define PATTERN_LEN_MAX 1024   /* bytes; a member's name has at most 255 */
#define PATTERN_STEPS   20000u /* about 1 ms; honest patterns need a few steps a character */
#define PATTERN_DEPTH   2000u
#define PATTERN_HEAP    1024u /* KiB */

struct ki_pattern {
    struct ki_mem *mem;
    struct ki_mem own; /* the C library's, for who has none */
    pcre2_general_context *general;
    pcre2_code *code;
    pcre2_match_context *context;
    pcre2_match_data *match;
    bool whole;
};

static void *pattern_alloc(size_t size, void *mem)
{
    return ki_mem_resize(mem, NULL, size);
}

static void pattern_release(void *ptr, void *mem)
{
    ki_mem_free(mem, ptr);
}

static bool pattern_compile(struct ki_pattern *pattern, struct ki_span expression, int *error)
{
    static const PCRE2_UCHAR empty[1];
    const PCRE2_UCHAR *text = expression.len ? expression.ptr : empty;
    uint32_t options = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C;
    PCRE2_SIZE at;
    if (pattern->whole)
        options |= PCRE2_ANCHORED | PCRE2_ENDANCHORED;
    pcre2_compile_context *context = pcre2_compile_context_create(pattern->general);
    if (!context || expression.len > PATTERN_LEN_MAX) {
        pcre2_compile_context_free(context);
        return false;
    }
    pattern->code = pcre2_compile(text, expression.len, options, error, &at, context);
    pcre2_compile_context_free(context);
    return pattern->code != NULL;
}

static bool pattern_make(struct ki_pattern *pattern, struct ki_span expression, int *error)
{
    *error = PCRE2_ERROR_NOMEMORY;
    pattern->general = pcre2_general_context_create(pattern_alloc, pattern_release, pattern->mem);
    if (!pattern->general || !pattern_compile(pattern, expression, error))
        return false;
    *error = PCRE2_ERROR_NOMEMORY;
    pattern->context = pcre2_match_context_create(pattern->general);
    pattern->match = pcre2_match_data_create(1, pattern->general);
    if (!pattern->context || !pattern->match)
        return false;
    pcre2_set_match_limit(pattern->context, PATTERN_STEPS);
    pcre2_set_depth_limit(pattern->context, PATTERN_DEPTH);
    pcre2_set_heap_limit(pattern->context, PATTERN_HEAP);
    return true;
}

struct ki_pattern *ki_pattern_new(struct ki_mem *mem, enum ki_pattern_fit fit, struct ki_span expression, char *error,
                                  size_t cap)
{
    struct ki_mem own;
    int code = PCRE2_ERROR_NOMEMORY;
    ki_mem_init(&own, NULL, NULL, NULL, 0);
    struct ki_pattern *pattern = ki_mem_new(mem ? mem : &own, sizeof *pattern);
    if (pattern) {
        pattern->own = own;
        pattern->mem = mem ? mem : &pattern->own;
        pattern->whole = fit == KI_PATTERN_WHOLE;
        if (pattern_make(pattern, expression, &code))
            return pattern;
        ki_pattern_free(pattern);
    }
    if (cap > 0)
        pcre2_get_error_message(code, (PCRE2_UCHAR *)error, cap);
    return NULL;
}

void ki_pattern_free(struct ki_pattern *pattern)
{
    if (!pattern)
        return;
    pcre2_match_data_free(pattern->match);
    pcre2_match_context_free(pattern->context);
    pcre2_code_free(pattern->code);
    pcre2_general_context_free(pattern->general);
    struct ki_mem own = pattern->own; /* it lies in what is freed */
    ki_mem_free(pattern->mem == &pattern->own ? &own : pattern->mem, pattern);
}

enum ki_match ki_pattern_match(const struct ki_pattern *pattern, struct ki_span text)
{
    static const PCRE2_UCHAR empty[1];
    int result = pcre2_match(pattern->code, text.len ? text.ptr : empty, text.len, 0, 0, pattern->match,
                             pattern->context);
    const PCRE2_SIZE *range = pcre2_get_ovector_pointer(pattern->match);
    /* Broken UTF-8 ends what PCRE2 takes for the text: if all has to match, only a match of all bytes counts. */
    if (result >= 0)
        return !pattern->whole || (range[0] == 0 && range[1] == text.len) ? KI_MATCH_YES : KI_MATCH_NO;
    return result == PCRE2_ERROR_NOMATCH ? KI_MATCH_NO : KI_MATCH_TOO_DEAR;
}
