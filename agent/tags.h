/* A small map of tags, and the tags file: a JSON object of strings. */
#ifndef KI_AGENT_TAGS_H
#define KI_AGENT_TAGS_H

#include "kith/kith.h"

/* Why the core refuses tags. */
#define KI_TAGS_REFUSED                                                                                                \
    "the tags cannot be used: together they have 512 bytes at most, no name is empty or begins with _kith, no text has a " \
    "NUL, and a node in a pool of bare memberlist nodes has none"
_Static_assert(KITH_META_MAX == 512, "as KI_TAGS_REFUSED says");

struct ki_tag {
    char *key;
    char *value;
};

struct ki_tags {
    struct ki_tag *items;
    size_t count;
};

void ki_tags_free(struct ki_tags *tags);
/* Returns false without memory, and then nothing has changed. */
bool ki_tags_set(struct ki_tags *tags, struct kith_str key, struct kith_str value);
bool ki_tags_delete(struct ki_tags *tags, struct kith_str key); /* false: there was none */
/* The value, or NULL. */
const char *ki_tags_get(const struct ki_tags *tags, struct kith_str key);
/* Reads "key=value"; the value may hold more '='.  Returns false when there is no key. */
bool ki_tags_add_pair(struct ki_tags *tags, const char *pair);

struct kith_str ki_str(const char *text);

/* Returns 0; -1: told in `error`.  A file that is not there is no error and no tags. */
int ki_tags_load(struct ki_tags *out, const char *path, char *error, size_t cap);
/* Replaces the file at once (written beside it, synced, renamed).  Tags of kith's own are left out. */
int ki_tags_save(const struct ki_tags *tags, const char *path, char *error, size_t cap);

#endif
