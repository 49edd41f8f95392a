/* Child processes for the swarm.
 *
 * Seeds are dealt like cards: worker w of n takes every n-th seed, from the w-th on, and writes each result, smaller than
 * what a pipe takes at once, into a pipe of its own.  The parent reads the pipes in turn, which is the order of the
 * seeds; a pipe holds a hundred results, so no worker waits for a slow one for long.
 *
 * When a pipe ends early, the seed that should have come next has ended its process: a failed assertion, a sanitizer's
 * report.  That is its result, and another worker goes on behind it.
 *
 * Deliberately not here: threads.  A crash would take all of them. */
#include "cli/sim_swarm_jobs.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

void ki_swarm_draw(const struct sim_part *part, uint64_t seed, unsigned with, struct sim_plan *out)
{
    ki_sim_plan_draw(out, seed, with);
    ki_sim_plan_keep(out, part);
}

static void jobs_run(const struct ki_swarm_jobs *jobs, uint64_t seed, struct ki_swarm_result *out)
{
    static struct sim_plan plan;
    ki_swarm_draw(&jobs->part, seed, jobs->with, &plan);
    memset(out, 0, sizeof *out);
    out->seed = seed;
    out->nodes = plan.node_count;
    out->faults = ki_sim_plan_faults(&plan);
    ki_sim_plan_run(&plan, 0, NULL, &out->verdict);
}

static bool jobs_write(int to, const void *buf, size_t len)
{
    const char *at = buf;
    while (len > 0) {
        ssize_t written = write(to, at, len);
        if (written <= 0 && errno != EINTR)
            return false;
        if (written > 0) {
            at += written;
            len -= (size_t)written;
        }
    }
    return true;
}

static bool jobs_read(int from, void *buf, size_t len)
{
    char *at = buf;
    while (len > 0) {
        ssize_t got = read(from, at, len);
        if (got == 0 || (got < 0 && errno != EINTR))
            return false;
        if (got > 0) {
            at += got;
            len -= (size_t)got;
        }
    }
    return true;
}

/* Makes a child with a pipe from it.  Returns as fork() does; in the child *end is where to write. */
static pid_t jobs_fork(int *end)
{
    int ends[2];
    if (pipe(ends) != 0)
        return -1;
    fflush(stdout);
    fflush(stderr);
    pid_t pid = fork();
    *end = pid == 0 ? ends[1] : ends[0];
    close(pid == 0 ? ends[0] : ends[1]);
    if (pid < 0)
        close(*end);
    return pid;
}

static bool jobs_start(struct ki_swarm_jobs *jobs, struct ki_swarm_worker *w, uint64_t seed)
{
    int end;
    pid_t pid = jobs_fork(&end);
    if (pid < 0)
        return false;
    if (pid > 0) {
        *w = (struct ki_swarm_worker){.pid = pid, .from = end};
        return true;
    }
    bool more = true;
    while (more) {
        struct ki_swarm_result result;
        jobs_run(jobs, seed, &result);
        more = jobs_write(end, &result, sizeof result) && jobs->last - seed >= jobs->count;
        seed += jobs->count;
    }
    _exit(0);
}

static void jobs_crashed(pid_t pid, struct sim_verdict *out)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    *out = (struct sim_verdict){.failed = true, .crashed = true, .checker = "crash"};
    if (WIFSIGNALED(status))
        snprintf(out->sentence, sizeof out->sentence, "- -: crash: the process was ended by signal %d", WTERMSIG(status));
    else
        snprintf(out->sentence, sizeof out->sentence, "- -: crash: the process ended with exit code %d",
                 WEXITSTATUS(status));
}

static void jobs_stop(struct ki_swarm_worker *w)
{
    if (w->pid == 0)
        return;
    close(w->from);
    kill(w->pid, SIGTERM);
    while (waitpid(w->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    *w = (struct ki_swarm_worker){0};
}

bool ki_swarm_next(struct ki_swarm_jobs *jobs, uint64_t seed, struct ki_swarm_result *out)
{
    for (unsigned i = 0; seed == jobs->first && i < jobs->count && i <= jobs->last - seed; i++) {
        if (!jobs_start(jobs, &jobs->workers[i], seed + i))
            return false;
    }
    struct ki_swarm_worker *w = &jobs->workers[(seed - jobs->first) % jobs->count];
    if (jobs_read(w->from, out, sizeof *out))
        return true;
    static struct sim_plan plan;
    ki_swarm_draw(&jobs->part, seed, jobs->with, &plan);
    *out = (struct ki_swarm_result){.seed = seed, .nodes = plan.node_count, .faults = ki_sim_plan_faults(&plan)};
    jobs_crashed(w->pid, &out->verdict);
    close(w->from);
    *w = (struct ki_swarm_worker){0};
    return jobs->last - seed < jobs->count || jobs_start(jobs, w, seed + jobs->count);
}

void ki_swarm_end(struct ki_swarm_jobs *jobs)
{
    for (unsigned i = 0; i < jobs->count; i++)
        jobs_stop(&jobs->workers[i]);
}

bool ki_swarm_run_apart(const struct sim_plan *plan, uint32_t trace_lines, FILE *trace, struct sim_verdict *out)
{
    int end;
    pid_t pid = jobs_fork(&end);
    if (pid < 0)
        return false;
    if (pid == 0) {
        struct sim_verdict verdict;
        ki_sim_plan_run(plan, trace_lines, trace, &verdict);
        if (trace)
            fflush(trace);
        jobs_write(end, &verdict, sizeof verdict);
        _exit(0);
    }
    struct ki_swarm_worker w = {.pid = pid, .from = end};
    if (jobs_read(end, out, sizeof *out)) {
        jobs_stop(&w);
        return true;
    }
    close(end);
    jobs_crashed(pid, out);
    return true;
}
