/* Filters: each an element of an array of byte strings, 00 and a list of names, or 01 and a tag with an expression.
 *
 * All have to let a member through.  The expressions are those of whoever asks, and are compiled here, once for each query
 * and member: a query has at most FILTER_MAX of them that are looked at, each in bounded work (base/pattern.h), so one
 * query costs a few milliseconds at the worst and usually microseconds.
 *
 * Invariant: what is malformed lets nobody through.
 * Deliberately not here: who answers. */
#include "serf/filter.h"

#define FILTER_NAMES 0
#define FILTER_TAG 1
#define FILTER_MAX 16 /* tags of one query; Serf has no limit, and its command line gives one for each tag */

struct filter_tag {
    struct ki_span tag, expression;
};

static const struct ki_field filter_fields[] = {
    KI_FIELD(struct filter_tag, tag, "Tag", KI_FIELD_STR, 1, false),
    KI_FIELD(struct filter_tag, expression, "Expr", KI_FIELD_STR, 0, false),
};

/* ---- bytes ---- */

size_t ki_filter_text_len(size_t len)
{
    size_t head_len = len < 32 ? 1 : len < 65536 ? 3 : 5;
    return head_len + len;
}

/* The head of a byte string says its length, so that must be known first. */
void ki_encode_filter_names(struct ki_pack *p, size_t count, size_t texts_len)
{
    size_t head_len = count < 16 ? 1 : count < 65536 ? 3 : 5;
    ki_pack_bytes_front(p, 1 + head_len + texts_len);
    ki_put_u8(&p->w, FILTER_NAMES);
    ki_pack_array(p, count);
}

void ki_encode_filter_tag(struct ki_pack *p, struct ki_span tag, struct ki_span expression)
{
    struct filter_tag msg = {.tag = tag, .expression = expression};
    size_t keys_len = 1 + 5 + 4; /* a map of two, "Expr", "Tag" */
    ki_pack_bytes_front(p, 1 + keys_len + ki_filter_text_len(tag.len) + ki_filter_text_len(expression.len));
    ki_put_u8(&p->w, FILTER_TAG);
    ki_pack_struct(p, filter_fields, KI_COUNT(filter_fields), &msg);
}

static bool filter_read(struct ki_span bytes, struct ki_filter *out)
{
    struct ki_reader r = ki_reader(bytes.ptr, bytes.len);
    struct filter_tag msg = {.tag = {NULL, 0}};
    uint64_t kind = ki_take_be(&r, 1);
    *out = (struct ki_filter){.by_tag = kind == FILTER_TAG, .names = ki_span(r.pos, r.left)};
    if (r.bad || kind > FILTER_TAG)
        return false;
    if (kind == FILTER_NAMES)
        return ki_unpack_skip(&r);
    if (!ki_unpack_struct(&r, filter_fields, KI_COUNT(filter_fields), &msg))
        return false;
    out->tag = msg.tag;
    out->expression = msg.expression;
    return true;
}

bool ki_filter_next(struct ki_reader *r, uint32_t *left, struct ki_filter *out)
{
    struct ki_span bytes;
    if (r->bad || (*left == UINT32_MAX && (r->left == 0 || !ki_unpack_array(r, left))) || *left == 0)
        return false;
    *left -= 1;
    if (ki_unpack_bytes(r, &bytes) && filter_read(bytes, out))
        return true;
    r->bad = true;
    return false;
}

bool ki_filters_fine(struct ki_span filters)
{
    struct ki_reader r = ki_reader(filters.ptr, filters.len);
    struct ki_filter filter;
    uint32_t left = UINT32_MAX;
    while (ki_filter_next(&r, &left, &filter))
        ;
    return !r.bad;
}

/* ---- matching ---- */

static enum ki_filter_result filter_by_name(struct ki_span names, struct ki_span name)
{
    struct ki_reader r = ki_reader(names.ptr, names.len);
    struct ki_span text;
    uint32_t count;
    if (!ki_unpack_array(&r, &count))
        return KI_FILTER_BAD;
    for (; count > 0; count--) {
        if (!ki_unpack_str(&r, &text))
            return KI_FILTER_BAD;
        if (ki_span_equal(text, name))
            return KI_FILTER_PASS;
    }
    return KI_FILTER_REJECT;
}

static enum ki_filter_result filter_by_tag(struct ki_mem *mem, const struct ki_filter *filter, struct ki_span meta)
{
    struct ki_span key, value = ki_span(NULL, 0);
    size_t cursor = 0;
    bool found = false;
    while (!found && ki_tag_next(meta, &cursor, &key, &value))
        found = ki_span_equal(key, filter->tag);
    struct ki_pattern *pattern = ki_pattern_new(mem, KI_PATTERN_WITHIN, filter->expression, NULL, 0);
    if (!pattern)
        return KI_FILTER_BAD;
    enum ki_match match = ki_pattern_match(pattern, found ? value : ki_span(NULL, 0));
    ki_pattern_free(pattern);
    if (match == KI_MATCH_TOO_DEAR)
        return KI_FILTER_TOO_DEAR;
    return match == KI_MATCH_YES ? KI_FILTER_PASS : KI_FILTER_REJECT;
}

enum ki_filter_result ki_filters_match(struct ki_mem *mem, struct ki_span filters, struct ki_span name,
                                       struct ki_span meta)
{
    struct ki_reader r = ki_reader(filters.ptr, filters.len);
    struct ki_filter filter;
    uint32_t left = UINT32_MAX, tags = 0;
    enum ki_filter_result result = KI_FILTER_PASS;
    while (result == KI_FILTER_PASS && ki_filter_next(&r, &left, &filter)) {
        if (filter.by_tag && tags++ >= FILTER_MAX)
            return KI_FILTER_TOO_DEAR;
        result = filter.by_tag ? filter_by_tag(mem, &filter, meta) : filter_by_name(filter.names, name);
    }
    return r.bad ? KI_FILTER_BAD : result;
}
