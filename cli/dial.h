/* What the blocking clients share: a socket to an agent, and waiting for it with an end. */
#ifndef KI_CLI_DIAL_H
#define KI_CLI_DIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KI_DIAL_FOREVER UINT32_MAX

/* When a wait of timeout_ms, begun now, is over: for ki_dial_wait(). */
uint64_t ki_dial_until(uint32_t timeout_ms);

/* Waits until the socket is ready for `events` of poll().  Returns 0; ETIMEDOUT; another errno of poll(). */
int ki_dial_wait(int fd, short events, uint64_t until_ms);

/* Connects.  In: addr  "host:port", "[ip6]:port", "host", or "unix:" and a path.   port  when addr has none.
 * Returns: the socket, which does not block; -1 with the reason in error. */
int ki_dial(const char *addr, const char *port, char *error, size_t error_cap);

#endif
