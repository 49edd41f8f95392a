/* The queue against a stupid model: an unsorted array that is searched whole for everything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/queue.h"
#include "base/rng.h"
#include "unit/failing.h"

/* ---- model ---- */

enum { MODEL_MAX = 400, SUBJECTS = 60 };

struct piece {
    uint64_t id;
    uint64_t ticket;
    uint32_t subject;
    uint32_t sent;
    size_t len;
    bool taken;
};

struct model {
    struct piece pieces[MODEL_MAX];
    size_t count, max;
    uint64_t next_id, dropped;
};

static uint64_t model_remove(struct model *m, size_t at)
{
    uint64_t ticket = m->pieces[at].ticket;
    m->pieces[at] = m->pieces[--m->count];
    return ticket;
}

static size_t model_find(const struct model *m, uint32_t subject)
{
    for (size_t i = 0; subject != KI_SUBJECT_NONE && i < m->count; i++) {
        if (m->pieces[i].subject == subject)
            return i;
    }
    return SIZE_MAX;
}

static uint64_t model_drop_subject(struct model *m, uint32_t subject)
{
    size_t at = model_find(m, subject);
    return at == SIZE_MAX ? 0 : model_remove(m, at);
}

static uint64_t model_put(struct model *m, uint32_t subject, uint64_t ticket, size_t len)
{
    uint64_t replaced = 0;
    size_t old = model_find(m, subject);
    if (old != SIZE_MAX) {
        replaced = model_remove(m, old);
    } else if (m->count == m->max) {
        size_t victim = 0;
        for (size_t i = 1; i < m->count; i++) {
            const struct piece *a = &m->pieces[i];
            const struct piece *b = &m->pieces[victim];
            if (a->sent > b->sent || (a->sent == b->sent && a->id < b->id))
                victim = i;
        }
        replaced = model_remove(m, victim);
        m->dropped++;
    }
    m->pieces[m->count++] =
        (struct piece){.id = m->next_id++, .ticket = ticket, .subject = subject, .len = len};
    return replaced;
}

static bool model_better(const struct piece *a, const struct piece *b)
{
    if (a->sent != b->sent)
        return a->sent < b->sent;
    return a->len != b->len ? a->len > b->len : a->id > b->id;
}

/* The id taken, or 0. */
static uint64_t model_take(struct model *m, size_t room, uint32_t limit, uint64_t *done)
{
    size_t best = SIZE_MAX;
    *done = 0;
    for (size_t i = 0; i < m->count; i++) {
        const struct piece *p = &m->pieces[i];
        if (!p->taken && p->len <= room &&
            (best == SIZE_MAX || model_better(p, &m->pieces[best])))
            best = i;
    }
    if (best == SIZE_MAX)
        return 0;
    struct piece *p = &m->pieces[best];
    uint64_t id = p->id;
    p->taken = true;
    if (++p->sent >= limit)
        *done = model_remove(m, best);
    return id;
}

static void model_next_datagram(struct model *m)
{
    for (size_t i = 0; i < m->count; i++)
        m->pieces[i].taken = false;
}

/* ---- both, step by step ---- */

static void fill(uint8_t *bytes, size_t len, uint64_t id)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(id * 31 + i);
}

static void check_bytes(const struct ki_news *news)
{
    for (size_t i = 0; i < news->len; i++)
        assert_int_equal(news->bytes[i], (uint8_t)(news->id * 31 + i));
}

static void step_put(struct ki_queue *queue, struct model *m, struct ki_rng *rng)
{
    uint8_t bytes[64];
    size_t len = ki_rng_below(rng, 8) ? 20 + ki_rng_below(rng, 4) : ki_rng_below(rng, 64);
    uint32_t subject = (uint32_t)ki_rng_below(rng, SUBJECTS);
    uint64_t ticket = ki_rng_below(rng, 3) ? 0 : m->next_id + 1000000;
    uint64_t replaced = 99;
    if (subject % 3 == 0)
        subject = KI_SUBJECT_NONE;
    fill(bytes, len, m->next_id);
    assert_true(ki_queue_put(queue, subject, ticket, bytes, len, &replaced));
    assert_true(replaced == model_put(m, subject, ticket, len));
}

static void step_take(struct ki_queue *queue, struct model *m, struct ki_rng *rng)
{
    size_t room = ki_rng_below(rng, 5) ? 1400 : ki_rng_below(rng, 40);
    uint32_t limit = 2 + (uint32_t)ki_rng_below(rng, 5);
    uint64_t done = 99;
    uint64_t model_done;
    const struct ki_news *news = ki_queue_take(queue, room, limit, &done);
    uint64_t id = model_take(m, room, limit, &model_done);
    assert_true((news ? news->id : 0) == id);
    assert_true(done == model_done);
    if (news)
        check_bytes(news);
}

static void run_against_model(uint64_t seed, size_t max, uint64_t puts, uint64_t takes)
{
    struct ki_rng rng;
    struct ki_mem mem;
    struct ki_queue queue;
    static struct model m;
    memset(&m, 0, sizeof m);
    m.max = max;
    m.next_id = 1;
    ki_rng_init(&rng, seed);
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_queue_init(&queue, &mem, max);
    for (int step = 0; step < 20000; step++) {
        uint64_t what = ki_rng_below(&rng, puts + takes + 4);
        if (what < puts) {
            step_put(&queue, &m, &rng);
        } else if (what < puts + takes) {
            step_take(&queue, &m, &rng);
        } else if (what < puts + takes + 3) {
            ki_queue_next_datagram(&queue);
            model_next_datagram(&m);
        } else {
            uint32_t subject = (uint32_t)ki_rng_below(&rng, SUBJECTS);
            assert_true(ki_queue_drop_subject(&queue, subject) == model_drop_subject(&m, subject));
        }
        assert_int_equal(queue.count, m.count);
        assert_int_equal(queue.dropped, m.dropped);
    }
    ki_queue_free(&queue);
    assert_int_equal(mem.used, 0);
}

/* Each row leans another way: full all the time, drained all the time, more than a batch per datagram. */
static const struct {
    size_t max;
    uint64_t puts, takes;
} mixes[] = {{1, 5, 5}, {3, 9, 9}, {50, 30, 4}, {300, 20, 30}, {300, 8, 60}, {300, 300, 300}};

static void test_against_model(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(mixes); i++) {
        for (uint64_t seed = 0; seed < 5; seed++)
            run_against_model(seed, mixes[i].max, mixes[i].puts, mixes[i].takes);
    }
}

/* ---- by hand ---- */

static void put(struct ki_queue *queue, uint32_t subject, uint64_t ticket, const char *text)
{
    assert_true(ki_queue_put(queue, subject, ticket, text, strlen(text), NULL));
}

/* Takes all that fits in one datagram, as words. */
static const char *datagram(struct ki_queue *queue, size_t room, uint32_t limit)
{
    static char text[256];
    size_t len = 0;
    uint64_t done;
    const struct ki_news *news;
    ki_queue_next_datagram(queue);
    while ((news = ki_queue_take(queue, room, limit, &done)) != NULL) {
        assert_true(len + news->len + 2 < sizeof text);
        memcpy(text + len, news->bytes, news->len);
        len += news->len;
        text[len++] = ' ';
        room -= news->len;
    }
    text[len ? len - 1 : 0] = '\0';
    return text;
}

static void test_order(void **state)
{
    (void)state;
    struct ki_mem mem;
    struct ki_queue queue;
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_queue_init(&queue, &mem, 10);
    assert_string_equal(datagram(&queue, 100, 3), "");
    put(&queue, 1, 0, "old");
    put(&queue, 2, 0, "longer");
    put(&queue, 3, 0, "new");
    assert_string_equal(datagram(&queue, 100, 3), "longer new old"); /* larger, then newer */
    put(&queue, 4, 0, "x");
    assert_string_equal(datagram(&queue, 4, 3), "x new"); /* fewest sent; then what fits */
    put(&queue, 3, 0, "newest");                         /* replaces "new", and starts afresh */
    assert_string_equal(datagram(&queue, 100, 3), "newest longer old x");
    assert_string_equal(datagram(&queue, 100, 3), "newest longer old x"); /* longer and old: third */
    assert_string_equal(datagram(&queue, 100, 3), "newest"); /* x went out for the third time before */
    assert_string_equal(datagram(&queue, 100, 3), "");
    assert_int_equal(queue.count, 0);
    ki_queue_free(&queue);
    assert_int_equal(mem.used, 0);
}

static void test_tickets_and_limits(void **state)
{
    (void)state;
    struct ki_mem mem;
    struct ki_queue queue;
    uint64_t ticket = 99;
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_queue_init(&queue, &mem, 2);
    put(&queue, 7, 11, "a");
    assert_true(ki_queue_put(&queue, 7, 12, "b", 1, &ticket));
    assert_int_equal(ticket, 11); /* replaced */
    assert_int_equal(queue.dropped, 0);
    put(&queue, KI_SUBJECT_NONE, 13, "c");
    assert_true(ki_queue_put(&queue, KI_SUBJECT_NONE, 14, "d", 1, &ticket));
    assert_int_equal(ticket, 12); /* pushed out: the oldest */
    assert_int_equal(queue.dropped, 1);
    assert_int_equal(ki_queue_drop_subject(&queue, 7), 0);
    assert_int_equal(ki_queue_drop_subject(&queue, KI_SUBJECT_NONE), 0);
    put(&queue, 7, 15, "e"); /* pushes out c */
    assert_int_equal(ki_queue_drop_subject(&queue, 7), 15);
    /* the last transmission ends the ticket, and the bytes stay until the next call */
    const struct ki_news *news = ki_queue_take(&queue, 10, 1, &ticket);
    assert_int_equal(ticket, 14);
    assert_int_equal(queue.count, 0);
    assert_memory_equal(news->bytes, "d", 1);
    /* too long for any datagram: dropped itself, and nothing is pushed out for it */
    static uint8_t large[KI_NEWS_LEN_MAX + 1];
    put(&queue, KI_SUBJECT_NONE, 16, "f");
    put(&queue, KI_SUBJECT_NONE, 17, "g");
    assert_true(ki_queue_put(&queue, 1, 18, large, sizeof large, &ticket));
    assert_int_equal(ticket, 18);
    assert_int_equal(queue.count, 2);
    assert_int_equal(queue.dropped, 3);
    assert_true(ki_queue_put(&queue, 1, 19, large, sizeof large - 1, &ticket));
    assert_int_equal(ticket, 16);
    assert_null(ki_queue_take(&queue, 0, 5, &ticket));
    news = ki_queue_take(&queue, SIZE_MAX, 5, &ticket);
    assert_int_equal(news->len, KI_NEWS_LEN_MAX);
    ki_queue_free(&queue);
    assert_int_equal(mem.used, 0);
}

/* A piece may have a limit of its own, which binds it alone and goes with it. */
static void test_hushed(void **state)
{
    (void)state;
    static const struct {
        uint32_t most, limit, sent;
    } cases[] = {{1, 9, 1}, {2, 9, 2}, {9, 3, 3}, {0, 3, 3}};
    for (size_t i = 0; i < KI_COUNT(cases); i++) {
        struct ki_queue queue;
        struct ki_mem mem;
        uint64_t done, times[2] = {0, 0};
        ki_mem_init(&mem, NULL, NULL, NULL, 0);
        ki_queue_init(&queue, &mem, 10);
        put(&queue, 1, 0, "other");
        put(&queue, 7, 0, "hushed");
        ki_queue_hush(&queue, 7, cases[i].most);
        ki_queue_hush(&queue, 8, 1); /* nobody's */
        for (unsigned datagram = 0; datagram < 20; datagram++) {
            const struct ki_news *news;
            ki_queue_next_datagram(&queue);
            while ((news = ki_queue_take(&queue, 100, cases[i].limit, &done)) != NULL)
                times[news->subject == 7]++;
        }
        assert_int_equal(times[0], cases[i].limit);
        assert_int_equal(times[1], cases[i].sent);
        assert_int_equal(queue.count, 0);
        put(&queue, 7, 0, "hushed");
        ki_queue_hush(&queue, 7, 1);
        put(&queue, 7, 0, "said anew");
        ki_queue_next_datagram(&queue);
        assert_non_null(ki_queue_take(&queue, 100, 5, &done));
        assert_int_equal(queue.count, 1);
        ki_queue_free(&queue);
    }
}

/* More transmissions than the order tells apart: still one at a time, still ended by the limit. */
static void test_endless_transmissions(void **state)
{
    (void)state;
    struct ki_mem mem;
    struct ki_queue queue;
    uint64_t done = 0;
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_queue_init(&queue, &mem, 4);
    put(&queue, 1, 5, "one");
    put(&queue, 2, 6, "two");
    for (uint32_t sent = 1; sent <= 70000; sent++) {
        ki_queue_next_datagram(&queue);
        for (int i = 0; i < 2; i++) {
            const struct ki_news *news = ki_queue_take(&queue, 100, 70000, &done);
            assert_int_equal(news->sent, sent);
            assert_int_equal(done, sent < 70000 ? 0 : news->ticket);
        }
        assert_null(ki_queue_take(&queue, 100, 70000, &done));
        if (sent == 69000)
            assert_int_equal(ki_queue_drop_subject(&queue, 3), 0);
    }
    assert_int_equal(queue.count, 0);
    put(&queue, 1, 5, "one");
    ki_queue_free(&queue);
    assert_int_equal(mem.used, 0);
}

static void test_drained_queue_gives_memory_back(void **state)
{
    (void)state;
    struct ki_mem mem;
    struct ki_queue queue;
    uint64_t done;
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_queue_init(&queue, &mem, 4096);
    for (uint32_t i = 0; i < 4096; i++)
        put(&queue, i, 0, "news");
    for (uint32_t i = 0; i < 4096; i++)
        assert_non_null(ki_queue_take(&queue, 100, 1, &done));
    assert_null(ki_queue_take(&queue, 100, 1, &done));
    ki_queue_next_datagram(&queue);
    assert_int_equal(mem.used, 0);
    put(&queue, 5, 0, "again");
    assert_string_equal(datagram(&queue, 100, 1), "again");
    ki_queue_free(&queue);
    assert_int_equal(mem.used, 0);
}

/* ---- memory runs out ---- */

/* Every allocation of every put fails once; each failure leaves the queue as the model has it. */
static void test_out_of_memory_changes_nothing(void **state)
{
    (void)state;
    struct failing failing = {0};
    struct ki_mem mem;
    struct ki_queue queue;
    static struct model m;
    int failed = 0;
    memset(&m, 0, sizeof m);
    m.max = 40;
    m.next_id = 1;
    ki_mem_init(&mem, failing_resize, failing_release, &failing, 0);
    ki_queue_init(&queue, &mem, 40);
    for (uint32_t i = 0; i < 120; i++) {
        uint8_t bytes[30];
        uint32_t subject = i % 5 ? i * 7 % 90 : KI_SUBJECT_NONE;
        uint64_t replaced;
        size_t len = i % 30;
        bool fine = false;
        fill(bytes, len, m.next_id);
        for (int until = 0; !fine; until++) {
            failing.until = until;
            fine = ki_queue_put(&queue, subject, i + 1, bytes, len, &replaced);
            failed += !fine;
            if (!fine) {
                assert_int_equal(replaced, 0);
                assert_int_equal(queue.count, m.count);
            }
        }
        assert_true(replaced == model_put(&m, subject, i + 1, len));
        if (i % 3 == 0) {
            uint64_t done, model_done;
            const struct ki_news *news = ki_queue_take(&queue, 25, 3, &done);
            assert_true((news ? news->id : 0) == model_take(&m, 25, 3, &model_done));
            assert_true(done == model_done);
            ki_queue_next_datagram(&queue);
            model_next_datagram(&m);
        }
        assert_int_equal(queue.count, m.count);
    }
    assert_true(failed > 120); /* and at some puts more than the piece itself could not be had */
    ki_queue_free(&queue);
    assert_int_equal(mem.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_model),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_tickets_and_limits),
        cmocka_unit_test(test_hushed),
        cmocka_unit_test(test_endless_transmissions),
        cmocka_unit_test(test_drained_queue_gives_memory_back),
        cmocka_unit_test(test_out_of_memory_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
