/* The agent from its first to its last breath.
 *
 *     read configuration -> setup -> banner -> joins -> loop ... stop: the doors flush their answers and close, and
 *     event handlers end; then everything else closes, then the loop ends, then the core is freed -> exit code
 *
 * Two steps, because a door may still read the core while it flushes.  Signals stay open until the second step, so
 * that an impatient operator is heard.
 *
 * Not here: what the agent does; this file only says in which order it begins and ends. */
#include "agent/disk.h"
#include "agent/handler.h"
#include "agent/internal.h"
#include "agent/redis_server.h"
#include "agent/rpc.h"

#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

uv_loop_t *ki_agent_loop(struct ki_agent *agent)
{
    return &agent->loop;
}

const kith *ki_agent_kith(const struct ki_agent *agent)
{
    return agent->k;
}

struct ki_log *ki_agent_log(struct ki_agent *agent)
{
    return agent->log;
}

void ki_agent_fail(const char *format, ...)
{
    va_list args;
    fflush(stdout);
    fputs("kith agent: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

/* ---- the end ---- */

void ki_agent_part_closed(void *arg)
{
    struct ki_agent *agent = arg;
    KI_ASSERT(agent->closing > 0);
    if (--agent->closing == 0)
        uv_stop(&agent->loop); /* a name lookup that hangs is not waited for */
}

void ki_agent_handle_closed(uv_handle_t *handle)
{
    ki_agent_part_closed(handle->data);
}

/* The doors are closed. */
static void run_close_rest(struct ki_agent *agent)
{
    agent->rpc = NULL;
    agent->redis = NULL;
    ki_handlers_free(agent->handlers);
    agent->handlers = NULL;
    ki_signals_close(agent);
    ki_dev_close(agent);
    ki_coalesce_close(agent);
    ki_coalesce_user_close(agent);
    ki_gauges_close(agent);
    agent->closing += 2;
    uv_close((uv_handle_t *)&agent->soon, ki_agent_handle_closed);
    uv_close((uv_handle_t *)&agent->retry, ki_agent_handle_closed);
    if (agent->snapshot) {
        agent->closing++;
        ki_snapshot_close(agent->snapshot, ki_agent_part_closed, agent);
        agent->snapshot = NULL;
    }
    if (agent->disk) {
        agent->closing++;
        ki_disk_close(agent->disk, ki_agent_part_closed, agent);
        agent->disk = NULL;
    }
    if (agent->net) {
        agent->closing++;
        ki_net_close(agent->net, ki_agent_part_closed, agent);
        agent->net = NULL;
    }
}

static void run_door_closed(void *arg)
{
    struct ki_agent *agent = arg;
    KI_ASSERT(agent->doors > 0);
    if (--agent->doors == 0)
        run_close_rest(agent);
}

void ki_agent_stop(struct ki_agent *agent, int exit_code)
{
    if (agent->phase == KI_PHASE_STOP)
        return;
    agent->phase = KI_PHASE_STOP;
    agent->exit_code = exit_code;
    ki_notify("STOPPING=1");
    if (agent->started)
        ki_log(agent->log, KI_LOG_INFO, "agent", "shutting down");
    ki_rpc_socket_remove(&agent->rpc_socket);
    agent->doors = 1; /* ourselves, until all have been told */
    if (agent->rpc) {
        agent->doors++;
        ki_rpc_stop(agent->rpc, run_door_closed, agent);
    }
    if (agent->redis) {
        agent->doors++;
        ki_redis_stop(agent->redis, run_door_closed, agent);
    }
    if (agent->handlers) {
        agent->doors++;
        ki_handlers_stop(agent->handlers, run_door_closed, agent);
    }
    run_door_closed(agent);
}

static void run_free(struct ki_agent *agent)
{
    ki_ask_close(agent);
    kith_free(agent->k);
    free(agent->rejoin_order);
    ki_tags_free(&agent->runtime_set);
    ki_tags_free(&agent->runtime_deleted);
    ki_config_free(&agent->config);
    if (agent->dev_fd >= 0)
        close(agent->dev_fd);
    ki_log_free(agent->log);
    (void)uv_loop_close(&agent->loop); /* busy only with a lookup that nobody waits for */
}

/* ---- the beginning ---- */

/* Serf's banner, for people and for the scripts that wait for it; formats for machines have none. */
static void run_banner(const struct ki_agent *agent)
{
    const struct ki_config *config = &agent->config;
    char bind[KI_ADDR_TEXT];
    char advertise[KI_ADDR_TEXT];
    char rpc[KI_ADDR_TEXT];
    char resp[KI_ADDR_TEXT];
    struct kith_addr bound = ki_net_bound(agent->net);
    if (strcmp(config->log_format, "text") != 0)
        return;
    ki_addr_format(&bound, bind);
    ki_addr_format(&agent->addr, advertise);
    ki_addr_format(&agent->rpc_bound, rpc);
    ki_addr_format(&agent->resp_bound, resp);
    printf("==> kith agent running!\n");
    printf("%31s: '%s'\n", "Node name", config->node);
    printf("%31s: '%s'\n", "Bind addr", bind);
    if (strcmp(bind, advertise) != 0)
        printf("%31s: '%s'\n", "Advertise addr", advertise);
    printf("%31s: '%s'\n", "RPC addr", agent->rpc && agent->rpc_bound.ip_len > 0 ? rpc : "");
    if (config->rpc_socket)
        printf("%31s: '%s'\n", "RPC socket", config->rpc_socket);
    printf("%31s: '%s'\n", "Redis addr", agent->redis ? resp : "");
    printf("%31s: %s\n", "Encrypted", agent->encrypted ? "true" : "false");
    printf("%31s: %s\n", "Snapshot", config->snapshot ? "true" : "false");
    printf("%31s: %s\n", "Profile", config->profile);
    printf("%31s: %s\n", "Message Compression Enabled", config->compression ? "true" : "false");
    printf("\n==> Log data will now stream in as it occurs:\n\n");
    fflush(stdout);
}

static void run_warn(struct ki_agent *agent)
{
    for (size_t i = 0; i < agent->config.ignored.count; i++)
        ki_log(agent->log, KI_LOG_WARN, "agent", "%s has no effect yet", agent->config.ignored.items[i]);
    if (agent->config.role)
        ki_log(agent->log, KI_LOG_WARN, "agent", "-role is deprecated: use -tag role=%s", agent->config.role);
    if (!agent->encrypted && ki_place_is_public(&agent->addr)) {
        char text[KI_ADDR_TEXT];
        ki_addr_format(&agent->addr, text);
        ki_log(agent->log, KI_LOG_WARN, "agent",
               "%s is a public address, and nothing is encrypted: whoever reaches it can be a member (see -encrypt)", text);
    }
}

static int run_open(struct ki_agent *agent)
{
    enum ki_log_level level = KI_LOG_INFO;
    enum ki_log_format format = KI_LOG_TEXT;
    if (!ki_log_level_parse(agent->config.log_level, &level) ||
        !ki_log_format_parse(agent->config.log_format, &format) || uv_loop_init(&agent->loop) != 0)
        return -1;
    agent->log = ki_log_new(STDOUT_FILENO, level, format, agent->config.node);
    if (!agent->log) {
        (void)uv_loop_close(&agent->loop);
        return -1;
    }
    uv_timer_init(&agent->loop, &agent->retry);
    agent->retry.data = agent;
    return 0;
}

static int run_agent(struct ki_agent *agent)
{
    if (run_open(agent) != 0) {
        ki_agent_fail("out of memory");
        ki_config_free(&agent->config);
        return 1;
    }
    if (strcmp(agent->config.log_format, "text") == 0) {
        printf("==> Starting kith agent...\n");
        fflush(stdout);
    }
    if (ki_setup(agent) == 0) {
        agent->started = true;
        run_banner(agent);
        ki_log(agent->log, KI_LOG_INFO, "agent", "kith agent starting");
        run_warn(agent);
        ki_net_start(agent->net, agent->k);
        ki_start_joins(agent);
    } else {
        ki_agent_stop(agent, 1);
    }
    uv_run(&agent->loop, UV_RUN_DEFAULT);
    if (agent->started)
        ki_log(agent->log, KI_LOG_INFO, "agent", "shutdown complete");
    int code = agent->exit_code;
    run_free(agent);
    return code;
}

int ki_agent_main(int argc, char **argv)
{
    char error[KI_ERROR_TEXT] = "";
    struct ki_agent *agent = calloc(1, sizeof *agent);
    if (!agent)
        return 1;
    agent->argc = argc;
    agent->argv = argv;
    agent->dev_fd = -1;
    int code = 1;
    int result = ki_config_read(&agent->config, argc, argv, error);
    if (result < 0) {
        ki_agent_fail("%s", error);
        fputs("See `kith agent -help`.\n", stderr);
        code = 2;
    } else if (result > 0) {
        char *help = ki_agent_help();
        if (help && fputs(help, stdout) >= 0 && fflush(stdout) == 0)
            code = 0;
        free(help);
    } else {
        code = run_agent(agent);
    }
    free(agent);
    return code;
}
