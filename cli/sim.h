/* `kith sim`: its subcommands, and what they share beyond cli/sim_words.h and cli/sim_progress.h. */
#ifndef KI_CLI_SIM_H
#define KI_CLI_SIM_H

#include "cli/cli.h"
#include "cli/sim_progress.h"
#include "cli/sim_words.h"
#include "sim/report.h"

/* Ended by Ctrl-C, after printing what there was. */
#define KI_EXIT_INTERRUPTED 130

/* One function a subcommand: argv[0] is its name, without "sim".  Each returns the exit code. */
int ki_cmd_sim_run(int argc, char **argv);
int ki_cmd_sim_swarm(int argc, char **argv);
int ki_cmd_sim_spread(int argc, char **argv);
int ki_cmd_sim_aggregate(int argc, char **argv);
int ki_cmd_sim_lifeguard(int argc, char **argv);

/* Memory for what is printed, zeroed.  When there is none, a line says so and the process ends with KI_EXIT_FAILED. */
void *ki_sim_new(size_t size);

/* The command that was given, as a shell would take it: "kith sim run --nodes 5".  The caller frees it. */
char *ki_sim_command(int argc, char **argv);

/* How many digits of a real number are worth printing in JSON, for ki_json_print(). */
#define KI_SIM_JSON_REALS JSON_REAL_PRECISION(12)

/* What stands in the way of a page at this path, so that it is said before the work rather than after it: static or
 * strerror()'s, to be put behind the flag and its value.  NULL: nothing, as of now, or there is no path. */
const char *ki_sim_report_refusal(const char *path);
/* Writes the page of `kith COMMAND -report PATH` and frees it.  Returns the exit code, with the reason printed. */
int ki_sim_report_write(struct sim_report *page, const char *command, const char *path);

/* A figure for a person: whole numbers as they are, others with 4 significant digits, from 1,000 on in groups of three.
 * Into buf, which is returned. */
const char *ki_sim_figure(double value, char buf[40]);

#endif
