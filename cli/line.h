/* A connection to an agent for straight-line code: bytes out, bytes in, all with deadlines, and why it failed. */
#ifndef KI_CLI_LINE_H
#define KI_CLI_LINE_H

#include <stdbool.h>

#include "base/base.h"
#include "base/bytes.h"
#include "cli/dial.h"

struct ki_line {
    int fd; /* -1: not connected */
    uint8_t *buf;
    size_t len; /* bytes in buf */
    size_t cap;
    size_t taken;     /* of them given out */
    bool unreachable; /* no agent there, or it went away or fell silent */
    bool refused;     /* it answered with an error, which is in error */
    char error[512];  /* of the last failure */
};

/* Connects.  In: addr, port  as for ki_dial().  Returns: true; false with the reason in error.  Close it in either case. */
bool ki_line_open(struct ki_line *line, const char *addr, const char *port);
void ki_line_close(struct ki_line *line);

/* Sends all of it.  In: flags  of send().   wait_ms  for each silence of the agent. */
bool ki_line_send(struct ki_line *line, struct ki_span bytes, int flags, uint32_t wait_ms);
/* What has come and was not given out yet; lives until the next call of ki_line_more(). */
struct ki_span ki_line_pending(const struct ki_line *line);
/* Gives out the first bytes of what is pending. */
void ki_line_take(struct ki_line *line, size_t len);
/* Waits for more to come. */
bool ki_line_more(struct ki_line *line, uint64_t until_ms);

/* Notes why it failed; unreachable: the agent is gone or silent.  Returns false. */
bool ki_line_fail(struct ki_line *line, bool unreachable, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Notes the agent's own words.  Returns false. */
bool ki_line_refused(struct ki_line *line, struct ki_span words);

#endif
