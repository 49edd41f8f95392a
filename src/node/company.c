/* Who is of kith's kind and who of Serf's, and telling both at once.
 *
 * Members of kith's kind are sent a fresh message directly: all of them up to 64, which is the fewest
 * datagrams there can be.  In a larger pool the origin and everyone who hears it for the first time send it to some at
 * random (ki_fanout()), as fresh writes of the store are.  Members of Serf's kind hear it by gossip, from everybody, as they
 * would from each other; where there are none, there is no gossip of it.
 *
 * What is sent within a millisecond goes together: a bundle is one datagram for each target.  The first message after a
 * pause goes at once.
 *
 * Invariant: what is in a bundle fits one datagram.
 * Deliberately not here: what does not fit one; and what was lost, which those who miss it find out. */
#include "node/messages.h"

#define SPREAD_GAP_US 2000      /* between two bundles, unless one is full */
#define SPREAD_BUNDLES_MAX 1024 /* waiting for a socket that is slower than we */
#define COMPANY_REFRESH_US 50000 /* in a pool that is too large to look through after each change of a member */
#define COMPANY_SMALL 256

/* ---- who ---- */

static bool company_is_fresh(const struct kith *k, const struct ki_company *c)
{
    if (!c->made)
        return false;
    if (c->epoch == k->table.epoch && c->members == k->table.count)
        return true;
    return k->table.count > COMPANY_SMALL && k->now.mono_us < c->made_us + COMPANY_REFRESH_US;
}

const struct ki_company *ki_company(struct kith *k, struct ki_messages *m)
{
    struct ki_company *c = &m->company;
    if (company_is_fresh(k, c))
        return c;
    c->kith_count = c->others = 0;
    c->made = true;
    for (uint32_t id = 0; id < k->table.used; id++) {
        const struct ki_member *member = ki_table_at(&k->table, id);
        if (!member || id == k->self || (member->state != KI_ALIVE && member->state != KI_SUSPECT))
            continue;
        bool is_kith = ki_speaks_kith(member) && !k->cfg.stock;
        bool room = is_kith && ki_list_room(&k->mem, (void **)&c->kith, sizeof *c->kith, c->kith_count, &c->kith_cap);
        if (room)
            c->kith[c->kith_count++] = id;
        else
            c->others++; /* without memory it is told as Serf's are, */
        if (is_kith && !room)
            c->made = false; /* for as long as there is none */
    }
    c->epoch = k->table.epoch;
    c->members = k->table.count;
    c->made_us = k->now.mono_us;
    return c;
}

/* ---- bundles ---- */

static void eager_drop_first(struct kith *k, struct ki_eager *e)
{
    struct ki_bundle *bundle = e->first;
    e->first = bundle->next;
    if (!bundle->next)
        e->last = NULL;
    e->count--;
    ki_mem_free(&k->mem, bundle);
}

void ki_eager_free(struct kith *k, struct ki_messages *m)
{
    while (m->eager.first)
        eager_drop_first(k, &m->eager);
    ki_mem_free(&k->mem, m->eager.open);
}

static uint32_t eager_targets(struct kith *k, const struct ki_company *c, uint32_t targets[KI_SPREAD_DIRECT_MAX])
{
    uint32_t count = ki_fanout(&k->rng, c->kith_count, KI_SPREAD_DIRECT_MAX, targets);
    for (uint32_t i = 0; i < count; i++)
        targets[i] = c->kith[targets[i]];
    return count;
}

static void eager_close(struct kith *k, struct ki_messages *m)
{
    struct ki_eager *e = &m->eager;
    struct ki_bundle *bundle = e->open;
    if (!bundle)
        return;
    e->open = NULL;
    e->at_us = KITH_NEVER;
    e->last_us = k->now.mono_us;
    bundle->target_count = eager_targets(k, ki_company(k, m), bundle->targets);
    if (bundle->target_count == 0 || e->count >= SPREAD_BUNDLES_MAX) {
        if (bundle->target_count > 0)
            ki_count(k, KI_COUNT_messages_unsent);
        ki_mem_free(&k->mem, bundle);
        return;
    }
    *(e->last ? &e->last->next : &e->first) = bundle;
    e->last = bundle;
    e->count++;
}

static struct ki_bundle *eager_open(struct kith *k, struct ki_eager *e)
{
    struct ki_bundle *bundle = ki_mem_resize(&k->mem, NULL, sizeof *bundle + k->cfg.datagram_max);
    if (!bundle) {
        ki_count(k, KI_COUNT_out_of_memory);
        return NULL;
    }
    memset(bundle, 0, sizeof *bundle);
    e->open = bundle;
    e->at_us = ki_max_u64(k->now.mono_us, e->last_us + SPREAD_GAP_US);
    return bundle;
}

/* Adds a message to the open bundle. */
static int eager_put(struct kith *k, struct ki_messages *m, struct ki_span message)
{
    struct ki_eager *e = &m->eager;
    size_t room = ki_message_room(k) - 4; /* with a compound's head and its own length there */
    size_t len = message.len + 1;
    if (len > room)
        return KITH_ERR_TOO_LONG;
    bool fits = e->open && e->open->len + 2 * (size_t)e->open->count + len <= room && e->open->count < KI_BUNDLE_PARTS_MAX;
    if (e->open && !fits)
        eager_close(k, m);
    struct ki_bundle *bundle = e->open ? e->open : eager_open(k, e);
    if (!bundle)
        return KITH_ERR_NOMEM;
    bundle->lens[bundle->count++] = (uint16_t)len;
    bundle->bytes[bundle->len] = KI_MSG_USER;
    memcpy(bundle->bytes + bundle->len + 1, message.ptr, message.len);
    bundle->len += (uint32_t)len;
    return 0;
}

uint64_t ki_eager_deadline(const struct kith *k)
{
    const struct ki_messages *m = k->messages;
    if (!m)
        return KITH_NEVER;
    return m->eager.first ? k->now.mono_us : m->eager.open ? m->eager.at_us : KITH_NEVER;
}

const struct ki_bundle *ki_eager_poll(struct kith *k, uint32_t *id)
{
    struct ki_messages *m = k->messages;
    if (!m)
        return NULL;
    struct ki_eager *e = &m->eager;
    if (e->open && e->at_us <= k->now.mono_us)
        eager_close(k, m);
    while (e->first && e->first->sent == e->first->target_count)
        eager_drop_first(k, e);
    if (!e->first)
        return NULL;
    *id = e->first->targets[e->first->sent++];
    return e->first;
}

/* ---- both ---- */

int ki_gossip_message(struct kith *k, unsigned queue, struct ki_span message)
{
    uint8_t buf[2048];
    if (message.len == 0 || message.len + 1 > sizeof buf || message.len + 1 > ki_message_room(k))
        return KITH_ERR_TOO_LONG;
    buf[0] = KI_MSG_USER;
    memcpy(buf + 1, message.ptr, message.len);
    return ki_broadcast(k, queue, KI_SUBJECT_NONE, 0, ki_span(buf, message.len + 1));
}

int ki_spread_head(struct kith *k, struct ki_messages *m, const struct ki_event_mark *mark, bool is_ours)
{
    const struct ki_origin *origin = ki_origins_find(&m->origins, mark->origin, mark->boot);
    const struct ki_company *c = ki_company(k, m);
    uint8_t head[KI_KITH_EVENT_MAX];
    if (!origin || c->kith_count == 0 || !(is_ours || c->kith_count > KI_SPREAD_DIRECT_MAX))
        return 0;
    return eager_put(k, m, ki_span(head, ki_numbered_head(origin, head, sizeof head)));
}

int ki_spread(struct kith *k, struct ki_messages *m, unsigned queue, struct ki_span message, bool is_ours, bool kith_only)
{
    const struct ki_company *c = ki_company(k, m);
    int error = 0;
    if (is_ours && !c->made) {
        ki_count(k, KI_COUNT_out_of_memory);
        return KITH_ERR_NOMEM; /* nobody else would tell those whom we take for Serf's members */
    }
    if (c->kith_count > 0 && (is_ours || c->kith_count > KI_SPREAD_DIRECT_MAX))
        error = eager_put(k, m, message);
    if (c->others > 0 && !kith_only) {
        int serf = ki_gossip_message(k, queue, message);
        if (serf == KITH_ERR_TOO_LONG)
            ki_count(k, KI_COUNT_events_unfit);
        else if (!error)
            error = serf;
    }
    return error;
}
