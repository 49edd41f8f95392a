/* kith sim: worlds in one process, under one command.
 *
 * A table of subcommands, as in main.c, and what they share that is neither a word nor a bar: the command as a shell would
 * take it, for reports; whether a report can be written; figures for a person; and memory for what is printed, JSON
 * included, which ends the process in one line when there is none.
 *
 * Exit codes are kith's (0, 1 failure, 2 wrong usage), and 130 for a run that Ctrl-C has cut short. */
#include "cli/sim.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#endif

#define SIM_HUGE_PAGE ((uintptr_t)2 << 20)
#define SIM_AHEAD     (32 << 20) /* bytes by which the heap grows */

static const struct {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv);
} sim_commands[] = {
    {"run", "Runs one cluster under chosen faults and measures it", ki_cmd_sim_run},
    {"swarm", "Runs random worlds, checks what must always hold, replays and shrinks failures", ki_cmd_sim_swarm},
    {"spread", "The textbook epidemic, for up to 10,000,000 nodes", ki_cmd_sim_spread},
    {"aggregate", "Averages, counts, quantiles, order: computed by up to 1,000,000 nodes", ki_cmd_sim_aggregate},
    {"lifeguard", "The experiment of the Lifeguard paper: slow members and false alarms", ki_cmd_sim_lifeguard},
};

static void sim_usage(void)
{
    printf("Usage: kith sim <command> [options]\n\n  Simulated clusters: one process, one seed, the same every time.\n"
           "\nCommands:\n");
    for (size_t i = 0; i < KI_COUNT(sim_commands); i++)
        printf("  %-12s  %s\n", sim_commands[i].name, sim_commands[i].summary);
    printf("\n'kith sim <command> -help' tells what it takes.\n");
}

/* Full states come and go by the thousand; the pages under them are kept, instead of being given back and cleared again
 * each time. */
static void sim_keep_memory(void)
{
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
}

#if defined(__GLIBC__) && defined(MADV_POPULATE_WRITE)
/* Has the kernel clear the pages of a heap that grows, before they are needed. */
static void *sim_fill_pages(void *arg)
{
    const uintptr_t page = SIM_HUGE_PAGE;
    uintptr_t done = (uintptr_t)syscall(SYS_brk, 0);
    for (;;) {
        uintptr_t end = (uintptr_t)syscall(SYS_brk, 0) / page * page;
        done = (done + page - 1) / page * page;
        if (done >= end) { /* nothing new, or given back */
            done = end;
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
            continue;
        }
        madvise((void *)done, page, MADV_HUGEPAGE);
        if (madvise((void *)done, page, MADV_POPULATE_WRITE) != 0 && errno != ENOMEM && errno != EAGAIN)
            return arg; /* a kernel that cannot */
        done += page;
    }
}
#endif

/* A cluster that starts takes gigabytes, and on a virtual machine whose host has to find them the kernel is busy clearing
 * pages for a sixth of the time.  Another thread sees to that.  It touches nothing that the simulation knows of. */
static void sim_fill_ahead(void)
{
#if defined(__GLIBC__) && defined(MADV_POPULATE_WRITE)
    pthread_t thread;
    mallopt(M_TOP_PAD, SIM_AHEAD);
    if (pthread_create(&thread, NULL, sim_fill_pages, NULL) == 0)
        pthread_detach(thread);
#endif
}

/* Views of thousands of nodes, and what a million nodes keep of their neighbours, are looked up at random all over the
 * memory: huge pages save a sixth of the time, or a third.  glibc asks for them only if its environment says so from the
 * beginning; so we begin again.  Whoever has set GLIBC_TUNABLES, even to nothing, keeps what it says. */
static void sim_huge_pages(char **argv)
{
#ifdef __GLIBC__
    if (getenv("GLIBC_TUNABLES") || setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1", 0) != 0)
        return;
    fflush(stdout);
    execv("/proc/self/exe", argv); /* where there is none, all works as well, and slower */
#else
    (void)argv;
#endif
}

int ki_cmd_sim(int argc, char **argv)
{
    static const char *const help[] = {"help", "-h", "-help", "--help"};
    static const struct ki_usage usage = {.command = "sim"};
    if (argc < 2)
        return ki_usage_error(&usage, "needs a command");
    for (size_t i = 0; i < KI_COUNT(sim_commands); i++) {
        if (strcmp(argv[1], sim_commands[i].name) != 0)
            continue;
        if (sim_commands[i].run == ki_cmd_sim_run || sim_commands[i].run == ki_cmd_sim_aggregate)
            sim_huge_pages(argv - 1); /* from the program's own name on: "sim" is its first argument */
        sim_keep_memory();
        if (sim_commands[i].run == ki_cmd_sim_run)
            sim_fill_ahead();
        json_set_alloc_funcs(ki_sim_new, free);
        return sim_commands[i].run(argc - 1, argv + 1);
    }
    for (size_t i = 0; i < KI_COUNT(help); i++) {
        if (strcmp(argv[1], help[i]) == 0) {
            sim_usage();
            return KI_EXIT_OK;
        }
    }
    return ki_usage_error(&usage, "no such command: %s", argv[1]);
}

/* ---- shared ---- */

static const char sim_plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-";

/* A word in the shell's single quotes, if it needs them.  In: to  room for four times the word and 3 more. */
static char *sim_quote(char *to, const char *word)
{
    if (word[0] != '\0' && word[strspn(word, sim_plain)] == '\0') {
        size_t len = strlen(word);
        memcpy(to, word, len);
        return to + len;
    }
    *to++ = '\'';
    for (const char *c = word; *c; c++) {
        if (*c == '\'') {
            memcpy(to, "'\\'", 3);
            to += 3;
        }
        *to++ = *c;
    }
    *to++ = '\'';
    return to;
}

char *ki_sim_command(int argc, char **argv)
{
    static const char begin[] = "kith sim";
    size_t size = sizeof begin;
    for (int i = 0; i < argc; i++)
        size += 4 * strlen(argv[i]) + 3;
    char *text = ki_sim_new(size);
    memcpy(text, begin, sizeof begin - 1);
    char *at = text + sizeof begin - 1;
    for (int i = 0; i < argc; i++) {
        *at++ = ' ';
        at = sim_quote(at, argv[i]);
    }
    *at = '\0';
    return text;
}

void *ki_sim_new(size_t size)
{
    void *ptr = calloc(1, size ? size : 1);
    if (ptr)
        return ptr;
    fputs("kith sim: out of memory; fewer nodes need less\n", stderr);
    exit(KI_EXIT_FAILED);
}

const char *ki_sim_report_refusal(const char *path)
{
    if (!path)
        return NULL;
    int error = path[0] == '\0' ? 0 : ki_sim_report_try(path);
    return path[0] == '\0' ? "is no path" : error ? strerror(-error) : NULL;
}

int ki_sim_report_write(struct sim_report *page, const char *command, const char *path)
{
    int error = ki_sim_report_save(page, path);
    ki_sim_report_free(page);
    if (error) {
        fprintf(stderr, "kith %s: -report ", command);
        ki_print_safe(stderr, ki_span(path, strlen(path)));
        fprintf(stderr, ": %s\n", strerror(-error));
    }
    return error ? KI_EXIT_FAILED : KI_EXIT_OK;
}

const char *ki_sim_figure(double value, char buf[40])
{
    char digits[40];
    double size = fabs(value);
    int places = size >= 1000 || size == floor(size) ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : 3;
    if (!(size < 1e18)) {
        snprintf(buf, 40, "%.3g", value);
        return buf;
    }
    int len = snprintf(digits, sizeof digits, "%.*f", places, value);
    char *to = buf;
    int whole = places > 0 ? len - places - 1 : len;
    for (int i = 0; i < len; i++) {
        if (i > 0 && i < whole && (whole - i) % 3 == 0 && digits[i - 1] != '-')
            *to++ = ',';
        *to++ = digits[i];
    }
    *to = '\0';
    return buf;
}
