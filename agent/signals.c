/* Signals: how operators and service managers talk to the agent.
 *
 *     SIGINT, SIGTERM   leave, then exit 0 (or stop at once and exit 1, where the configuration says so)
 *                       a second one: stop at once, exit 1
 *     SIGHUP            reload
 *     SIGUSR1           all numbers to the log */
#include "agent/handler.h"
#include "agent/internal.h"

#include "base/base.h"

#include <signal.h>
#include <unistd.h>

static void signals_end(struct ki_agent *agent, bool leave)
{
    if (agent->phase == KI_PHASE_STOP) { /* even our stopping takes too long for them */
        if (agent->handlers)
            ki_handlers_kill(agent->handlers);
        _exit(1);
    }
    if (agent->phase == KI_PHASE_LEAVE) {
        ki_log(agent->log, KI_LOG_WARN, "agent", "second signal: not waiting for the leave");
        ki_agent_stop(agent, 1);
    } else if (!leave || ki_agent_leave(agent, NULL, NULL) != 0) {
        ki_agent_stop(agent, 1);
    }
}

static void signals_got(uv_signal_t *handle, int number)
{
    struct ki_agent *agent = handle->data;
    switch (number) {
    case SIGINT:
        ki_log(agent->log, KI_LOG_INFO, "agent", "Caught signal: interrupt");
        signals_end(agent, !agent->config.skip_leave_on_interrupt);
        return;
    case SIGTERM:
        ki_log(agent->log, KI_LOG_INFO, "agent", "Caught signal: terminated");
        signals_end(agent, agent->config.leave_on_terminate);
        return;
    case SIGHUP:
        if (agent->phase == KI_PHASE_RUN)
            ki_reload(agent);
        return;
    case SIGUSR1:
        if (agent->phase != KI_PHASE_STOP)
            ki_stats_log(agent);
        return;
    default:
        return;
    }
}

int ki_signals_start(struct ki_agent *agent)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1};
    _Static_assert(KI_COUNT(numbers) <= KI_COUNT(((struct ki_agent *)NULL)->signals), "a handle for each");
    signal(SIGPIPE, SIG_IGN); /* a peer or reader that goes away is no reason to die */
    for (size_t i = 0; i < KI_COUNT(numbers); i++) {
        uv_signal_t *handle = &agent->signals[agent->signal_count];
        int result = uv_signal_init(&agent->loop, handle);
        if (result != 0)
            return result;
        agent->signal_count++;
        handle->data = agent;
        result = uv_signal_start(handle, signals_got, numbers[i]);
        if (result != 0)
            return result;
    }
    return 0;
}

void ki_signals_close(struct ki_agent *agent)
{
    for (size_t i = 0; i < agent->signal_count; i++) {
        agent->closing++;
        uv_close((uv_handle_t *)&agent->signals[i], ki_agent_handle_closed);
    }
    agent->signal_count = 0;
}
