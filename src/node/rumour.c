/* Rumours about members, carried out: the merge rule decides (swim/merge.c), this file changes the table, passes the
 * news on, and tells Serf's layer that a member came up or went down.
 *
 * Order inside each change: first what may fail for want of memory, then the rest, so that a failure leaves no
 * half-made change. */
#include "base/canary.h"
#include "node/aggregate.h"
#include "node/messages.h"
#include "swim/timing.h"

#define RUMOUR_SETTLE_PROBES 2  /* probe intervals after which news has reached whom it reaches by gossip */
#define RUMOUR_SETTLE_MS 30     /* or so long for each member, if that is longer: what exchanges cost grows with the pool */
#define RUMOUR_TELLS 100        /* a second at most: two that do not understand each other must not do so faster */
#define RUMOUR_TELLS_AHEAD 20   /* of them at once */
#define RUMOUR_DEATHS_SLICE 100 /* declared in one call: 5 to 10 us each when the queue of news is full */

static int rumour_nomem(struct kith *k)
{
    ki_count(k, KI_COUNT_out_of_memory);
    return KITH_ERR_NOMEM;
}

/* ---- news ---- */

static int rumour_spread_alive(struct kith *k, uint32_t id, const struct ki_identity *identity, kith_ticket ticket)
{
    uint8_t buf[1024]; /* 63 bytes and at most 16 + 255 + 512 */
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    ki_encode_alive(&p, &(struct ki_alive){.incarnation = identity->incarnation,
                                           .node = identity->name,
                                           .addr = identity->addr,
                                           .port = identity->port,
                                           .meta = identity->meta,
                                           .versions = identity->versions ? ki_span(identity->versions, 6)
                                                                          : ki_span(NULL, 0)});
    KI_ASSERT(!p.w.full);
    return ki_broadcast(k, KI_QUEUE_MEMBERS, id, ticket, ki_span(buf, p.w.len));
}

static int rumour_spread_accusation(struct kith *k, uint32_t id, enum ki_rumour rumour, uint32_t incarnation,
                                    struct ki_span from, kith_ticket ticket)
{
    uint8_t buf[640];
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    const struct ki_member *m = ki_table_at(&k->table, id);
    struct ki_suspect msg = {.incarnation = incarnation, .node = ki_member_name(m), .from = from};
    if (rumour == KI_RUMOUR_SUSPECT)
        ki_encode_suspect(&p, &msg);
    else
        ki_encode_dead(&p, &msg);
    KI_ASSERT(!p.w.full);
    return ki_broadcast(k, KI_QUEUE_MEMBERS, id, ticket, ki_span(buf, p.w.len));
}

/* The view has changed: a while later, a full exchange with the member that comes after us.  Each member hears a rumour
 * from 8 others or so, but only in the mean: one in a few thousand hears it from none, and then not before the next
 * exchange of its own, which in a pool of a hundred is minutes away.  Since each has its own successor, each is visited by
 * somebody.  Changes that come in the meantime are settled by the same exchange. */
static void rumour_settle(struct kith *k, uint64_t wait_us, bool successor)
{
    if (k->cfg.stock || k->cfg.push_pull_interval_ms == 0 || k->life != KI_LIFE_LIVE)
        return;
    k->again_successor = successor || (k->again_us != KITH_NEVER && k->again_successor);
    if (k->again_us != KITH_NEVER)
        return;
    wait_us = ki_max_u64(wait_us, (uint64_t)RUMOUR_SETTLE_PROBES * k->cfg.probe_interval_ms * 1000);
    wait_us = ki_max_u64(wait_us, (uint64_t)RUMOUR_SETTLE_MS * k->table.count * 1000);
    k->again_addr = (struct kith_addr){.ip_len = 0};
    k->again_us = k->now.mono_us + wait_us + ki_rng_below(&k->rng, wait_us);
}

void ki_settle_changes(struct kith *k)
{
    rumour_settle(k, 0, true);
}

/* One that we suspect and nobody else does has been decided elsewhere, and the news has missed us; or will be. */
void ki_settle_suspicions(struct kith *k)
{
    if (k->table.accused_count > 0)
        rumour_settle(k,
                      ki_suspicion_min_us(k->cfg.suspicion_mult, k->table.count,
                                          (uint64_t)k->cfg.probe_interval_ms * 1000),
                      false);
}

/* ---- entering and forgetting ---- */

int ki_member_enter(struct kith *k, const struct ki_identity *identity, enum ki_state state, uint32_t *id)
{
    if (!ki_chunks_reserve(&k->about, &k->mem, k->table.used + 1))
        return rumour_nomem(k);
    int error = ki_table_add(&k->table, identity, state, k->now.mono_us, &k->rng, id);
    if (error == -1) {
        ki_count(k, KI_COUNT_members_full);
        return KITH_ERR_FULL;
    }
    if (error)
        return rumour_nomem(k);
    return 0; /* what is beside a free id says nothing: as it was made, or as ki_ghost_make() left it */
}

void ki_forget(struct kith *k, uint32_t id)
{
    KI_ASSERT(id != k->self);
    ki_links_forget(k, id);
    ki_messages_forget(k, id);
    ki_aggregates_forget(k, id);
    ki_coordinate_forget(k, id);
    ki_unsubject(k, id);
    if (k->probe.state != KI_PROBE_IDLE && k->probe_id == id)
        ki_probe_init(&k->probe);
    if (k->nack_wait.confirms == id)
        k->nack_wait.confirms = KI_NO_MEMBER;
    for (uint32_t i = 0; i < k->nack_wait.helper_count; i++) {
        if (k->nack_wait.helpers[i] == id)
            k->nack_wait.helpers[i] = KI_NO_MEMBER;
    }
    ki_ghost_make(k, id);
}

/* ---- alive ---- */

static bool rumour_versions_bad(const uint8_t *v)
{
    return v && (v[0] == 0 || v[1] == 0 || v[0] > v[1]);
}

static struct ki_merge_input rumour_input(const struct kith *k, uint32_t id, enum ki_rumour rumour,
                                          uint32_t incarnation)
{
    const struct ki_member *m = ki_table_at(&k->table, id);
    struct ki_merge_input in = {.rumour = rumour, .incarnation = incarnation};
    if (!m)
        return in;
    in.known = true;
    in.self = id == k->self;
    in.leaving = k->life >= KI_LIFE_LEAVE_DEAD; /* until then we live, and say so */
    in.state = (enum ki_state)m->state;
    in.known_incarnation = m->incarnation;
    return in;
}

static void rumour_compare(const struct kith *k, const struct ki_identity *identity, const struct ki_member *m,
                           struct ki_merge_input *in)
{
    bool buried = ki_buried(k, m); /* as if it had never been seen */
    in->same_addr = !buried && m->port == identity->port && ki_span_equal(ki_member_addr(m), identity->addr);
    bool same_versions = !identity->versions || memcmp(identity->versions, m->versions, 6) == 0;
    in->same_content = ki_span_equal(ki_member_meta(m), identity->meta) && same_versions;
    bool reclaim = k->cfg.dead_reclaim_ms > 0 &&
                   k->now.mono_us - m->changed_us > (uint64_t)k->cfg.dead_reclaim_ms * 1000;
    in->may_move = buried || m->state == KI_LEFT || (m->state == KI_DEAD && reclaim);
}

/* Serf's layer hears of a member that has come up: never seen, or dead or left until now. */
static int rumour_new(struct kith *k, const struct ki_identity *identity)
{
    uint32_t id;
    int error = ki_member_enter(k, identity, KI_ALIVE, &id);
    if (error)
        return error;
    error = k->known_there ? 0 : rumour_spread_alive(k, id, identity, 0);
    if (error) {
        ki_table_remove(&k->table, id);
        return error;
    }
    ki_status_up(k, id);
    ki_settle_changes(k);
    if (!k->known_there)
        ki_sync_news(k, id);
    return 0;
}

static int rumour_accept_alive(struct kith *k, uint32_t id, const struct ki_identity *identity)
{
    const struct ki_member *m = ki_table_at(&k->table, id);
    enum ki_state was = (enum ki_state)m->state;
    bool tags_differ = !ki_span_equal(ki_member_meta(m), identity->meta);
    int error = rumour_spread_alive(k, id, identity, 0);
    if (error)
        return error;
    if (!ki_table_update(&k->table, id, identity)) {
        ki_unsubject(k, id);
        return rumour_nomem(k);
    }
    ki_table_set_state(&k->table, id, KI_ALIVE, k->now.mono_us);
    if (was == KI_DEAD || was == KI_LEFT)
        ki_status_up(k, id);
    else if (was == KI_SUSPECT && !KI_CANARY(MUTE))
        ki_changed(k, id, KITH_CHANGED_SUSPECT);
    if (tags_differ)
        ki_changed(k, id, KITH_CHANGED_TAGS);
    ki_settle_changes(k);
    return 0;
}

/* We live, and one who accuses us is told so; a stranger as well, if it is no amplification. */
static void rumour_answer(struct kith *k, const struct kith_addr *accuser)
{
    bool member = ki_find_addr(k, accuser) != KI_NO_MEMBER;
    size_t len = 80 + k->cfg.name.len + k->meta_len; /* of our alive */
    if (member || ki_afford_answer(k, len))
        ki_send(k, KI_CLASS_PROBE,
                &(struct ki_send){.kind = KI_SEND_NEWS_OF, .id = k->self, .to_member = member, .to = *accuser});
}

/* Somebody holds our name at our address with other content, or our own old self: answer with a higher one. */
void ki_refute(struct kith *k, uint32_t accused, const struct kith_addr *accuser)
{
    uint32_t own = ki_table_at(&k->table, k->self)->incarnation;
    if (KI_CANARY(GRUDGE))
        return;
    ki_count(k, KI_COUNT_refutations);
    ki_health(k, 1);
    if (ki_announce_self(k, ki_refuting(own, accused), 0) != 0)
        return;
    if (accused > own) /* our clock has gone back since our last life */
        ki_aggregates_outlive(k);
    if (accuser && !k->cfg.stock)
        rumour_answer(k, accuser);
}

int ki_announce_self(struct kith *k, uint32_t incarnation, kith_ticket ticket)
{
    const struct ki_member *m = ki_table_at(&k->table, k->self);
    uint8_t addr[16];
    memcpy(addr, ki_member_addr(m).ptr, m->addr_len);
    struct ki_identity identity = {.name = ki_name_of(k->cfg.name),
                                   .addr = ki_span(addr, m->addr_len),
                                   .port = m->port,
                                   .meta = ki_span(k->meta, k->meta_len),
                                   .incarnation = incarnation,
                                   .versions = k->versions};
    int error = rumour_spread_alive(k, k->self, &identity, ticket);
    if (error)
        return error;
    bool tags_differ = !ki_span_equal(ki_member_meta(m), identity.meta);
    if (!ki_table_update(&k->table, k->self, &identity)) {
        ki_queue_drop_subject(&k->queues[KI_QUEUE_MEMBERS], k->self); /* it must not go out; its asker is told here */
        return rumour_nomem(k);
    }
    k->incarnation = incarnation;
    if (tags_differ)
        ki_changed(k, k->self, KITH_CHANGED_TAGS);
    return 0;
}

static void rumour_conflict(struct kith *k, uint32_t id, const struct ki_identity *identity)
{
    struct ki_done event = {.kind = KITH_EVENT_CONFLICT, .id = id};
    ki_count(k, KI_COUNT_conflicts);
    if (ki_addr_from_span(identity->addr, identity->port, &event.other))
        ki_done_event(k, &event);
    if (id == k->self)
        ki_vote_start(k);
}

void ki_tell(struct kith *k, uint32_t id, const struct kith_addr *to, bool verdict)
{
    const uint64_t gap_us = 1000000 / RUMOUR_TELLS;
    if (k->told_us > k->now.mono_us + RUMOUR_TELLS_AHEAD * gap_us) {
        ki_count(k, KI_COUNT_replies_dropped);
        return;
    }
    k->told_us = ki_max_u64(k->told_us, k->now.mono_us) + gap_us;
    ki_count(k, KI_COUNT_accusations_told);
    ki_send(k, KI_CLASS_OTHER,
            &(struct ki_send){
                .kind = KI_SEND_NEWS_OF, .id = id, .to_member = true, .verdict = verdict, .to = *to});
}

/* A member whose rumour we know better is told what we hold. */
static void rumour_tell(struct kith *k, uint32_t id, const struct kith_addr *from, bool verdict)
{
    if (from && !k->cfg.stock && ki_find_addr(k, from) != KI_NO_MEMBER)
        ki_tell(k, id, from, verdict);
}

/* Nearly all that is ever heard: a living member lives, where it lived and no newer than known.  ki_merge() would say
 * IGNORE too, but asks for more. */
static bool rumour_repeats(const struct kith *k, uint32_t id, const struct ki_identity *alive)
{
    if (id == KI_NO_MEMBER || id == k->self)
        return false;
    const struct ki_member *m = ki_table_member(&k->table, id);
    return m->state == KI_ALIVE && alive->incarnation <= m->incarnation && alive->port == m->port &&
           ki_span_equal(ki_member_addr(m), alive->addr);
}

int ki_apply_alive(struct kith *k, const struct kith_addr *from, uint32_t id, const struct ki_identity *identity)
{
    struct ki_identity alive = *identity;
    if (rumour_versions_bad(alive.versions)) {
        ki_count(k, KI_COUNT_version_mismatch);
        return KITH_ERR_VERSION;
    }
    if (rumour_repeats(k, id, &alive)) {
        k->heard_before = true;
        return 0;
    }
    if (alive.port == 0)
        alive.port = k->cfg.addr.port; /* memberlist: peers before per-node ports share ours */
    struct ki_merge_input in = rumour_input(k, id, KI_RUMOUR_ALIVE, alive.incarnation);
    if (in.known)
        rumour_compare(k, &alive, ki_table_at(&k->table, id), &in);
    switch (ki_merge(&in).verdict) {
    case KI_MERGE_NEW:
        return rumour_new(k, &alive);
    case KI_MERGE_ACCEPT:
        return rumour_accept_alive(k, id, &alive);
    case KI_MERGE_REFUTE:
        ki_refute(k, alive.incarnation, NULL);
        return 0;
    case KI_MERGE_CONFLICT:
        rumour_conflict(k, id, &alive);
        return 0;
    case KI_MERGE_STALE:
        if (ki_table_at(&k->table, id)->state != KI_LEFT) /* whoever is accused can refute, if it hears of it */
            rumour_tell(k, id, from, false);
        return 0;
    case KI_MERGE_IGNORE:
    case KI_MERGE_CONFIRM:
        return 0;
    }
    KI_UNREACHABLE();
}

/* ---- suspect ---- */

static int rumour_accept_suspect(struct kith *k, uint32_t id, const struct ki_suspect *msg)
{
    struct ki_suspicion *suspicion = ki_table_accuse(&k->table, id);
    if (!suspicion)
        return rumour_nomem(k);
    int error = rumour_spread_accusation(k, id, KI_RUMOUR_SUSPECT, msg->incarnation, msg->from, 0);
    if (error) {
        ki_table_absolve(&k->table, id);
        return error;
    }
    uint64_t min_us = ki_suspicion_min_us(k->cfg.suspicion_mult, k->table.count,
                                          (uint64_t)k->cfg.probe_interval_ms * 1000);
    ki_suspicion_start(suspicion, k->now.mono_us, min_us, k->cfg.suspicion_max_mult, k->cfg.suspicion_mult,
                       k->table.count, ki_table_hash(&k->table, msg->from));
    ki_table_at(&k->table, id)->incarnation = msg->incarnation;
    ki_table_set_state(&k->table, id, KI_SUSPECT, k->now.mono_us);
    k->suspicion_next_us = ki_min_u64(k->suspicion_next_us, ki_suspicion_deadline_us(suspicion));
    ki_count(k, KI_COUNT_suspicions);
    ki_changed(k, id, KITH_CHANGED_SUSPECT);
    ki_settle_suspicions(k);
    return 0;
}

int ki_apply_suspect(struct kith *k, const struct kith_addr *from, const struct ki_suspect *msg)
{
    uint32_t id = ki_table_find(&k->table, msg->node);
    struct ki_merge_input in = rumour_input(k, id, KI_RUMOUR_SUSPECT, msg->incarnation);
    struct ki_merge_result result = ki_merge(&in);
    if (result.verdict == KI_MERGE_REFUTE) {
        ki_refute(k, msg->incarnation, from);
    } else if (result.verdict == KI_MERGE_CONFIRM) {
        struct ki_suspicion *suspicion = ki_table_suspicion(&k->table, id);
        if (!ki_suspicion_confirm(suspicion, ki_table_hash(&k->table, msg->from)))
            return 0;
        ki_count(k, KI_COUNT_suspicions_confirmed);
        k->suspicion_next_us = ki_min_u64(k->suspicion_next_us, ki_suspicion_deadline_us(suspicion));
        return rumour_spread_accusation(k, id, KI_RUMOUR_SUSPECT, msg->incarnation, msg->from, 0);
    } else if (result.verdict == KI_MERGE_ACCEPT) {
        return rumour_accept_suspect(k, id, msg);
    }
    return 0;
}

/* A helper could not reach a suspect either.  It does not accuse, so this is not passed on in its name.  Whoever has
 * refuted since is not meant, though it may be accused anew. */
void ki_suspicion_nacked(struct kith *k, uint32_t place)
{
    struct ki_nack_wait *wait = &k->nack_wait;
    struct ki_suspicion *suspicion = ki_table_suspicion(&k->table, wait->confirms);
    const struct ki_member *helper = ki_table_at(&k->table, wait->helpers[place]);
    wait->helpers[place] = KI_NO_MEMBER;
    if (!suspicion || !helper || ki_table_at(&k->table, wait->confirms)->incarnation != wait->incarnation)
        return;
    if (!ki_suspicion_confirm(suspicion, ki_table_hash(&k->table, ki_member_name(helper))))
        return;
    ki_count(k, KI_COUNT_suspicions_confirmed);
    k->suspicion_next_us = ki_min_u64(k->suspicion_next_us, ki_suspicion_deadline_us(suspicion));
}

/* ---- dead and left ---- */

int ki_apply_dead(struct kith *k, const struct kith_addr *from, const struct ki_suspect *msg)
{
    uint32_t id = ki_table_find(&k->table, msg->node);
    bool left = ki_span_equal(msg->node, msg->from);
    enum ki_rumour rumour = left ? KI_RUMOUR_LEFT : KI_RUMOUR_DEAD;
    struct ki_merge_input in = rumour_input(k, id, rumour, msg->incarnation);
    struct ki_merge_result result = ki_merge(&in);
    if (result.verdict == KI_MERGE_REFUTE) {
        ki_refute(k, msg->incarnation, from);
        return 0;
    }
    if (result.verdict != KI_MERGE_ACCEPT)
        return 0;
    kith_ticket ticket = id == k->self && k->life == KI_LIFE_LEAVE_DEAD ? k->leave_news : 0;
    int error = rumour_spread_accusation(k, id, rumour, msg->incarnation, msg->from, ticket);
    if (error)
        return error;
    struct ki_member *m = ki_table_at(&k->table, id);
    m->incarnation = msg->incarnation;
    if (id == k->self)
        k->incarnation = msg->incarnation;
    ki_table_set_state(&k->table, id, result.state, k->now.mono_us);
    ki_status_down(k, id);
    ki_settle_changes(k);
    return 0;
}

void ki_suspicion_again(struct kith *k, uint32_t id, struct ki_span from)
{
    rumour_spread_accusation(k, id, KI_RUMOUR_SUSPECT, ki_table_at(&k->table, id)->incarnation, from, 0);
}

/* The accuser itself has sent it, not one that passes it on. */
static bool rumour_first_hand(struct kith *k, const struct kith_addr *from, const struct ki_suspect *msg)
{
    uint32_t sender = from ? ki_find_addr(k, from) : KI_NO_MEMBER;
    return sender != KI_NO_MEMBER && ki_span_equal(ki_member_name(ki_table_at(&k->table, sender)), msg->from);
}

/* One that accuses a member which has refuted, or suspects one which is known to be gone, would go on for long: the first
 * until a full exchange, the second, when all others know it and so nobody confirms, until the longest timeout.  But
 * "dead" is said only to one that has found out by itself that the member does not answer: after a partition, those who
 * have seen it all along hear it accused by the other side.  To them our word is one more accusation. */
void ki_tell_overtaken(struct kith *k, const struct kith_addr *from, const struct ki_suspect *msg, bool suspect)
{
    uint32_t id = ki_table_find(&k->table, msg->node);
    if (id == KI_NO_MEMBER)
        return;
    const struct ki_member *m = ki_table_at(&k->table, id);
    bool refuted = m->state == KI_ALIVE && m->incarnation > msg->incarnation;
    bool gone = (m->state == KI_DEAD || m->state == KI_LEFT) && m->incarnation >= msg->incarnation;
    if (refuted && id == k->self && from && !k->cfg.stock && ki_find_addr(k, from) == KI_NO_MEMBER)
        rumour_answer(k, from); /* of our former life, by one whom only that one knew */
    else if (refuted || (suspect && gone))
        rumour_tell(k, id, from, rumour_first_hand(k, from, msg));
}

/* Declares dead those whose suspicion has run out, not too many at once, and notes when the next one does. */
void ki_suspicion_check(struct kith *k)
{
    uint32_t declared = 0;
    k->suspicion_next_us = KITH_NEVER;
    for (uint32_t i = k->table.accused_count; i-- > 0;) { /* from behind: who dies gives its place to one already seen */
        const struct ki_accused *accused = k->table.accused[i];
        uint64_t deadline_us = ki_suspicion_deadline_us(&accused->suspicion);
        if (deadline_us > k->now.mono_us) {
            k->suspicion_next_us = ki_min_u64(k->suspicion_next_us, deadline_us);
            continue;
        }
        if (declared++ == RUMOUR_DEATHS_SLICE) {
            k->suspicion_next_us = k->now.mono_us; /* go on at once */
            ki_count(k, KI_COUNT_slices);
            return;
        }
        const struct ki_member *m = ki_table_at(&k->table, accused->id);
        uint8_t name[KITH_NAME_MAX];
        memcpy(name, ki_member_name(m).ptr, m->name_len);
        struct ki_suspect dead = {.incarnation = m->incarnation,
                                  .node = ki_span(name, m->name_len),
                                  .from = ki_name_of(k->cfg.name)};
        ki_count(k, KI_COUNT_deaths_declared);
        if (ki_apply_dead(k, NULL, &dead) != 0) /* memory is out: try again at the next tick of gossip */
            k->suspicion_next_us = k->now.mono_us + (uint64_t)k->cfg.gossip_interval_ms * 1000;
    }
}
