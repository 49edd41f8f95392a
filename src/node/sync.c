/* Comparing views: who begins one, and when; and a run, one side of a comparison, step by step.
 *
 *   asks      SUM ORDER -> sums -> WAIT --items--> MATCH TELL -> members ... times -> wanted -> WAIT --done--> over
 *   answers   --sums--> SUM ORDER -> [items -> WAIT --wanted--> TELL -> members ...] for each range -> done -> over
 *
 * Who asks sums up its view in buckets.  The other lists its members in the buckets that differ, a range of them at a time.
 * The first tells what the list lacks or has otherwise, and wants what it lacks itself.  Where nothing but the time of an
 * intent differs, the later time is told, or taken from the list, and nothing else.  Members are merged as they come
 * (sync_merge.c); the views may change meanwhile.  What is listed, and looked for in the other's list, is our view as it was
 * summed up: hashes are reckoned once, and members that have come since then are left for the next time.
 *
 * All work but merging is done in ki_sync_tick(), a slice of one run a call; the link takes messages when they are made.
 *
 * Comparisons begin when gossip has told of many new members, and follow each other, with members at random, as long as they
 * bring something new: what a flood of joins has left different everywhere is the same everywhere after about as many as it
 * takes to double one member to the whole pool.
 *
 * Invariants: a link has at most one run of each role; what a run holds is bounded, and freed when either is over.
 * Deliberately not here: links; members that do not speak kith: with them whole states are exchanged (exchange.c).
 */
#include "node/sync.h"

#define SYNC_SLICE 4096         /* members looked through in one call: below half a millisecond */
#define SYNC_TOLD_MAX 32768     /* bytes of members in one message: merging it is a slice, too */
#define SYNC_SOON_US 50000      /* before the next comparison, and as much again at random; */
#define SYNC_SOON_MEMBER_US 190 /* and for each member, since a look at each is what it costs */
#define SYNC_STRANGE_US 300000  /* likewise, after one that did not know us: it may have no room for us */
#define SYNC_NEWS 8             /* members of whom gossip has told since: more than it tells everybody of in a second */
#define SYNC_NEWS_TOLD 2        /* times, by each who hears it: infect-and-die with two reaches 80 %; */
#define SYNC_LARGE 1024         /* in pools of more members once: then it costs more than comparing, and tells as much */
#define SYNC_SMALL 64           /* in pools of no more both are cheap: gossip says of members no less, */
#define SYNC_NEWS_SMALL 4       /* and so many are enough */
#define SYNC_MORE 2             /* after one that has brought something new */
#define SYNC_PICKS 8            /* tries to find a member that speaks kith */

/* ---- beginning and end ---- */

void ki_sync_ready(struct kith *k)
{
    ki_list_init(&k->sync_links);
    if (!k->bare && !k->cfg.stock)
        k->link_owners[KI_LINK_VIEW] = &ki_sync_link_owner;
}

static void sync_link_free(struct kith *k, struct ki_sync_link *data)
{
    for (unsigned role = 0; role < KI_SYNC_ROLES; role++)
        ki_sync_run_end(k, &data->runs[role]);
    ki_list_remove(&data->all);
    ki_mem_free(&k->mem, data);
}

static void sync_after(struct kith *k, uint64_t base_us)
{
    if (k->sync_next_us != KITH_NEVER || k->life != KI_LIFE_LIVE || k->cfg.push_pull_interval_ms == 0)
        return;
    uint64_t wait_us = base_us + (uint64_t)SYNC_SOON_MEMBER_US * k->table.count;
    k->sync_next_us = k->now.mono_us + wait_us + ki_rng_below(&k->rng, wait_us);
}

/* It refuses the hello of whom it does not know: it is told of us, and the next comparison is soon.  A whole state would
 * tell it, too, and much besides; while a pool of thousands starts, everybody is a stranger to most. */
static void sync_introduce(struct kith *k, const struct ki_link *link)
{
    ki_send(k, KI_CLASS_OTHER,
            &(struct ki_send){.kind = KI_SEND_NEWS_OF, .id = k->self, .to_member = true, .to = link->addr});
    sync_after(k, SYNC_STRANGE_US);
}

void ki_sync_link_closed(struct kith *k, struct ki_sync_link *data)
{
    const struct ki_link *link = data->link;
    bool asked = data->runs[KI_SYNC_ASKS].step != KI_SYNC_IDLE, learned = data->learned;
    bool link_was_open = link->is_open, is_stranger = asked && link->stream->opened && !link_was_open;
    bool is_turn = data->is_turn;
    sync_link_free(k, data);
    if (is_stranger && is_turn)
        ki_stream_dial(k, &link->addr, KI_PURPOSE_SYNC, KI_SYNC_PERIODIC);
    else if (is_stranger)
        sync_introduce(k, link);
    else if (learned || (asked && link_was_open))
        ki_sync_soon(k);
}

void ki_sync_free(struct kith *k)
{
    while (k->link_owners[KI_LINK_VIEW] && !ki_list_empty(&k->sync_links))
        sync_link_free(k, KI_CONTAINER(k->sync_links.next, struct ki_sync_link, all));
}

struct ki_sync_link *ki_sync_link_data(struct kith *k, struct ki_link *link)
{
    struct ki_sync_link *data = link->owner_data[KI_LINK_VIEW];
    if (data)
        return data;
    data = ki_mem_new(&k->mem, sizeof *data);
    if (!data) {
        ki_count(k, KI_COUNT_out_of_memory);
        return NULL;
    }
    data->link = link;
    ki_list_push(&k->sync_links, &data->all);
    link->owner_data[KI_LINK_VIEW] = data;
    return data;
}

void ki_sync_run_end(struct kith *k, struct ki_sync_run *run)
{
    void *const blocks[] = {run->sums,  run->seen,         run->spare,       run->starts, run->theirs,
                            run->marks, run->wanted.start, run->times.start, run->listed, run->told,
                            run->out};
    for (size_t i = 0; i < KI_COUNT(blocks); i++)
        ki_mem_free(&k->mem, blocks[i]);
    *run = (struct ki_sync_run){.step = KI_SYNC_IDLE};
}

/* What a run needs from its beginning on.  false: memory is out, and the run is not begun. */
static bool sync_run_begin(struct kith *k, struct ki_sync_run *run, unsigned bits)
{
    size_t buckets = (size_t)1 << bits;
    *run = (struct ki_sync_run){.step = KI_SYNC_SUM, .bits = bits};
    run->sums = ki_mem_new(&k->mem, KI_SYNC_LISTS * buckets * sizeof *run->sums);
    run->starts = ki_mem_resize(&k->mem, NULL, (buckets + 1) * sizeof *run->starts);
    run->ids = k->table.used;
    run->seen = ki_mem_resize(&k->mem, NULL, run->ids * sizeof *run->seen);
    run->spare = ki_mem_resize(&k->mem, NULL, run->ids * sizeof *run->spare);
    run->out = ki_mem_resize(&k->mem, NULL, KI_SYNC_OUT_MAX);
    if (run->sums && run->starts && run->seen && run->spare && run->out)
        return true;
    ki_count(k, KI_COUNT_out_of_memory);
    ki_sync_run_end(k, run);
    return false;
}

bool ki_sync_begin(struct kith *k, uint32_t id, bool is_turn)
{
    struct ki_link *link;
    struct ki_member *m = ki_table_at(&k->table, id);
    if (!m || !k->link_owners[KI_LINK_VIEW] || !ki_speaks_kith(m) || ki_link_open(k, id, KI_LINK_VIEW, &link) != 0)
        return false;
    struct ki_sync_link *data = ki_sync_link_data(k, link);
    if (!data)
        return false;
    struct ki_sync_run *run = &data->runs[KI_SYNC_ASKS];
    if (run->step != KI_SYNC_IDLE)
        return true; /* one is under way */
    if (!sync_run_begin(k, run, ki_sync_bits(k->table.count)))
        return false;
    run->salt = (struct ki_sync_salt){.start = ki_crng_u64(&k->crng), .factor = ki_crng_u64(&k->crng) | 1};
    data->is_turn = is_turn;
    ki_count(k, KI_COUNT_views_compared);
    k->sync_news = 0;
    return true;
}

/* ---- when ---- */

/* With a member at random, in a while: something is known to be new. */
void ki_sync_soon(struct kith *k)
{
    sync_after(k, SYNC_SOON_US);
}

/* While comparisons follow each other all will find by them who is new, and for less than gossip costs; unless there are
 * members who do not compare. */
bool ki_sync_floods(struct kith *k)
{
    return k->sync_next_us != KITH_NEVER && ki_all_speak_kith(k);
}

/* In a flood it is passed on all the same, so that many know and probe it at once, but not until nobody has missed it:
 * unless the pool is small. */
void ki_sync_news(struct kith *k, uint32_t id)
{
    if (!k->link_owners[KI_LINK_VIEW])
        return;
    bool is_small = k->table.count <= SYNC_SMALL;
    if (++k->sync_news >= (is_small ? SYNC_NEWS_SMALL : SYNC_NEWS))
        ki_sync_soon(k);
    if (ki_sync_floods(k) && !is_small)
        ki_queue_hush(&k->queues[KI_QUEUE_MEMBERS], id, k->table.count > SYNC_LARGE ? 1 : SYNC_NEWS_TOLD);
}

/* One that brings nothing new may have met a member that knows as little. */
void ki_sync_over(struct kith *k, struct ki_sync_link *data)
{
    ki_sync_run_end(k, &data->runs[KI_SYNC_ASKS]);
    if (data->learned)
        k->sync_more = SYNC_MORE;
    if (k->sync_more > 0) {
        k->sync_more--;
        ki_sync_soon(k);
    }
    data->learned = false;
    if (data->runs[KI_SYNC_ANSWERS].step == KI_SYNC_IDLE)
        ki_link_rest(k, data->link, KI_LINK_VIEW);
}

static void sync_start(struct kith *k)
{
    uint32_t id;
    k->sync_next_us = KITH_NEVER;
    for (unsigned tries = 0; tries < SYNC_PICKS && ki_pick(k, KI_PICK_ALIVE, k->self, 1, &id) == 1; tries++) {
        if (ki_sync_begin(k, id, false))
            return;
    }
}

/* ---- messages ---- */

static void sync_say(struct ki_sync_link *data, struct ki_sync_run *run, enum ki_sync_channel channel,
                     size_t len, enum ki_sync_step then)
{
    run->step = KI_SYNC_SAY;
    run->then = then;
    run->channel = (uint8_t)channel;
    run->out_len = len;
    run->out_sent = 0;
    ki_link_wake(data->link, KI_LINK_VIEW);
}

void ki_sync_said(struct kith *k, struct ki_sync_link *data, struct ki_sync_run *run)
{
    run->step = run->then;
    run->out_len = 0;
    if (run->step != KI_SYNC_IDLE)
        return;
    ki_sync_run_end(k, run); /* who answers has said that it is done */
    if (data->learned)
        ki_sync_soon(k);
    data->learned = false;
}

static void sync_say_done(struct ki_sync_link *data, struct ki_sync_run *run)
{
    run->out[0] = 0;
    sync_say(data, run, KI_SYNC_DONE, 1, KI_SYNC_IDLE);
}

/* ---- sums ---- */

static void sync_say_sums(const struct kith *k, struct ki_sync_link *data, struct ki_sync_run *run)
{
    struct ki_sync_sums msg = {.start = run->salt.start,
                               .factor = run->salt.factor,
                               .bits = run->bits,
                               .lists = k->table.by_state[KI_DEAD] + k->table.by_state[KI_LEFT] > 0 ? 2 : 1};
    struct ki_writer w = ki_writer(run->out, KI_SYNC_OUT_MAX);
    ki_encode_sync_sums(&w, &msg, run->sums);
    KI_ASSERT(!w.full);
    sync_say(data, run, KI_SYNC_SUMS, w.len, KI_SYNC_WAIT);
}

bool ki_sync_sums_received(struct kith *k, struct ki_sync_link *data, struct ki_span message)
{
    struct ki_sync_run *run = &data->runs[KI_SYNC_ANSWERS];
    struct ki_sync_sums theirs;
    if (!ki_decode_sync_sums(message, &theirs) || run->step != KI_SYNC_IDLE)
        return false;
    bool begun = sync_run_begin(k, run, theirs.bits);
    if (begun)
        run->listed = ki_mem_resize(&k->mem, NULL, KI_SYNC_ITEMS_MAX * sizeof *run->listed);
    if (!run->listed) {
        ki_count(k, KI_COUNT_out_of_memory);
        ki_sync_run_end(k, run);
        ki_link_abort(data->link);
        return true;
    }
    run->salt = (struct ki_sync_salt){.start = theirs.start, .factor = theirs.factor | 1};
    for (size_t i = 0; i < (size_t)theirs.lists << theirs.bits; i++)
        run->sums[i] = ki_load_be(theirs.sums + 8 * i, 8);
    return true;
}

/* A slice.  false: there are more. */
static bool sync_sum(const struct kith *k, struct ki_sync_run *run)
{
    uint32_t end = (uint32_t)ki_min_u64(run->ids, (uint64_t)run->cursor + SYNC_SLICE);
    for (uint32_t id = run->cursor; id < end; id++) {
        if (id + KI_SYNC_AHEAD < run->ids)
            ki_sync_fetch(k, id + KI_SYNC_AHEAD);
        if (!ki_table_has(&k->table, id))
            continue;
        struct ki_sync_place place = ki_sync_place(k, id, &run->salt, run->bits);
        run->sums[((size_t)place.list << run->bits) + place.bucket] ^= place.sum;
        run->seen[run->seen_count++] = (struct ki_sync_seen){.item = place.item, .id = id};
    }
    run->cursor = end;
    return end == run->ids;
}

/* ---- items ---- */

static bool sync_differs(const struct ki_sync_run *run, uint32_t bucket)
{
    return run->sums[bucket] != 0 || run->sums[(1u << run->bits) + bucket] != 0;
}

/* What differs in these buckets, but what is too much for a message: then the other knows too few to ask with more. */
static void sync_list(struct ki_sync_run *run, struct ki_writer *w, uint32_t first, uint32_t end)
{
    uint32_t last = run->starts[end];
    for (uint32_t at = run->starts[first]; at < last && run->listed_count < KI_SYNC_ITEMS_MAX; at++) {
        struct ki_sync_item item = run->seen[at].item;
        if (run->sums[((size_t)ki_sync_list(item) << run->bits) + ki_sync_bucket(item, run->bits)] == 0)
            continue;
        ki_encode_sync_item(w, item);
        run->listed[run->listed_count++] = at;
    }
}

/* The next range of buckets in which something differs, of no more items than a message holds; or it is done. */
static void sync_next_range(struct ki_sync_link *data, struct ki_sync_run *run)
{
    uint32_t buckets = 1u << run->bits, at = run->end, items = 0;
    while (at < buckets && !sync_differs(run, at))
        at++;
    if (at == buckets) {
        sync_say_done(data, run);
        return;
    }
    uint32_t first = at;
    for (run->end = at + 1; at < buckets && items <= KI_SYNC_ITEMS_MAX; at++) {
        items += sync_differs(run, at) ? run->starts[at + 1] - run->starts[at] : 0;
        if (items <= KI_SYNC_ITEMS_MAX)
            run->end = at + 1;
    }
    struct ki_writer w = ki_writer(run->out, KI_SYNC_OUT_MAX);
    ki_encode_sync_items_front(&w, first, run->end, run->bits, run->sums);
    run->listed_count = 0;
    sync_list(run, &w, first, run->end);
    KI_ASSERT(!w.full);
    sync_say(data, run, KI_SYNC_ITEMS, w.len, KI_SYNC_WAIT);
}

bool ki_sync_items_received(struct kith *k, struct ki_sync_link *data, struct ki_span message)
{
    struct ki_sync_run *run = &data->runs[KI_SYNC_ASKS];
    struct ki_sync_items theirs;
    if (run->step != KI_SYNC_WAIT || !ki_decode_sync_items(message, &theirs) || theirs.end > 1u << run->bits)
        return false;
    if (!ki_sync_match_begin(k, run, message, &theirs)) {
        ki_count(k, KI_COUNT_out_of_memory);
        ki_link_abort(data->link);
        return true;
    }
    run->step = KI_SYNC_MATCH;
    run->out_len = 0;
    return true;
}

/* ---- telling ---- */

/* false: the message is full, and this one is for the next. */
static bool sync_put(const struct kith *k, struct ki_sync_run *run, uint32_t id)
{
    if (run->out_len == 0)
        run->out_len = ki_sync_put_clocks(k, run->out, KI_SYNC_OUT_MAX);
    size_t len = ki_sync_put_member(k, id, run->out + run->out_len, SYNC_TOLD_MAX - run->out_len);
    run->out_len += len;
    return len > 0;
}

/* false: the message is full, and the next one is for who follows.  Whose id is given again has been forgotten meanwhile;
 * then another is told, which does no harm. */
static bool sync_tell(const struct kith *k, struct ki_sync_run *run)
{
    for (; run->cursor < run->told_count; run->cursor++) {
        if (run->cursor + KI_SYNC_AHEAD < run->told_count)
            ki_sync_fetch(k, run->told[run->cursor + KI_SYNC_AHEAD]);
        if (ki_table_has(&k->table, run->told[run->cursor]) && !sync_put(k, run, run->told[run->cursor]))
            return false;
    }
    if (run->tells_self && !sync_put(k, run, k->self))
        return false;
    run->tells_self = false;
    return true;
}

/* All members are told, of who asks: times, and then what is wanted. */
static void sync_say_rest(struct ki_sync_link *data, struct ki_sync_run *run)
{
    struct ki_writer *rest = run->times.len > 0 ? &run->times : &run->wanted;
    bool is_times = rest == &run->times;
    KI_ASSERT(!rest->full && rest->len <= KI_SYNC_OUT_MAX);
    memcpy(run->out, rest->start, rest->len);
    sync_say(data, run, is_times ? KI_SYNC_TIMES : KI_SYNC_WANTED, rest->len, is_times ? KI_SYNC_TELL : KI_SYNC_WAIT);
    rest->len = 0;
}

bool ki_sync_times_received(struct kith *k, struct ki_sync_link *data, struct ki_span message)
{
    const struct ki_sync_run *run = &data->runs[KI_SYNC_ANSWERS];
    struct ki_reader r = ki_reader(message.ptr, message.len);
    if (run->step != KI_SYNC_WAIT || r.left % KI_SYNC_TIME_LEN != 0)
        return false;
    while (r.left > 0) {
        if (r.left > KI_SYNC_AHEAD * KI_SYNC_TIME_LEN) {
            uint64_t ahead = ki_load_be(r.pos + KI_SYNC_AHEAD * KI_SYNC_TIME_LEN, 2);
            if (ahead < run->listed_count)
                ki_sync_fetch(k, run->seen[run->listed[ahead]].id);
        }
        uint64_t number = ki_take_be(&r, 2), time = ki_take_be(&r, 4);
        if (number >= run->listed_count || time == KI_SYNC_TIME_NONE)
            return false;
        ki_sync_take_time(k, data, run, &run->seen[run->listed[number]], (uint32_t)time);
    }
    return true;
}

bool ki_sync_wanted_received(struct kith *k, struct ki_sync_link *data, struct ki_span message)
{
    struct ki_sync_run *run = &data->runs[KI_SYNC_ANSWERS];
    struct ki_reader r = ki_reader(message.ptr, message.len);
    ki_take(&r, 1);
    if (run->step != KI_SYNC_WAIT || r.left % 2 != 0 || r.left / 2 > run->listed_count)
        return false;
    uint32_t count = (uint32_t)(r.left / 2);
    ki_mem_free(&k->mem, run->told);
    run->told = ki_mem_resize(&k->mem, NULL, (count + 1) * sizeof *run->told);
    if (!run->told) {
        ki_count(k, KI_COUNT_out_of_memory);
        ki_link_abort(data->link);
        return true;
    }
    for (run->told_count = 0; run->told_count < count; run->told_count++) {
        uint64_t number = ki_take_be(&r, 2);
        if (number >= run->listed_count)
            return false;
        run->told[run->told_count] = run->seen[run->listed[number]].id;
    }
    run->cursor = 0;
    run->step = KI_SYNC_TELL;
    run->out_len = 0;
    return true;
}

/* ---- slices ---- */

static void sync_ordered(struct kith *k, struct ki_sync_link *data, struct ki_sync_run *run)
{
    ki_mem_free(&k->mem, run->spare);
    run->spare = NULL;
    if (run == &data->runs[KI_SYNC_ASKS])
        sync_say_sums(k, data, run);
    else
        sync_next_range(data, run);
}

static void sync_told(struct ki_sync_link *data, struct ki_sync_run *run)
{
    if (run->out_len > 0) /* the last members, and then it is as if there had been none */
        sync_say(data, run, KI_SYNC_MEMBERS, run->out_len, KI_SYNC_TELL);
    else if (run == &data->runs[KI_SYNC_ASKS])
        sync_say_rest(data, run);
    else
        sync_next_range(data, run);
}

/* What is short is done at once with what comes before it.  false: there is more to do. */
static bool sync_slice(struct kith *k, struct ki_sync_link *data, struct ki_sync_run *run)
{
    if (run->step == KI_SYNC_SUM && !sync_sum(k, run))
        return false;
    if (run->step <= KI_SYNC_ORDER) {
        run->step = KI_SYNC_ORDER;
        if (!ki_sync_order(run))
            return false;
        sync_ordered(k, data, run);
        return true;
    }
    if (run->step == KI_SYNC_MATCH) {
        if (!ki_sync_match(k, data, run, SYNC_SLICE))
            return false;
        run->step = KI_SYNC_TELL;
        run->cursor = 0;
    }
    if (sync_tell(k, run))
        sync_told(data, run);
    else
        sync_say(data, run, KI_SYNC_MEMBERS, run->out_len, KI_SYNC_TELL);
    return true;
}

static bool sync_has_work(const struct ki_sync_run *run)
{
    return run->step >= KI_SYNC_SUM && run->step <= KI_SYNC_TELL;
}

void ki_sync_tick(struct kith *k)
{
    if (!k->link_owners[KI_LINK_VIEW])
        return;
    if (k->sync_next_us <= k->now.mono_us)
        sync_start(k);
    for (struct ki_list *at = k->sync_links.next; at != &k->sync_links; at = at->next) {
        struct ki_sync_link *data = KI_CONTAINER(at, struct ki_sync_link, all);
        for (unsigned role = 0; role < KI_SYNC_ROLES; role++) {
            if (!sync_has_work(&data->runs[role]))
                continue;
            if (!sync_slice(k, data, &data->runs[role]))
                ki_count(k, KI_COUNT_slices);
            ki_list_remove(&data->all); /* to the end: the next one's turn */
            ki_list_push(&k->sync_links, &data->all);
            return;
        }
    }
}

uint64_t ki_sync_deadline(const struct kith *k)
{
    if (!k->link_owners[KI_LINK_VIEW])
        return KITH_NEVER;
    for (struct ki_list *at = k->sync_links.next; at != &k->sync_links; at = at->next) {
        const struct ki_sync_link *data = KI_CONTAINER(at, struct ki_sync_link, all);
        for (unsigned role = 0; role < KI_SYNC_ROLES; role++) {
            if (sync_has_work(&data->runs[role]))
                return k->now.mono_us;
        }
    }
    return k->sync_next_us;
}
