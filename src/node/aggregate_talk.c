/* Who knows how much of whom: comparing what members know of contributions, a bucket of owners at a time.
 *
 *   ping: ROOT of a bucket -->  the same: nothing.  Another: HEADS of that bucket
 *   HEADS                  -->  WANT of what is lacking, VALUES of what the other lacks; and if one of both did not know
 *                               an owner, the ROOT of the next bucket at once: so one member tells who is new everything
 *   WANT                   -->  VALUES
 *
 * Owners are in 2^bits buckets by their names, so many that the heads of one fit a datagram; each ping says the root of the
 * next.  Only living owners count: views that differ say another root for a while, and nothing is wanted then.
 *
 * A question is short and its answer is long, and whoever has heard one on its way can say it again in the name of who
 * asked.  So what a member is sent in a time has a limit; what is beyond it is counted, and found again by later pings.
 *
 * Invariant: one message costs a bounded number of datagrams, all to its sender.
 * Deliberately not here: what is told without being asked (aggregate_tell.c). */
#include "node/aggregate.h"

#include "node/messages.h"

#define TALK_BUCKET 32       /* owners: with usual names their heads fit a datagram */
#define TALK_RATE_MS 128     /* bytes a millisecond to one member, */
#define TALK_BURST (256u << 10) /* and so many at once */

static void talk_send(struct kith *k, uint32_t id, const struct ki_writer *w)
{
    const struct ki_member *member = ki_table_at(&k->table, id);
    KI_ASSERT(!w->full);
    if (!member)
        return;
    struct kith_addr to = ki_addr_of(member);
    (void)ki_write_to(k, ki_span(w->start, w->len), &to, id);
}

static size_t talk_room(const struct kith *k)
{
    return ki_min_size(KI_AGGREGATE_DATAGRAM, ki_message_room(k) - 1);
}

static struct ki_aggregate_head talk_head(const struct kith *k, const struct ki_contributor *owner)
{
    return (struct ki_aggregate_head){.name = ki_member_name(ki_table_at(&k->table, owner->id)),
                                      .generation = owner->generation,
                                      .head = owner->head};
}

/* Adds a head if it fits. */
static bool talk_add(struct ki_writer *w, const struct ki_aggregate_head *head)
{
    struct ki_writer before = *w;
    ki_encode_aggregates_head(w, head);
    if (!w->full)
        return true;
    *w = before;
    return false;
}

/* ---- roots ---- */

static bool talk_is_in(const struct kith *k, const struct ki_contributor *owner, const struct ki_bucket *bucket)
{
    return ki_contributor_bucket(owner, bucket->bits) == bucket->at && ki_aggregates_lives(k, owner->id);
}

static uint64_t talk_root_of(const struct kith *k, const struct ki_aggregates *a, const struct ki_bucket *bucket)
{
    uint64_t root = 0;
    for (uint32_t i = 0; i < a->contributions.count; i++) {
        if (talk_is_in(k, a->contributions.list[i], bucket))
            root += ki_contributor_root(a->contributions.list[i]);
    }
    return root;
}

static struct ki_bucket talk_next_bucket(const struct kith *k, struct ki_aggregates *a)
{
    struct ki_bucket bucket = {.bits = 0};
    while (bucket.bits < KI_BUCKET_BITS_MAX && ki_aggregates_living(k) > (uint32_t)TALK_BUCKET << bucket.bits)
        bucket.bits++;
    bucket.at = (uint16_t)(a->bucket++ & ((1u << bucket.bits) - 1));
    return bucket;
}

void ki_aggregates_root(struct kith *k, uint32_t id, struct ki_writer *w)
{
    struct ki_aggregates *a = k->aggregates;
    const struct ki_member *member = ki_table_at(&k->table, id);
    if (!a || !member || !ki_speaks_kith(member) || k->cfg.stock)
        return;
    struct ki_bucket bucket = talk_next_bucket(k, a);
    ki_encode_aggregates_root(w, &bucket, talk_root_of(k, a, &bucket));
}

static void talk_heads(struct kith *k, const struct ki_aggregates *a, uint32_t id, const struct ki_bucket *bucket)
{
    const struct ki_contributions *c = &a->contributions;
    uint8_t heads[KI_AGGREGATE_DATAGRAM], buf[KI_AGGREGATE_DATAGRAM];
    struct ki_writer list = ki_writer(heads, talk_room(k) - KI_AGGREGATE_FRONT), w = ki_writer(buf, sizeof buf);
    bool is_whole = true;
    uint32_t from = (uint32_t)ki_rng_below(&k->aggregates->rng, c->count); /* what does not fit is another each time */
    for (uint32_t i = 0; i < c->count; i++) {
        const struct ki_contributor *owner = c->list[(from + i) % c->count];
        if (!talk_is_in(k, owner, bucket))
            continue;
        struct ki_aggregate_head head = talk_head(k, owner);
        is_whole = talk_add(&list, &head) && is_whole;
    }
    ki_encode_aggregates_heads_front(&w, bucket, is_whole);
    ki_put(&w, heads, list.len);
    talk_send(k, id, &w);
}

static int talk_take_root(struct kith *k, const struct ki_aggregates *a, uint32_t id, struct ki_reader *r)
{
    struct ki_bucket bucket;
    uint64_t root;
    if (!ki_decode_aggregates_root(r, &bucket, &root))
        return KITH_ERR_MALFORMED;
    if (root != talk_root_of(k, a, &bucket))
        talk_heads(k, a, id, &bucket);
    return 0;
}

/* ---- heads ---- */

static bool talk_heads_fine(struct ki_reader r)
{
    struct ki_aggregate_head head;
    while (r.left > 0) {
        if (!ki_decode_aggregates_head(&r, &head))
            return false;
    }
    return true;
}

/* One head that another has: what we lack of it is wanted, what it lacks goes into `more`.  True if we know nothing of that
 * owner. */
static bool talk_compare(struct kith *k, struct ki_aggregates *a, const struct ki_aggregate_head *theirs,
                         struct ki_writer *want, struct ki_values *more)
{
    uint32_t id = ki_table_find(&k->table, theirs->name);
    if (id == k->self)
        ki_values_own(k, a, theirs->generation, theirs->head);
    else if (!ki_values_believed(k, id, theirs->generation))
        return false;
    struct ki_contributor *owner = ki_contributions_of(&a->contributions, id);
    uint64_t generation = owner ? owner->generation : 0, head = owner ? owner->head : 0;
    bool is_same = owner && generation == theirs->generation;
    if (owner)
        owner->is_named = true;
    if (owner && (generation > theirs->generation || (is_same && head > theirs->head)))
        (void)ki_values_add(k, more, owner, is_same ? theirs->head : 0);
    bool has_all = owner && (generation > theirs->generation || (is_same && head >= theirs->head));
    if (id == k->self || has_all || a->is_full) /* where nothing finds room it is asked for more rarely */
        return false;
    struct ki_aggregate_head wanted = {theirs->name, theirs->generation, is_same ? head : 0};
    (void)talk_add(want, &wanted);
    return !owner;
}

static int talk_take_heads(struct kith *k, struct ki_aggregates *a, uint32_t id, struct ki_reader *r)
{
    struct ki_contributions *c = &a->contributions;
    struct ki_bucket bucket;
    struct ki_aggregate_head head;
    struct ki_values more;
    uint8_t buf[KI_AGGREGATE_DATAGRAM];
    struct ki_writer want = ki_writer(buf, talk_room(k));
    bool is_whole, is_new = false;
    if (!ki_decode_aggregates_heads_front(r, &bucket, &is_whole) || !talk_heads_fine(*r))
        return KITH_ERR_MALFORMED;
    for (uint32_t i = 0; i < c->count; i++)
        c->list[i]->is_named = false;
    ki_encode_aggregates_want_front(&want);
    ki_values_begin(k, &more, KI_AGGREGATES_VALUES, id, true);
    while (r->left > 0 && ki_decode_aggregates_head(r, &head))
        is_new = talk_compare(k, a, &head, &want, &more) || is_new;
    for (uint32_t i = 0; is_whole && i < c->count; i++) {
        if (c->list[i]->is_named || !ki_contributor_is_whole(c->list[i]) || !talk_is_in(k, c->list[i], &bucket))
            continue;
        is_new = true;
        if (!ki_values_add(k, &more, c->list[i], 0))
            break;
    }
    ki_values_end(k, &more);
    if (want.len > 2) {
        talk_send(k, id, &want);
        ki_count(k, KI_COUNT_contributions_wanted);
    }
    if (is_new && bucket.at + 1u < 1u << bucket.bits) { /* more in the next, perhaps; pings tell of what is merely newer */
        struct ki_writer w = ki_writer(buf, sizeof buf);
        bucket.at++;
        ki_encode_aggregates_root(&w, &bucket, talk_root_of(k, a, &bucket));
        talk_send(k, id, &w);
    }
    return 0;
}

/* ---- wanting ---- */

void ki_aggregates_want(struct kith *k, struct ki_aggregates *a)
{
    const struct ki_contributions *c = &a->contributions;
    uint8_t buf[KI_AGGREGATE_DATAGRAM];
    struct ki_writer w = ki_writer(buf, talk_room(k));
    uint32_t whom = KI_NO_MEMBER, gaps = 0, from = (uint32_t)ki_rng_below(&a->rng, c->count);
    ki_encode_aggregates_want_front(&w);
    for (uint32_t i = 0; i < c->count; i++) {
        const struct ki_contributor *owner = c->list[(from + i) % c->count];
        if (owner->head == owner->heard || !ki_aggregates_lives(k, owner->id))
            continue;
        struct ki_aggregate_head head = talk_head(k, owner);
        if (gaps++ == 0)
            whom = owner->id;
        if (!talk_add(&w, &head))
            break;
    }
    if (gaps == 0)
        return;
    struct ki_messages *m = ki_messages(k);
    const struct ki_company *company = m && a->wants++ % 2 == 0 ? ki_company(k, m) : NULL;
    if (company && company->kith_count > 0) /* by turns anybody, and the owner of the first */
        whom = company->kith[ki_rng_below(&a->rng, company->kith_count)];
    ki_count(k, KI_COUNT_contributions_wanted);
    talk_send(k, whom, &w);
}

static int talk_take_want(struct kith *k, const struct ki_aggregates *a, uint32_t id, struct ki_reader *r)
{
    struct ki_aggregate_head want;
    struct ki_values values;
    bool goes_on = true;
    if (!talk_heads_fine(*r))
        return KITH_ERR_MALFORMED;
    ki_values_begin(k, &values, KI_AGGREGATES_VALUES, id, true);
    while (goes_on && r->left > 0 && ki_decode_aggregates_head(r, &want)) {
        uint32_t whose = ki_table_find(&k->table, want.name);
        const struct ki_contributor *owner = ki_contributions_of(&a->contributions, whose);
        bool is_same = owner && owner->generation == want.generation;
        if (owner && owner->generation >= want.generation && !(is_same && owner->head < want.head))
            goes_on = ki_values_add(k, &values, owner, is_same ? want.head : 0);
    }
    ki_values_end(k, &values);
    return 0;
}

/* ---- all of them ---- */

static bool talk_owes_too_much(const struct kith *k, const struct ki_debt *debt)
{
    return (debt->until_us - k->now.mono_us) * TALK_RATE_MS / 1000 > TALK_BURST;
}

/* Those that we answer at length. */
static int talk_answer(struct kith *k, struct ki_aggregates *a, uint32_t id, enum ki_aggregate_kind kind,
                       struct ki_reader *r)
{
    struct ki_debt *debt = ki_debts_of(&a->debts, id, k->now.mono_us);
    int error = 0;
    if (!debt || talk_owes_too_much(k, debt)) {
        ki_count(k, debt ? KI_COUNT_aggregate_asks_refused : KI_COUNT_out_of_memory);
        return 0;
    }
    size_t before = k->letter_bytes;
    if (kind == KI_AGGREGATES_ROOT)
        error = talk_take_root(k, a, id, r);
    else if (kind == KI_AGGREGATES_HEADS)
        error = talk_take_heads(k, a, id, r);
    else
        error = talk_take_want(k, a, id, r);
    debt->until_us += (uint64_t)(k->letter_bytes - before) * 1000 / TALK_RATE_MS;
    return error;
}

int ki_aggregates_message(struct kith *k, uint32_t id, struct ki_span message)
{
    struct ki_aggregates *a = ki_aggregates(k);
    struct ki_reader r = ki_reader(message.ptr + 1, message.len - 1);
    int error = KITH_ERR_VERSION; /* what later versions add */
    if (!a)
        return KITH_ERR_NOMEM;
    if (message.ptr[0] >= KI_NETWORK_REQUEST)
        return ki_network_message(k, a, id, message);
    switch ((enum ki_aggregate_kind)message.ptr[0]) {
    case KI_AGGREGATES_ROOT:
    case KI_AGGREGATES_HEADS:
    case KI_AGGREGATES_WANT:
        error = talk_answer(k, a, id, (enum ki_aggregate_kind)message.ptr[0], &r);
        break;
    case KI_AGGREGATES_VALUES:
    case KI_AGGREGATES_VALUES_ON:
        error = ki_values_take(k, a, id, (enum ki_aggregate_kind)message.ptr[0], &r);
        break;
    }
    if (error == KITH_ERR_VERSION)
        ki_count(k, KI_COUNT_unknown_serf_type);
    else if (error)
        ki_count(k, KI_COUNT_malformed);
    return error;
}
