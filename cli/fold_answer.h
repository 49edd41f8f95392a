/* What an agent answers to a query whose answers are folded: one result of all. */
#ifndef KI_CLI_FOLD_ANSWER_H
#define KI_CLI_FOLD_ANSWER_H

#include "cli/aggregate_answer.h"
#include "cli/confirmation.h"

/* What of it is wanted. */
enum ki_fold_want {
    KI_FOLD_WANT_COUNT,
    KI_FOLD_WANT_SUM,
    KI_FOLD_WANT_AVG,
    KI_FOLD_WANT_MIN,
    KI_FOLD_WANT_MAX,
    KI_FOLD_WANT_TOP
};

/* Reads "avg", "top:3", ...  Out: top  with TOP how many, else 0.  Returns NULL, or what is wrong, to be put behind it. */
const char *ki_fold_want_read(const char *text, enum ki_fold_want *out, uint32_t *top);

struct ki_fold_answer {
    uint64_t members, answers, unusable, silent; /* the first is the three others together */
    struct ki_aggregate_real sum, average, variance, min, max;
    struct ki_aggregate_places top;
    struct ki_confirmation_names missing, unable; /* of the silent, as far as they have names: in time; ever */
};

/* Reads one; spans are borrowed from the object.  False: malformed, or memory is out.  Free it in either case. */
bool ki_fold_answer_read(struct ki_fold_answer *answer, struct ki_span object);
void ki_fold_answer_free(struct ki_fold_answer *answer);

/* There is what was wanted, and nobody is silent. */
bool ki_fold_answer_is_whole(const struct ki_fold_answer *answer, enum ki_fold_want want);
/* Sets the keys of the answer. */
void ki_fold_answer_json(const struct ki_fold_answer *answer, enum ki_fold_want want, json_t *object);
void ki_fold_answer_print(FILE *to, const struct ki_fold_answer *answer, enum ki_fold_want want);
/* Why it is not whole; nothing if it is. */
void ki_fold_answer_complain(FILE *to, const struct ki_fold_answer *answer, enum ki_fold_want want);

#endif
