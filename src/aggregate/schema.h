/* What an aggregate measures: as bytes, as the number that stands for them, and all those that a node knows of.
 *
 *   len:u8 name | len:u8 unit | min:be64 max:be64 step:be64 (doubles) | interval:be32 (ms) | engine:u8
 *
 * Members mean the same by a name if these bytes are the same; so there is one form only of each. */
#ifndef KI_SCHEMA_H
#define KI_SCHEMA_H

#include "base/bytes.h"
#include "base/mem.h"

#define KI_SCHEMA_NAME_MAX 64
#define KI_SCHEMA_UNIT_MAX 16
#define KI_SCHEMA_LEN_MAX (1 + KI_SCHEMA_NAME_MAX + 1 + KI_SCHEMA_UNIT_MAX + 3 * 8 + 4 + 1)
#define KI_SCHEMA_VALUE_MAX 1e100 /* either way: the squares of 2^24 such, added, are still doubles */
#define KI_SCHEMA_INTERVAL_MIN 1000    /* milliseconds */
#define KI_SCHEMA_INTERVAL_MAX 3600000

enum ki_schema_engine { KI_SCHEMA_AUTO, KI_SCHEMA_EXACT, KI_SCHEMA_NETWORK };

/* What it says.  Borrowed. */
struct ki_meaning {
    struct ki_span name; /* 1 to KI_SCHEMA_NAME_MAX bytes */
    struct ki_span unit; /* up to KI_SCHEMA_UNIT_MAX */
    double min, max;     /* min < max */
    double step;         /* 0 or more */
    uint32_t interval_ms;
    uint8_t engine;      /* enum ki_schema_engine */
};

bool ki_meaning_fine(const struct ki_meaning *meaning);
/* A number, and within its range. */
bool ki_meaning_allows(const struct ki_meaning *meaning, double value);

/* The bytes of a fine one: how many. */
size_t ki_schema_encode(uint8_t buf[KI_SCHEMA_LEN_MAX], const struct ki_meaning *meaning);
/* false: not all of the bytes of a fine one. */
bool ki_schema_decode(struct ki_span bytes, struct ki_meaning *out);
/* SipHash-2-4 of the bytes under a key that all know: it names them, and keeps no secret. */
uint64_t ki_schema_id(struct ki_span bytes);

/* One that is known.  It stays where it is while somebody has a use of it. */
struct ki_schema {
    uint64_t id;
    struct ki_meaning meaning; /* its strings are in bytes[] */
    uint32_t uses;
    uint32_t tally;      /* for whoever counts something by schema, until the next who does */
    uint64_t changed_us; /* when a contribution changed last, as far as we have heard */
    uint32_t len;
    uint8_t bytes[];
};

struct ki_schemas {
    struct ki_mem *mem;
    struct ki_schema **list; /* by name, and by id where they share one */
    uint32_t count, cap;
};

void ki_schemas_init(struct ki_schemas *s, struct ki_mem *mem);
void ki_schemas_free(struct ki_schemas *s); /* of all, whoever uses them */
struct ki_schema *ki_schemas_find(const struct ki_schemas *s, uint64_t id); /* or NULL */
/* The place of the first with this name, or of the first with a later one. */
uint32_t ki_schemas_first(const struct ki_schemas *s, struct ki_span name);
/* A use of the one with this meaning, a fine one, which is entered if it is not known.  NULL: memory is out. */
struct ki_schema *ki_schemas_use(struct ki_schemas *s, const struct ki_meaning *meaning);
/* Gives a use back; with the last one it is forgotten. */
void ki_schemas_drop(struct ki_schemas *s, struct ki_schema *schema);

#endif
