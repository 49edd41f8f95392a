/* Flow Updating, pairwise.
 *
 * A node never gives its value away.  It keeps, for each neighbour, the flow: how much of its mass lies with that one.
 * Its estimate is its value less all flows.  Where the flows of the two ends of an edge are opposite, what one estimate
 * lacks the other has, so the estimates of all sum up to the values of all.  An exchange makes them opposite again, and
 * the two estimates equal:
 *
 *     initiator                                    responder
 *       REQUEST {seq, flow, estimate}      -->       its flow = -flow
 *                                                    m = (its own estimate + the other) / 2
 *                                                    its flow += its own estimate - m
 *       flow = -flow of the reply          <--       REPLY {seq, its flow, its estimate}
 *
 * Messages tell whole flows, not differences, so one that comes twice changes nothing and one that is lost is made good by
 * the next.  A lost reply leaves the responder ahead, until it is asked again and told its flow anew.  What is late is known
 * by its number.  A number far behind is no late message but a sender that began anew (a row that it had given up, a
 * clock set back), and is heeded: whatever an exchange that is wrong may leave behind, the next whole one mends.
 * Replies are not kept.  Only requests of one neighbour move its row, so the reply to a request that comes again
 * can be made again; made from what is there now, it is right even where the row has moved on.
 *
 * Where values go on changing, flows wander: what goes round in a circle changes no estimate, so nothing pulls it back, and
 * after some hours of unrest the first edges are full.  A flow is moved no further than range.most then: that edge carries
 * nothing more in that direction, other edges do, and nothing is lost.  (To give the row up instead would throw all
 * that it held at two nodes.)  The averages are followed as well as before; but when a neighbour dies, all that its row held
 * is back at once, so range.most is small.  The most that an average needs of one edge is less than one range: where one
 * half of the members has the largest value and the other the smallest, each lying together, 0.83 was measured.  With four
 * ranges a tenth of all can die after days of unrest, and in 15 ticks all are within 1 % again; with sixteen, in 25.
 *
 * Invariants: a flow is finite and within range.most, and that is all that a hostile neighbour can take from us or give us;
 * what it tells of its estimate counts only within what the schema allows, widened by as much on either side.  (Estimates
 * overshoot; held to the range itself, too much at one node could not flow off where the truth lies at the range's end,
 * as the share of those who contribute does when all do.)  Our estimate is recomputed from value and rows each time, so
 * rounding does not add up.
 *
 * Deliberately not here: who the neighbours are (overlay.c), when they are asked, messages as bytes. */
#include "aggregate/flow.h"

#include <float.h>

#include "base/real.h"

#define FLOW_RANGES  4                   /* what a flow may be, in ranges of estimates: see above */
#define FLOW_LARGEST (DBL_MAX * 0x1p-10) /* of an estimate: rows of FLOW_RANGES times twice that can be summed up */

static double flow_within(double value, double low, double high)
{
    return value < low ? low : value > high ? high : value;
}

/* One component; 0 is what a member says that does not contribute. */
static void flow_range_set(struct ki_flow_range *range, size_t i, double low, double high)
{
    range->low[i] = flow_within(low, -FLOW_LARGEST, 0);
    range->high[i] = flow_within(high, 0, FLOW_LARGEST);
    range->most[i] = FLOW_RANGES * (range->high[i] - range->low[i]);
}

void ki_flow_range(double min, double max, struct ki_flow_range *out)
{
    double far = -min > max ? -min : max;
    flow_range_set(out, 0, min, max);
    flow_range_set(out, 1, 0, far * far);
    flow_range_set(out, 2, 0, 1);
}

void ki_flow_value(const struct ki_flow_range *range, double value, double out[KI_FLOW_WIDTH])
{
    out[0] = flow_within(value, range->low[0], range->high[0]);
    out[1] = flow_within(value * value, 0, range->high[1]);
    out[2] = 1;
}

struct ki_flow_row ki_flow_row(uint32_t peer)
{
    return (struct ki_flow_row){.peer = peer};
}

void ki_flow_estimate(const struct ki_flow *flow, double out[KI_FLOW_WIDTH])
{
    for (size_t i = 0; i < KI_FLOW_WIDTH; i++) {
        double sum = 0;
        for (uint32_t row = 0; row < flow->count; row++)
            sum += flow->rows[row].flow[i];
        out[i] = flow->value[i] - sum;
    }
}

static struct ki_flow_message flow_message(const struct ki_flow *flow, const struct ki_flow_row *row, uint32_t seq)
{
    struct ki_flow_message message = {.seq = seq};
    memcpy(message.flow, row->flow, sizeof message.flow);
    ki_flow_estimate(flow, message.estimate);
    return message;
}

static bool flow_is_possible(const struct ki_flow_range *range, const struct ki_flow_message *message)
{
    for (size_t i = 0; i < KI_FLOW_WIDTH; i++) {
        double flow = message->flow[i];
        if (!(flow >= -range->most[i] && flow <= range->most[i]) || !ki_is_finite(message->estimate[i]))
            return false;
    }
    return true;
}

/* Takes in what a neighbour says of the pair, if all of it can be; else gives the row's mass back. */
static bool flow_hear(const struct ki_flow_range *range, struct ki_flow_row *row, const struct ki_flow_message *message)
{
    if (!flow_is_possible(range, message)) {
        *row = (struct ki_flow_row){
            .peer = row->peer, .asked = row->asked, .heard = row->heard, .has_heard = row->has_heard};
        return false;
    }
    for (size_t i = 0; i < KI_FLOW_WIDTH; i++) {
        double width = range->high[i] - range->low[i]; /* honest ones overshoot on their way to the truth */
        row->flow[i] = -message->flow[i];
        row->estimate[i] = flow_within(message->estimate[i], range->low[i] - width, range->high[i] + width);
    }
    row->is_known = true;
    return true;
}

struct ki_flow_message ki_flow_ask(const struct ki_flow *flow, struct ki_flow_row *row, uint32_t seq)
{
    row->asked = seq;
    row->is_waiting = true;
    return ki_flow_ask_again(flow, row);
}

struct ki_flow_message ki_flow_ask_again(const struct ki_flow *flow, const struct ki_flow_row *row)
{
    KI_ASSERT(row->is_waiting);
    return flow_message(flow, row, row->asked);
}

enum ki_flow_heard ki_flow_answer(const struct ki_flow *flow, struct ki_flow_row *row, const struct ki_flow_message *request,
                                  struct ki_flow_message *reply)
{
    uint32_t behind = row->heard - request->seq; /* modulo 2^32: what is ahead is far behind, too */
    if (row->has_heard && behind > 0 && behind <= KI_FLOW_BEHIND)
        return KI_FLOW_LATE;
    bool again = row->has_heard && behind == 0;
    if (!again) {
        double own[KI_FLOW_WIDTH];
        if (!flow_hear(flow->range, row, request))
            return KI_FLOW_REFUSED;
        ki_flow_estimate(flow, own);
        for (size_t i = 0; i < KI_FLOW_WIDTH; i++) {
            double half = (own[i] - row->estimate[i]) / 2;
            row->flow[i] = flow_within(row->flow[i] + half, -flow->range->most[i], flow->range->most[i]);
            row->estimate[i] += half;
        }
        row->heard = request->seq;
        row->has_heard = true;
        row->is_waiting = false; /* of two that ask each other at once neither takes the other's answer */
    }
    *reply = flow_message(flow, row, request->seq);
    return again ? KI_FLOW_AGAIN : KI_FLOW_TAKEN;
}

enum ki_flow_heard ki_flow_take(const struct ki_flow *flow, struct ki_flow_row *row, const struct ki_flow_message *reply)
{
    if (!row->is_waiting || reply->seq != row->asked)
        return KI_FLOW_LATE;
    row->is_waiting = false;
    return flow_hear(flow->range, row, reply) ? KI_FLOW_TAKEN : KI_FLOW_REFUSED;
}
