/* Talking to systemd: one datagram of KEY=value lines to the socket it names.  Without NOTIFY_SOCKET nothing happens.
 * The whole protocol is sd_notify(3); a library for it would be larger than the agent's share of it.
 *
 * READY follows the first attempt to join, so that what is ordered after us finds a pool; STATUS follows every told
 * change of members.  Failures are not ours to handle: the service manager has its own timeouts. */
#include "agent/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void ki_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    size_t len = path ? strlen(path) : 0;
    if (len < 2 || len >= sizeof addr.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(addr.sun_path, path, len);
    if (path[0] == '@')
        addr.sun_path[0] = '\0'; /* an abstract socket */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&addr,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
    close(fd);
}

void ki_notify_status(const struct ki_agent *agent, bool ready)
{
    char text[160];
    struct kith_gauges gauges;
    if (!getenv("NOTIFY_SOCKET"))
        return;
    kith_read_gauges(agent->k, &gauges);
    snprintf(text, sizeof text, "%sSTATUS=members=%u alive=%u failed=%u left=%u", ready ? "READY=1\n" : "",
             gauges.members, gauges.alive, gauges.failed, gauges.left);
    ki_notify(text);
}

void ki_notify_reloading(void)
{
    char text[80];
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)ki_net_now().mono_us);
    ki_notify(text);
}
