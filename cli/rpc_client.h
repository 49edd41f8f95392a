/* A client of the agent's RPC (Serf's, PROTOCOL.md "RPC") for commands that ask, wait and print. */
#ifndef KI_CLI_RPC_CLIENT_H
#define KI_CLI_RPC_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/line.h"
#include "wire/msgpack.h"

#define KI_RPC_WAIT_MS      15000  /* for an answer that the agent has at hand */
#define KI_RPC_WAIT_LONG_MS 300000 /* for join and leave, which end when the network lets them */
#define KI_RPC_FOREVER      KI_DIAL_FOREVER /* for the next line of a monitor */
#define KI_RPC_REPLY_MAX    (64u << 20) /* bytes: 100,000 members with full tags fit */

struct ki_rpc_client {
    struct ki_line line;
    uint64_t seq; /* of the newest request */
};

/* Connects, shakes hands, and authenticates if `auth` is not empty.  In: addr  "host:port",
 * "[ip6]:port" or "host".
 * Returns: true; false with the reason in line.error.  Close it in either case. */
bool ki_rpc_open(struct ki_rpc_client *client, const char *addr, const char *auth);
void ki_rpc_close(struct ki_rpc_client *client);

/* Sends a request and waits for its answer.
 * In:  body   the encoded body, or NULL.   reply   NULL for a command whose answer is but a header.
 * Out: reply  the encoded body of the answer, borrowed until the next call.
 * Returns: true; false with the reason in line.error: the agent's own words if it answered. */
bool ki_rpc_call(struct ki_rpc_client *client, const char *command, const struct ki_pack *body,
                 uint32_t timeout_ms, struct ki_span *reply);
/* Whether the last call failed because the agent does not know the command.  It has hung up then. */
bool ki_rpc_unsupported(const struct ki_rpc_client *client);

/* The same in pieces, for streams: send; then header after header, some followed by an object. */
bool ki_rpc_send(struct ki_rpc_client *client, const char *command, const struct ki_pack *body,
                 uint64_t *seq);
/* Out: seq  which request it answers.   refusal  the Error, empty if there is none; borrowed until the
 * next call. */
bool ki_rpc_header(struct ki_rpc_client *client, uint32_t timeout_ms, uint64_t *seq,
                   struct ki_span *refusal);
bool ki_rpc_object(struct ki_rpc_client *client, uint32_t timeout_ms, struct ki_span *object);

#endif
