/* Connecting to an agent, by TCP or by its Unix socket, and waiting for its socket.
 *
 * Sockets do not block, because an agent that is stopped accepts a connection (the kernel does) and then never reads nor
 * answers; every wait is a poll() with a deadline.
 *
 * Not here: what comes and goes over the connection (line.c).  `kith dev` talks to many agents at once and
 * has its own (dev_link.c). */
#include "cli/dial.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define DIAL_CONNECT_MS 5000
#define DIAL_UNIX       "unix:" /* before the path of a Unix socket */

static uint64_t dial_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t ki_dial_until(uint32_t timeout_ms)
{
    return timeout_ms == KI_DIAL_FOREVER ? UINT64_MAX : dial_now_ms() + timeout_ms;
}

int ki_dial_wait(int fd, short events, uint64_t until_ms)
{
    for (;;) {
        int wait_ms = -1;
        if (until_ms != UINT64_MAX) {
            uint64_t now_ms = dial_now_ms();
            wait_ms = until_ms > now_ms ? (int)(until_ms - now_ms) : 0;
        }
        struct pollfd one = {.fd = fd, .events = events};
        int ready = poll(&one, 1, wait_ms);
        if (ready > 0)
            return 0;
        if (ready == 0)
            return ETIMEDOUT;
        if (errno != EINTR)
            return errno;
    }
}

/* Splits "host:port", "[host]:port", "host" into two buffers. */
static bool dial_split(const char *addr, const char *otherwise, char host[256], char port[16])
{
    const char *host_start = addr;
    const char *host_end;
    const char *colon;
    if (addr[0] == '[') {
        host_start = addr + 1;
        host_end = strchr(addr, ']');
        if (!host_end || (host_end[1] != '\0' && host_end[1] != ':'))
            return false;
        colon = host_end[1] ? host_end + 1 : NULL;
    } else {
        colon = strrchr(addr, ':');
        if (colon && strchr(addr, ':') != colon) /* a bare IPv6 address */
            colon = NULL;
        host_end = colon ? colon : addr + strlen(addr);
    }
    size_t host_len = (size_t)(host_end - host_start);
    const char *port_start = colon ? colon + 1 : otherwise;
    if (host_len > 255 || strlen(port_start) == 0 || strlen(port_start) > 15)
        return false;
    if (strspn(port_start, "0123456789") == strlen(port_start) && strtoul(port_start, NULL, 10) > UINT16_MAX)
        return false; /* getaddrinfo() would make another port of it */
    memcpy(host, host_start, host_len);
    host[host_len] = '\0';
    memcpy(port, port_start, strlen(port_start) + 1);
    return true;
}

/* Returns 0 or an errno. */
static int dial_one(const struct sockaddr *to, socklen_t len, int *out)
{
    int yes = 1;
    int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    /* A request may be several sends: the second must not wait for the first one's acknowledgement. */
    if (to->sa_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    int error = connect(fd, to, len) == 0 ? 0 : errno;
    if (error == EINPROGRESS) {
        socklen_t size = sizeof error;
        if (ki_dial_wait(fd, POLLOUT, ki_dial_until(DIAL_CONNECT_MS)) != 0)
            error = ETIMEDOUT;
        else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
            error = errno;
    }
    if (error == 0)
        *out = fd;
    else
        close(fd);
    return error;
}

static int dial_unix(const char *path, char *error, size_t error_cap)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = -1;
    int why = ENAMETOOLONG;
    if (strlen(path) < sizeof to.sun_path) {
        memcpy(to.sun_path, path, strlen(path) + 1);
        why = dial_one((const struct sockaddr *)&to, sizeof to, &fd);
    }
    if (fd < 0)
        snprintf(error, error_cap, "dial unix %s: %s", path, strerror(why));
    return fd;
}

int ki_dial(const char *addr, const char *port, char *error, size_t error_cap)
{
    if (strncmp(addr, DIAL_UNIX, strlen(DIAL_UNIX)) == 0)
        return dial_unix(addr + strlen(DIAL_UNIX), error, error_cap);
    char host[256];
    char service[16];
    if (!dial_split(addr, port, host, service)) {
        snprintf(error, error_cap, "%s is no address; give host:port", addr);
        return -1;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    int status = getaddrinfo(host[0] ? host : NULL, service, &hints, &found);
    if (status != 0) {
        snprintf(error, error_cap, "lookup %s: %s", addr, gai_strerror(status));
        return -1;
    }
    int fd = -1;
    int why = ECONNREFUSED;
    for (const struct addrinfo *to = found; to && fd < 0; to = to->ai_next)
        why = dial_one(to->ai_addr, to->ai_addrlen, &fd);
    freeaddrinfo(found);
    if (fd < 0)
        snprintf(error, error_cap, "dial tcp %s: %s", addr, strerror(why));
    return fd;
}
