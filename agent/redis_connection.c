/* Commands of a connection: PING, ECHO, HELLO, AUTH, SELECT, QUIT, RESET; and POST, which is somebody else's.
 *
 * There is one database and one user, "default", whose password is -resp-auth.  A password is compared in a time that does
 * not depend on how much of it is right, and is never logged.
 *
 * HELLO does all or nothing but for AUTH in it, as in Redis: options are read before the version changes. */
#include "agent/redis_conn.h"

#include <stdio.h>

void ki_redis_ping(struct ki_redis_call *call)
{
    bool subscribed = call->out->version == 2 && ki_redis_subscriptions(call->client) > 0;
    if (call->arg_count > 2) {
        ki_redis_arity(call, "ping");
    } else if (subscribed) {
        ki_resp_put_array(call->out, 2);
        ki_redis_text(call, "pong");
        ki_resp_put_bulk(call->out, call->arg_count == 2 ? call->args[1] : ki_span("", 0));
    } else if (call->arg_count == 2) {
        ki_resp_put_bulk(call->out, call->args[1]);
    } else {
        ki_resp_put_simple(call->out, ki_span("PONG", 4));
    }
}

void ki_redis_echo(struct ki_redis_call *call)
{
    ki_resp_put_bulk(call->out, call->args[1]);
}

void ki_redis_select(struct ki_redis_call *call)
{
    int64_t number;
    if (!ki_redis_integer(call, call->args[1], &number))
        return;
    if (number != 0)
        ki_redis_error(call, "ERR DB index is out of range");
    else
        ki_redis_ok(call);
}

void ki_redis_quit(struct ki_redis_call *call)
{
    ki_redis_ok(call);
    ki_redis_finish(call->client);
}

void ki_redis_reset(struct ki_redis_call *call)
{
    struct ki_redis_client *client = call->client;
    ki_redis_multi_end(client);
    ki_redis_unwatch_all(client);
    ki_redis_unsubscribe_all(client);
    client->out.version = 2;
    client->name[0] = '\0';
    client->authenticated = client->redis->password == NULL;
    ki_resp_put_simple(call->out, ki_span("RESET", 5));
}

/* ---- who is there ---- */

static bool connection_password(const struct ki_redis *redis, struct ki_span user, struct ki_span password)
{
    if (user.ptr && !ki_span_equal(user, ki_span("default", 7)))
        return false;
    if (!redis->password)
        return true;
    size_t len = strlen(redis->password);
    unsigned differs = password.len != len;
    for (size_t i = 0; i < password.len; i++)
        differs |= password.ptr[i] ^ (uint8_t)redis->password[len > 0 ? i % len : 0];
    return !differs;
}

/* false: an error was written. */
static bool connection_authenticate(struct ki_redis_call *call, struct ki_span user, struct ki_span password)
{
    if (connection_password(call->client->redis, user, password)) {
        call->client->authenticated = true;
        return true;
    }
    ki_redis_error(call, "WRONGPASS invalid username-password pair or user is disabled.");
    return false;
}

void ki_redis_auth(struct ki_redis_call *call)
{
    struct ki_span user = {.ptr = NULL};
    if (call->arg_count > 3) {
        ki_redis_syntax(call);
        return;
    }
    if (call->arg_count == 3) {
        user = call->args[1];
    } else if (!call->client->redis->password) {
        ki_redis_error(call, "ERR AUTH <password> called without any password configured for the default user. Are you "
                             "sure your configuration is correct?");
        return;
    }
    if (connection_authenticate(call, user, call->args[call->arg_count - 1]))
        ki_redis_ok(call);
}

bool ki_redis_name_set(struct ki_redis_call *call, struct ki_span name, const char *what,
                       char out[KI_REDIS_NAME_CAP])
{
    char text[128];
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] < '!' || name.ptr[i] > '~') {
            snprintf(text, sizeof text, "ERR %s cannot contain spaces, newlines or special characters.", what);
            ki_redis_error(call, text);
            return false;
        }
    }
    if (name.len >= KI_REDIS_NAME_CAP) {
        snprintf(text, sizeof text, "ERR %s is longer than %d bytes", what, KI_REDIS_NAME_CAP - 1);
        ki_redis_error(call, text);
        return false;
    }
    if (name.len > 0)
        memcpy(out, name.ptr, name.len);
    out[name.len] = '\0';
    return true;
}

static void connection_welcome(struct ki_redis_call *call)
{
    ki_resp_put_map(call->out, 7);
    ki_redis_text(call, "server");
    ki_redis_text(call, "redis");
    ki_redis_text(call, "version");
    ki_redis_text(call, KI_REDIS_VERSION);
    ki_redis_text(call, "proto");
    ki_resp_put_integer(call->out, call->out->version);
    ki_redis_text(call, "id");
    ki_resp_put_integer(call->out, (int64_t)call->client->id);
    ki_redis_text(call, "mode");
    ki_redis_text(call, "standalone");
    ki_redis_text(call, "role");
    ki_redis_text(call, "master");
    ki_redis_text(call, "modules");
    ki_resp_put_array(call->out, 0);
}

/* The options of HELLO behind the version.  false: an error was written. */
static bool connection_hello_options(struct ki_redis_call *call, struct ki_span *name)
{
    char text[128];
    for (size_t i = 2; i < call->arg_count; i++) {
        size_t more = call->arg_count - 1 - i;
        if (ki_redis_word(call->args[i], "AUTH") && more >= 2) {
            if (!connection_authenticate(call, call->args[i + 1], call->args[i + 2]))
                return false;
            i += 2;
        } else if (ki_redis_word(call->args[i], "SETNAME") && more >= 1) {
            *name = call->args[++i];
        } else {
            snprintf(text, sizeof text, "ERR Syntax error in HELLO option '%.*s'",
                     (int)ki_min_size(call->args[i].len, 64), (const char *)call->args[i].ptr);
            ki_redis_error(call, text);
            return false;
        }
    }
    return true;
}

void ki_redis_hello(struct ki_redis_call *call)
{
    struct ki_redis_client *client = call->client;
    struct ki_span name = {.ptr = NULL};
    int64_t version = 0;
    if (call->arg_count > 1) {
        if (!ki_redis_parse_integer(call->args[1], &version)) {
            ki_redis_error(call, "ERR Protocol version is not an integer or out of range");
            return;
        }
        if (version < 2 || version > 3) {
            ki_redis_error(call, "NOPROTO unsupported protocol version");
            return;
        }
        if (!connection_hello_options(call, &name))
            return;
    }
    if (!client->authenticated) {
        ki_redis_error(call, "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO "
                             "AUTH <user> <pass> option can be used to authenticate the client and select the "
                             "RESP protocol version at the same time");
        return;
    }
    if (name.ptr && !ki_redis_name_set(call, name, "Client names", client->name))
        return;
    if (version != 0)
        call->out->version = (uint8_t)version;
    connection_welcome(call);
}

/* POST and Host: somebody's browser was made to talk to this port.  The answer is none. */
void ki_redis_post(struct ki_redis_call *call)
{
    struct ki_redis *redis = call->client->redis;
    uint64_t now_ms = uv_now(redis->listener.loop);
    char peer[64];
    char local[64];
    if (redis->attack_ms == 0 || now_ms - redis->attack_ms > 60000) {
        redis->attack_ms = now_ms + (now_ms == 0);
        ki_redis_peer(call->client, peer, local);
        ki_log(redis->log, KI_LOG_WARN, "redis",
               "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to this Redis "
               "door. This is likely due to an attacker attempting to use Cross Protocol Scripting to compromise it. "
               "Connection from %s aborted.",
               peer);
    }
    call->client->deaf = true;
    ki_redis_finish(call->client);
}
