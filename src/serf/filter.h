/* Whom a query is for: Serf's filters, by name and by tag (PROTOCOL.md "queries"). */
#ifndef KI_FILTER_H
#define KI_FILTER_H

#include "base/pattern.h"
#include "wire/serf.h"

/* One filter as it travels. */
struct ki_filter {
    bool by_tag;
    struct ki_span names; /* by name: encoded array of strings */
    struct ki_span tag;   /* by tag: its key, */
    struct ki_span expression;
};

/* Writes one, as an element of the array of filters.  By name: the caller appends `count` names by ki_pack_str(), whose
 * encoded lengths together are texts_len. */
size_t ki_filter_text_len(size_t len); /* of a text of so many bytes */
void ki_encode_filter_names(struct ki_pack *p, size_t count, size_t texts_len);
void ki_encode_filter_tag(struct ki_pack *p, struct ki_span tag, struct ki_span expression);

/* Walks an encoded array of filters (ptr NULL: none): *r = ki_reader(filters) and *left = UINT32_MAX at first.  false: end,
 * or r->bad: a filter is empty, or of no known kind. */
bool ki_filter_next(struct ki_reader *r, uint32_t *left, struct ki_filter *out);
bool ki_filters_fine(struct ki_span filters); /* each can be read, as stock agents need it */

enum ki_filter_result { KI_FILTER_PASS, KI_FILTER_REJECT, KI_FILTER_BAD, KI_FILTER_TOO_DEAR };
/* Do all filters let this member through?  An expression is matched somewhere in the tag's value; an absent tag counts as
 * empty.  BAD: a filter or expression cannot be read. */
enum ki_filter_result ki_filters_match(struct ki_mem *mem, struct ki_span filters, struct ki_span name,
                                       struct ki_span meta);

#endif
