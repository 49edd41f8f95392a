/* A query to the pool: asking, its answers, and who should have acknowledged. */
#ifndef KI_CLI_POOL_QUERY_H
#define KI_CLI_POOL_QUERY_H

#include "cli/cli.h"
#include "cli/member_list.h"

/* ---- asking ---- */

struct ki_pool_query {
    const char *name;
    struct ki_span payload;           /* ptr NULL: none */
    const struct ki_flag_list *nodes; /* names; empty: any */
    const struct ki_flag_list *tags;  /* "key=pattern", all of which must match; a pattern matches anywhere */
    uint32_t timeout_ms;              /* 0: the agent's own */
    uint8_t relay_factor;
    bool wants_acks;
    uint32_t top; /* ki_pool_query_fold(): so many of the largest answers */
};

enum ki_query_kind { KI_QUERY_ACK, KI_QUERY_RESPONSE, KI_QUERY_DONE };

struct ki_query_record {
    enum ki_query_kind kind;
    struct ki_span from, payload; /* borrowed until the next call */
};

/* Reads one; strings are borrowed from the object.  Returns false when it is malformed. */
bool ki_query_record_read(struct ki_query_record *record, struct ki_span object);

/* Both return whether it worked; the reason is in the client otherwise. */
bool ki_pool_query_send(struct ki_rpc_client *client, const struct ki_pool_query *query);
bool ki_pool_query_next(struct ki_rpc_client *client, const struct ki_pool_query *query, struct ki_query_record *record);

/* Asks for one answer of all, without acks and relays.  Out: object  borrowed until the next call (fold_answer.h). */
bool ki_pool_query_fold(struct ki_rpc_client *client, const struct ki_pool_query *query, struct ki_span *object);

/* ---- answers that are kept ---- */

struct ki_answer {
    struct ki_span from, payload;
};

struct ki_answers {
    struct ki_answer *items;
    size_t count, cap;
    size_t bytes; /* of them all */
};

/* Copies one.  Returns whether there was memory for it. */
bool ki_answers_add(struct ki_answers *answers, struct ki_span from, struct ki_span payload);
/* Puts them in order of their names, then of their payloads. */
void ki_answers_sort(struct ki_answers *answers);
/* Whether there is one of that name; they must be sorted. */
bool ki_answers_has(const struct ki_answers *answers, struct ki_span from);
/* Their names as a JSON array. */
json_t *ki_answers_names(const struct ki_answers *answers);
void ki_answers_free(struct ki_answers *answers);

/* ---- who should have ---- */

struct ki_pool_members {
    struct ki_member_list list;
    uint8_t *object; /* what the list borrows from */
};

/* Asks the agent for its members; with tags only for those that the query's tags select.  Free it in either case. */
bool ki_pool_members_ask(struct ki_rpc_client *client, const struct ki_flag_list *tags, struct ki_pool_members *members);
void ki_pool_members_free(struct ki_pool_members *members);

/* Whom the query selects, who has to acknowledge it: of the members in `list`, which its tags have selected, those that
 * are alive; or those that it names, whatever they are, and names that nobody has unless tags may be why.
 * Out: expected  names, with what each is as payload ("alive", "failed", "unknown"), sorted.  Returns whether there was
 * memory. */
bool ki_pool_expected(const struct ki_member_list *list, const struct ki_pool_query *query, struct ki_answers *expected);

/* Who of the expected is not among the acks, both sorted.  Returns whether there was memory. */
bool ki_pool_missing(const struct ki_answers *expected, const struct ki_answers *acks, struct ki_answers *missing);

/* A pattern that must match the whole of a value, as that of `members` must, for one that matches anywhere.  The caller
 * frees it; NULL when out of memory. */
char *ki_pool_pattern(const char *anywhere);

#endif
