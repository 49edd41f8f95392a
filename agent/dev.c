/* The line to `kith dev`, when it started us: KITH_DEV_FD names our end of a socketpair.
 *
 * It is the only way to the driver's drop list, and nobody but the parent has the other end.  When that end is closed
 * the parent is gone, and so are we: no agent outlives its `dev`, however `dev` ends.
 *
 * Not here: what is drawn, and who is cut off from whom: that is the parent's. */
#include "agent/internal.h"

#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEV_DROPS_MAX 64 /* addresses a line may name: it has room for about as many */

static void dev_line(struct ki_agent *agent, char *line)
{
    struct kith_addr drops[DEV_DROPS_MAX];
    size_t count = 0;
    char *rest = line;
    const char *word = strsep(&rest, " ");
    if (!word || strcmp(word, "drop") != 0) {
        ki_log(agent->log, KI_LOG_WARN, "agent", "kith dev said something unknown");
        return;
    }
    while ((word = strsep(&rest, " ")) != NULL) {
        if (*word == '\0')
            continue;
        if (count == DEV_DROPS_MAX || !ki_addr_parse(ki_str(word), 0, &drops[count])) {
            ki_log(agent->log, KI_LOG_WARN, "agent", "kith dev: cannot drop \"%s\"", word);
            return;
        }
        count++;
    }
    if (ki_net_drop(agent->net, drops, count) == 0)
        ki_log(agent->log, KI_LOG_DEBUG, "agent", "kith dev: %zu addresses are cut off", count);
}

static void dev_take(struct ki_agent *agent)
{
    char *end;
    while ((end = memchr(agent->dev_line, '\n', agent->dev_len)) != NULL) {
        size_t used = (size_t)(end + 1 - agent->dev_line);
        *end = '\0';
        dev_line(agent, agent->dev_line);
        agent->dev_len -= used;
        memmove(agent->dev_line, end + 1, agent->dev_len);
    }
    if (agent->dev_len == sizeof agent->dev_line)
        agent->dev_len = 0; /* no line of ours is so long */
}

static void dev_ready(uv_poll_t *handle, int status, int events)
{
    struct ki_agent *agent = handle->data;
    (void)status;
    (void)events; /* errors and the end show in read() */
    ssize_t count = read(agent->dev_fd, agent->dev_line + agent->dev_len, sizeof agent->dev_line - agent->dev_len);
    if (count > 0) {
        agent->dev_len += (size_t)count;
        dev_take(agent);
        return;
    }
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    ki_agent_stop(agent, 1); /* at once, without a leave: a cluster of the dead has nobody to tell */
}

int ki_dev_start(struct ki_agent *agent)
{
    const char *text = getenv("KITH_DEV_FD");
    if (!text)
        return 0;
    char *end;
    long fd = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || fd < 3 || fd > 1024 || fcntl((int)fd, F_SETFD, FD_CLOEXEC) != 0)
        return UV_EBADF;
    int result = uv_poll_init(&agent->loop, &agent->dev, (int)fd);
    if (result != 0)
        return result;
    agent->dev_fd = (int)fd;
    agent->dev.data = agent;
    return uv_poll_start(&agent->dev, UV_READABLE | UV_DISCONNECT, dev_ready);
}

void ki_dev_close(struct ki_agent *agent)
{
    if (agent->dev_fd < 0)
        return;
    agent->closing++;
    uv_close((uv_handle_t *)&agent->dev, ki_agent_handle_closed);
}
