/* Contributions as messages: what owners contribute, some versions of each, and the schemas that they need.
 *
 * A message is made in two parts, since its table of schemas stands before the values and grows with them: as many values
 * go in as fit, and what does not goes into the next message.  An owner's part says which versions it covers, so whoever had
 * all before it has all up to its last.  So nothing is told of an owner some of whose values have been left to the network
 * here: that would say that there are none.  Nor of one of whom some are missing here: of a generation that has just begun
 * it would say that there is less in it.
 *
 * Taking one in: it is read once before anything is heeded.  What cannot be taken (its schema is not known, there is no
 * room, no memory) leaves the owner's head where it was: that is a gap, and is asked for.  What must not be taken (out of
 * the range of its schema, or a schema that is none) is counted, and had.
 *
 * Invariant: nothing is believed of a later life than we know of, nor of a member that is not of kith's kind.
 * Deliberately not here: what is sent to whom, and when. */
#include "node/aggregate.h"

#include "base/varint.h"
#include "node/messages.h"

#define VALUES_FRONT 3      /* bytes before the table */
#define VALUES_SENT_MAX 32  /* messages at once */
#define VALUES_PART_MAX 200 /* values in one part: more fit no message */

/* ---- out ---- */

static void values_empty(struct ki_values *v)
{
    v->schema_count = 0;
    v->table = ki_writer(v->table_bytes, sizeof v->table_bytes);
    v->body = ki_writer(v->body_bytes, sizeof v->body_bytes);
}

void ki_values_begin(struct kith *k, struct ki_values *v, enum ki_aggregate_kind kind, uint32_t whom, bool with_schemas)
{
    size_t room = ki_message_room(k);
    v->kind = kind;
    v->whom = whom;
    v->with_schemas = with_schemas;
    v->left = VALUES_SENT_MAX;
    v->room = ki_min_size(KI_AGGREGATE_DATAGRAM, room > 5 ? room - 5 : 0); /* its 08, and a compound around it */
    values_empty(v);
}

static void values_send(struct kith *k, struct ki_values *v)
{
    uint8_t buf[KI_AGGREGATE_DATAGRAM];
    struct ki_writer w = ki_writer(buf, sizeof buf);
    ki_encode_values_front(&w, v->kind, v->schema_count);
    ki_put(&w, v->table.start, v->table.len);
    ki_put(&w, v->body.start, v->body.len);
    KI_ASSERT(!w.full && !v->table.full && !v->body.full);
    v->left--;
    values_empty(v);
    struct ki_messages *m = v->whom == KI_NO_MEMBER ? ki_messages(k) : NULL;
    if (m) {
        (void)ki_spread(k, m, KI_QUEUE_EVENTS, ki_span(buf, w.len), true, true); /* who misses it finds out by its root */
    } else if (v->whom != KI_NO_MEMBER && ki_table_at(&k->table, v->whom)) {
        struct kith_addr to = ki_addr_of(ki_table_at(&k->table, v->whom));
        (void)ki_write_to(k, ki_span(buf, w.len), &to, v->whom);
    }
}

static size_t values_used(const struct ki_values *v)
{
    return VALUES_FRONT + v->table.len + v->body.len;
}

/* Its place in the table, or the size of the table. */
static unsigned values_place(const struct ki_values *v, const struct ki_schema *schema)
{
    unsigned place = 0;
    while (place < v->schema_count && v->schemas[place] != schema)
        place++;
    return place;
}

static size_t values_schema_len(const struct ki_values *v, const struct ki_schema *schema)
{
    return 1 + (v->with_schemas ? schema->len : 8);
}

static size_t values_owner_len(struct ki_span name)
{
    return KI_VALUES_OWNER_MAX - 255 + name.len;
}

static size_t values_value_len(const struct ki_contributor *owner, uint64_t base, uint32_t at)
{
    uint64_t before = at > 0 && owner->list[at - 1].version > base ? owner->list[at - 1].version : base;
    return KI_VALUE_MAX - KI_VARINT_LEN_MAX + ki_varint_len(owner->list[at].version - before);
}

/* What these values of an owner need at most; of which no more than one message holds is counted. */
static size_t values_need(const struct ki_values *v, const struct ki_contributor *owner, struct ki_span name,
                          uint64_t base, uint32_t at, uint32_t end)
{
    size_t len = values_owner_len(name);
    for (; at < end && len <= v->room; at++) {
        const struct ki_schema *schema = owner->list[at].schema;
        len += values_value_len(owner, base, at);
        len += values_place(v, schema) == v->schema_count ? values_schema_len(v, schema) : 0;
    }
    return len;
}

/* Its place in the table, where it is entered if both it and a value of this length fit; or KI_VALUES_SCHEMAS_MAX. */
static unsigned values_schema(struct ki_values *v, const struct ki_schema *schema, size_t used)
{
    unsigned place = values_place(v, schema);
    size_t len = place == v->schema_count ? values_schema_len(v, schema) : 0;
    if (used + len > v->room)
        return KI_VALUES_SCHEMAS_MAX;
    if (len == 0 || place == KI_VALUES_SCHEMAS_MAX)
        return place;
    struct ki_values_schema told = {.id = schema->id};
    if (v->with_schemas)
        told.bytes = ki_span(schema->bytes, schema->len);
    ki_encode_values_schema(&v->table, &told);
    v->schemas[v->schema_count++] = schema;
    return place;
}

/* One part: the values from at on that fit, up to end.  Returns the place behind them, or UINT32_MAX: nothing fits. */
static uint32_t values_part(struct kith *k, struct ki_values *v, const struct ki_contributor *owner, uint64_t base,
                            uint32_t at, uint32_t end)
{
    uint8_t places[VALUES_PART_MAX];
    struct ki_span name = ki_member_name(ki_table_at(&k->table, owner->id));
    size_t len = values_owner_len(name);
    uint32_t to = at;
    if (values_used(v) + len > v->room)
        return UINT32_MAX;
    for (; to < end && to - at < VALUES_PART_MAX; to++) {
        size_t more = values_value_len(owner, base, to);
        unsigned place = values_schema(v, owner->list[to].schema, values_used(v) + len + more);
        if (place == KI_VALUES_SCHEMAS_MAX)
            break;
        places[to - at] = (uint8_t)place;
        len += more;
    }
    if (to == at && at < end)
        return UINT32_MAX;
    struct ki_values_owner part = {.name = name,
                                   .generation = owner->generation,
                                   .base = base,
                                   .last = to == end ? owner->head : owner->list[to - 1].version,
                                   .is_off = owner->is_off,
                                   .count = to - at};
    ki_encode_values_owner(&v->body, &part);
    for (uint32_t i = at; i < to; i++) {
        const struct ki_contribution *known = &owner->list[i];
        struct ki_value value = {.version = known->version, .schema = places[i - at], .value = known->value};
        ki_encode_value(&v->body, i == at ? base : owner->list[i - 1].version, &value);
    }
    return to;
}

bool ki_values_add(struct kith *k, struct ki_values *v, const struct ki_contributor *owner, uint64_t base)
{
    uint32_t at = ki_contributor_after(owner, base), end = ki_contributor_after(owner, owner->head);
    bool is_done = base > owner->head || !ki_contributor_is_whole(owner);
    struct ki_span name = ki_member_name(ki_table_at(&k->table, owner->id));
    if (v->body.len > 0 && values_used(v) + values_need(v, owner, name, base, at, end) > v->room)
        values_send(k, v); /* its parts may go different ways: it has one, if one message can hold it */
    while (!is_done && v->left > 0) {
        uint32_t to = values_part(k, v, owner, base, at, end);
        if (to == UINT32_MAX && v->body.len == 0)
            return false; /* datagrams are too small for this name */
        if (to == UINT32_MAX) {
            values_send(k, v);
            continue;
        }
        is_done = to == end;
        base = to > at ? owner->list[to - 1].version : base;
        at = to;
    }
    return v->left > 0;
}

void ki_values_end(struct kith *k, struct ki_values *v)
{
    if (v->body.len > 0 && v->left > 0)
        values_send(k, v);
}

/* ---- in ---- */

/* A message that is taken in. */
struct values_intake {
    struct ki_values_table table;
    struct ki_schema *used[KI_VALUES_SCHEMAS_MAX]; /* a use of each that was needed; NULL: none yet */
    bool passes_on, has_schemas;
    uint64_t gather_us; /* for so long what is news of an owner waits for what else is fresh */
    struct ki_writer want;
    uint8_t want_bytes[KI_AGGREGATE_DATAGRAM];
};

enum values_verdict {
    VALUES_HAD,    /* taken, or not to be */
    VALUES_NEWS,   /* taken, and it was not known */
    VALUES_MISSING /* it cannot be taken now */
};

static enum values_verdict values_no_room(struct kith *k, struct ki_aggregates *a)
{
    ki_count(k, KI_COUNT_contributions_dropped);
    a->is_full = true;
    return VALUES_MISSING;
}

/* The schema that a message names: HAD, and *out is a use of it, or NULL: what is under it is not to be taken. */
static enum values_verdict values_schema_of(struct kith *k, struct ki_aggregates *a, struct values_intake *in,
                                            unsigned place, struct ki_schema **out)
{
    const struct ki_values_schema *told = &in->table.schemas[place];
    struct ki_schemas *schemas = &a->contributions.schemas;
    struct ki_meaning meaning;
    *out = in->used[place];
    if (*out)
        return VALUES_HAD;
    uint64_t id = told->bytes.len > 0 ? ki_schema_id(told->bytes) : told->id;
    struct ki_schema *known = ki_schemas_find(schemas, id);
    if (!known && told->bytes.len == 0)
        return VALUES_MISSING;
    if (!known && !ki_schema_decode(told->bytes, &meaning))
        return VALUES_HAD; /* *out is NULL */
    if (!known && schemas->count - a->open_count >= k->cfg.aggregates_max) /* those open here are counted apart */
        return values_no_room(k, a);
    *out = in->used[place] = ki_schemas_use(schemas, known ? &known->meaning : &meaning);
    if (*out)
        return VALUES_HAD;
    ki_count(k, KI_COUNT_out_of_memory);
    return VALUES_MISSING;
}

static enum values_verdict values_one(struct kith *k, struct ki_aggregates *a, struct values_intake *in,
                                      struct ki_contributor *owner, const struct ki_value *value)
{
    struct ki_schema *schema;
    if (value->version <= owner->head)
        return VALUES_HAD;
    enum values_verdict verdict = values_schema_of(k, a, in, value->schema, &schema);
    if (verdict != VALUES_HAD)
        return verdict;
    if (!schema || !ki_meaning_allows(&schema->meaning, value->value)) {
        ki_count(k, KI_COUNT_contributions_refused);
        return VALUES_HAD;
    }
    if (!ki_aggregates_carry(a, schema)) {
        owner->is_thin = true;
        return VALUES_HAD;
    }
    if (a->contributions.bytes >= 4 * k->cfg.aggregate_bytes_max && !ki_contributor_find(owner, schema))
        return values_no_room(k, a);
    switch (ki_contributor_take(&a->contributions, owner, schema, value->version, value->value)) {
    case KI_TAKING_OLD:
        return VALUES_HAD;
    case KI_TAKING_NEW:
        ki_count(k, KI_COUNT_contributions_in);
        in->gather_us = ki_min_u64(in->gather_us, schema->meaning.interval_ms * UINT64_C(100));
        schema->changed_us = k->now.mono_us;
        return VALUES_NEWS;
    case KI_TAKING_NO_ROOM:
        ki_count(k, KI_COUNT_out_of_memory);
        return VALUES_MISSING;
    }
    KI_UNREACHABLE();
}

void ki_values_own(struct kith *k, struct ki_aggregates *a, uint64_t generation, uint64_t head)
{
    struct ki_contributor *own = a->own;
    bool is_more = generation > own->generation || (generation == own->generation && head > own->head);
    if (is_more && generation >> 32 <= k->incarnation)
        ki_aggregates_renew(k, a, generation);
}

bool ki_values_believed(const struct kith *k, uint32_t id, uint64_t generation)
{
    const struct ki_member *member = ki_table_at(&k->table, id);
    return member && generation >> 32 <= member->incarnation && ki_speaks_kith(member);
}

/* The owner as it is known, in the generation that is told of; NULL: there is nothing to take. */
static struct ki_contributor *values_owner(struct kith *k, struct ki_aggregates *a, const struct ki_values_owner *part,
                                           bool *is_news)
{
    uint32_t id = ki_table_find(&k->table, part->name);
    if (id == k->self) {
        ki_values_own(k, a, part->generation, part->last);
        return NULL;
    }
    if (!ki_values_believed(k, id, part->generation)) {
        ki_count(k, KI_COUNT_contributions_refused);
        return NULL;
    }
    struct ki_contributor *owner = ki_contributions_of(&a->contributions, id);
    if (owner && part->generation < owner->generation)
        return NULL;
    *is_news = !owner || part->generation > owner->generation;
    if (!owner)
        owner = ki_contributions_enter(&a->contributions, id, part->name, part->generation);
    if (!owner) {
        ki_count(k, KI_COUNT_out_of_memory);
        return NULL;
    }
    for (uint32_t i = 0; *is_news && i < owner->count; i++)
        owner->list[i].schema->changed_us = k->now.mono_us; /* it is taken back */
    if (owner->generation < part->generation)
        ki_contributor_renew(&a->contributions, owner, part->generation);
    owner->is_off = part->is_off;
    return owner;
}

/* What was missing before it, in front of what was missing after it: all from the head on. */
static void values_want(struct values_intake *in, const struct ki_contributor *owner, struct ki_span name)
{
    struct ki_aggregate_head head = {.name = name, .generation = owner->generation, .head = owner->head};
    if (in->want.len == 0)
        ki_encode_aggregates_want_front(&in->want);
    struct ki_writer before = in->want;
    ki_encode_aggregates_head(&in->want, &head);
    if (in->want.full)
        in->want = before; /* it is asked for a little later */
}

static void values_settle(struct kith *k, struct ki_aggregates *a, struct values_intake *in, struct ki_contributor *owner,
                          const struct ki_values_owner *part)
{
    struct ki_messages *m = ki_messages(k);
    if (owner->head < owner->heard) {
        if (in->passes_on && !a->is_full)
            values_want(in, owner, part->name);
        return;
    }
    bool is_fresh = in->passes_on || owner->is_fresh; /* or what was missing when it was */
    if (!is_fresh || !m || ki_company(k, m)->kith_count <= KI_SPREAD_DIRECT_MAX)
        return;
    owner->fresh_from = owner->is_fresh ? ki_min_u64(owner->fresh_from, part->base) : part->base;
    owner->fresh_schemas = (owner->is_fresh && owner->fresh_schemas) || in->has_schemas;
    owner->is_fresh = true;
    a->pass_us = ki_min_u64(a->pass_us, k->now.mono_us + in->gather_us);
}

/* Takes in what one owner contributes, or reads over it. */
static void values_take_owner(struct kith *k, struct ki_aggregates *a, struct values_intake *in, struct ki_reader *r)
{
    struct ki_values_owner part;
    struct ki_value value;
    bool fine = ki_decode_values_owner(r, &part), is_news = false, is_whole = true;
    struct ki_contributor *owner = values_owner(k, a, &part, &is_news);
    in->gather_us = is_news ? KI_AGGREGATE_PASS_US : KI_AGGREGATE_PASS_MAX_US;
    uint64_t before = part.base, head = owner ? owner->head : 0, heard = owner ? owner->heard : 0;
    for (uint64_t i = 0; i < part.count; i++) {
        fine = ki_decode_value(r, &in->table, &part, before, &value) && fine;
        enum values_verdict verdict = owner ? values_one(k, a, in, owner, &value) : VALUES_HAD;
        is_news = is_news || verdict == VALUES_NEWS;
        is_whole = is_whole && verdict != VALUES_MISSING;
        if (owner && is_whole)
            ki_contributor_reach(&a->contributions, owner, part.base, value.version);
        before = value.version;
    }
    KI_ASSERT(fine); /* it has been read before */
    if (!owner)
        return;
    if (is_whole)
        ki_contributor_reach(&a->contributions, owner, part.base, part.last);
    ki_contributor_hear(&a->contributions, owner, part.last);
    if (is_news || owner->head > head || owner->heard > heard)
        values_settle(k, a, in, owner, &part);
}

int ki_values_take(struct kith *k, struct ki_aggregates *a, uint32_t id, enum ki_aggregate_kind kind, struct ki_reader *r)
{
    struct values_intake in = {.passes_on = kind == KI_AGGREGATES_VALUES_ON};
    bool had_gaps = a->contributions.gaps > 0;
    if (!ki_decode_values_table(r, &in.table) || !ki_values_fine(*r, &in.table))
        return KITH_ERR_MALFORMED;
    for (unsigned i = 0; i < in.table.count; i++)
        in.has_schemas = in.has_schemas || in.table.schemas[i].bytes.len > 0;
    in.want = ki_writer(in.want_bytes, ki_min_size(sizeof in.want_bytes, ki_message_room(k) - 1));
    while (r->left > 0)
        values_take_owner(k, a, &in, r);
    if (!had_gaps)
        a->want_us = k->now.mono_us + KI_AGGREGATE_WANT_US; /* if there are any now */
    for (unsigned i = 0; i < in.table.count; i++) {
        if (in.used[i])
            ki_schemas_drop(&a->contributions.schemas, in.used[i]);
    }
    const struct ki_member *member = ki_table_at(&k->table, id);
    if (in.want.len > 0 && member) {
        struct kith_addr to = ki_addr_of(member);
        ki_count(k, KI_COUNT_contributions_wanted);
        (void)ki_write_to(k, ki_span(in.want_bytes, in.want.len), &to, id);
    }
    return 0;
}
