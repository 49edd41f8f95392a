/* What two members say when they compare their views (PROTOCOL.md "comparing views"): messages of a link's subject VIEW,
 * each kind on a channel of its own.
 *
 *   sums      start:be64 factor:be64 bits:u8 lists:u8 sum:be64 * 2^bits * lists
 *   items     first:be16 end:be16 {differs:bits of first .. end, living; gone} {name:be32 content:be32 time:be32} ...
 *   members   clock:varint event:varint query:varint {node state, ltime:varint, left:u8} ...
 *   wanted    0 number:be16 ...
 *   done      0
 *   times     number:be16 time:be32 ...
 */
#ifndef KI_WIRE_SYNC_H
#define KI_WIRE_SYNC_H

#include "wire/memberlist.h"

enum ki_sync_channel { KI_SYNC_SUMS, KI_SYNC_ITEMS, KI_SYNC_MEMBERS, KI_SYNC_WANTED, KI_SYNC_DONE, KI_SYNC_TIMES };

#define KI_SYNC_BITS_MAX 10
#define KI_SYNC_ITEMS_MAX 4096 /* of one message */
#define KI_SYNC_MESSAGE_MAX 65536

enum { KI_SYNC_LIVING, KI_SYNC_GONE, KI_SYNC_LISTS };

struct ki_sync_item {
    uint32_t name; /* its first bits say in which bucket, its lowest in which list */
    uint32_t content;
    uint32_t time; /* Lamport time of the newest intent about it, or KI_SYNC_TIME_NONE: content covers that */
};

#define KI_SYNC_ITEM_LEN 12 /* bytes */
#define KI_SYNC_TIME_NONE UINT32_MAX
#define KI_SYNC_TIME_LEN 6 /* of one told alone */

struct ki_sync_sums {
    uint64_t start, factor; /* what hashes begin with, and are multiplied by; the factor's lowest bit counts as 1 */
    unsigned bits;          /* 2^bits buckets */
    unsigned lists;         /* 1: nobody is gone, as the sender has it */
    const uint8_t *sums;    /* 8 bytes each, list by list */
};
bool ki_decode_sync_sums(struct ki_span message, struct ki_sync_sums *out);
void ki_encode_sync_sums(struct ki_writer *w, const struct ki_sync_sums *msg, const uint64_t *sums); /* but for its sums */

struct ki_sync_items {
    uint32_t first, end;                  /* buckets; first < end <= 2^10 */
    const uint8_t *differs[KI_SYNC_LISTS]; /* a bit for each bucket, the lowest bit of a byte first */
    uint32_t count;                       /* items */
    const uint8_t *items;                 /* their names never fall */
};
void ki_encode_sync_items_front(struct ki_writer *w, uint32_t first, uint32_t end, unsigned bits, const uint64_t *differs);
void ki_encode_sync_item(struct ki_writer *w, struct ki_sync_item item);
bool ki_decode_sync_items(struct ki_span message, struct ki_sync_items *out);
static inline struct ki_sync_item ki_sync_item_at(const struct ki_sync_items *items, uint32_t at)
{
    const uint8_t *place = items->items + (size_t)at * KI_SYNC_ITEM_LEN;
    return (struct ki_sync_item){
        (uint32_t)ki_load_be(place, 4), (uint32_t)ki_load_be(place + 4, 4), (uint32_t)ki_load_be(place + 8, 4)};
}

/* Of 2^bits. */
static inline uint32_t ki_sync_bucket(struct ki_sync_item item, unsigned bits)
{
    return (uint32_t)((uint64_t)item.name << bits >> 32);
}

static inline unsigned ki_sync_list(struct ki_sync_item item)
{
    return item.name & 1 ? KI_SYNC_GONE : KI_SYNC_LIVING;
}

static inline bool ki_sync_differs(const struct ki_sync_items *items, unsigned list, uint32_t bucket)
{
    if (bucket < items->first || bucket >= items->end)
        return false;
    bucket -= items->first;
    return items->differs[list][bucket / 8] >> bucket % 8 & 1;
}

struct ki_sync_clocks {
    uint64_t ltime, event_ltime, query_ltime;
};

/* A member, and of which Lamport time the newest intent about it is; has_left: that was one to leave. */
struct ki_sync_member {
    struct ki_node_state node;
    uint64_t ltime;
    bool has_left;
};
void ki_encode_sync_clocks(struct ki_writer *w, const struct ki_sync_clocks *clocks);
bool ki_decode_sync_clocks(struct ki_reader *r, struct ki_sync_clocks *clocks);
void ki_encode_sync_member(struct ki_pack *p, const struct ki_sync_member *member);
bool ki_decode_sync_member(struct ki_reader *r, struct ki_sync_member *member);

#endif
