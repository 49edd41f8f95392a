/* What the commands on sets, hashes and sorted sets share: a bag of elements of one's own, since what the store lends is
 * gone with the next call; distinct random places; one group around several writes; members with their scores in a reply. */
#ifndef KI_AGENT_REDIS_ELEMENTS_H
#define KI_AGENT_REDIS_ELEMENTS_H

#include "agent/redis.h"
#include "base/map.h"

/* ---- a bag ---- */

struct ki_redis_item {
    struct kith_str bytes; /* the bag's own; they stay where they are until the item is dropped */
    double score;
};

struct ki_redis_block;
enum { KI_REDIS_BAG_ITEMS = 8, KI_REDIS_BAG_ROOM = 256 };

struct ki_redis_bag {
    struct ki_redis_item *items;
    uint32_t count;

    /* the bag's own */
    uint32_t cap;
    struct ki_mem mem;
    char *room; /* where the next item's bytes go, and how many may */
    size_t room_len;
    struct ki_redis_block *blocks; /* the newest first */
    struct ki_map by_bytes;        /* of the items that came by ki_redis_bag_find_or_put() */
    uint8_t hash_key[16];
    struct ki_redis_item first_items[KI_REDIS_BAG_ITEMS]; /* most commands gather little, and allocate nothing for it */
    char first_room[KI_REDIS_BAG_ROOM];
};

/* Allocates nothing.  It must not move while it is in use. */
void ki_redis_bag_init(struct ki_redis_bag *bag, struct ki_redis_call *call);
void ki_redis_bag_free(struct ki_redis_bag *bag);
/* Both copy the bytes.  false: memory is out, or the bag is as large as one may be; nothing changed. */
bool ki_redis_bag_put(struct ki_redis_bag *bag, struct kith_str bytes, double score);
/* *item is the one with these bytes; *is_new: it was not there, and has the score 0 now. */
bool ki_redis_bag_find_or_put(struct ki_redis_bag *bag, struct kith_str bytes, struct ki_redis_item **item, bool *is_new);
/* Takes out the one that ki_redis_bag_put() put in just now. */
void ki_redis_bag_drop_last(struct ki_redis_bag *bag);
/* By score, then by bytes: the order of a sorted set. */
void ki_redis_bag_sort(struct ki_redis_bag *bag);

/* ---- random places ---- */

/* `count` distinct ones of 0 .. size - 1, every choice alike; count <= size.  It must not move while it is in use. */
struct ki_redis_sample {
    struct ki_mem mem;
    struct ki_map chosen;
    uint64_t next, size;
};
void ki_redis_sample_init(struct ki_redis_sample *sample, uint32_t size, uint32_t count);
void ki_redis_sample_free(struct ki_redis_sample *sample);
/* Call it `count` times.  false: memory is out. */
bool ki_redis_sample_next(struct ki_redis_sample *sample, struct ki_redis_call *call, uint32_t *place);

/* ---- elements ---- */

static inline struct kith_str ki_redis_arg(const struct ki_redis_call *call, size_t i)
{
    return ki_redis_str(call->args[i]);
}

/* How many elements there are; 0 when the key is not there.  false: it holds another type, or cannot be read; answered. */
bool ki_redis_count(struct ki_redis_call *call, struct kith_str key, enum kith_type type, uint32_t *count);
/* Of an element by its place, 0 .. count - 1.  A sorted set's place is its rank.  false: there is none. */
bool ki_redis_element_at(struct ki_redis_call *call, struct kith_str key, enum kith_type type, uint32_t count,
                         uint32_t place, struct kith_element *out);

/* Several writes are one group, unless EXEC has opened one already: that one goes on. */
bool ki_redis_group_begin(struct ki_redis_call *call);
void ki_redis_group_end(struct ki_redis_call *call, bool opened);

/* After elements were removed: a key that has lost its last one has lost its end, too, and what is added later has none. */
void ki_redis_removed(struct ki_redis_call *call, struct kith_str key);

/* SREM, HDEL and ZREM; SCARD, HLEN and ZCARD; SSCAN, HSCAN and ZSCAN. */
void ki_redis_remove_elements(struct ki_redis_call *call, enum kith_type type);
void ki_redis_count_elements(struct ki_redis_call *call, enum kith_type type);
void ki_redis_scan_elements(struct ki_redis_call *call, enum kith_type type);

/* A count of 0 or more, or this error. */
bool ki_redis_natural(struct ki_redis_call *call, struct ki_span arg, const char *error, int64_t *out);

/* ---- members with scores ---- */

/* Replaces what is under the key, of whatever type, by the bag's members, as one group; answers with their count. */
void ki_redis_store_sorted(struct ki_redis_call *call, struct kith_str key, const struct ki_redis_bag *bag);

/* Of `count` members: RESP2 has member, score, member, score; RESP3 pairs. */
void ki_redis_put_members(struct ki_redis_call *call, uint64_t count, bool scores);
void ki_redis_put_member(struct ki_redis_call *call, struct kith_str member, double score, bool scores);

#endif
