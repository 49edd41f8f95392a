/* What an agent answers about the keys that the pool encrypts with. */
#ifndef KI_CLI_KEY_ANSWER_H
#define KI_CLI_KEY_ANSWER_H

#include "cli/cli.h"

struct ki_key_answer_pair {
    struct ki_span name;    /* of a member, or a key in base64 */
    struct ki_span message; /* what the member says */
    uint64_t count;         /* members that have the key */
};

struct ki_key_answer_pairs {
    struct ki_key_answer_pair *items; /* sorted by name */
    size_t count;
};

struct ki_key_answer {
    struct ki_span raw_messages, raw_keys;
    uint64_t members, errors, responses;
    struct ki_key_answer_pairs messages, keys;
};

/* Reads one; spans are borrowed from the object.  Returns false when it is malformed or memory is out.  Free it in either
 * case. */
bool ki_key_answer_read(struct ki_key_answer *answer, struct ki_span object);
void ki_key_answer_free(struct ki_key_answer *answer);

/* As one document; the keys only if they were asked for.  In: action  the flag that asked: "install". */
json_t *ki_key_answer_json(const struct ki_key_answer *answer, const char *action, bool lists);
/* What members said, a line each, in Serf's columns.  In: title  the first word of each line. */
void ki_key_answer_print_messages(FILE *to, const struct ki_key_answer *answer, const char *title);
/* The keys, and how many of how many members have each. */
void ki_key_answer_print_keys(FILE *to, const struct ki_key_answer *answer);

#endif
