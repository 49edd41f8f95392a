/* What an agent answers to an event that is to be confirmed: who has it. */
#ifndef KI_CLI_CONFIRMATION_H
#define KI_CLI_CONFIRMATION_H

#include "cli/cli.h"

struct ki_confirmation_names {
    struct ki_span *items;
    size_t count;
};

struct ki_confirmation {
    uint64_t confirmed, members;
    struct ki_span raw_missing, raw_unable;
    struct ki_confirmation_names missing; /* have not said so in time */
    struct ki_confirmation_names unable;  /* are of Serf's kind, and cannot say so */
};

/* Names in an array, or nil.  As below; to be released with free(). */
bool ki_confirmation_names_read(struct ki_confirmation_names *names, struct ki_span raw);
json_t *ki_confirmation_names_json(const struct ki_confirmation_names *names);

/* Reads one; spans are borrowed from the object.  Returns false when it is malformed or memory is out.  Free it in either
 * case. */
bool ki_confirmation_read(struct ki_confirmation *confirmation, struct ki_span object);
void ki_confirmation_free(struct ki_confirmation *confirmation);

/* Whether every member has it. */
bool ki_confirmation_is_whole(const struct ki_confirmation *confirmation);
/* Sets the keys "confirmed", "members", "missing" and "unable". */
void ki_confirmation_json(const struct ki_confirmation *confirmation, json_t *object);
/* Who has not confirmed it, and why; nothing if there is nobody. */
void ki_confirmation_print(FILE *to, const struct ki_confirmation *confirmation);

#endif
