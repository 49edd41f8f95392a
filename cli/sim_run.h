/* `kith sim run` in two halves: what was asked for (sim_run.c), and what is printed (sim_run_out.c). */
#ifndef KI_CLI_SIM_RUN_H
#define KI_CLI_SIM_RUN_H

#include "sim/run.h"

struct ki_sim_run_about {
    const char *command;     /* as it was given */
    const char *profile;
    const struct sim_scenario *scenario;
    kith_sim *world;         /* for its trace */
    double setup_s, wall_s;
    uint64_t peak_rss_bytes;
    bool interrupted;
};

void ki_sim_run_table(const struct ki_sim_run_about *about, const struct sim_result *result);
/* Returns the exit code. */
int ki_sim_run_json(const struct ki_sim_run_about *about, const struct sim_result *result);
int ki_sim_run_report(const struct ki_sim_run_about *about, const struct sim_result *result, const char *path);

#endif
