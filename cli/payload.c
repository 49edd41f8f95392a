/* The payload of an event or a query.
 *
 * From standard input it is every byte up to the end, the last newline too: what a program writes is what members get.
 * Serf takes an operand of one dash as a payload of one dash; here that is sent by a pipe.
 *
 * Not here: how large it may be.  The agent knows its limit and says so; this one only keeps endless input from filling
 * the memory. */
#include "cli/payload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool payload_failed(const char *reason)
{
    fprintf(stderr, "Error reading standard input: %s\n", reason);
    return false;
}

static bool payload_read(struct ki_span *payload, uint8_t **memory)
{
    size_t len = 0, cap = 4096;
    for (;;) {
        uint8_t *more = len <= KI_PAYLOAD_MAX ? realloc(*memory, cap) : NULL;
        if (!more)
            return payload_failed(len <= KI_PAYLOAD_MAX ? "out of memory" : "there is more than an agent takes");
        *memory = more;
        ssize_t got = read(STDIN_FILENO, more + len, cap - len);
        if (got < 0 && errno != EINTR)
            return payload_failed(strerror(errno));
        if (got == 0) {
            *payload = ki_span(more, len);
            return true;
        }
        len += got > 0 ? (size_t)got : 0;
        if (len == cap)
            cap *= 2;
    }
}

bool ki_payload_take(const char *operand, struct ki_span *payload, uint8_t **memory)
{
    *memory = NULL;
    *payload = operand ? ki_span(operand, strlen(operand)) : ki_span(NULL, 0);
    return !operand || strcmp(operand, "-") != 0 || payload_read(payload, memory);
}
