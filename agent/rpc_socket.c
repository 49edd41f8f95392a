/* Making and removing the RPC door's Unix socket.
 *
 * At the path there may be: nothing; the socket of an agent that was killed, which refuses connections and is replaced; the
 * socket of a living one, which is left alone, as is everything that is no socket.  Doubt (no right to connect, a full
 * queue) counts as living.
 *
 * The socket is bound to PATH.new, gets its mode, listens, and is renamed to PATH.  So nobody can connect before the mode is
 * 0600, the umask of the process need not change for a moment, and the path never names a socket that does not listen.
 *
 * Invariant: only the file that we made is removed; two agents started at the same instant may both find nothing at the
 * path, and then the later one has it.
 *
 * Not done here: accepting (rpc.c), making directories. */
#include "agent/rpc_socket.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define RPC_SOCKET_QUEUE 128 /* as of the TCP door */

/* Returns the errno of connecting: ECONNREFUSED if nobody listens there. */
static int rpc_socket_probe(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    memcpy(addr.sun_path, path, strlen(path) + 1);
    int result = connect(fd, (const struct sockaddr *)&addr, sizeof addr) == 0 ? 0 : errno;
    close(fd);
    return result;
}

/* True when the path may be taken. */
static bool rpc_socket_free(const char *path, char *error, size_t cap)
{
    struct stat there;
    if (lstat(path, &there) != 0) {
        if (errno == ENOENT)
            return true;
        snprintf(error, cap, "%s: %s", path, strerror(errno));
        return false;
    }
    if (!S_ISSOCK(there.st_mode)) {
        snprintf(error, cap, "%s is there and is no socket: choose another path", path);
        return false;
    }
    int why = rpc_socket_probe(path);
    if (why == ECONNREFUSED || why == ENOENT)
        return true;
    if (why == 0 || why == EAGAIN)
        snprintf(error, cap, "%s is the socket of a running agent: stop it, or choose another path", path);
    else
        snprintf(error, cap, "%s is a socket that may be in use: %s", path, strerror(why));
    return false;
}

static int rpc_socket_bind(struct ki_rpc_socket *out, const char *beside, const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct stat made;
    memcpy(addr.sun_path, beside, strlen(beside) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (unlink(beside) != 0 && errno != ENOENT) {
        int why = errno;
        close(fd);
        errno = why;
        return -1;
    }
    if (bind(fd, (const struct sockaddr *)&addr, sizeof addr) == 0) {
        if (chmod(beside, 0600) == 0 && listen(fd, RPC_SOCKET_QUEUE) == 0 && lstat(beside, &made) == 0 &&
            rename(beside, path) == 0) {
            *out = (struct ki_rpc_socket){.path = path, .device = made.st_dev, .inode = made.st_ino};
            return fd;
        }
        int why = errno;
        unlink(beside);
        errno = why;
    }
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

int ki_rpc_socket_open(struct ki_rpc_socket *out, const char *path, int *fd, char *error, size_t cap)
{
    char beside[sizeof((struct sockaddr_un *)NULL)->sun_path];
    if (path[0] == '\0' || snprintf(beside, sizeof beside, "%s.new", path) >= (int)sizeof beside) {
        snprintf(error, cap, "a path of 1 to %zu bytes is wanted", sizeof beside - sizeof ".new");
        return -1;
    }
    if (!rpc_socket_free(path, error, cap))
        return -1;
    *fd = rpc_socket_bind(out, beside, path);
    if (*fd >= 0)
        return 0;
    snprintf(error, cap, "%s cannot be made: %s", path, strerror(errno));
    return -1;
}

void ki_rpc_socket_remove(struct ki_rpc_socket *unix_socket)
{
    struct stat there;
    const char *path = unix_socket->path;
    if (path && lstat(path, &there) == 0 && there.st_dev == unix_socket->device && there.st_ino == unix_socket->inode)
        unlink(path);
    unix_socket->path = NULL;
}
