/* What the machine says of itself in /proc. */
#ifndef KI_AGENT_MACHINE_H
#define KI_AGENT_MACHINE_H

#include <stdbool.h>

/* In: proc  "/proc", or where a test has put such files.   Returns false when it is not there, or not as Linux writes it. */

/* The load average of the last minute for each of so many cores: 1 is a machine that is busy and has no queue. */
bool ki_machine_load(const char *proc, long cores, double *out);
/* The part of the memory, in percent, that programs could not have without others giving it back. */
bool ki_machine_memory(const char *proc, double *out);

#endif
