/* Schemas: one form of bytes for each meaning, and a small table of those that are known.
 *
 * The id is a hash, so that 8 bytes stand for the rest once it has been told.  Who could find two meanings with one id,
 * 2^32 tries away, would gain what any member can: contributions under a name of its choice.
 *
 * Invariants: what is decoded encodes to the same bytes; so minus zero, which equals zero, is not taken.  The list is in
 * order, without two of one id; each in it has been used since it was entered.
 *
 * Deliberately not here: how many may be known, and who opens one.  The table is searched through: it holds some
 * hundred, and a message names each schema once. */
#include "aggregate/schema.h"

#include "base/hash.h"
#include "base/real.h"

static const uint8_t schema_key[16] = {'k', 'i', 't', 'h', ' ', 'a', 'g', 'g', 'r', 'e', 'g', 'a', 't', 'e', 's', '1'};

static bool schema_in_bounds(double value)
{
    return value >= -KI_SCHEMA_VALUE_MAX && value <= KI_SCHEMA_VALUE_MAX;
}

bool ki_meaning_fine(const struct ki_meaning *m)
{
    return m->name.len >= 1 && m->name.len <= KI_SCHEMA_NAME_MAX && m->unit.len <= KI_SCHEMA_UNIT_MAX &&
           schema_in_bounds(m->min) && schema_in_bounds(m->max) && m->min < m->max && schema_in_bounds(m->step) &&
           m->step >= 0 && m->interval_ms >= KI_SCHEMA_INTERVAL_MIN && m->interval_ms <= KI_SCHEMA_INTERVAL_MAX &&
           m->engine <= KI_SCHEMA_NETWORK;
}

bool ki_meaning_allows(const struct ki_meaning *m, double value)
{
    return value >= m->min && value <= m->max;
}

/* ---- bytes ---- */

static void schema_put_text(struct ki_writer *w, struct ki_span text)
{
    ki_put_u8(w, (uint8_t)text.len);
    ki_put(w, text.ptr, text.len);
}

static struct ki_span schema_take_text(struct ki_reader *r)
{
    size_t len = (size_t)ki_take_be(r, 1);
    const uint8_t *text = ki_take(r, len);
    return ki_span(text, text ? len : 0);
}

size_t ki_schema_encode(uint8_t buf[KI_SCHEMA_LEN_MAX], const struct ki_meaning *m)
{
    struct ki_writer w = ki_writer(buf, KI_SCHEMA_LEN_MAX);
    schema_put_text(&w, m->name);
    schema_put_text(&w, m->unit);
    ki_put_be(&w, ki_real_bits(m->min + 0.0), 8); /* minus zero becomes zero */
    ki_put_be(&w, ki_real_bits(m->max + 0.0), 8);
    ki_put_be(&w, ki_real_bits(m->step + 0.0), 8);
    ki_put_be(&w, m->interval_ms, 4);
    ki_put_u8(&w, m->engine);
    KI_ASSERT(!w.full);
    return w.len;
}

bool ki_schema_decode(struct ki_span bytes, struct ki_meaning *out)
{
    struct ki_reader r = ki_reader(bytes.ptr, bytes.len);
    uint8_t again[KI_SCHEMA_LEN_MAX];
    *out = (struct ki_meaning){.name = schema_take_text(&r)};
    out->unit = schema_take_text(&r);
    out->min = ki_real_of(ki_take_be(&r, 8));
    out->max = ki_real_of(ki_take_be(&r, 8));
    out->step = ki_real_of(ki_take_be(&r, 8));
    out->interval_ms = (uint32_t)ki_take_be(&r, 4);
    out->engine = (uint8_t)ki_take_be(&r, 1);
    return !r.bad && r.left == 0 && ki_meaning_fine(out) &&
           ki_span_equal(ki_span(again, ki_schema_encode(again, out)), bytes);
}

uint64_t ki_schema_id(struct ki_span bytes)
{
    return ki_siphash(schema_key, bytes.ptr, bytes.len);
}

/* ---- the table ---- */

void ki_schemas_init(struct ki_schemas *s, struct ki_mem *mem)
{
    *s = (struct ki_schemas){.mem = mem};
}

void ki_schemas_free(struct ki_schemas *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        ki_mem_free(s->mem, s->list[i]);
    ki_mem_free(s->mem, s->list);
    ki_schemas_init(s, s->mem);
}

struct ki_schema *ki_schemas_find(const struct ki_schemas *s, uint64_t id)
{
    for (uint32_t i = 0; i < s->count; i++) {
        if (s->list[i]->id == id)
            return s->list[i];
    }
    return NULL;
}

/* The first place that does not come before this name and id. */
static uint32_t schemas_place(const struct ki_schemas *s, struct ki_span name, uint64_t id)
{
    uint32_t low = 0, high = s->count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        int order = ki_span_compare(s->list[mid]->meaning.name, name);
        if (order < 0 || (order == 0 && s->list[mid]->id < id))
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

uint32_t ki_schemas_first(const struct ki_schemas *s, struct ki_span name)
{
    return schemas_place(s, name, 0);
}

struct ki_schema *ki_schemas_use(struct ki_schemas *s, const struct ki_meaning *meaning)
{
    uint8_t bytes[KI_SCHEMA_LEN_MAX];
    size_t len = ki_schema_encode(bytes, meaning);
    uint64_t id = ki_schema_id(ki_span(bytes, len));
    struct ki_schema *schema = ki_schemas_find(s, id);
    if (!schema) {
        schema = ki_mem_new(s->mem, sizeof *schema + len);
        if (!schema || !ki_list_room(s->mem, (void **)&s->list, sizeof(struct ki_schema *), s->count, &s->cap)) {
            ki_mem_free(s->mem, schema);
            return NULL;
        }
        schema->id = id;
        schema->len = (uint32_t)len;
        memcpy(schema->bytes, bytes, len);
        bool fine = ki_schema_decode(ki_span(schema->bytes, len), &schema->meaning);
        KI_ASSERT(fine);
        uint32_t at = schemas_place(s, meaning->name, id);
        memmove(&s->list[at + 1], &s->list[at], (s->count - at) * sizeof(struct ki_schema *));
        s->list[at] = schema;
        s->count++;
    }
    schema->uses++;
    return schema;
}

void ki_schemas_drop(struct ki_schemas *s, struct ki_schema *schema)
{
    KI_ASSERT(schema->uses > 0);
    if (--schema->uses > 0)
        return;
    uint32_t at = schemas_place(s, schema->meaning.name, schema->id);
    s->count--;
    memmove(&s->list[at], &s->list[at + 1], (s->count - at) * sizeof(struct ki_schema *));
    ki_mem_free(s->mem, schema);
}
