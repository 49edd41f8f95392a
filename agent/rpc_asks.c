/* The commands that change something: join, leave, force-leave, tags.
 *
 * Each hands its ask to the agent and makes the connection busy; the answer goes out when the agent
 * says how it ended, and only then is the next request of this client looked at.  A refusal at once (a
 * kith_error) is answered at once.
 *
 * A client that goes away while busy is forgotten by the agent (rpc.c does that before it closes), the
 * ask itself goes on. After `leave` the agent stops by itself; stopping flushes the answer first. */
#include "agent/rpc_conn.h"
#include "agent/tags.h"

#include <stdlib.h>

void ki_rpc_ask_begun(struct ki_rpc_conn *conn, int status, const char *error, ki_rpc_pack *pack, const void *arg)
{
    if (status == 0) {
        conn->busy = true;
        return;
    }
    ki_rpc_reply(conn, conn->seq, error, pack, arg);
    ki_rpc_gather_clear(&conn->gather);
}

void ki_rpc_ask_end(struct ki_rpc_conn *conn, const char *error, ki_rpc_pack *pack, const void *arg)
{
    conn->busy = false;
    ki_rpc_reply(conn, conn->seq, error, pack, arg);
    ki_rpc_gather_clear(&conn->gather);
    ki_rpc_resume(conn);
}

static bool rpc_asks_begun(struct ki_rpc_conn *conn, int status, ki_rpc_pack *pack, const void *arg)
{
    ki_rpc_ask_begun(conn, status, kith_strerror(status), pack, arg);
    return true;
}

static void rpc_asks_end(struct ki_rpc_conn *conn, int result, const char *why, ki_rpc_pack *pack,
                         const void *arg)
{
    ki_rpc_ask_end(conn, result == 0 ? "" : why ? why : kith_strerror(result), pack, arg);
}

static void rpc_asks_done(void *arg, int result, uint32_t count, const char *why)
{
    (void)count;
    rpc_asks_end(arg, result, why, NULL, NULL);
}

/* ---- join ---- */

static void rpc_asks_pack_joined(struct ki_pack *p, const void *arg)
{
    const uint32_t *count = arg;
    ki_pack_map(p, 1);
    ki_pack_text(p, "Num");
    ki_pack_uint(p, *count);
}

static void rpc_asks_joined(void *arg, int result, uint32_t count, const char *why)
{
    rpc_asks_end(arg, result, why, rpc_asks_pack_joined, &count);
}

struct rpc_asks_join {
    struct ki_span existing;
    bool replay;
};

bool ki_rpc_read_strings(struct ki_span object, struct kith_str **items, size_t *count)
{
    uint32_t claimed = 0;
    struct ki_reader r = ki_reader(object.ptr, object.len);
    *items = NULL;
    *count = 0;
    if (!object.ptr)
        return true;
    if (!ki_unpack_array(&r, &claimed))
        return false;
    *items = calloc((size_t)claimed + 1, sizeof **items);
    if (!*items)
        return false;
    for (; *count < claimed; ++*count) {
        struct ki_span item;
        if (!ki_unpack_str(&r, &item))
            return false;
        (*items)[*count] = ki_rpc_str(item);
    }
    return true;
}

bool ki_rpc_run_join(struct ki_rpc_conn *conn, struct ki_reader *body)
{
    static const struct ki_field fields[] = {
        KI_FIELD(struct rpc_asks_join, existing, "Existing", KI_FIELD_RAW, 0, false),
        KI_FIELD(struct rpc_asks_join, replay, "Replay", KI_FIELD_BOOL, 1, false),
    };
    struct rpc_asks_join request = {0};
    struct kith_str *targets = NULL;
    size_t count = 0;
    bool good = ki_unpack_struct(body, fields, KI_COUNT(fields), &request) &&
                ki_rpc_read_strings(request.existing, &targets, &count);
    if (good) {
        static const uint32_t none = 0;
        int status =
            ki_agent_join(conn->rpc->agent, targets, count, request.replay, rpc_asks_joined, conn);
        rpc_asks_begun(conn, status, rpc_asks_pack_joined, &none);
    }
    free(targets);
    return good;
}

/* ---- leave ---- */

bool ki_rpc_run_leave(struct ki_rpc_conn *conn, struct ki_reader *body)
{
    (void)body;
    return rpc_asks_begun(conn, ki_agent_leave(conn->rpc->agent, rpc_asks_done, conn), NULL, NULL);
}

struct rpc_asks_force_leave {
    struct ki_span node;
    bool prune;
};

bool ki_rpc_run_force_leave(struct ki_rpc_conn *conn, struct ki_reader *body)
{
    static const struct ki_field fields[] = {
        KI_FIELD(struct rpc_asks_force_leave, node, "Node", KI_FIELD_STR, 0, false),
        KI_FIELD(struct rpc_asks_force_leave, prune, "Prune", KI_FIELD_BOOL, 1, false),
    };
    struct rpc_asks_force_leave request = {0};
    if (!ki_unpack_struct(body, fields, KI_COUNT(fields), &request))
        return false;
    struct ki_agent *agent = conn->rpc->agent;
    int status =
        ki_agent_force_leave(agent, ki_rpc_str(request.node), request.prune, rpc_asks_done, conn);
    return rpc_asks_begun(conn, status, NULL, NULL);
}

/* ---- tags ---- */

bool ki_rpc_read_tags(struct ki_span object, struct kith_tag **tags, size_t *count)
{
    uint32_t claimed = 0;
    struct ki_reader r = ki_reader(object.ptr, object.len);
    *tags = NULL;
    *count = 0;
    if (!object.ptr)
        return true;
    if (!ki_unpack_map(&r, &claimed))
        return false;
    *tags = calloc((size_t)claimed + 1, sizeof **tags);
    if (!*tags)
        return false;
    for (; *count < claimed; ++*count) {
        struct ki_span key;
        struct ki_span value;
        if (!ki_unpack_str(&r, &key) || !ki_unpack_str(&r, &value))
            return false;
        (*tags)[*count] = (struct kith_tag){ki_rpc_str(key), ki_rpc_str(value)};
    }
    return true;
}

static const char *rpc_asks_tags_error(int status)
{
    if (status == KITH_ERR_STATE)
        return "not possible now: this node is leaving, or in a pool of bare memberlist nodes, which have no tags";
    return status == KITH_ERR_ARG ? KI_TAGS_REFUSED : kith_strerror(status);
}

struct rpc_asks_tag_change {
    struct ki_span tags;
    struct ki_span deleted;
};

bool ki_rpc_run_tags(struct ki_rpc_conn *conn, struct ki_reader *body)
{
    static const struct ki_field fields[] = {
        KI_FIELD(struct rpc_asks_tag_change, tags, "Tags", KI_FIELD_RAW, 1, false),
        KI_FIELD(struct rpc_asks_tag_change, deleted, "DeleteTags", KI_FIELD_RAW, 0, false),
    };
    struct rpc_asks_tag_change request = {0};
    struct kith_tag *tags = NULL;
    struct kith_str *deleted = NULL;
    size_t tag_count = 0;
    size_t deleted_count = 0;
    bool good = ki_unpack_struct(body, fields, KI_COUNT(fields), &request) &&
                ki_rpc_read_tags(request.tags, &tags, &tag_count) &&
                ki_rpc_read_strings(request.deleted, &deleted, &deleted_count);
    if (good) {
        int status = ki_agent_tags(conn->rpc->agent, tags, tag_count, deleted, deleted_count,
                                   rpc_asks_done, conn);
        ki_rpc_ask_begun(conn, status, rpc_asks_tags_error(status), NULL, NULL);
    }
    free(tags);
    free(deleted);
    return good;
}
