/* CLIENT: what is known of connections.
 *
 * SETINFO, NO-EVICT and NO-TOUCH are taken because client libraries send them unasked; nothing is evicted here, and
 * nothing remembers when a key was touched.  Lines are those of Redis 7.0, with the library's name and version that 7.2
 * added; what there is no equivalent for is 0.
 *
 * Deliberately not here: PAUSE, REPLY, TRACKING, which would need a promise about other clients' writes. */
#include "agent/redis_conn.h"

#include <stdio.h>

#define CLIENT_LINE 700

static size_t client_line(const struct ki_redis_client *client, char line[CLIENT_LINE])
{
    char peer[64];
    char local[64];
    uint64_t now_ms = uv_now(client->tcp.loop);
    uv_os_fd_t fd = -1;
    bool subscribed = ki_redis_subscriptions(client) > 0;
    ki_redis_peer(client, peer, local);
    (void)uv_fileno((const uv_handle_t *)&client->tcp, &fd);
    int len = snprintf(
        line, CLIENT_LINE,
        "id=%llu addr=%s laddr=%s fd=%d name=%s age=%llu idle=%llu flags=%s%s%s%s db=0 sub=%zu psub=%zu ssub=0 multi=%d "
        "qbuf=%zu qbuf-free=%zu argv-mem=0 multi-mem=%zu obl=0 oll=0 omem=%zu tot-mem=%zu events=%s cmd=%s user=default "
        "redir=-1 resp=%u lib-name=%s lib-ver=%s\n",
        (unsigned long long)client->id, peer, local, fd, client->name,
        (unsigned long long)(now_ms - client->since_ms) / 1000, (unsigned long long)(now_ms - client->active_ms) / 1000,
        client->in_multi ? "x" : "", subscribed ? "P" : "", client->wait != 0 ? "b" : "",
        client->in_multi || subscribed || client->wait != 0 ? "" : "N", client->channels.count, client->patterns.count,
        client->in_multi ? (int)client->queue_count : -1, client->in.end - client->in.start,
        client->in.cap - client->in.end, client->queue_bytes, ki_resp_unsent(&client->out).len,
        sizeof *client + client->counted, client->writing ? "rw" : "r", client->last ? client->last->name : "NULL",
        client->out.version, client->lib_name, client->lib_version);
    return ki_min_size((size_t)len, CLIENT_LINE - 1);
}

static void client_id(struct ki_redis_call *call)
{
    ki_resp_put_integer(call->out, (int64_t)call->client->id);
}

static void client_getname(struct ki_redis_call *call)
{
    if (call->client->name[0])
        ki_redis_text(call, call->client->name);
    else
        ki_resp_put_null(call->out);
}

static void client_setname(struct ki_redis_call *call)
{
    if (ki_redis_name_set(call, call->args[2], "Client names", call->client->name))
        ki_redis_ok(call);
}

static void client_setinfo(struct ki_redis_call *call)
{
    struct ki_redis_client *client = call->client;
    char text[160];
    bool name = ki_redis_word(call->args[2], "LIB-NAME");
    if (!name && !ki_redis_word(call->args[2], "LIB-VER")) {
        snprintf(text, sizeof text, "ERR Unrecognized option '%.*s'", (int)ki_min_size(call->args[2].len, 64),
                 (const char *)call->args[2].ptr);
        ki_redis_error(call, text);
    } else if (ki_redis_name_set(call, call->args[3], name ? "lib-name" : "lib-ver",
                                 name ? client->lib_name : client->lib_version)) {
        ki_redis_ok(call);
    }
}

static void client_info(struct ki_redis_call *call)
{
    char line[CLIENT_LINE];
    size_t len = client_line(call->client, line);
    ki_resp_put_verbatim(call->out, "txt", ki_span(line, len));
}

static void client_list(struct ki_redis_call *call)
{
    struct ki_redis *redis = call->client->redis;
    char *text = NULL;
    size_t len = 0;
    char line[CLIENT_LINE];
    if (call->arg_count > 2) {
        ki_redis_syntax(call);
        return;
    }
    FILE *out = open_memstream(&text, &len);
    if (!out) {
        ki_redis_error_of(call, KITH_ERR_NOMEM);
        return;
    }
    for (struct ki_list *at = redis->clients.next; at != &redis->clients; at = at->next) {
        const struct ki_redis_client *client = KI_CONTAINER(at, struct ki_redis_client, link);
        if (!ki_redis_closing(client))
            fwrite(line, 1, client_line(client, line), out);
    }
    if (fclose(out) == 0)
        ki_resp_put_verbatim(call->out, "txt", ki_span(text, len));
    else
        ki_redis_error_of(call, KITH_ERR_NOMEM);
    free(text);
}

/* CLIENT KILL addr, CLIENT KILL ID id, CLIENT KILL ADDR addr. */
static void client_kill(struct ki_redis_call *call)
{
    struct ki_redis *redis = call->client->redis;
    int64_t id = 0, killed = 0;
    bool by_id = call->arg_count == 4 && ki_redis_word(call->args[2], "ID");
    if (call->arg_count > 4 || (call->arg_count == 4 && !by_id && !ki_redis_word(call->args[2], "ADDR"))) {
        ki_redis_syntax(call);
        return;
    }
    if (by_id && (!ki_redis_parse_integer(call->args[3], &id) || id < 1)) {
        ki_redis_error(call, "ERR client-id should be greater than 0");
        return;
    }
    struct ki_span addr = call->args[call->arg_count - 1];
    struct ki_list *next;
    for (struct ki_list *at = redis->clients.next; at != &redis->clients; at = next) {
        next = at->next;
        struct ki_redis_client *client = KI_CONTAINER(at, struct ki_redis_client, link);
        char peer[64];
        char local[64];
        ki_redis_peer(client, peer, local);
        bool is_it = by_id ? client->id == (uint64_t)id : ki_span_equal(addr, ki_span(peer, strlen(peer)));
        if (!is_it || ki_redis_closing(client) || (by_id && client == call->client && call->arg_count == 4))
            continue;
        killed++;
        if (client == call->client)
            ki_redis_finish(client); /* with its answer */
        else
            ki_redis_close(client);
    }
    if (call->arg_count == 4)
        ki_resp_put_integer(call->out, killed);
    else if (killed > 0)
        ki_redis_ok(call);
    else
        ki_redis_error(call, "ERR No such client");
}

static void client_on_off(struct ki_redis_call *call)
{
    if (ki_redis_word(call->args[2], "ON") || ki_redis_word(call->args[2], "OFF"))
        ki_redis_ok(call);
    else
        ki_redis_syntax(call);
}

static const struct ki_redis_sub client_subs[] = {
    {"ID", 2, client_id},           {"GETNAME", 2, client_getname}, {"SETNAME", 3, client_setname},
    {"SETINFO", 4, client_setinfo}, {"INFO", 2, client_info},       {"LIST", -2, client_list},
    {"KILL", -3, client_kill},      {"NO-EVICT", 3, client_on_off}, {"NO-TOUCH", 3, client_on_off},
};

void ki_redis_client_command(struct ki_redis_call *call)
{
    ki_redis_container(call, "CLIENT", client_subs, KI_COUNT(client_subs));
}
