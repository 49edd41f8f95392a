/* The payload of an ack: a version, and a network coordinate (PROTOCOL.md "Coordinates").
 *
 * The idea: whatever this lets through may be reckoned with.  A coordinate that holds a NaN would turn that of everybody
 * who hears it into NaN, one of other dimensions cannot be compared, and one with an error or a height below 0 would
 * throw its hearers far away; Serf refuses the first two when it reckons, and never says the third.
 *
 * kith and Serf send one form only, so there is a table of what stands before each of its numbers: writing goes
 * through it, and reading tries it first.  Each second every node reads one.
 *
 * Invariants: an encoded payload has KI_COORDINATE_LEN bytes; what decodes is valid, and encodes to what decodes to the
 * same bits; what the table of the usual form reads, the table of fields reads alike.
 *
 * Deliberately not here: what coordinates mean (serf/coordinate.c), and the number of dimensions as a variable: Serf's and
 * Consul's pools have 8, and nodes that differ in it ignore each other. */
#include "wire/serf_coordinate.h"

#include "base/real.h"

#define COORDINATE_VERSION 1

struct coordinate_part {
    const char *before;
    uint8_t len;
    uint8_t offset; /* of the number, in struct ki_coordinate */
};

#define PART(bytes, field) {(bytes), sizeof(bytes) - 1, offsetof(struct ki_coordinate, field)}

static const struct coordinate_part coordinate_parts[] = {
    PART("\x01\x84\xaa" "Adjustment\xcb", adjustment),
    PART("\xa5" "Error\xcb", error),
    PART("\xa6" "Height\xcb", height),
    PART("\xa3" "Vec\x98\xcb", vec[0]),
    PART("\xcb", vec[1]),
    PART("\xcb", vec[2]),
    PART("\xcb", vec[3]),
    PART("\xcb", vec[4]),
    PART("\xcb", vec[5]),
    PART("\xcb", vec[6]),
    PART("\xcb", vec[7]),
};

/* Any other form; the vector stays encoded. */
struct coordinate_body {
    struct ki_span vec;
    double error;
    double adjustment;
    double height;
};

static const struct ki_field coordinate_fields[] = {
    KI_FIELD(struct coordinate_body, vec, "Vec", KI_FIELD_RAW, 3, false),
    KI_FIELD(struct coordinate_body, error, "Error", KI_FIELD_DOUBLE, 1, false),
    KI_FIELD(struct coordinate_body, adjustment, "Adjustment", KI_FIELD_DOUBLE, 0, false),
    KI_FIELD(struct coordinate_body, height, "Height", KI_FIELD_DOUBLE, 2, false),
};

bool ki_coordinate_is_valid(const struct ki_coordinate *c)
{
    bool valid = ki_is_finite(c->error) && ki_is_finite(c->adjustment) && ki_is_finite(c->height) && c->error >= 0 &&
                 c->height >= 0;
    for (size_t i = 0; i < KI_COORDINATE_DIMENSIONS; i++)
        valid = valid && ki_is_finite(c->vec[i]);
    return valid;
}

void ki_encode_coordinate(struct ki_pack *p, const struct ki_coordinate *c)
{
    for (size_t i = 0; i < KI_COUNT(coordinate_parts); i++) {
        const struct coordinate_part *part = &coordinate_parts[i];
        uint64_t bits;
        memcpy(&bits, (const char *)c + part->offset, sizeof bits);
        ki_put(&p->w, part->before, part->len);
        ki_put_be(&p->w, bits, sizeof bits);
    }
}

static bool coordinate_usual(struct ki_reader *r, struct ki_coordinate *out)
{
    struct ki_reader in = *r;
    for (size_t i = 0; i < KI_COUNT(coordinate_parts); i++) {
        const struct coordinate_part *part = &coordinate_parts[i];
        const uint8_t *at = ki_take(&in, part->len + sizeof(uint64_t));
        if (!at || memcmp(at, part->before, part->len) != 0)
            return false;
        uint64_t bits = ki_load_be(at + part->len, sizeof bits);
        memcpy((char *)out + part->offset, &bits, sizeof bits);
    }
    *r = in;
    return true;
}

static bool coordinate_vec(struct ki_span encoded, double vec[KI_COORDINATE_DIMENSIONS])
{
    struct ki_reader r = ki_reader(encoded.ptr, encoded.len);
    uint32_t count;
    if (encoded.len == 0 || !ki_unpack_array(&r, &count) || count != KI_COORDINATE_DIMENSIONS)
        return false;
    for (size_t i = 0; i < KI_COORDINATE_DIMENSIONS; i++) {
        if (!ki_unpack_double(&r, &vec[i]))
            return false;
    }
    return true;
}

static bool coordinate_unusual(struct ki_reader *r, struct ki_coordinate *out)
{
    struct coordinate_body body = {0};
    const uint8_t *version = ki_take(r, 1);
    if (!version || *version != COORDINATE_VERSION ||
        !ki_unpack_struct(r, coordinate_fields, KI_COUNT(coordinate_fields), &body) || !coordinate_vec(body.vec, out->vec))
        return false;
    out->error = body.error;
    out->adjustment = body.adjustment;
    out->height = body.height;
    return true;
}

bool ki_decode_coordinate(struct ki_reader *r, struct ki_coordinate *out)
{
    bool fine = coordinate_usual(r, out) || coordinate_unusual(r, out);
    if (!fine || !ki_coordinate_is_valid(out))
        r->bad = true;
    return !r->bad;
}
