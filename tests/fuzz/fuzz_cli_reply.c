/* What a server answers to the command line, any bytes: over a socketpair, so that the whole client reads, and then
 * goes through the decoder of member lists.  Held to: it ends, every span lies in what came, and text printed safely
 * has no control character. */
#include "cli/cli.h"
#include "cli/member_list.h"
#include "cli/rpc_client.h"
#include "scenario/lone.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static FILE *reply_out;
static char *reply_text;
static size_t reply_len;

static void reply_print(struct ki_span bytes)
{
    rewind(reply_out);
    ki_print_safe(reply_out, bytes);
    LONE_CHECK(fflush(reply_out) == 0);
    long len = ftell(reply_out);
    LONE_CHECK(len >= 0 && (size_t)len >= ki_safe_width(bytes));
    for (long i = 0; i < len; i++)
        LONE_CHECK((unsigned char)reply_text[i] >= 0x20 && reply_text[i] != 0x7f);
    json_t *value = ki_json_bytes(bytes);
    LONE_CHECK(value != NULL);
    json_decref(value);
}

static void reply_members(struct ki_span object)
{
    struct ki_member_list list = {0};
    if (ki_member_list_read(&list, object)) {
        json_t *tags = json_object();
        for (size_t i = 0; i < list.count; i++) {
            const struct ki_listed_member *member = &list.members[i];
            char addr[KI_ADDR_TEXT_MAX];
            ki_listed_addr(member, addr);
            LONE_CHECK(strlen(addr) < sizeof addr);
            reply_print(member->name);
            reply_print(member->status);
            for (size_t j = 0; j < member->tag_count; j++)
                LONE_CHECK(ki_json_set(tags, member->tags[j].key, ki_json_bytes(member->tags[j].value)) == 0);
        }
        json_decref(tags);
    }
    ki_member_list_free(&list);
}

/* Asks once; the answer is in the socket already, and its end too. */
static void reply_take(struct ki_rpc_client *client, bool has_body)
{
    struct ki_span body = {NULL, 0};
    client->seq = 0;
    if (ki_rpc_call(client, "members", NULL, KI_RPC_WAIT_MS, has_body ? &body : NULL)) {
        LONE_CHECK(!has_body || body.len > 0);
        if (has_body)
            reply_members(body);
    } else {
        LONE_CHECK(client->line.error[0] != '\0' || client->line.unreachable || body.len == 0);
        reply_print(ki_span(client->line.error, strlen(client->line.error)));
        if (body.len > 0)
            reply_members(body); /* a refusal may have a body */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fds[2];
    if (size < 1 || size > 8192)
        return -1;
    if (!reply_out)
        reply_out = open_memstream(&reply_text, &reply_len);
    LONE_CHECK(reply_out != NULL);
    LONE_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    LONE_CHECK(fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0);
    LONE_CHECK(send(fds[1], data + 1, size - 1, MSG_NOSIGNAL) == (ssize_t)(size - 1));
    LONE_CHECK(shutdown(fds[1], SHUT_WR) == 0);
    struct ki_rpc_client client = {.line.fd = fds[0]};
    reply_take(&client, data[0] & 1);
    for (int i = 0; i < 4 && !client.line.unreachable && client.line.error[0] == '\0'; i++) { /* what follows, as a stream */
        uint64_t seq;
        struct ki_span refusal, object;
        if (!ki_rpc_header(&client, KI_RPC_WAIT_MS, &seq, &refusal))
            break;
        reply_print(refusal);
        if (!ki_rpc_object(&client, KI_RPC_WAIT_MS, &object))
            break;
        reply_members(object);
    }
    ki_rpc_close(&client);
    close(fds[1]);
    return 0;
}
