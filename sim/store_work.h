/* A workload for stores: one step of a random program on a node, of which the checkers know all. */
#ifndef KI_SIM_STORE_WORK_H
#define KI_SIM_STORE_WORK_H

#include "sim/truth.h"

/* Writes once, or a few times as one group, as `luck` has it.  Does nothing on a node that does not run, has no store or is
 * leaving. */
void ki_sim_store_work(kith_sim *s, uint32_t node, uint64_t luck);

#endif
