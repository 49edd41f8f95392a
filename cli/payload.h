/* What an event or a query carries: an operand, or standard input. */
#ifndef KI_CLI_PAYLOAD_H
#define KI_CLI_PAYLOAD_H

#include "base/base.h"

#define KI_PAYLOAD_MAX ((size_t)64 << 20) /* bytes of standard input; the agent's own limit is far below */

/* Takes the payload.  In: operand  "-" for standard input, to its end; NULL for none; otherwise the payload itself.
 * Out: payload  ptr NULL for none.   memory  to be freed by the caller in either case; may be NULL.
 * Returns: whether it could be read; otherwise the reason is on standard error. */
bool ki_payload_take(const char *operand, struct ki_span *payload, uint8_t **memory);

#endif
