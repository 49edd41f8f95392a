/* What every command that talks to an agent does first and last: where the agent is, and how failing ends.
 *
 * The address and the key come from the flag, else from KITH_RPC_ADDR and KITH_RPC_AUTH, else from
 * SERF_RPC_ADDR and SERF_RPC_AUTH, which scripts for Serf set.  An empty variable counts as none.
 *
 * The exit code tells scripts why: 4 when no agent is there to answer, 1 when it answered with an error.
 *
 * Waiting for an ask is long (KI_RPC_WAIT_LONG_MS): it ends when the network lets it, and the agent has time limits of its
 * own. */
#include "cli/cli.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/config.h"

/* The first of two variables that is set and not empty. */
static const char *client_environment(const char *name, const char *serf_name,
                                      const char *otherwise)
{
    const char *value = getenv(name);
    if (!value || !value[0])
        value = getenv(serf_name);
    return value && value[0] ? value : otherwise;
}

struct ki_client_options ki_client_options(void)
{
    return (struct ki_client_options){
        .rpc_addr = client_environment("KITH_RPC_ADDR", "SERF_RPC_ADDR", "127.0.0.1:7373"),
        .rpc_auth = client_environment("KITH_RPC_AUTH", "SERF_RPC_AUTH", ""),
    };
}

int ki_client_failed(const struct ki_rpc_client *client, int result, const char *what)
{
    fprintf(stderr, "%s: ", what);
    /* Serf's errors have several lines, and blank ones at the end. */
    size_t len = strlen(client->line.error);
    while (len > 0 && client->line.error[len - 1] == '\n')
        len--;
    for (size_t at = 0; at <= len;) {
        const char *end = memchr(client->line.error + at, '\n', len - at);
        size_t line = (end ? (size_t)(end - client->line.error) : len) - at;
        size_t indent = line > 0 && client->line.error[at] == '\t' ? 1 : 0;
        fputs(indent ? "    " : "", stderr);
        ki_print_safe(stderr, ki_span(client->line.error + at + indent, line - indent));
        putc('\n', stderr);
        at += line + 1;
    }
    return client->line.unreachable ? KI_EXIT_UNREACHABLE : result;
}

int ki_client_connect(struct ki_rpc_client *client, const struct ki_client_options *options)
{
    if (ki_rpc_open(client, options->rpc_addr, options->rpc_auth))
        return KI_EXIT_OK;
    int code = ki_client_failed(client, KI_EXIT_FAILED, "Error connecting to the agent");
    ki_rpc_close(client);
    return code;
}

int ki_client_ask(struct ki_rpc_client *client, const struct ki_client_options *options, const char *command,
                  const struct ki_pack *body, const char *failure, struct ki_span *reply)
{
    int code = ki_client_connect(client, options);
    if (code != KI_EXIT_OK)
        return code;
    if (!ki_rpc_call(client, command, body, KI_RPC_WAIT_LONG_MS, reply))
        code = ki_client_failed(client, KI_EXIT_FAILED, failure);
    return code;
}

bool ki_client_duration(const struct ki_usage *usage, const char *flag, const char *value, uint32_t *timeout_ms)
{
    *timeout_ms = 0;
    bool good = !value || ki_duration_parse(value, timeout_ms);
    return ki_flag_fits(usage, flag, value, good ? NULL : "is no duration like 500ms, 10s, 2m or 1h");
}

uint32_t ki_client_wait_ms(uint32_t timeout_ms)
{
    if (timeout_ms == 0)
        return KI_RPC_WAIT_LONG_MS;
    return (uint32_t)ki_min_u64((uint64_t)timeout_ms + KI_RPC_WAIT_MS, INT32_MAX); /* poll() takes no more */
}

static void client_interrupted(int signal_number)
{
    (void)signal_number;
    _exit(KI_EXIT_OK);
}

void ki_client_until_interrupted(void)
{
    struct sigaction end = {.sa_handler = client_interrupted};
    sigaction(SIGINT, &end, NULL);
    sigaction(SIGTERM, &end, NULL);
}
