/* Vivaldi network coordinates as Serf keeps them: where we are, learned from round trips to others who say where they
 * are.  Knows nothing of members: whoever keeps others' coordinates keeps a struct ki_latencies beside each. */
#ifndef KI_COORDINATE_H
#define KI_COORDINATE_H

#include "base/rng.h"
#include "wire/serf_coordinate.h"

#define KI_COORDINATE_SAMPLES 20 /* round trips over which the adjustment is averaged */
#define KI_LATENCIES          3  /* round trips of each other node of which the middle one counts */

struct ki_latencies { /* zero: none yet */
    uint32_t us[KI_LATENCIES]; /* the newest first */
    uint32_t count;
};

struct ki_vivaldi {
    struct ki_coordinate here;
    double samples[KI_COORDINATE_SAMPLES]; /* by how much distances were short of round trips, seconds */
    uint32_t sample_next;
};

void ki_vivaldi_init(struct ki_vivaldi *v);
/* Whether a round trip of rtt_us to a node at `other` teaches us anything. */
bool ki_vivaldi_takes(const struct ki_coordinate *other, uint64_t rtt_us);
/* Learns from one that is taken.  latencies: those of that node.  rng: for a direction to flee in where we coincide.
 * Returns false if what came out was no valid coordinate, so that we begin anew. */
bool ki_vivaldi_update(struct ki_vivaldi *v, struct ki_latencies *latencies, const struct ki_coordinate *other,
                       uint64_t rtt_us, struct ki_rng *rng);

/* The round trip between two valid coordinates, seconds, whole nanoseconds; what hostile ones say of it may be anything,
 * below 0 and infinite included. */
double ki_coordinate_distance(const struct ki_coordinate *a, const struct ki_coordinate *b);

#endif
