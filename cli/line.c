/* The connection of a blocking client.
 *
 * A command of the CLI lives for one question, so its clients are straight-line code: send, wait with poll() and a deadline,
 * read, decode.  What has come waits in one buffer that grows; bytes that were given out stay in place until more has to be
 * read.
 *
 * Invariant: after a failure the connection is only good for ki_line_close().
 *
 * Not here: what is said (rpc_client.c, resp_client.c), and how much of it is too much: they know where an answer ends. */
#include "cli/line.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINE_FIRST 65536

bool ki_line_fail(struct ki_line *line, bool unreachable, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(line->error, sizeof line->error, format, args);
    va_end(args);
    line->unreachable = unreachable;
    line->refused = false;
    return false;
}

/* A NUL among the words must not hide the rest. */
bool ki_line_refused(struct ki_line *line, struct ki_span words)
{
    size_t len = ki_min_size(words.len, sizeof line->error - 1);
    for (size_t i = 0; i < len; i++)
        line->error[i] = words.ptr[i] ? (char)words.ptr[i] : '?';
    line->error[len] = '\0';
    line->unreachable = false;
    line->refused = true;
    return false;
}

bool ki_line_open(struct ki_line *line, const char *addr, const char *port)
{
    *line = (struct ki_line){.fd = -1};
    line->fd = ki_dial(addr, port, line->error, sizeof line->error);
    line->unreachable = line->fd < 0;
    return line->fd >= 0;
}

void ki_line_close(struct ki_line *line)
{
    if (line->fd >= 0)
        close(line->fd);
    free(line->buf);
    line->fd = -1;
    line->buf = NULL;
    line->len = line->cap = line->taken = 0;
}

static bool line_wait(struct ki_line *line, short events, uint64_t until_ms)
{
    int error = ki_dial_wait(line->fd, events, until_ms);
    if (error == ETIMEDOUT)
        return ki_line_fail(line, true, "the agent does not answer");
    return error == 0 || ki_line_fail(line, true, "poll: %s", strerror(error));
}

bool ki_line_send(struct ki_line *line, struct ki_span bytes, int flags, uint32_t wait_ms)
{
    while (bytes.len > 0) {
        ssize_t sent = send(line->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL | flags);
        if (sent > 0)
            bytes = ki_span(bytes.ptr + sent, bytes.len - (size_t)sent);
        else if (errno != EAGAIN && errno != EINTR)
            return ki_line_fail(line, true, "send: %s", strerror(errno));
        else if (errno == EAGAIN && !line_wait(line, POLLOUT, ki_dial_until(wait_ms)))
            return false;
    }
    return true;
}

struct ki_span ki_line_pending(const struct ki_line *line)
{
    return line->len > line->taken ? ki_span(line->buf + line->taken, line->len - line->taken) : ki_span(NULL, 0);
}

void ki_line_take(struct ki_line *line, size_t len)
{
    KI_ASSERT(len <= line->len - line->taken);
    line->taken += len;
}

/* What was given out goes first, then the buffer doubles. */
static bool line_room(struct ki_line *line)
{
    if (line->taken > 0) {
        line->len -= line->taken;
        memmove(line->buf, line->buf + line->taken, line->len);
        line->taken = 0;
    }
    if (line->len < line->cap)
        return true;
    size_t cap = line->cap ? line->cap * 2 : LINE_FIRST;
    uint8_t *buf = realloc(line->buf, cap);
    if (!buf)
        return ki_line_fail(line, false, "out of memory");
    line->buf = buf;
    line->cap = cap;
    return true;
}

bool ki_line_more(struct ki_line *line, uint64_t until_ms)
{
    if (!line_room(line))
        return false;
    for (;;) {
        ssize_t got = recv(line->fd, line->buf + line->len, line->cap - line->len, 0);
        if (got > 0) {
            line->len += (size_t)got;
            return true;
        }
        if (got == 0)
            return ki_line_fail(line, true, "the agent closed the connection");
        if (errno != EAGAIN && errno != EINTR)
            return ki_line_fail(line, true, "receive: %s", strerror(errno));
        if (errno == EAGAIN && !line_wait(line, POLLIN, until_ms))
            return false;
    }
}
