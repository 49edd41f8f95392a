/* A workload of events and queries: one step of a random program on a node, of which the checkers know all. */
#ifndef KI_SIM_EVENT_WORK_H
#define KI_SIM_EVENT_WORK_H

#include "sim/talk.h"

/* Sends an event, or a flood of them, or asks, as `luck` has it.  Does nothing on a node that does not run or is leaving. */
void ki_sim_event_work(kith_sim *s, uint32_t node, uint64_t luck);
/* What happens to the program on a node: it answers most queries. */
void ki_sim_event_work_hears(kith_sim *s, const struct kith_sim_happening *happening);
/* The last word of a node: a small event; confirmed, if it can be, by so many, within the time. */
void ki_sim_event_work_last(kith_sim *s, uint32_t node, uint32_t expects, uint32_t timeout_ms);

#endif
