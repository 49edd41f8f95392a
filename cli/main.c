/* kith: one binary, one table of subcommands.
 *
 * `kith agent` is the agent; all others ask one, by RPC or at its Redis door, or need none.  Exit codes: 0, 1 failure, 2
 * wrong usage, 4 no agent there.  Output that could not be written is a failure: `kith keygen >file`
 * on a full disk must not look like a key.  Usage that was asked for goes to standard output, usage as an answer
 * to a mistake to standard error.
 *
 * Who starts us may have closed one of the three standard descriptors.  Its number must not go to a socket or to the
 * store's file, or the log would be written there. */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent.h"

static int main_agent(int argc, char **argv)
{
    return ki_agent_main(argc - 1, argv + 1);
}

static const struct {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv);
} main_commands[] = {
    {"agent", "Runs an agent: one member of a pool", main_agent},
    {"aggregate", "Prints sum, average, order and more of what the members contribute", ki_cmd_aggregate},
    {"del", "Deletes keys of the store", ki_cmd_del},
    {"dev", "Runs a local cluster and shows it live", ki_cmd_dev},
    {"event", "Sends an event to all members", ki_cmd_event},
    {"force-leave", "Declares a failed member left", ki_cmd_force_leave},
    {"gauge", "Contributes numbers of an agent to aggregates", ki_cmd_gauge},
    {"get", "Prints the value of a key of the store", ki_cmd_get},
    {"incr", "Adds to a counter of the store", ki_cmd_incr},
    {"info", "Prints what an agent knows about itself", ki_cmd_info},
    {"join", "Makes an agent join a pool", ki_cmd_join},
    {"keygen", "Makes a new encryption key", ki_cmd_keygen},
    {"keys", "Lists the keys of the store; changes those of encryption", ki_cmd_keys},
    {"leave", "Makes an agent leave gracefully and end", ki_cmd_leave},
    {"members", "Lists the members of a pool", ki_cmd_members},
    {"monitor", "Follows an agent's log and events", ki_cmd_monitor},
    {"query", "Asks all members, or some, and prints their answers", ki_cmd_query},
    {"reachability", "Tests whether all live members answer", ki_cmd_reachability},
    {"rtt", "Estimates the round trip between two members", ki_cmd_rtt},
    {"set", "Sets a key of the store", ki_cmd_set},
    {"sim", "Simulates clusters and measures them", ki_cmd_sim},
    {"store", "Tells how the store is; backs it up and restores it", ki_cmd_store},
    {"stream", "Follows an agent's events", ki_cmd_stream},
    {"tags", "Changes an agent's tags", ki_cmd_tags},
    {"version", "Prints the version", ki_cmd_version},
    {"watch", "Follows the changes of keys of the store", ki_cmd_watch},
};

static void main_usage(FILE *to)
{
    fprintf(to, "Usage: kith [-version] [-help] <command> [options]\n\nCommands:\n");
    for (size_t i = 0; i < KI_COUNT(main_commands); i++)
        fprintf(to, "  %-12s  %s\n", main_commands[i].name, main_commands[i].summary);
    fprintf(to, "\n'kith <command> -help' tells what it takes.\n");
}

static bool main_is(const char *word, const char *name)
{
    while (*word == '-')
        word++;
    return strcmp(word, name) == 0;
}

static int main_run(int argc, char **argv)
{
    if (argc < 2 || main_is(argv[1], "help") || main_is(argv[1], "h")) {
        main_usage(stdout);
        return KI_EXIT_OK;
    }
    if (argv[1][0] == '-' && (main_is(argv[1], "version") || main_is(argv[1], "v")))
        return ki_cmd_version(argc - 1, argv + 1);
    for (size_t i = 0; i < KI_COUNT(main_commands); i++) {
        if (strcmp(argv[1], main_commands[i].name) == 0)
            return main_commands[i].run(argc - 1, argv + 1);
    }
    fprintf(stderr, "kith: no such command: %s\n\n", argv[1]);
    main_usage(stderr);
    return KI_EXIT_USAGE;
}

/* What is closed becomes /dev/null, opened the wrong way round: using it stays the error that it was. */
static bool main_standard_files(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    if (!main_standard_files())
        return KI_EXIT_FAILED; /* and nowhere to say why */
    int code = main_run(argc, argv);
    if (argc > 1 && strcmp(argv[1], "agent") == 0)
        return code; /* nobody reading its log any more is not the agent's failure */
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == KI_EXIT_OK) {
        fprintf(stderr, "kith: cannot write the output: %s\n", strerror(errno));
        code = KI_EXIT_FAILED;
    }
    return code;
}
