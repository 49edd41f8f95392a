/* The broadcast queue: one array of small entries sorted in sending order.
 *
 *   entry   key = transmissions:16 | (65535 - length):16, then id (newest first), and the slot
 *   slot    the piece itself, at a place that does not move; by_subject leads from subject to slot
 *
 * Searching compares keys and ids that lie side by side and never follows a pointer: a thousand
 * simulated nodes have a thousand queues, none of which is in the cache.
 *
 * Taking does not move anything.  The entry is marked and keeps its old place until the next datagram
 * begins; then all marked ones move one tier down (transmissions + 1) in one pass.  So filling a
 * datagram costs one pass, not one for each piece.  Moving keeps their order among themselves, since
 * every key grew by the same amount; that is why one forward merge does it.
 *
 * Invariants: entries are sorted by (key, id descending), marked ones by the key they had when taken.
 * count = entries that still have a slot.  A subject is in by_subject iff a piece about it waits.
 * An entry without a slot (its piece has left) is marked and goes at the next pass.
 *
 * Deliberately not here: what news says, and when two pieces say the same.  The owner names subjects.
 */
#include "base/queue.h"

#include "base/canary.h"

struct ki_queue_entry {
    uint64_t id;
    uint32_t key;
    uint32_t slot; /* QUEUE_GONE, or the index of its slot; QUEUE_TAKEN marks it */
};

#define QUEUE_TAKEN ((uint32_t)1 << 31)
#define QUEUE_GONE  UINT32_MAX /* marked, and its piece has left */
#define QUEUE_SLOTS_MAX ((size_t)1 << 30)

enum {
    QUEUE_CAP_MIN = 8,
    QUEUE_KEEP = 64, /* an emptied queue gives back storage beyond so many entries */
    QUEUE_AHEAD = 16, /* pieces: about as many as a datagram holds, and as many as a processor fetches at a time */
    QUEUE_LINE = 64,  /* bytes of a cache line: two hold a usual piece */
    QUEUE_BATCH = 64 /* entries moved in one pass: 1 KiB of stack, and most datagrams hold fewer */
};

void ki_queue_init(struct ki_queue *queue, struct ki_mem *mem, size_t max)
{
    KI_ASSERT(max > 0 && max < QUEUE_SLOTS_MAX);
    *queue = (struct ki_queue){.mem = mem, .max = max, .slot_free = SIZE_MAX, .next_id = 1};
    ki_map_init(&queue->by_subject, mem);
}

static void queue_release_storage(struct ki_queue *queue)
{
    ki_mem_free(queue->mem, queue->entries);
    ki_mem_free(queue->mem, queue->slots);
    ki_map_free(&queue->by_subject);
    queue->entries = NULL;
    queue->slots = NULL;
    queue->entry_count = queue->entry_cap = queue->taken = 0;
    queue->slot_count = queue->slot_cap = 0;
    queue->slot_free = SIZE_MAX;
}

static void queue_free_leaving(struct ki_queue *queue)
{
    ki_mem_free(queue->mem, queue->leaving);
    queue->leaving = NULL;
}

void ki_queue_free(struct ki_queue *queue)
{
    for (size_t i = 0; i < queue->entry_count; i++) {
        const struct ki_queue_entry *entry = &queue->entries[i];
        if (entry->slot != QUEUE_GONE)
            ki_mem_free(queue->mem, queue->slots[entry->slot & ~QUEUE_TAKEN].news);
    }
    queue_free_leaving(queue);
    queue_release_storage(queue);
    queue->count = 0;
}

/* ---- order ---- */

static uint32_t queue_key(uint32_t sent, size_t len)
{
    uint32_t tier = sent < UINT16_MAX ? sent : UINT16_MAX;
    return tier << 16 | (uint32_t)(UINT16_MAX - len);
}

/* Of the same piece after one more transmission: the piece itself need not be looked at. */
static uint32_t queue_next_key(uint32_t key)
{
    return key >> 16 < UINT16_MAX ? key + (1u << 16) : key;
}

static uint32_t queue_tier(const struct ki_queue_entry *entry)
{
    return entry->key >> 16;
}

static bool queue_before(const struct ki_queue_entry *a, const struct ki_queue_entry *b)
{
    return a->key != b->key ? a->key < b->key : a->id > b->id;
}

/* The first entry, from index `from` on, that does not stand before (key, id). */
static size_t queue_search(const struct ki_queue *queue, size_t from, uint32_t key, uint64_t id)
{
    const struct ki_queue_entry wanted = {.id = id, .key = key};
    size_t to = queue->entry_count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (queue_before(&queue->entries[middle], &wanted))
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

/* The entry of the piece in a slot: by the key it has, or the one it had when it was taken. */
static size_t queue_place_of(const struct ki_queue *queue, uint32_t slot)
{
    const struct ki_news *news = queue->slots[slot].news;
    size_t at = queue_search(queue, 0, queue_key(news->sent, news->len), news->id);
    if (at == queue->entry_count || queue->entries[at].id != news->id)
        at = queue_search(queue, 0, queue_key(news->sent - 1, news->len), news->id);
    KI_ASSERT(at < queue->entry_count && queue->entries[at].id == news->id);
    return at;
}

static void queue_insert(struct ki_queue *queue, struct ki_queue_entry entry)
{
    size_t at = queue_search(queue, 0, entry.key, entry.id);
    memmove(&queue->entries[at + 1], &queue->entries[at],
            (queue->entry_count - at) * sizeof *queue->entries);
    queue->entries[at] = entry;
    queue->entry_count++;
}

static void queue_delete(struct ki_queue *queue, size_t at)
{
    if (queue->entries[at].slot & QUEUE_TAKEN)
        queue->taken--;
    queue->entry_count--;
    memmove(&queue->entries[at], &queue->entries[at + 1],
            (queue->entry_count - at) * sizeof *queue->entries);
}

/* ---- subjects and slots ---- */

static bool queue_is_about(const void *owner, uint32_t slot, const void *key)
{
    const struct ki_queue *queue = owner;
    const uint32_t *subject = key;
    return queue->slots[slot].news->subject == *subject;
}

static uint32_t queue_find(const struct ki_queue *queue, uint32_t subject)
{
    if (subject == KI_SUBJECT_NONE)
        return KI_MAP_NONE;
    return ki_map_get(&queue->by_subject, ki_map_hash_number(subject), queue_is_about, queue, &subject);
}

static bool queue_reserve(struct ki_queue *queue)
{
    if (queue->entry_count == queue->entry_cap) {
        size_t cap = queue->entry_cap ? queue->entry_cap * 2 : QUEUE_CAP_MIN;
        void *entries = ki_mem_resize(queue->mem, queue->entries, cap * sizeof *queue->entries);
        if (!entries)
            return false;
        queue->entries = entries;
        queue->entry_cap = cap;
    }
    if (queue->slot_free == SIZE_MAX && queue->slot_count == queue->slot_cap) {
        size_t cap = queue->slot_cap ? queue->slot_cap * 2 : QUEUE_CAP_MIN;
        void *slots = ki_mem_resize(queue->mem, queue->slots, cap * sizeof *queue->slots);
        if (!slots)
            return false;
        queue->slots = slots;
        queue->slot_cap = cap;
    }
    return true;
}

/* The slot that the next piece gets; it must be reserved. */
static uint32_t queue_next_slot(const struct ki_queue *queue)
{
    return (uint32_t)(queue->slot_free != SIZE_MAX ? queue->slot_free : queue->slot_count);
}

static void queue_fill_slot(struct ki_queue *queue, uint32_t slot, struct ki_news *news)
{
    if (slot == queue->slot_count)
        queue->slot_count++;
    else
        queue->slot_free = queue->slots[slot].next_free;
    queue->slots[slot].news = news;
}

/* Takes a piece out of slot, subject index and count, but not out of the order. */
static struct ki_news *queue_unslot(struct ki_queue *queue, uint32_t slot)
{
    struct ki_news *news = queue->slots[slot].news;
    if (news->subject != KI_SUBJECT_NONE)
        ki_map_remove(&queue->by_subject, ki_map_hash_number(news->subject), slot);
    queue->slots[slot].next_free = queue->slot_free;
    queue->slot_free = slot;
    queue->count--;
    return news;
}

/* ---- putting ---- */

static uint64_t queue_remove_at(struct ki_queue *queue, size_t at)
{
    struct ki_news *news = queue_unslot(queue, queue->entries[at].slot & ~QUEUE_TAKEN);
    uint64_t ticket = news->ticket;
    queue_delete(queue, at);
    ki_mem_free(queue->mem, news);
    return ticket;
}

/* Removes the most-transmitted piece, the oldest among equals.  The order has it in its last tier, or
 * one before when something is marked (those count one transmission more than their place says). */
static uint64_t queue_push_out(struct ki_queue *queue)
{
    uint32_t most = 0;
    size_t victim = SIZE_MAX;
    for (size_t i = queue->entry_count; i-- > 0;) {
        const struct ki_queue_entry *entry = &queue->entries[i];
        if (victim != SIZE_MAX && queue_tier(entry) + (queue->taken > 0) < most)
            break;
        if (entry->slot == QUEUE_GONE)
            continue;
        uint32_t sent = queue_tier(entry) + (entry->slot & QUEUE_TAKEN ? 1 : 0);
        if (victim == SIZE_MAX || sent > most ||
            (sent == most && entry->id < queue->entries[victim].id)) {
            most = sent;
            victim = i;
        }
    }
    KI_ASSERT(victim != SIZE_MAX);
    queue->dropped++;
    return queue_remove_at(queue, victim);
}

bool ki_queue_put(struct ki_queue *queue, uint32_t subject, uint64_t ticket, const void *bytes,
                  size_t len, uint64_t *replaced_ticket)
{
    uint64_t ignored;
    uint64_t *replaced = replaced_ticket ? replaced_ticket : &ignored;
    *replaced = 0;
    queue_free_leaving(queue);
    if (len > KI_NEWS_LEN_MAX) {
        queue->dropped++;
        *replaced = ticket;
        return true;
    }
    /* first all that can fail: a piece that is replaced leaves its slot and its place in the index */
    struct ki_news *news = ki_mem_resize(queue->mem, NULL, sizeof *news + len);
    if (!news || !queue_reserve(queue)) {
        ki_mem_free(queue->mem, news);
        return false;
    }
    *news = (struct ki_news){.id = queue->next_id, .ticket = ticket, .subject = subject};
    news->len = (uint32_t)len;
    if (len)
        memcpy(news->bytes, bytes, len);
    uint32_t old = queue_find(queue, subject);
    uint32_t slot = old != KI_MAP_NONE ? old : queue_next_slot(queue);
    if (old == KI_MAP_NONE && subject != KI_SUBJECT_NONE &&
        !ki_map_put(&queue->by_subject, ki_map_hash_number(subject), slot)) {
        ki_mem_free(queue->mem, news);
        return false;
    }
    /* then what cannot */
    if (old != KI_MAP_NONE) {
        size_t at = queue_place_of(queue, old);
        *replaced = queue->slots[old].news->ticket;
        queue_delete(queue, at);
        ki_mem_free(queue->mem, queue->slots[old].news);
        queue->slots[old].news = news;
    } else {
        queue_fill_slot(queue, slot, news);
        if (queue->count == queue->max && !KI_CANARY(HOARD))
            *replaced = queue_push_out(queue);
        queue->count++;
    }
    queue_insert(queue, (struct ki_queue_entry){queue->next_id++, queue_key(0, len), slot});
    return true;
}

uint64_t ki_queue_drop_subject(struct ki_queue *queue, uint32_t subject)
{
    queue_free_leaving(queue);
    uint32_t slot = queue_find(queue, subject);
    return slot == KI_MAP_NONE ? 0 : queue_remove_at(queue, queue_place_of(queue, slot));
}

void ki_queue_hush(struct ki_queue *queue, uint32_t subject, uint32_t most)
{
    uint32_t slot = queue_find(queue, subject);
    if (slot != KI_MAP_NONE)
        queue->slots[slot].news->most = most;
}

/* ---- sending ---- */

/* The best entry that fits and is not marked, or SIZE_MAX.  In each tier the largest that fits comes
 * first, so only marked ones are stepped over. */
static size_t queue_best(const struct ki_queue *queue, size_t room)
{
    size_t at = 0;
    room = ki_min_size(room, KI_NEWS_LEN_MAX);
    while (at < queue->entry_count) {
        uint32_t tier = queue_tier(&queue->entries[at]);
        at = queue_search(queue, at, queue_key(tier, room), UINT64_MAX);
        for (; at < queue->entry_count && queue_tier(&queue->entries[at]) == tier; at++) {
            if (!(queue->entries[at].slot & QUEUE_TAKEN))
                return at;
        }
    }
    return SIZE_MAX;
}

/* None of what is taken is in the cache: a piece is fetched before its turn, and the slot that leads to it before that. */
static void queue_fetch_slot(const struct ki_queue *queue, size_t at)
{
    if (at < queue->entry_count && queue->entries[at].slot != QUEUE_GONE)
        KI_PREFETCH(&queue->slots[queue->entries[at].slot & ~QUEUE_TAKEN]);
}

static void queue_fetch_piece(const struct ki_queue *queue, size_t at)
{
    if (at >= queue->entry_count || queue->entries[at].slot == QUEUE_GONE)
        return;
    const struct ki_news *news = queue->slots[queue->entries[at].slot & ~QUEUE_TAKEN].news;
    KI_PREFETCH(news);
    KI_PREFETCH((const uint8_t *)news + QUEUE_LINE);
}

const struct ki_news *ki_queue_take(struct ki_queue *queue, size_t room, uint32_t limit,
                                    uint64_t *done_ticket)
{
    *done_ticket = 0;
    queue_free_leaving(queue);
    size_t at = queue_best(queue, room);
    if (at == SIZE_MAX)
        return NULL;
    queue_fetch_slot(queue, at + QUEUE_AHEAD);
    queue_fetch_piece(queue, at + QUEUE_AHEAD / 2);
    struct ki_queue_entry *entry = &queue->entries[at];
    struct ki_news *news = queue->slots[entry->slot].news;
    news->sent++;
    if (news->sent >= limit || (news->most > 0 && news->sent >= news->most)) {
        *done_ticket = news->ticket;
        queue->leaving = queue_unslot(queue, entry->slot);
        entry->slot = QUEUE_GONE;
    } else {
        entry->slot |= QUEUE_TAKEN;
    }
    queue->taken++;
    return news;
}

/* Moves up to QUEUE_BATCH marked entries from their old places to their new ones, in one pass.  What is
 * taken out waits in `moved` until its place comes by, and leaves a gap that wanders along:
 * to + waiting + gone = from.  It waits first come, first served, since moving keeps the order. */
static void queue_settle(struct ki_queue *queue)
{
    struct ki_queue_entry moved[QUEUE_BATCH];
    struct ki_queue_entry *entries = queue->entries;
    size_t first = 0, last = 0, gone = 0, to = 0, from = 0;
    while (first < last || (queue->taken > 0 && last < QUEUE_BATCH)) {
        if (queue->taken == 0) { /* nothing to look at any more: what lies between moves as a whole */
            size_t place = queue_search(queue, from, moved[first].key, moved[first].id);
            memmove(&entries[to], &entries[from], (place - from) * sizeof *entries);
            to += place - from;
            from = place;
            entries[to++] = moved[first++];
            continue;
        }
        bool is_end = from == queue->entry_count;
        if (first < last && (is_end || queue_before(&moved[first], &entries[from]))) {
            entries[to++] = moved[first++];
            continue;
        }
        struct ki_queue_entry entry = entries[from++];
        if (!(entry.slot & QUEUE_TAKEN) || (entry.slot != QUEUE_GONE && last == QUEUE_BATCH)) {
            entries[to++] = entry;
            continue;
        }
        queue->taken--;
        if (entry.slot == QUEUE_GONE) {
            gone++;
            continue;
        }
        entry.slot &= ~QUEUE_TAKEN;
        entry.key = queue_next_key(entry.key);
        moved[last++] = entry;
    }
    if (gone > 0)
        memmove(&entries[to], &entries[from], (queue->entry_count - from) * sizeof *entries);
    queue->entry_count -= gone;
}

void ki_queue_next_datagram(struct ki_queue *queue)
{
    queue_free_leaving(queue);
    while (queue->taken > 0)
        queue_settle(queue);
    for (size_t i = 0; i < QUEUE_AHEAD; i++) /* most datagrams begin at the front */
        queue_fetch_slot(queue, i);
    for (size_t i = 0; i < QUEUE_AHEAD / 2; i++)
        queue_fetch_piece(queue, i);
    if (queue->count == 0 && queue->entry_cap > QUEUE_KEEP)
        queue_release_storage(queue);
}
