/* The blocking client of an agent's Redis door: connects, asks, waits for the answer, all with deadlines. */
#ifndef KI_CLI_RESP_CLIENT_H
#define KI_CLI_RESP_CLIENT_H

#include "cli/line.h"
#include "cli/resp_reply.h"

#define KI_RESP_WAIT_MS      15000  /* for an answer that the agent has at hand, and between two pieces of one */
#define KI_RESP_WAIT_LONG_MS 300000 /* for one that goes through all of the store */
#define KI_RESP_ARGS_MAX     64     /* of ki_resp_ask() */

struct ki_resp_client {
    struct ki_line line;
    struct ki_reply_reader reader;
};

/* Connects, and authenticates if `password` is not empty.  Returns: true; false with the reason in line.error.  Close it in
 * either case. */
bool ki_resp_open(struct ki_resp_client *client, const char *addr, const char *password);
void ki_resp_close(struct ki_resp_client *client);

/* Sends a request. */
bool ki_resp_send(struct ki_resp_client *client, const struct ki_span *args, size_t count);
/* Waits for the next reply.  Out: reply  borrowed until the next call.
 * Returns: true; false with the reason in line.error; a reply that is an error is a failure too. */
bool ki_resp_receive(struct ki_resp_client *client, uint32_t timeout_ms, struct ki_reply *reply);

/* Both.  The _ask form takes texts, the last one NULL, and waits KI_RESP_WAIT_MS. */
bool ki_resp_call(struct ki_resp_client *client, const struct ki_span *args, size_t count, uint32_t timeout_ms,
                  struct ki_reply *reply);
bool ki_resp_ask(struct ki_resp_client *client, struct ki_reply *reply, ...) __attribute__((sentinel));

/* Notes that an answer was not what was asked for.  Returns false. */
bool ki_resp_odd(struct ki_resp_client *client);

#endif
