/* What to say when reading the mapped file kills us.
 *
 * A mapped page that the disk cannot give (an I/O error, a file that somebody has cut off under us) is SIGBUS, and a damaged
 * page can send LMDB astray, which is SIGSEGV or one of its assertions.  None can be survived: the page is needed now.
 * But an operator should read which file it was and what to do.  So the handler writes one sentence that was made
 * beforehand, gives the signal back to whoever had it, and returns: the fault happens again, and has its usual end.
 *
 * SIGSEGV is taken only while the rows are loaded, when nothing else runs; later it would be somebody else's fault.
 *
 * The one global of the disk: a signal handler has no argument.  Not here: other threads' signals, other files. */
#include "agent/disk_internal.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct {
    char text[512];
    size_t len;
    struct sigaction bus, segv; /* as they were before us */
    bool has_bus, has_segv;
} fault;

static void fault_say(const char *text, size_t len)
{
    ssize_t written = write(STDERR_FILENO, text, len);
    (void)written; /* there is nobody else to tell */
}

static void fault_caught(int number)
{
    fault_say(fault.text, fault.len);
    (void)sigaction(number, number == SIGBUS ? &fault.bus : &fault.segv, NULL);
}

void ki_disk_fault_arm(const char *path, bool is_loading)
{
    struct sigaction action = {.sa_handler = fault_caught};
    ki_disk_fault_disarm();
    int len = snprintf(fault.text, sizeof fault.text,
                       "kith agent: reading %.300s has failed: the file is damaged, or the disk gives errors. "
                       "Check the "
                       "disk (dmesg); move the file away and start again to begin with what the pool has.\n",
                       path);
    fault.len = len < (int)sizeof fault.text ? (size_t)len : sizeof fault.text - 1;
    sigemptyset(&action.sa_mask);
    fault.has_bus = sigaction(SIGBUS, &action, &fault.bus) == 0;
    fault.has_segv = is_loading && sigaction(SIGSEGV, &action, &fault.segv) == 0;
}

void ki_disk_fault_disarm(void)
{
    if (fault.has_bus)
        (void)sigaction(SIGBUS, &fault.bus, NULL);
    if (fault.has_segv)
        (void)sigaction(SIGSEGV, &fault.segv, NULL);
    fault.has_bus = fault.has_segv = false;
}

/* LMDB aborts after this. */
void ki_disk_fault_assert(MDB_env *env, const char *what)
{
    (void)env;
    fault_say(fault.text, fault.len);
    fault_say(what, strlen(what));
    fault_say("\n", 1);
}
