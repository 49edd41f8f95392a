/* Our tags: one encoded map (wire/serf.h) of at most KITH_META_MAX bytes, edited in a draft.
 *
 * An edit decodes the draft into pairs that borrow from a copy of it, changes them, sorts them by key and encodes
 * them again: 512 bytes are not worth anything cleverer.
 *
 * Invariants: meta is always what the newest alive message of ours says; the draft is void unless draft_open. */
#include "node/node.h"
#include "node/replica.h"

#define TAGS_MAX 200 /* a tag takes at least 3 bytes of 512 */
#define TAGS_OWN "_kith" /* tags that begin so are ours */
#define TAGS_VERSION "1-1" /* of the kith channel: lowest and highest spoken */
#define TAGS_STORE "s"     /* behind it: this member has a store */

struct tags_set {
    uint8_t bytes[KITH_META_MAX];
    struct ki_tag_pair pairs[TAGS_MAX];
    size_t count;
};

static void tags_decode(struct tags_set *set, const uint8_t *meta, size_t len)
{
    memcpy(set->bytes, meta, len);
    set->count = 0;
    size_t cursor = 0;
    struct ki_tag_pair pair;
    while (set->count < TAGS_MAX && ki_tag_next(ki_span(set->bytes, len), &cursor, &pair.key, &pair.value))
        set->pairs[set->count++] = pair;
}

/* Where the key is, or would be inserted. */
static size_t tags_place(const struct tags_set *set, struct ki_span key, bool *found)
{
    size_t at = 0;
    while (at < set->count && ki_span_compare(set->pairs[at].key, key) < 0)
        at++;
    *found = at < set->count && ki_span_equal(set->pairs[at].key, key);
    return at;
}

static int tags_put(struct tags_set *set, struct ki_span key, struct ki_span value)
{
    bool found;
    size_t at = tags_place(set, key, &found);
    if (!found) {
        if (set->count == TAGS_MAX)
            return KITH_ERR_ARG;
        memmove(&set->pairs[at + 1], &set->pairs[at], (set->count - at) * sizeof set->pairs[0]);
        set->count++;
    }
    set->pairs[at] = (struct ki_tag_pair){.key = key, .value = value};
    return 0;
}

static int tags_encode(const struct tags_set *set, uint8_t *meta, uint32_t *len)
{
    uint8_t buf[KITH_META_MAX];
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    ki_encode_tags(&p, set->pairs, set->count);
    if (p.w.full)
        return KITH_ERR_ARG;
    memcpy(meta, buf, p.w.len);
    *len = (uint32_t)p.w.len;
    return 0;
}

static bool tags_key_fine(struct kith_str key)
{
    size_t own = sizeof TAGS_OWN - 1;
    return key.len > 0 && !(key.len >= own && memcmp(key.ptr, TAGS_OWN, own) == 0);
}

int ki_tags_init(struct kith *k, const struct kith_tag *tags, size_t count)
{
    struct tags_set set = {.count = 0};
    if (k->bare) { /* memberlist knows no tags: its pools agree on an empty meta */
        k->meta_len = 0;
        return count ? KITH_ERR_ARG : 0;
    }
    if (!k->cfg.stock)
        tags_put(&set, ki_span(TAGS_OWN, sizeof TAGS_OWN - 1), ki_span(TAGS_VERSION, sizeof TAGS_VERSION - 1));
    for (size_t i = 0; i < count; i++) {
        if (!tags_key_fine(tags[i].key))
            return KITH_ERR_ARG;
        if (tags_put(&set, ki_name_of(tags[i].key), ki_name_of(tags[i].value)) != 0)
            return KITH_ERR_ARG;
    }
    return tags_encode(&set, k->meta, &k->meta_len);
}

int ki_tags_store(struct kith *k)
{
    static const char value[] = TAGS_VERSION TAGS_STORE;
    struct tags_set set;
    tags_decode(&set, k->meta, k->meta_len);
    int error = tags_put(&set, ki_span(TAGS_OWN, sizeof TAGS_OWN - 1), ki_span(value, sizeof value - 1));
    return error ? error : tags_encode(&set, k->meta, &k->meta_len);
}

bool ki_has_store(const struct ki_member *m)
{
    struct ki_span value;
    return ki_tag_find(ki_member_meta(m), TAGS_OWN, &value) && value.len > 0 &&
           value.ptr[value.len - 1] == (uint8_t)TAGS_STORE[0];
}

int kith_begin(struct kith *k)
{
    if (k->life != KI_LIFE_LIVE || k->draft_open || k->bare)
        return KITH_ERR_STATE;
    memcpy(k->draft, k->meta, k->meta_len);
    k->draft_len = k->meta_len;
    k->draft_open = true;
    return 0;
}

int kith_tag_set(struct kith *k, struct kith_str key, struct kith_str value)
{
    if (!k->draft_open)
        return KITH_ERR_STATE;
    if (!tags_key_fine(key))
        return KITH_ERR_ARG;
    struct tags_set set;
    tags_decode(&set, k->draft, k->draft_len);
    int error = tags_put(&set, ki_name_of(key), ki_name_of(value));
    return error ? error : tags_encode(&set, k->draft, &k->draft_len);
}

int kith_tag_delete(struct kith *k, struct kith_str key)
{
    if (!k->draft_open)
        return KITH_ERR_STATE;
    if (!tags_key_fine(key))
        return KITH_ERR_ARG;
    struct tags_set set;
    bool found;
    tags_decode(&set, k->draft, k->draft_len);
    size_t at = tags_place(&set, ki_name_of(key), &found);
    if (!found)
        return KITH_ERR_NOT_FOUND;
    set.count--;
    memmove(&set.pairs[at], &set.pairs[at + 1], (set.count - at) * sizeof set.pairs[0]);
    return tags_encode(&set, k->draft, &k->draft_len);
}

void kith_abandon(struct kith *k)
{
    k->draft_open = false;
}

int kith_commit(struct kith *k, struct kith_time now, kith_ticket *ticket)
{
    ki_input(k, now);
    if (!k->draft_open || k->life != KI_LIFE_LIVE) /* an alive now would undo our leaving */
        return KITH_ERR_STATE;
    struct ki_ask *ask;
    int error = ki_ask_new(k, KI_ASK_COMMIT, !ticket, &ask);
    if (error)
        return error;
    kith_ticket mine = ask->ticket;
    ask->deadline_us = k->now.mono_us + (uint64_t)k->cfg.broadcast_timeout_ms * 1000;
    uint8_t before[KITH_META_MAX];
    uint32_t before_len = k->meta_len;
    memcpy(before, k->meta, before_len);
    memcpy(k->meta, k->draft, k->draft_len);
    k->meta_len = k->draft_len;
    error = ki_announce_self(k, ki_table_at(&k->table, k->self)->incarnation + 1, mine);
    ask = ki_ask_find(k, mine);
    if (error) {
        memcpy(k->meta, before, before_len);
        k->meta_len = before_len;
        ask->quiet = true;
        ki_ask_end(k, ask, error, 0);
        return error;
    }
    k->draft_open = false;
    if (ticket)
        *ticket = mine;
    if (!ki_anyone_else(k))
        ki_ask_end(k, ask, 0, 0); /* nobody to tell */
    return 0;
}
