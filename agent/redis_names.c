/* Names that clients are interested in, and clients that are interested in a name: both ways, in lists.
 *
 *     bucket -> name -> name            every name has at least one interest
 *                |
 *                interests: (name, user) (name, user) ...     each is also in its user's list
 *
 * The hash is keyed, because clients choose the names.  The table doubles when it holds as many names as buckets; when
 * there is no memory for that, chains grow instead.  Whether a user is interested already is found by walking the
 * shorter of the two lists.
 *
 * Invariant: a name without interests is gone.
 *
 * Not here: limits; what follows from an interest. */
#include "agent/redis_names.h"

#include "base/hash.h"

#define NAMES_CAP_MIN 16

void ki_redis_names_init(struct ki_redis_names *names, const uint8_t key[16])
{
    *names = (struct ki_redis_names){.buckets = NULL};
    ki_list_init(&names->all);
    memcpy(names->key, key, 16);
}

void ki_redis_names_free(struct ki_redis_names *names)
{
    KI_ASSERT(names->count == 0);
    free(names->buckets);
    names->buckets = NULL;
    names->cap = 0;
}

void ki_redis_names_user_init(struct ki_redis_names_user *user, void *owner)
{
    *user = (struct ki_redis_names_user){.owner = owner};
    ki_list_init(&user->interests);
}

static struct ki_redis_name **names_bucket(const struct ki_redis_names *names, uint64_t hash)
{
    return &names->buckets[hash & (names->cap - 1)];
}

static struct ki_redis_name *names_find(const struct ki_redis_names *names, struct ki_span text, uint64_t hash)
{
    struct ki_redis_name *name = names->count > 0 ? *names_bucket(names, hash) : NULL;
    while (name && !(name->hash == hash && ki_span_equal(ki_redis_name_span(name), text)))
        name = name->next;
    return name;
}

struct ki_redis_name *ki_redis_names_find(const struct ki_redis_names *names, struct ki_span text)
{
    return names->count > 0 ? names_find(names, text, ki_siphash(names->key, text.ptr, text.len)) : NULL;
}

/* The interest of this user in this name, or NULL. */
static struct ki_redis_interest *names_interest(struct ki_redis_name *name, struct ki_redis_names_user *user)
{
    bool by_name = name->count < user->count;
    struct ki_list *head = by_name ? &name->interests : &user->interests;
    for (struct ki_list *at = head->next; at != head; at = at->next) {
        struct ki_redis_interest *interest = by_name ? KI_CONTAINER(at, struct ki_redis_interest, of_name)
                                                     : KI_CONTAINER(at, struct ki_redis_interest, of_user);
        if (interest->name == name && interest->user == user)
            return interest;
    }
    return NULL;
}

static bool names_grow(struct ki_redis_names *names)
{
    if (names->count < names->cap)
        return true;
    size_t cap = names->cap > 0 ? 2 * names->cap : NAMES_CAP_MIN;
    struct ki_redis_name **buckets = calloc(cap, sizeof *buckets);
    if (!buckets)
        return names->cap > 0;
    free(names->buckets);
    names->buckets = buckets;
    names->cap = cap;
    for (struct ki_list *at = names->all.next; at != &names->all; at = at->next) {
        struct ki_redis_name *name = KI_CONTAINER(at, struct ki_redis_name, all);
        struct ki_redis_name **bucket = names_bucket(names, name->hash);
        name->next = *bucket;
        *bucket = name;
    }
    return true;
}

static struct ki_redis_name *names_new(struct ki_redis_names *names, struct ki_span text, uint64_t hash)
{
    struct ki_redis_name *name = names_grow(names) ? malloc(sizeof *name + text.len) : NULL;
    if (!name)
        return NULL;
    struct ki_redis_name **bucket = names_bucket(names, hash);
    *name = (struct ki_redis_name){.next = *bucket, .hash = hash, .len = text.len};
    if (text.len > 0)
        memcpy(name->bytes, text.ptr, text.len);
    *bucket = name;
    ki_list_init(&name->interests);
    ki_list_push(&names->all, &name->all);
    names->count++;
    return name;
}

static void names_forget(struct ki_redis_names *names, struct ki_redis_name *name)
{
    struct ki_redis_name **link = names_bucket(names, name->hash);
    while (*link != name)
        link = &(*link)->next;
    *link = name->next;
    ki_list_remove(&name->all);
    names->count--;
    free(name);
}

static size_t names_cost(const struct ki_redis_name *name)
{
    return sizeof *name + name->len + sizeof(struct ki_redis_interest);
}

int ki_redis_names_add(struct ki_redis_names *names, struct ki_redis_names_user *user, struct ki_span text)
{
    uint64_t hash = ki_siphash(names->key, text.ptr, text.len);
    struct ki_redis_name *name = names_find(names, text, hash);
    if (name && names_interest(name, user))
        return 0;
    struct ki_redis_interest *interest = malloc(sizeof *interest);
    if (interest && !name)
        name = names_new(names, text, hash);
    if (!interest || !name) {
        free(interest);
        return -1;
    }
    *interest = (struct ki_redis_interest){.name = name, .user = user};
    ki_list_push(&name->interests, &interest->of_name);
    ki_list_push(&user->interests, &interest->of_user);
    name->count++;
    user->count++;
    user->bytes += names_cost(name);
    return 1;
}

void ki_redis_names_drop(struct ki_redis_names *names, struct ki_redis_interest *interest)
{
    struct ki_redis_name *name = interest->name;
    ki_list_remove(&interest->of_name);
    ki_list_remove(&interest->of_user);
    interest->user->count--;
    interest->user->bytes -= names_cost(name);
    free(interest);
    if (--name->count == 0)
        names_forget(names, name);
}

bool ki_redis_names_remove(struct ki_redis_names *names, struct ki_redis_names_user *user, struct ki_span text)
{
    struct ki_redis_name *name = ki_redis_names_find(names, text);
    struct ki_redis_interest *interest = name ? names_interest(name, user) : NULL;
    if (interest)
        ki_redis_names_drop(names, interest);
    return interest != NULL;
}

void ki_redis_names_drop_all(struct ki_redis_names *names, struct ki_redis_names_user *user)
{
    while (!ki_list_empty(&user->interests))
        ki_redis_names_drop(names, KI_CONTAINER(user->interests.next, struct ki_redis_interest, of_user));
}
