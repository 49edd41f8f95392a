/* Two stores that differ, a repair between them, and what carries it: datagrams that are lost, repeated and reordered, or a
 * stream that may break.  What must not be aborts, so that a fuzz target and a measurement can use it. */
#ifndef TEST_REPAIR_PAIR_H
#define TEST_REPAIR_PAIR_H

#include <stdio.h>
#include <stdlib.h>

#include "base/rng.h"
#include "store/delta.h"
#include "store/expiry.h"
#include "store/ops.h"
#include "store/repair.h"

#ifndef PAIR_KEPT
#define PAIR_KEPT 4096 /* coded cells that a store keeps */
#endif

enum { PAIR_VALUE_MAX = 100000, PAIR_WALL_MS = 1000000, PAIR_QUEUE = 4096 };

struct pair_message {
    uint64_t due_ms;
    unsigned to;
    size_t len;
    uint8_t *bytes;
};

struct pair {
    struct ki_mem mems[2];
    struct ki_store stores[2];
    struct ki_repair sides[2]; /* 0 speaks first */
    enum ki_repair_result results[2];
    struct pair_message queue[PAIR_QUEUE];
    size_t queue_count;
    struct ki_rng rng;
    uint64_t now_ms;
    unsigned rounds;      /* of a stream: one way and back again are two */
    uint64_t break_after; /* messages of a stream; 0: never */
    uint64_t carried;
    void (*between)(struct pair *pair); /* writes something; NULL: nothing happens meanwhile */
};

static inline struct ki_span pair_text(const char *text)
{
    return ki_span(text, strlen(text));
}

static inline void pair_secret(struct ki_store *store, const char *word)
{
    uint8_t secret[KI_SECRET_LEN] = {0};
    memcpy(secret, word, strlen(word));
    KI_ASSERT(ki_compare_begin(store, secret, PAIR_KEPT));
}

static inline void pair_new_store(struct pair *p, unsigned side, uint64_t id)
{
    static const uint8_t hash_key[16] = "of one instance";
    static const struct ki_store_config config = {
        .limits = {.key_max = 100, .field_max = 100, .value_max = PAIR_VALUE_MAX},
        .bounds = {.warn_ms = 250, .clamp_ms = 5000, .refuse_ms = 3600000},
        .delta_cells_max = 1000};
    ki_mem_init(&p->mems[side], NULL, NULL, NULL, 0);
    ki_store_init(&p->stores[side], &p->mems[side], &config, id, hash_key);
    pair_secret(&p->stores[side], "a secret");
}

static inline void pair_begin(struct pair *p, uint64_t seed)
{
    memset(p, 0, sizeof *p);
    ki_rng_init(&p->rng, seed);
    for (unsigned i = 0; i < 2; i++)
        pair_new_store(p, i, 1 + i);
}

static inline void pair_drop_messages(struct pair *p)
{
    for (size_t i = 0; i < p->queue_count; i++)
        free(p->queue[i].bytes);
    p->queue_count = 0;
}

static inline void pair_end(struct pair *p)
{
    pair_drop_messages(p);
    for (unsigned i = 0; i < 2; i++) {
        ki_repair_free(&p->sides[i]);
        ki_store_free(&p->stores[i]);
        KI_ASSERT(p->mems[i].used == 0);
    }
}

/* ---- writing ---- */

/* What a store has written goes to the other, or is lost. */
static inline void pair_tell(struct pair *p, unsigned from, bool lost)
{
    static uint8_t bytes[1 << 18];
    struct ki_writer w = ki_writer(bytes, sizeof bytes);
    if (!lost) {
        ki_delta_encode(&p->stores[from], &w);
        KI_ASSERT(!w.full);
        int error = ki_store_merge(&p->stores[!from], PAIR_WALL_MS, ki_span(bytes, w.len));
        KI_ASSERT(error == 0);
    }
    ki_delta_end(&p->stores[from]);
}

/* One operation of any kind on one of so many keys. */
static inline void pair_write(struct pair *p, unsigned side, unsigned keys, bool lost)
{
    struct ki_store *store = &p->stores[side];
    char key[16], word[16];
    uint64_t wall_ms = PAIR_WALL_MS + ki_rng_below(&p->rng, 100);
    snprintf(key, sizeof key, "k%u", (unsigned)ki_rng_below(&p->rng, keys));
    snprintf(word, sizeof word, "w%u", (unsigned)ki_rng_below(&p->rng, 20));
    switch (ki_rng_below(&p->rng, 10)) {
    case 0:
    case 1:
        (void)ki_delete(store, pair_text(key), NULL);
        break;
    case 2:
        (void)ki_increase(store, wall_ms, pair_text(key), 3, NULL);
        break;
    case 3:
        (void)ki_set_add(store, wall_ms, pair_text(key), pair_text(word), NULL);
        break;
    case 4:
        (void)ki_remove(store, pair_text(key), KI_TYPE_SET, pair_text(word), NULL);
        break;
    case 5:
        (void)ki_sorted_increase(store, wall_ms, pair_text(key), pair_text(word), 0.5, NULL);
        break;
    case 6:
        (void)ki_put_sibling(store, wall_ms, pair_text(key), pair_text(word), NULL, 0);
        break;
    default:
        (void)ki_set(store, wall_ms, pair_text(key), pair_text(word), ki_rng_below(&p->rng, 4) ? 0 : wall_ms + 500);
    }
    pair_tell(p, side, lost);
}

/* ---- the truth ---- */

struct pair_state {
    uint8_t *bytes;
    size_t len;
};

static inline int pair_by_dot(const void *a, const void *b)
{
    const struct ki_cell_image *x = a, *y = b;
    return ki_dot_compare(x->dot, y->dot);
}

static inline struct ki_cell_image *pair_images(const struct ki_store *store, size_t *count)
{
    struct ki_cell_image *images = malloc((store->cells.cell_count + 1) * sizeof *images);
    *count = 0;
    for (uint32_t id = 0; id < store->cells.cells_used; id++) {
        if (ki_cells_at(&store->cells, id)->kind != 0)
            images[(*count)++] = ki_cells_image(&store->cells, id);
    }
    qsort(images, *count, sizeof *images, pair_by_dot);
    return images;
}

static inline struct pair_state pair_encode(const struct ki_cell_image *images, size_t count, struct ki_context *context)
{
    struct pair_state state = {.len = 0};
    size_t cap = ki_context_encoded_len(context);
    for (size_t i = 0; i < count; i++)
        cap += ki_cell_size(&images[i]);
    state.bytes = malloc(cap + 1);
    struct ki_writer w = ki_writer(state.bytes, cap);
    for (size_t i = 0; i < count; i++)
        ki_cell_encode(&w, &images[i]);
    struct ki_context_cursor cursor = {0};
    w.len += ki_context_encode(context, &cursor, w.start + w.len, cap - w.len);
    KI_ASSERT(!w.full && cursor.ended);
    state.len = w.len;
    return state;
}

static inline struct pair_state pair_state(struct ki_store *store)
{
    size_t count;
    struct ki_cell_image *images = pair_images(store, &count);
    struct pair_state state = pair_encode(images, count, &store->context);
    free(images);
    return state;
}

static inline bool pair_is_state(struct ki_store *store, struct pair_state expected)
{
    struct pair_state is = pair_state(store);
    bool same = is.len == expected.len && memcmp(is.bytes, expected.bytes, is.len) == 0;
    free(is.bytes);
    return same;
}

/* What both are when each knows what the other knows: what lives on one side and is unknown or alive on the other. */
static inline struct pair_state pair_truth(struct pair *p)
{
    size_t counts[2], count = 0;
    struct ki_cell_image *images[2] = {pair_images(&p->stores[0], &counts[0]), pair_images(&p->stores[1], &counts[1])};
    struct ki_cell_image *all = malloc((counts[0] + counts[1] + 1) * sizeof *all);
    for (unsigned side = 0; side < 2; side++) {
        const struct ki_store *other = &p->stores[!side];
        for (size_t i = 0; i < counts[side]; i++) {
            bool is_known = ki_context_has(&other->context, images[side][i].dot);
            bool is_live = ki_cells_by_dot(&other->cells, images[side][i].dot) != KI_NO_CELL;
            if (!is_known || (is_live && side == 0))
                all[count++] = images[side][i];
        }
    }
    qsort(all, count, sizeof *all, pair_by_dot);
    struct ki_context context;
    ki_context_init(&context, &p->mems[0]);
    KI_ASSERT(ki_context_join(&context, &p->stores[0].context) && ki_context_join(&context, &p->stores[1].context));
    struct pair_state state = pair_encode(all, count, &context);
    ki_context_free(&context);
    free(images[0]);
    free(images[1]);
    free(all);
    return state;
}

static inline void pair_settle(struct pair *p)
{
    for (unsigned i = 0; i < 2; i++) {
        while (ki_compare_settle(&p->stores[i], 1000) == KI_COMPARE_MORE) {
        }
    }
}

static inline bool pair_agrees(struct pair *p)
{
    pair_settle(p);
    struct ki_hash128 a = ki_compare_root(&p->stores[0]), b = ki_compare_root(&p->stores[1]);
    return a.first == b.first && a.second == b.second && p->stores[0].cells.cell_count == p->stores[1].cells.cell_count &&
           ki_context_equal(&p->stores[0].context, &p->stores[1].context);
}

/* ---- repairs ---- */

static inline struct ki_repair_config pair_config(bool is_stream)
{
    return (struct ki_repair_config){.session = 0x0123456789abcdef,
                                     .is_stream = is_stream,
                                     .message_max = is_stream ? 16384 : 1100,
                                     .first_cells = 24,
                                     .has_parity = true,
                                     .asking = KI_REPAIR_ASK_ONCE,
                                     .retry_ms = 200,
                                     .tries_max = 8,
                                     .coded_max = is_stream ? 1 << 17 : 1024,
                                     .runs_max = is_stream ? 1 << 22 : 4096,
                                     .cells_max = is_stream ? 0 : 32768,
                                     .session_limits = {.limbo_bytes_max = 1 << 24}};
}

/* The beginning of one side, which takes its snapshot now.  false: memory is out. */
static inline bool pair_open_side(struct pair *p, unsigned side, const struct ki_repair_config *config, uint32_t answering)
{
    struct ki_repair_config own = *config;
    own.role = side == 0 ? KI_REPAIR_INITIATOR : KI_REPAIR_RESPONDER;
    own.answering = side == 0 ? 0 : answering;
    ki_repair_free(&p->sides[side]);
    p->results[side] = KI_REPAIR_RUNNING;
    return ki_repair_init(&p->sides[side], &p->stores[side], &own);
}

/* false: memory is out on one side; neither is open. */
static inline bool pair_open(struct pair *p, const struct ki_repair_config *config)
{
    pair_settle(p);
    pair_drop_messages(p);
    for (unsigned i = 0; i < 2; i++) {
        if (!pair_open_side(p, i, config, 7)) {
            if (i == 1)
                ki_repair_free(&p->sides[0]);
            return false;
        }
    }
    for (unsigned i = 0; i < 2; i++)
        ki_repair_start(&p->sides[i], p->now_ms);
    p->rounds = 0;
    p->carried = 0;
    return true;
}

static inline void pair_close(struct pair *p)
{
    pair_drop_messages(p);
    ki_repair_free(&p->sides[0]);
    ki_repair_free(&p->sides[1]);
}

static inline void pair_put(struct pair *p, unsigned to, uint64_t due_ms, const uint8_t *bytes, size_t len)
{
    KI_ASSERT(p->queue_count < PAIR_QUEUE);
    struct pair_message *message = &p->queue[p->queue_count++];
    *message = (struct pair_message){.due_ms = due_ms, .to = to, .len = len, .bytes = malloc(len)};
    memcpy(message->bytes, bytes, len);
}

static inline void pair_work(struct pair *p, unsigned side)
{
    size_t budget;
    do {
        budget = 1 + ki_rng_below(&p->rng, 3000);
        p->results[side] = ki_repair_step(&p->sides[side], p->now_ms, &budget);
    } while (budget == 0 && p->results[side] != KI_REPAIR_FAILED);
}

/* Both neither wait for each other nor have anything to say. */
static inline bool pair_is_over(const struct pair *p)
{
    return ki_repair_is_over(&p->sides[0]) && ki_repair_is_over(&p->sides[1]);
}

static inline void pair_datagrams(struct pair *p, unsigned loss_percent, bool is_chaotic)
{
    uint8_t bytes[2048];
    size_t len;
    uint64_t end_ms = p->now_ms + 600000;
    while (p->now_ms < end_ms && !pair_is_over(p)) {
        for (unsigned i = 0; i < 2; i++) {
            pair_work(p, i);
            while (ki_repair_poll(&p->sides[i], bytes, sizeof bytes, &len)) {
                unsigned copies = is_chaotic && ki_rng_below(&p->rng, 10) == 0 ? 2 : 1;
                for (; copies > 0; copies--) {
                    if (ki_rng_below(&p->rng, 100) >= loss_percent)
                        pair_put(p, !i, p->now_ms + 10 + (is_chaotic ? ki_rng_below(&p->rng, 60) : 0), bytes, len);
                }
            }
        }
        p->rounds++;
        if (p->between)
            p->between(p);
        uint64_t next_ms = ki_min_u64(ki_repair_deadline_ms(&p->sides[0]), ki_repair_deadline_ms(&p->sides[1]));
        for (size_t i = 0; i < p->queue_count; i++)
            next_ms = ki_min_u64(next_ms, p->queue[i].due_ms);
        if (next_ms == UINT64_MAX)
            continue; /* both are over, or will be at once */
        p->now_ms = ki_max_u64(p->now_ms, ki_min_u64(next_ms, end_ms));
        for (size_t i = 0; i < p->queue_count;) {
            struct pair_message message = p->queue[i];
            if (message.due_ms > p->now_ms) {
                i++;
                continue;
            }
            memmove(&p->queue[i], &p->queue[i + 1], (p->queue_count - i - 1) * sizeof message);
            p->queue_count--;
            p->results[message.to] = ki_repair_receive(&p->sides[message.to], PAIR_WALL_MS, p->now_ms,
                                                       ki_span(message.bytes, message.len));
            free(message.bytes);
        }
    }
}

/* One way after the other, some messages at a time. */
static inline void pair_stream(struct pair *p)
{
    static uint8_t bytes[65536];
    size_t len, budget;
    bool is_quiet = false;
    for (unsigned from = 0; !pair_is_over(p) && !is_quiet; from = !from) {
        unsigned to = !from;
        is_quiet = true;
        for (unsigned k = 0; k < 2; k++)
            pair_work(p, k);
        for (unsigned window = 0; window < 16 && ki_repair_poll(&p->sides[from], bytes, sizeof bytes, &len); window++) {
            if (p->break_after > 0 && p->carried == p->break_after)
                return;
            p->carried++;
            is_quiet = false;
            p->results[to] = ki_repair_receive(&p->sides[to], PAIR_WALL_MS, p->now_ms, ki_span(bytes, len));
            budget = 100;
            (void)ki_repair_step(&p->sides[to], p->now_ms, &budget);
        }
        is_quiet = is_quiet && p->sides[0].pending == 0 && p->sides[1].pending == 0;
        p->rounds++;
        if (p->between)
            p->between(p);
    }
}

#endif
