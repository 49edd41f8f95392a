/* What a server answers to the command line where it expects a Redis door, any bytes: over a socketpair, so that the whole
 * client reads.  Held to: it ends; every element of every reply lies in what came, and in its array; a refusal has words. */
#include "cli/cli.h"
#include "cli/resp_client.h"
#include "scenario/lone.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads every byte of the tree, element by element.  Returns the place behind it. */
static size_t resp_walk(struct ki_reply reply, size_t depth, uint64_t *sum)
{
    const struct ki_reply_node *node = ki_reply_node(reply);
    struct ki_span text = ki_reply_text(reply);
    LONE_CHECK(depth <= KI_REPLY_DEPTH_MAX);
    for (size_t i = 0; i < text.len; i++)
        *sum += text.ptr[i];
    struct ki_reply at = ki_reply_first(reply);
    for (size_t i = 0; i < ki_reply_count(reply); i++) {
        size_t behind = resp_walk(at, depth + 1, sum);
        LONE_CHECK(behind == ki_reply_next(at).place);
        at = ki_reply_next(at);
    }
    LONE_CHECK(at.place == node->next);
    return at.place;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fds[2];
    uint64_t sum = 0;
    if (size > 8192)
        return -1;
    LONE_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    LONE_CHECK(fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0);
    LONE_CHECK(size == 0 || send(fds[1], data, size, MSG_NOSIGNAL) == (ssize_t)size);
    LONE_CHECK(shutdown(fds[1], SHUT_WR) == 0);
    struct ki_resp_client client = {.line.fd = fds[0]};
    size_t replies = 0;
    for (;;) {
        struct ki_reply reply;
        bool done = replies == 0 ? ki_resp_ask(&client, &reply, "GET", "k", NULL)
                                 : ki_resp_receive(&client, KI_RESP_WAIT_MS, &reply);
        if (!done && !client.line.refused)
            break;
        replies++;
        if (done)
            (void)resp_walk(reply, 0, &sum);
        else
            LONE_CHECK(strlen(client.line.error) < sizeof client.line.error);
    }
    LONE_CHECK(client.line.error[0] != '\0' && replies <= size / 3);
    ki_resp_close(&client);
    close(fds[1]);
    return 0;
}
