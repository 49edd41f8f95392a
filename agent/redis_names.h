/* Who is interested in which name: channels, patterns, watched keys. */
#ifndef KI_AGENT_REDIS_NAMES_H
#define KI_AGENT_REDIS_NAMES_H

#include "base/base.h"
#include "base/list.h"

struct ki_redis_name {
    struct ki_redis_name *next; /* of its bucket */
    struct ki_list all;         /* names->all */
    struct ki_list interests;
    size_t count; /* of them */
    uint64_t hash;
    size_t len;
    uint8_t bytes[];
};

/* One user's interest in one name. */
struct ki_redis_interest {
    struct ki_list of_name, of_user;
    struct ki_redis_name *name;
    struct ki_redis_names_user *user;
};

struct ki_redis_names_user {
    struct ki_list interests;
    size_t count;
    size_t bytes; /* that they cost */
    void *owner;
};

struct ki_redis_names {
    struct ki_list all;
    struct ki_redis_name **buckets;
    size_t cap; /* a power of two, or 0 */
    size_t count;
    uint8_t key[16];
};

void ki_redis_names_init(struct ki_redis_names *names, const uint8_t key[16]);
void ki_redis_names_free(struct ki_redis_names *names); /* nobody is interested in anything any more */
void ki_redis_names_user_init(struct ki_redis_names_user *user, void *owner);

/* 1; 0: it was already; -1: out of memory, and nothing has changed. */
int ki_redis_names_add(struct ki_redis_names *names, struct ki_redis_names_user *user, struct ki_span name);
/* Was it interested? */
bool ki_redis_names_remove(struct ki_redis_names *names, struct ki_redis_names_user *user, struct ki_span name);
void ki_redis_names_drop(struct ki_redis_names *names, struct ki_redis_interest *interest);
void ki_redis_names_drop_all(struct ki_redis_names *names, struct ki_redis_names_user *user);
/* NULL: nobody is interested. */
struct ki_redis_name *ki_redis_names_find(const struct ki_redis_names *names, struct ki_span name);

static inline struct ki_span ki_redis_name_span(const struct ki_redis_name *name)
{
    return ki_span(name->bytes, name->len);
}

#endif
