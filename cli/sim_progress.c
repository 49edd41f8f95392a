/* A progress bar, and Ctrl-C as a question rather than an end.
 *
 * The bar is drawn over itself on one line of standard error, only when that is a terminal (and TERM is not "dumb"), and
 * wiped before anything else is printed.  It costs one look at the clock a call, so callers may call it often.  The time
 * left is what the rest takes at the mean speed so far.
 *
 * The wall clock never goes further than here: what a simulation computes does not depend on it.
 *
 * The only state outside a struct is the flag of the signal handler, which takes no argument. */
#include "cli/sim_progress.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PROGRESS_EVERY_US UINT64_C(100000)
#define PROGRESS_FIRST_US UINT64_C(300000) /* what is done sooner needs no bar */
#define PROGRESS_BAR      24

static volatile sig_atomic_t progress_interrupted;

uint64_t ki_sim_wall_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void ki_sim_progress_begin(struct ki_sim_progress *p)
{
    const char *term = getenv("TERM");
    bool dumb = term && strcmp(term, "dumb") == 0;
    uint64_t now_us = ki_sim_wall_us();
    *p = (struct ki_sim_progress){
        .on = isatty(STDERR_FILENO) && !dumb, .began_us = now_us, .next_us = now_us + PROGRESS_FIRST_US};
}

static void progress_time_left(uint64_t took_us, uint64_t done, uint64_t total)
{
    if (done == 0)
        return;
    uint64_t left_s = (uint64_t)((double)took_us / (double)done * (double)(total - done) / 1e6 + 0.5);
    if (left_s >= 3600)
        fprintf(stderr, "  %u:%02u:%02u left", (unsigned)(left_s / 3600), (unsigned)(left_s / 60 % 60),
                (unsigned)(left_s % 60));
    else
        fprintf(stderr, "  %u:%02u left", (unsigned)(left_s / 60), (unsigned)(left_s % 60));
}

void ki_sim_progress_show(struct ki_sim_progress *p, uint64_t done, uint64_t total, const char *format, ...)
{
    if (!p->on)
        return;
    uint64_t now_us = ki_sim_wall_us();
    if (now_us < p->next_us || total == 0 || done > total)
        return;
    char bar[PROGRESS_BAR + 1];
    size_t filled = (size_t)((double)done / (double)total * PROGRESS_BAR);
    memset(bar, '.', PROGRESS_BAR);
    memset(bar, '#', filled);
    bar[PROGRESS_BAR] = '\0';
    fprintf(stderr, "\r[%s] %3.0f %%  ", bar, (double)done / (double)total * 100);
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    progress_time_left(now_us - p->began_us, done, total);
    fprintf(stderr, "\033[K"); /* erase to the end of the line */
    fflush(stderr);
    p->next_us = now_us + PROGRESS_EVERY_US;
    p->drawn = true;
}

void ki_sim_progress_wipe(struct ki_sim_progress *p)
{
    if (p->drawn)
        fprintf(stderr, "\r\033[K");
    fflush(stderr);
    p->drawn = false;
}

static void progress_interrupt(int number)
{
    (void)number;
    progress_interrupted = 1;
}

void ki_sim_interruptible(void)
{
    struct sigaction action = {.sa_handler = progress_interrupt, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
}

bool ki_sim_interrupted(void)
{
    return progress_interrupted != 0;
}
