/* A workload for aggregates: one step of a random program on a node, of which the checkers know all. */
#ifndef KI_SIM_AGGREGATE_WORK_H
#define KI_SIM_AGGREGATE_WORK_H

#include "sim/given.h"

/* Opens, sets, clears, closes, watches or reads, as `luck` has it.  Does nothing on a node that does not run, is leaving
 * or of Serf's kind. */
void ki_sim_aggregate_work(kith_sim *s, uint32_t node, uint64_t luck);
/* The last values of a node: it gives to most aggregates. */
void ki_sim_aggregate_work_last(kith_sim *s, uint32_t node, uint64_t luck);

#endif
