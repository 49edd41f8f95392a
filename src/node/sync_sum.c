/* What a member counts for when views are compared.
 *
 * The idea: two views are the same if the sums of their members' hashes are, bucket by bucket.  A hash covers what one
 * exchange of views would settle, and nothing else, or two members would find each other different for ever:
 *
 *   living (alive or suspect)   name, address, incarnation, tags; and apart the time of its newest intent as it is told
 *   gone (dead or left)         name, that time, and whether it has left
 *
 * So a suspect counts as the living member that it may be: suspicions are left to gossip.  And of one that is gone nobody
 * cares under which incarnation it was; that one of two does not remember it is normal, so those lists are apart.
 * Of the living the time stands apart, because while a pool starts it is what differs most often: one hears of a member
 * here and of its join there.  A time that does not fit 32 bits is part of the content, and so is one that is of a leave.
 *
 * Hashes depend on a salt that is drawn for each comparison.  So nothing is kept with the members: a look through the
 * view makes all of it, and two members that happen to collide do so once.  It is no keyed hash: who flips the highest bit
 * of a word, and in the next one those that this turns, has names that collide under any salt.  Such members may be
 * missed, which harms nobody else, and are looked for together, which costs whoever compares time: in slices (sync_match.c).
 *
 * Deliberately not here: slices (sync.c).
 */
#include "node/sync.h"

#include "base/hash.h"

#define SUM_BUCKET_MEMBERS 16 /* at most: 128 bytes of items for one that differs, half a byte of sums for each */

unsigned ki_sync_bits(uint32_t members)
{
    unsigned bits = 0;
    while (bits < KI_SYNC_BITS_MAX && members >> bits > SUM_BUCKET_MEMBERS)
        bits++;
    return bits;
}

/* One multiplication a word, by a number that nobody knows before: a look at each of ten thousand members must not cost much
 * more than fetching them.  What differs in a single word never collides, since each step can be undone. */
static uint64_t sum_word(uint64_t hash, uint64_t word, uint64_t factor)
{
    hash = (hash ^ word) * factor;
    return hash ^ hash >> 32;
}

static uint64_t sum_bytes(uint64_t hash, struct ki_span bytes, uint64_t factor)
{
    const uint8_t *at = bytes.ptr;
    size_t left = bytes.len;
    for (; left >= 8; at += 8, left -= 8)
        hash = sum_word(hash, ki_load_le8(at), factor);
    return left > 0 ? sum_word(hash, ki_load_le_rest(at, left, bytes.len), factor) : hash;
}

/* The last steps of MurmurHash3 (Appleby 2011): every bit counts for every other. */
static uint64_t sum_end(uint64_t hash)
{
    hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccdull;
    hash = (hash ^ hash >> 33) * 0xc4ceb9fe1a85ec53ull;
    return hash ^ hash >> 33;
}

static bool sum_is_gone(const struct ki_member *m)
{
    return m->state == KI_DEAD || m->state == KI_LEFT;
}

/* The hash of the name, before its end. */
static uint64_t sum_name(const struct ki_member *m, const struct ki_sync_salt *salt)
{
    return sum_bytes(sum_word(salt->start, m->name_len, salt->factor), ki_member_name(m), salt->factor);
}

static uint32_t sum_item_name(uint64_t hash, bool is_gone)
{
    return (uint32_t)(sum_end(hash) >> 32 & ~UINT64_C(1)) | is_gone;
}

bool ki_sync_is_same(const struct kith *k, const struct ki_sync_seen *seen, const struct ki_sync_salt *salt)
{
    const struct ki_member *m = ki_table_at(&k->table, seen->id);
    return m && sum_item_name(sum_name(m, salt), sum_is_gone(m)) == seen->item.name;
}

struct ki_sync_place ki_sync_place(const struct kith *k, uint32_t id, const struct ki_sync_salt *salt, unsigned bits)
{
    const struct ki_member *m = ki_table_member(&k->table, id);
    bool is_gone = sum_is_gone(m), has_left;
    uint64_t ltime, factor = salt->factor;
    ki_state_told(k, id, &ltime, &has_left);
    uint64_t hash = sum_name(m, salt);
    struct ki_sync_place place = {.list = is_gone ? KI_SYNC_GONE : KI_SYNC_LIVING};
    place.item.name = sum_item_name(hash, is_gone);
    place.bucket = ki_sync_bucket(place.item, bits);
    bool is_apart = !is_gone && !has_left && ltime < KI_SYNC_TIME_NONE;
    place.item.time = is_apart ? (uint32_t)ltime : KI_SYNC_TIME_NONE;
    if (!is_apart)
        hash = sum_word(hash, ltime, factor);
    if (is_gone) {
        hash = sum_word(hash, 1 + has_left, factor);
    } else {
        uint64_t rest = (uint64_t)m->incarnation << 32 | (uint64_t)m->port << 16 | (uint64_t)m->addr_len << 8;
        hash = sum_word(hash, rest, factor);
        hash = sum_bytes(hash, ki_member_addr(m), factor);
        hash = sum_bytes(hash, ki_member_meta(m), factor);
    }
    hash = sum_end(hash);
    place.item.content = (uint32_t)(hash >> 32);
    place.sum = sum_word(hash, place.item.time, factor);
    return place;
}
