/* Reading /proc: the load average and the memory.
 *
 * Both are as an operator compares machines: the load for each core, because four waiting programs are much for one core and
 * little for sixty-four; memory as the kernel estimates what programs could still get (MemAvailable), because what caches
 * hold is not in use.  They speak of the machine, not of a container's share of it.
 *
 * Not here: how often, and whom it is told (gauges.c). */
#include "agent/machine.h"
#include "agent/replace.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The file as text, to be freed, or NULL. */
static char *machine_read(const char *proc, const char *name)
{
    char path[4096];
    size_t len;
    if (snprintf(path, sizeof path, "%s/%s", proc, name) >= (int)sizeof path)
        return NULL;
    return ki_read_file(path, &len);
}

/* A number of 0 or more that something follows. */
static bool machine_number(const char *text, double *out)
{
    char *end;
    *out = strtod(text, &end);
    return end != text && (*end == ' ' || *end == '\n') && isfinite(*out) && *out >= 0;
}

bool ki_machine_load(const char *proc, long cores, double *out)
{
    char *text = machine_read(proc, "loadavg");
    double load;
    bool good = text && cores > 0 && machine_number(text, &load);
    if (good)
        *out = load / (double)cores;
    free(text);
    return good;
}

/* A line "MemTotal:       16331752 kB". */
static bool machine_line(const char *text, const char *key, double *out)
{
    size_t len = strlen(key);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, len) == 0 && line[len] == ':')
            return machine_number(line + len + 1, out);
    }
    return false;
}

bool ki_machine_memory(const char *proc, double *out)
{
    char *text = machine_read(proc, "meminfo");
    double total, available;
    bool good = text && machine_line(text, "MemTotal", &total) && machine_line(text, "MemAvailable", &available) &&
                total > 0 && available <= total;
    if (good)
        *out = 100 * (1 - available / total);
    free(text);
    return good;
}
