/* Telling others of contributions without being asked, and what else time does to aggregates.
 *
 *   ours        at once when a value moves by more than its step, but each at most once in its interval, and all of them
 *               together at most once a second; in a pool of n, once in n / 256 s: so all of its members together tell
 *               256 times a second, and a pool that starts does not tell everything at once
 *   others'     in a pool where not everybody is sent everything directly, what is fresh is passed on, gathered for a tenth
 *               of its interval: 100 ms to 1 s
 *   gaps        are asked for once a second; where there was no room, each half minute
 *
 * AUTO leaves it to the network engine when the pool has more than 4,096 members or contributions take more than
 * aggregate_bytes_max.  For half a minute both run; then others are told, by another generation, that ours are gone, and
 * what they have told is dropped.  Below three quarters it comes back, ten minutes later at the earliest, and again both
 * run for half a minute.  Answers are the old one's until the new one has had time to know, and the new one's before
 * anybody can have dropped anything.  Whoever finds that most others leave it to the network reads there, too, whatever
 * its own choice.
 *
 * Invariant: what is told is in the table of contributions, under the version that it is told with.
 * Deliberately not here: messages. */
#include "node/aggregate.h"

#include "node/messages.h"

#define TELL_LEAST_US 1000000   /* between two messages of ours */
#define TELL_WANT_FULL_US 30000000
#define TELL_MEMBERS_MAX 4096   /* for which AUTO means exact */
#define TELL_BOTH_US 30000000   /* both engines run, */
#define TELL_READY_US 20000000  /* and from then on the new one answers: members do not begin at the same time */
#define TELL_REST_US 600000000  /* until the exact one may be back */
#define TELL_CHECK_US 1000000

/* ---- which engine ---- */

bool ki_aggregates_exact(const struct ki_aggregates *a, const struct ki_schema *schema)
{
    bool is_off = a->network_answers || a->others_are_off;
    return schema->meaning.engine == KI_SCHEMA_EXACT || (schema->meaning.engine == KI_SCHEMA_AUTO && !is_off);
}

bool ki_aggregates_networked(const struct ki_aggregates *a, const struct ki_schema *schema)
{
    bool is_off = a->exact_is_off || a->network_answers || a->others_are_off;
    return schema->meaning.engine == KI_SCHEMA_NETWORK || (schema->meaning.engine == KI_SCHEMA_AUTO && is_off);
}

bool ki_aggregates_carry(const struct ki_aggregates *a, const struct ki_schema *schema)
{
    bool is_dropped = a->exact_is_off && a->off_us == KITH_NEVER;
    return schema->meaning.engine == KI_SCHEMA_EXACT || (schema->meaning.engine == KI_SCHEMA_AUTO && !is_dropped);
}

/* Bytes that contributions would take if everybody contributed to all that is known here. */
static uint64_t tell_bytes_at_most(const struct kith *k, const struct ki_aggregates *a)
{
    uint64_t each = sizeof(struct ki_contributor) + a->contributions.schemas.count * sizeof(struct ki_contribution);
    return ki_aggregates_living(k) * each;
}

static void tell_look_at_others(const struct kith *k, struct ki_aggregates *a)
{
    uint32_t known = 0, off = 0;
    for (uint32_t i = 0; i < a->contributions.count; i++) {
        const struct ki_contributor *owner = a->contributions.list[i];
        bool lives = owner != a->own && ki_aggregates_lives(k, owner->id);
        known += lives;
        off += lives && owner->is_off;
    }
    a->others_are_off = off > known / 2;
}

/* What may be computed in the network is no longer told, nor kept. */
static void tell_drop(struct kith *k, struct ki_aggregates *a)
{
    struct ki_schemas *schemas = &a->contributions.schemas;
    a->off_us = KITH_NEVER;
    ki_aggregates_renew(k, a, a->own->generation);
    for (uint32_t i = schemas->count; i-- > 0;) {
        if (!ki_aggregates_carry(a, schemas->list[i]))
            ki_contributions_clear(&a->contributions, schemas->list[i]);
    }
    a->own->is_thin = false; /* another generation is about to say so */
}

static void tell_check(struct kith *k, struct ki_aggregates *a)
{
    uint64_t living = ki_aggregates_living(k), bytes = a->contributions.bytes, max = k->cfg.aggregate_bytes_max;
    a->check_us = k->now.mono_us + TELL_CHECK_US;
    tell_look_at_others(k, a);
    if (a->hand_over_us <= k->now.mono_us)
        a->network_answers = a->exact_is_off;
    ki_network_want_open(k, a);
    if (!a->exact_is_off && (living > TELL_MEMBERS_MAX || bytes > max)) {
        a->exact_is_off = true;
        a->off_us = k->now.mono_us + TELL_BOTH_US;
        a->hand_over_us = k->now.mono_us + TELL_READY_US;
        a->rest_us = k->now.mono_us + TELL_REST_US;
    } else if (a->exact_is_off && a->rest_us <= k->now.mono_us && living <= TELL_MEMBERS_MAX / 4 * 3 &&
               tell_bytes_at_most(k, a) <= max / 4 * 3) {
        a->exact_is_off = false;
        a->hand_over_us = k->now.mono_us + TELL_BOTH_US;
        ki_aggregates_renew(k, a, a->own->generation);
        for (uint32_t i = 0; i < a->contributions.count; i++) { /* what was read over is asked for */
            if (a->contributions.list[i] != a->own)
                ki_contributor_doubt(&a->contributions, a->contributions.list[i]);
        }
    }
}

/* ---- ours ---- */

static uint64_t tell_when(const struct ki_aggregates *a, const struct ki_aggregate *open)
{
    double moved = open->value > open->told ? open->value - open->told : open->told - open->value;
    if (!open->has_value || !ki_aggregates_carry(a, open->schema))
        return KITH_NEVER;
    if (!open->is_told)
        return a->announce_us;
    return moved > open->schema->meaning.step ? open->told_us + (uint64_t)open->schema->meaning.interval_ms * 1000
                                              : KITH_NEVER;
}

void ki_aggregates_due(struct kith *k, struct ki_aggregates *a)
{
    uint64_t next = a->is_announced ? KITH_NEVER : a->announce_us;
    for (uint32_t i = 0; i < a->open_count; i++)
        next = ki_min_u64(next, tell_when(a, &a->open[i]));
    if (a->told_us > 0)
        next = ki_max_u64(next, a->told_us + ki_max_u64(TELL_LEAST_US, ki_aggregates_round_us(k)));
    a->tell_us = next;
}

/* Gives what is due its versions.  False: memory is out before all had one. */
static bool tell_number(struct kith *k, struct ki_aggregates *a, bool *with_schemas)
{
    struct ki_contributor *own = a->own;
    for (uint32_t i = 0; i < a->open_count; i++) {
        struct ki_aggregate *open = &a->open[i];
        if (tell_when(a, open) > k->now.mono_us)
            continue;
        *with_schemas = *with_schemas || !open->is_told; /* who has heard of another generation may have forgotten it */
        uint64_t version = own->head + 1;
        if (ki_contributor_take(&a->contributions, own, open->schema, version, open->value) != KI_TAKING_NEW) {
            ki_count(k, KI_COUNT_out_of_memory);
            return false;
        }
        ki_contributor_reach(&a->contributions, own, own->head, version);
        open->is_told = true;
        open->told = open->value;
        open->told_us = k->now.mono_us;
        ki_count(k, KI_COUNT_contributions_out);
    }
    return true;
}

/* Nobody believes a generation of a later life before we are so old; counting on does not get there.  False: memory is out,
 * and the former goes on. */
static bool tell_renew(struct kith *k, struct ki_aggregates *a)
{
    uint64_t generation = a->next_generation;
    if (generation >> 32 > k->incarnation && ki_announce_self(k, (uint32_t)(generation >> 32), 0) != 0)
        return false;
    a->next_generation = 0;
    ki_contributor_renew(&a->contributions, a->own, generation);
    a->own->is_off = a->exact_is_off && a->off_us == KITH_NEVER;
    for (uint32_t i = 0; i < a->open_count; i++)
        a->open[i].is_told = false;
    return true;
}

static void tell_own(struct kith *k, struct ki_aggregates *a)
{
    struct ki_values values;
    if (a->next_generation > 0 && !tell_renew(k, a)) {
        a->told_us = k->now.mono_us; /* it is due again a second later */
        ki_aggregates_due(k, a);
        return;
    }
    uint64_t base = a->is_announced ? a->own->head : 0, head = a->own->head;
    bool with_schemas = false;
    (void)tell_number(k, a, &with_schemas); /* what has found no memory is due again a second later */
    ki_values_begin(k, &values, KI_AGGREGATES_VALUES_ON, KI_NO_MEMBER, with_schemas);
    (void)ki_values_add(k, &values, a->own, base); /* what is more than that many datagrams is found by its root */
    ki_values_end(k, &values);
    if (a->own->head > head || a->has_begun) /* that we take part is no reason to wait with the first value */
        a->told_us = k->now.mono_us;
    a->is_announced = a->has_begun = true;
    ki_aggregates_due(k, a);
}

/* ---- others' ---- */

static void tell_pass_on(struct kith *k, struct ki_aggregates *a)
{
    for (int with_schemas = 0; with_schemas < 2; with_schemas++) {
        struct ki_values values;
        ki_values_begin(k, &values, KI_AGGREGATES_VALUES_ON, KI_NO_MEMBER, with_schemas);
        for (uint32_t i = 0; i < a->contributions.count; i++) {
            struct ki_contributor *owner = a->contributions.list[i];
            if (!owner->is_fresh || owner->head < owner->heard || owner->fresh_schemas != (with_schemas == 1))
                continue;
            owner->is_fresh = false;
            if (ki_aggregates_lives(k, owner->id))
                (void)ki_values_add(k, &values, owner, owner->fresh_from);
            ki_count(k, KI_COUNT_contributions_forwarded);
        }
        ki_values_end(k, &values);
    }
    a->pass_us = KITH_NEVER;
}

/* ---- time ---- */

static uint64_t tell_want_us(const struct ki_aggregates *a)
{
    return a->contributions.gaps > 0 ? a->want_us : KITH_NEVER;
}

void ki_aggregates_tick(struct kith *k)
{
    struct ki_aggregates *a = k->aggregates;
    uint64_t now_us = k->now.mono_us;
    if (!a)
        return;
    if (a->check_us <= now_us)
        tell_check(k, a);
    if (a->off_us <= now_us)
        tell_drop(k, a);
    if (a->tell_us <= now_us)
        tell_own(k, a);
    if (a->pass_us <= now_us)
        tell_pass_on(k, a);
    if (a->contributions.gaps == 0)
        a->is_full = false; /* whatever found no room is gone */
    if (tell_want_us(a) <= now_us) {
        a->want_us = now_us + (a->is_full ? TELL_WANT_FULL_US : KI_AGGREGATE_WANT_US);
        a->is_full = false;
        ki_aggregates_want(k, a);
    }
    ki_network_tick(k, a);
    ki_watches_tick(k, a);
}

uint64_t ki_aggregates_deadline(const struct kith *k)
{
    const struct ki_aggregates *a = k->aggregates;
    if (!a)
        return KITH_NEVER;
    uint64_t telling = ki_min_u64(ki_min_u64(a->off_us, a->tell_us), ki_min_u64(a->pass_us, tell_want_us(a)));
    return ki_min_u64(ki_min_u64(telling, ki_watches_deadline(a)), ki_network_deadline(k, &a->network));
}
