/* Seeds run by child processes: as many at a time as wished, results in the order of the seeds, and a seed that ends its
 * process is a result too. */
#ifndef KI_CLI_SIM_SWARM_JOBS_H
#define KI_CLI_SIM_SWARM_JOBS_H

#include <sys/types.h>

#include "sim/swarm.h"

#define KI_SWARM_JOBS_MAX 64

struct ki_swarm_result {
    uint64_t seed;
    uint32_t nodes, faults;
    struct sim_verdict verdict;
};

struct ki_swarm_worker {
    pid_t pid; /* 0: none */
    int from;  /* the reading end of its pipe */
};

struct ki_swarm_jobs {
    uint64_t first, last;
    unsigned count;
    struct sim_part part; /* of each world, what is run */
    unsigned with;        /* what each has: SIM_WITH_ flags */
    struct ki_swarm_worker workers[KI_SWARM_JOBS_MAX];
};

/* The plan of a seed, with what its world has, without what is not in the part. */
void ki_swarm_draw(const struct sim_part *part, uint64_t seed, unsigned with, struct sim_plan *out);

/* Gets the result of a seed; to be called for each from first to last, in order.  False: no process could be made. */
bool ki_swarm_next(struct ki_swarm_jobs *jobs, uint64_t seed, struct ki_swarm_result *out);
/* Ends what still runs. */
void ki_swarm_end(struct ki_swarm_jobs *jobs);

/* Runs one plan in a process of its own, which writes the last trace_lines of it to trace (NULL: none).  A sim_plan_runner,
 * but for the trace. */
bool ki_swarm_run_apart(const struct sim_plan *plan, uint32_t trace_lines, FILE *trace, struct sim_verdict *out);

#endif
