/* What an agent answers about aggregates. */
#ifndef KI_CLI_AGGREGATE_ANSWER_H
#define KI_CLI_AGGREGATE_ANSWER_H

#include "cli/cli.h"

/* A number that may not be there. */
struct ki_aggregate_real {
    double value;
    bool is_there;
};

/* A number, or nil: then, and if it is not finite, it is not there.  False: malformed. */
bool ki_aggregate_real_read(struct ki_span raw, struct ki_aggregate_real *out);
json_t *ki_aggregate_real_json(struct ki_aggregate_real real); /* null */

struct ki_aggregate_quantile {
    double q;
    struct ki_aggregate_real value, rank_error;
};

struct ki_aggregate_place {
    struct ki_span member;
    double value;
    uint64_t rank; /* from 0, the smallest */
};

struct ki_aggregate_places {
    struct ki_aggregate_place *items;
    size_t count;
};

/* An array, or nil; a place may be without a rank.  As below; items are to be released with free(). */
bool ki_aggregate_places_read(struct ki_span raw, struct ki_aggregate_places *places);

struct ki_aggregate_answer {
    struct ki_span engine, unit;
    double count, coverage, effective_n;
    struct ki_aggregate_real sum, average, variance, min, max, error;
    uint64_t age_ms;
    uint32_t conflicts;
    bool converged;
    struct ki_aggregate_quantile *quantiles;
    size_t quantile_count;
    struct ki_aggregate_places top, bottom;
};

/* Reads one; spans are borrowed from the object.  False: malformed, or memory is out.  Free it in either case. */
bool ki_aggregate_answer_read(struct ki_aggregate_answer *answer, struct ki_span object);
void ki_aggregate_answer_free(struct ki_aggregate_answer *answer);

/* Prints "what: why the last call failed" to standard error.  Returns the exit code. */
int ki_aggregate_failed(const struct ki_rpc_client *client, const char *what);

/* What of an answer was asked for beyond the sums. */
struct ki_aggregate_wanted {
    bool top, bottom, sorted; /* sorted: the bottom, as all of the order */
};

json_t *ki_aggregate_answer_json(const struct ki_aggregate_answer *answer, const char *name,
                                 const struct ki_aggregate_wanted *wanted);
void ki_aggregate_answer_print(FILE *to, const struct ki_aggregate_answer *answer, const char *name,
                               const struct ki_aggregate_wanted *wanted);
/* In one line, without what changes by itself. */
void ki_aggregate_answer_line(FILE *to, const struct ki_aggregate_answer *answer, const struct ki_aggregate_wanted *wanted);

/* ---- the list of them ---- */

struct ki_listed_aggregate {
    struct ki_span name, unit, engine;
    double min, max, step;
    uint32_t interval_ms, contributors, conflicts;
    bool builtin, open; /* the agent's own; open there */
    struct ki_aggregate_real own;
};

struct ki_aggregate_list {
    struct ki_listed_aggregate *items;
    size_t count;
};

bool ki_aggregate_list_read(struct ki_aggregate_list *list, struct ki_span object);
void ki_aggregate_list_free(struct ki_aggregate_list *list);
/* All that there are; or, as gauges, those that are open at the agent, with what it contributes. */
json_t *ki_aggregate_list_json(const struct ki_aggregate_list *list, bool gauges);
void ki_aggregate_list_print(FILE *to, const struct ki_aggregate_list *list, bool gauges);

#endif
