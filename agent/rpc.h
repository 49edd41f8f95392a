/* The agent's RPC door: Serf's protocol on TCP (PROTOCOL.md "RPC"), so that the stock `serf` command
 * drives kith. */
#ifndef KI_AGENT_RPC_H
#define KI_AGENT_RPC_H

#include "agent/agent.h"

struct ki_rpc;

/* Listens.  auth_key may be NULL: everyone may ask.  Returns 0, or a libuv error with nothing left
 * behind (but for a handle that closes itself in the loop's next turn). */
int ki_rpc_start(struct ki_rpc **out, struct ki_agent *agent, const struct sockaddr *addr,
                 const char *auth_key);

/* Refuses new clients, flushes answers (1 s at most), closes every handle, frees itself, then calls
 * closed. */
void ki_rpc_stop(struct ki_rpc *rpc, void (*closed)(void *arg), void *arg);

#endif
