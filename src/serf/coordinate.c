/* Vivaldi (Dabek, Cox, Kaashoek, Morris 2004) with what Serf 0.9.4 adds: gravity (Ledlie, Gardner, Seltzer 2007) and an
 * adjustment of distances (Lee, Zhang, Sahoo, Saha 2010).
 *
 * Each answered probe is a spring between us and another, as long as the round trip.  We move along it by a part of what
 * it is off, the more, the less we are sure of ourselves and the surer the other is; the error is how far off we are
 * wont to be.  The height is what all our ways have in common, the last mile; the adjustment, half the mean of what the
 * last 20 distances missed, is what no space can express.  Gravity, weak as (distance / 150 s)^2, keeps the pool from
 * drifting off together.  Of each other node's last three round trips the middle one counts, so that one slow answer
 * moves nobody.
 *
 * Every formula, constant and order of operations is Serf's, rounding of distances to nanoseconds included: with the same
 * coordinates and round trips we come out at the same bits.  Where a direction is needed and there is none it is random.
 * Only who begins anew forgets its samples too.
 *
 * Invariants: `here` is always valid; a sequence of calls with equal generators ends in equal bits, with every compiler.
 * A node that lies about its coordinate can move us, as in every Vivaldi, and does so in Serf; what it can say is finite,
 * and once that has driven us out of the range of doubles we begin anew.
 *
 * Deliberately not here: members, and how round trips are measured (node/coordinates.c); other dimensions than 8. */
#include "serf/coordinate.h"

#include "base/real.h"

#define COORDINATE_ERROR_MAX  1.5
#define COORDINATE_ERROR_PART 0.25 /* of a new error that counts: the paper's c_e */
#define COORDINATE_FORCE_PART 0.25 /* of a spring that is followed: the paper's c_c */
#define COORDINATE_HEIGHT_MIN 10.0e-6
#define COORDINATE_GRAVITY    150.0
#define COORDINATE_ZERO       1.0e-6 /* seconds, and errors, below which there is nothing to divide by */
#define COORDINATE_RTT_MAX_US 10000000
#define COORDINATE_EXACT_S    9.0e9 /* distances below it fit 64 bits of nanoseconds */

static struct ki_coordinate coordinate_new(void)
{
    return (struct ki_coordinate){.error = COORDINATE_ERROR_MAX, .height = COORDINATE_HEIGHT_MIN};
}

void ki_vivaldi_init(struct ki_vivaldi *v)
{
    *v = (struct ki_vivaldi){.here = coordinate_new()};
}

/* ---- geometry ---- */

static double coordinate_magnitude(const double vec[KI_COORDINATE_DIMENSIONS])
{
    double sum = 0;
    for (size_t i = 0; i < KI_COORDINATE_DIMENSIONS; i++)
        sum += vec[i] * vec[i];
    return ki_sqrt_real(sum);
}

/* The distance that the model knows, without adjustments. */
static double coordinate_raw_distance(const struct ki_coordinate *a, const struct ki_coordinate *b)
{
    double vec[KI_COORDINATE_DIMENSIONS];
    for (size_t i = 0; i < KI_COORDINATE_DIMENSIONS; i++)
        vec[i] = a->vec[i] - b->vec[i];
    return coordinate_magnitude(vec) + a->height + b->height;
}

/* Whole nanoseconds, as seconds: Serf keeps distances so. */
static double coordinate_whole_ns(double seconds)
{
    if (!(seconds > -COORDINATE_EXACT_S && seconds < COORDINATE_EXACT_S))
        return seconds;
    int64_t ns = (int64_t)(seconds * 1.0e9);
    return (double)(ns / 1000000000) + (double)(ns % 1000000000) / 1.0e9;
}

double ki_coordinate_distance(const struct ki_coordinate *a, const struct ki_coordinate *b)
{
    double raw = coordinate_raw_distance(a, b);
    double adjusted = raw + a->adjustment + b->adjustment;
    return coordinate_whole_ns(adjusted > 0 ? adjusted : raw);
}

/* A vector of length 1 from `b` to `a`, and their distance; of those that coincide in any direction, and 0. */
static double coordinate_direction(const double a[KI_COORDINATE_DIMENSIONS], const double b[KI_COORDINATE_DIMENSIONS],
                                   struct ki_rng *rng, double unit[KI_COORDINATE_DIMENSIONS])
{
    for (size_t i = 0; i < KI_COORDINATE_DIMENSIONS; i++)
        unit[i] = a[i] - b[i];
    double distance = coordinate_magnitude(unit), length = distance;
    if (!(distance > COORDINATE_ZERO)) {
        for (size_t i = 0; i < KI_COORDINATE_DIMENSIONS; i++)
            unit[i] = (double)(ki_rng_next(rng) >> 11) * 0x1p-53 - 0.5;
        unit[0] += coordinate_magnitude(unit) > COORDINATE_ZERO ? 0 : 1; /* once in 10^40 */
        length = coordinate_magnitude(unit);
        distance = 0;
    }
    for (size_t i = 0; i < KI_COORDINATE_DIMENSIONS; i++)
        unit[i] *= 1.0 / length;
    return distance;
}

/* Pushes us away from `other` by so many seconds; below 0 towards it. */
static void coordinate_push(struct ki_coordinate *c, double force, const struct ki_coordinate *other, struct ki_rng *rng)
{
    double unit[KI_COORDINATE_DIMENSIONS];
    double distance = coordinate_direction(c->vec, other->vec, rng, unit);
    for (size_t i = 0; i < KI_COORDINATE_DIMENSIONS; i++)
        c->vec[i] += unit[i] * force;
    if (!(distance > COORDINATE_ZERO))
        return;
    c->height = (c->height + other->height) * force / distance + c->height;
    if (c->height < COORDINATE_HEIGHT_MIN)
        c->height = COORDINATE_HEIGHT_MIN;
}

/* ---- learning ---- */

bool ki_vivaldi_takes(const struct ki_coordinate *other, uint64_t rtt_us)
{
    return ki_coordinate_is_valid(other) && rtt_us <= COORDINATE_RTT_MAX_US;
}

/* The middle one of the last three, of two the longer, with this one. */
static double coordinate_filter(struct ki_latencies *l, uint32_t rtt_us)
{
    memmove(l->us + 1, l->us, (KI_LATENCIES - 1) * sizeof *l->us);
    l->us[0] = rtt_us;
    l->count += l->count < KI_LATENCIES;
    uint64_t low = ki_min_u64(l->us[0], l->us[1]), high = ki_max_u64(l->us[0], l->us[1]);
    uint64_t us = l->count == 3 ? ki_max_u64(low, ki_min_u64(high, l->us[2])) : l->count == 2 ? high : l->us[0];
    return (double)(us / 1000000) + (double)(us % 1000000 * 1000) / 1.0e9;
}

static void coordinate_spring(struct ki_coordinate *c, const struct ki_coordinate *other, double rtt, struct ki_rng *rng)
{
    double distance = ki_coordinate_distance(c, other);
    if (rtt < COORDINATE_ZERO)
        rtt = COORDINATE_ZERO;
    double off = distance - rtt;
    double wrong = (off < 0 ? -off : off) / rtt;
    double errors = c->error + other->error;
    if (errors < COORDINATE_ZERO)
        errors = COORDINATE_ZERO;
    double weight = c->error / errors;
    c->error = COORDINATE_ERROR_PART * weight * wrong + c->error * (1.0 - COORDINATE_ERROR_PART * weight);
    if (c->error > COORDINATE_ERROR_MAX)
        c->error = COORDINATE_ERROR_MAX;
    coordinate_push(c, COORDINATE_FORCE_PART * weight * (rtt - distance), other, rng);
}

static void coordinate_adjust(struct ki_vivaldi *v, const struct ki_coordinate *other, double rtt)
{
    v->samples[v->sample_next] = rtt - coordinate_raw_distance(&v->here, other);
    v->sample_next = (v->sample_next + 1) % KI_COORDINATE_SAMPLES;
    double sum = 0;
    for (size_t i = 0; i < KI_COORDINATE_SAMPLES; i++)
        sum += v->samples[i];
    v->here.adjustment = sum / (2.0 * KI_COORDINATE_SAMPLES);
}

static void coordinate_fall(struct ki_coordinate *c, struct ki_rng *rng)
{
    struct ki_coordinate origin = coordinate_new();
    double part = ki_coordinate_distance(&origin, c) / COORDINATE_GRAVITY;
    coordinate_push(c, -1.0 * (part * part), &origin, rng);
}

bool ki_vivaldi_update(struct ki_vivaldi *v, struct ki_latencies *latencies, const struct ki_coordinate *other,
                       uint64_t rtt_us, struct ki_rng *rng)
{
    double rtt = coordinate_filter(latencies, (uint32_t)rtt_us);
    coordinate_spring(&v->here, other, rtt, rng);
    coordinate_adjust(v, other, rtt);
    coordinate_fall(&v->here, rng);
    if (ki_coordinate_is_valid(&v->here))
        return true;
    ki_vivaldi_init(v); /* the samples too: Serf keeps them, and what is no number there undoes the next 20 updates */
    return false;
}
