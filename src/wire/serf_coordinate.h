/* A network coordinate as Serf puts it into the payload of an ack (PROTOCOL.md "Coordinates"). */
#ifndef KI_SERF_COORDINATE_H
#define KI_SERF_COORDINATE_H

#include "wire/msgpack.h"

#define KI_COORDINATE_DIMENSIONS 8
#define KI_COORDINATE_LEN        130 /* bytes of the payload, always: doubles are 9 each */

/* Where a node is, in seconds of round trip: a point, and above it the height that every way from it has in common. */
struct ki_coordinate {
    double vec[KI_COORDINATE_DIMENSIONS];
    double error;      /* how little it is to be believed: a part of the distance; 0 or more */
    double adjustment; /* added to distances: what the model misses; either sign */
    double height;     /* 0 or more */
};

/* Finite, and without what no coordinate can have: an error or a height below 0. */
bool ki_coordinate_is_valid(const struct ki_coordinate *c);

/* Writes a payload: the version and the body. */
void ki_encode_coordinate(struct ki_pack *p, const struct ki_coordinate *c);
/* Reads a payload.  false: another version, another number of dimensions, not valid, or malformed. */
bool ki_decode_coordinate(struct ki_reader *r, struct ki_coordinate *out);

#endif
