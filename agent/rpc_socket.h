/* The RPC door's Unix socket: a path that is ours alone. */
#ifndef KI_AGENT_RPC_SOCKET_H
#define KI_AGENT_RPC_SOCKET_H

#include <stddef.h>
#include <sys/types.h>

struct ki_rpc_socket {
    const char *path; /* borrowed; NULL: there is none */
    dev_t device;     /* which file it is */
    ino_t inode;
};

/* Makes the socket, bound, with mode 0600; what a dead agent left at `path` is replaced.  *fd is the caller's.
 * Returns 0, or -1 and what is wrong. */
int ki_rpc_socket_open(struct ki_rpc_socket *out, const char *path, int *fd, char *error, size_t cap);
/* Removes the path, if it is still ours. */
void ki_rpc_socket_remove(struct ki_rpc_socket *unix_socket);

#endif
