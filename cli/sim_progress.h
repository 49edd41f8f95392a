/* What a long computation owes whoever waits for it: a bar on standard error when that is a terminal, and an end at
 * Ctrl-C that still prints what there is. */
#ifndef KI_CLI_SIM_PROGRESS_H
#define KI_CLI_SIM_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct ki_sim_progress {
    bool on;
    bool drawn;
    uint64_t began_us;
    uint64_t next_us; /* when to draw again */
};

/* Monotonic microseconds of the real world. */
uint64_t ki_sim_wall_us(void);

void ki_sim_progress_begin(struct ki_sim_progress *p);
/* Draws the bar, ten times a second at most: done of total, the words, and the time left. */
void ki_sim_progress_show(struct ki_sim_progress *p, uint64_t done, uint64_t total, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Wipes it, at the end or before something else is printed.  It may be drawn again. */
void ki_sim_progress_wipe(struct ki_sim_progress *p);

/* From now on the first Ctrl-C is only noted, and the second one ends the process. */
void ki_sim_interruptible(void);
bool ki_sim_interrupted(void);

#endif
