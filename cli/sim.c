/* kith sim: worlds in one process, under one command.
 *
 * A table of subcommands, as in main.c, and what they share that is neither a word nor a bar: the command as a shell would
 * take it, for reports; whether a report can be written; and figures for a person.
 *
 * Exit codes are kith's (0, 1 failure, 2 wrong usage), and 130 for a run that Ctrl-C has cut short. */
#include "cli/sim.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

static const struct {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv);
} sim_commands[] = {
    {"run", "Runs one cluster under chosen faults and measures it", ki_cmd_sim_run},
    {"swarm", "Runs random worlds, checks what must always hold, replays and shrinks failures", ki_cmd_sim_swarm},
    {"spread", "The textbook epidemic, for up to a million nodes", ki_cmd_sim_spread},
    {"lifeguard", "The experiment of the Lifeguard paper: slow members and false alarms", ki_cmd_sim_lifeguard},
};

static void sim_usage(FILE *to)
{
    fprintf(to, "Usage: kith sim <command> [options]\n\n  Simulated clusters: one process, one seed, the same every time.\n"
                "\nCommands:\n");
    for (size_t i = 0; i < KI_COUNT(sim_commands); i++)
        fprintf(to, "  %-12s  %s\n", sim_commands[i].name, sim_commands[i].summary);
    fprintf(to, "\n'kith sim <command> -help' tells what it takes.\n");
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

/* Views of thousands of nodes are looked up at random all over the memory: huge pages save a sixth of the time.  glibc asks
 * for them only if its environment says so from the beginning; so we begin again.  Whoever has set GLIBC_TUNABLES, even to
 * nothing, keeps what it says. */
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
    if (argc < 2) {
        fprintf(stderr, "kith sim: needs a command\n\n");
        sim_usage(stderr);
        return KI_EXIT_USAGE;
    }
    for (size_t i = 0; i < KI_COUNT(sim_commands); i++) {
        if (strcmp(argv[1], sim_commands[i].name) != 0)
            continue;
        if (sim_commands[i].run == ki_cmd_sim_run)
            sim_huge_pages(argv - 1); /* from the program's own name on: "sim" is its first argument */
        sim_keep_memory();
        return sim_commands[i].run(argc - 1, argv + 1);
    }
    for (size_t i = 0; i < KI_COUNT(help); i++) {
        if (strcmp(argv[1], help[i]) == 0) {
            sim_usage(stdout);
            return KI_EXIT_OK;
        }
    }
    fprintf(stderr, "kith sim: no such command: %s\n\n", argv[1]);
    sim_usage(stderr);
    return KI_EXIT_USAGE;
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
    char *text = malloc(size);
    if (!text)
        return NULL;
    memcpy(text, begin, sizeof begin - 1);
    char *at = text + sizeof begin - 1;
    for (int i = 0; i < argc; i++) {
        *at++ = ' ';
        at = sim_quote(at, argv[i]);
    }
    *at = '\0';
    return text;
}

/* As sim_report_write() goes about it: a file is made beside the path and takes its place; what is no file is written
 * into. */
const char *ki_sim_report_refusal(const char *path)
{
    char folder[4096];
    struct stat there;
    if (!path)
        return NULL;
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) + 1 : 1;
    if (path[0] == '\0' || len >= sizeof folder)
        return "is no path";
    if (stat(path, &there) == 0 && S_ISDIR(there.st_mode))
        return strerror(EISDIR);
    memcpy(folder, slash ? path : ".", len);
    folder[len] = '\0';
    bool made = lstat(path, &there) != 0 || S_ISREG(there.st_mode);
    return access(made ? folder : path, made ? W_OK | X_OK : W_OK) == 0 ? NULL : strerror(errno);
}

int ki_sim_report_write(struct sim_report *page, const char *command, const char *path)
{
    int error = sim_report_write(page, path);
    sim_report_free(page);
    if (error)
        fprintf(stderr, "kith %s: -report %s: %s\n", command, path, strerror(-error));
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
