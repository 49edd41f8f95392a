/* The agent's RPC door: Serf's protocol on TCP and on a Unix socket (PROTOCOL.md "RPC"), so that the stock `serf` command
 * drives kith. */
#ifndef KI_AGENT_RPC_H
#define KI_AGENT_RPC_H

#include "agent/agent.h"

struct ki_rpc;

struct ki_rpc_config {
    struct ki_agent *agent;
    const struct sockaddr *addr; /* NULL: no TCP */
    int unix_fd;                 /* a bound Unix socket, which the door closes; -1: none */
    const char *auth_key;        /* NULL: everyone may ask */
    uint32_t kept_max;           /* events kept for kith-stream, and */
    uint64_t kept_bytes_max;     /* bytes of them */
    uint64_t first_index;        /* their first number: more than that of any earlier life, such as the time */
};

/* Listens.  Returns 0, or a libuv error with nothing left behind (but for handles that close themselves in the loop's next
 * turn). */
int ki_rpc_start(struct ki_rpc **out, const struct ki_rpc_config *config);

/* Refuses new clients, flushes answers (1 s at most), closes every handle, frees itself, then calls
 * closed. */
void ki_rpc_stop(struct ki_rpc *rpc, void (*closed)(void *arg), void *arg);

#endif
