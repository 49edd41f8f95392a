/* The commands that only look.
 *
 * members-filtered: every pattern must match the whole of its value; a tag that a member does not have
 * is matched as "", as Serf does.  A pattern that does not compile, or costs too much, ends the
 * connection, which is what Serf's clients know. Members go out sorted by name; Serf's order is its
 * hash table's.
 *
 * get-coordinate of a member whose place is not known is no error but a coordinate of nothing, in Serf's
 * bytes. */
#include "agent/rpc_conn.h"

#include <stdlib.h>
#include <string.h>

#include "base/pattern.h"

static const char rpc_commands_no_memory[] = "out of memory";

/* ---- listing ---- */

static int rpc_commands_by_name(const void *a, const void *b)
{
    const struct kith_member *left = a;
    const struct kith_member *right = b;
    return ki_span_compare(ki_span(left->name.ptr, left->name.len), ki_span(right->name.ptr, right->name.len));
}

/* All members, sorted; release with free().  NULL: out of memory. */
static struct kith_member *rpc_commands_list(struct ki_rpc_conn *conn, size_t *count)
{
    const kith *k = ki_agent_kith(conn->rpc->agent);
    size_t cap = kith_members(k, NULL, 0);
    struct kith_member *members = malloc((cap + 1) * sizeof *members);
    if (!members)
        return NULL;
    *count = ki_min_size(kith_members(k, members, cap), cap);
    qsort(members, *count, sizeof *members, rpc_commands_by_name);
    return members;
}

/* Answers with these members in the shape of `pack`. */
static void rpc_commands_answer(struct ki_rpc_conn *conn, const struct kith_member *members,
                                size_t count, const char *error, ki_rpc_pack *pack)
{
    struct ki_rpc_members list = {.members = members, .count = count};
    ki_rpc_reply(conn, conn->seq, error, pack, &list);
}

static bool rpc_commands_all(struct ki_rpc_conn *conn, ki_rpc_pack *pack)
{
    size_t count = 0;
    struct kith_member *members = rpc_commands_list(conn, &count);
    rpc_commands_answer(conn, members, count, members ? "" : rpc_commands_no_memory, pack);
    free(members);
    return true;
}

bool ki_rpc_run_members(struct ki_rpc_conn *conn, struct ki_reader *body)
{
    (void)body;
    return rpc_commands_all(conn, ki_rpc_pack_members);
}

bool ki_rpc_run_kith_members(struct ki_rpc_conn *conn, struct ki_reader *body)
{
    (void)body;
    return rpc_commands_all(conn, ki_rpc_pack_kith_members);
}

/* ---- filtering ---- */

#define RPC_COMMANDS_TAGS_MAX \
    64 /* tag patterns in one request: more than a member can have tags of 8 bytes */

struct rpc_commands_filter {
    struct ki_pattern *name;   /* NULL: any */
    struct ki_pattern *status; /* NULL: any */
    struct ki_pattern *tags[RPC_COMMANDS_TAGS_MAX];
    struct ki_span keys[RPC_COMMANDS_TAGS_MAX]; /* borrowed from the request */
    size_t tag_count;
};

static struct ki_span rpc_commands_tag(const struct kith_member *member, struct ki_span key)
{
    struct kith_tag tag;
    for (size_t cursor = 0; kith_tag_next(member, &cursor, &tag);) {
        if (ki_span_equal(key, ki_span(tag.key.ptr, tag.key.len)))
            return ki_span(tag.value.ptr, tag.value.len);
    }
    return ki_span(NULL, 0);
}

static enum ki_match rpc_commands_match(const struct rpc_commands_filter *filter,
                                        const struct kith_member *member)
{
    const char *status = ki_rpc_status_text(member->status);
    enum ki_match result = KI_MATCH_YES;
    if (filter->name)
        result = ki_pattern_match(filter->name, ki_span(member->name.ptr, member->name.len));
    if (filter->status && result == KI_MATCH_YES)
        result = ki_pattern_match(filter->status, ki_span(status, strlen(status)));
    for (size_t i = 0; i < filter->tag_count && result == KI_MATCH_YES; i++)
        result = ki_pattern_match(filter->tags[i], rpc_commands_tag(member, filter->keys[i]));
    return result;
}

static bool rpc_commands_compile(struct ki_rpc_conn *conn, struct ki_span expression,
                                 struct ki_pattern **out)
{
    char reason[128];
    *out = ki_pattern_new(NULL, KI_PATTERN_WHOLE, expression, reason, sizeof reason);
    if (!*out)
        ki_log(conn->rpc->log, KI_LOG_ERR, "agent.ipc", "Failed to compile regex: %s", reason);
    return *out != NULL;
}

struct rpc_commands_request {
    struct ki_span tags;
    struct ki_span status;
    struct ki_span name;
};

static bool rpc_commands_build(struct ki_rpc_conn *conn, const struct rpc_commands_request *request,
                               struct rpc_commands_filter *filter)
{
    if (request->name.len && !rpc_commands_compile(conn, request->name, &filter->name))
        return false;
    if (request->status.len && !rpc_commands_compile(conn, request->status, &filter->status))
        return false;
    if (!request->tags.ptr)
        return true;
    uint32_t count;
    struct ki_reader r = ki_reader(request->tags.ptr, request->tags.len);
    if (!ki_unpack_map(&r, &count) || count > RPC_COMMANDS_TAGS_MAX)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        struct ki_span expression;
        if (!ki_unpack_str(&r, &filter->keys[i]) || !ki_unpack_str(&r, &expression) ||
            !rpc_commands_compile(conn, expression, &filter->tags[i]))
            return false;
        filter->tag_count++;
    }
    return true;
}

/* Keeps the members that match.  Returns false when a pattern is too dear. */
static bool rpc_commands_filter(const struct rpc_commands_filter *filter,
                                struct kith_member *members, size_t *count)
{
    size_t kept = 0;
    for (size_t i = 0; i < *count; i++) {
        enum ki_match match = rpc_commands_match(filter, &members[i]);
        if (match == KI_MATCH_TOO_DEAR)
            return false;
        if (match == KI_MATCH_YES)
            members[kept++] = members[i];
    }
    *count = kept;
    return true;
}

bool ki_rpc_run_members_filtered(struct ki_rpc_conn *conn, struct ki_reader *body)
{
    static const struct ki_field fields[] = {
        KI_FIELD(struct rpc_commands_request, tags, "Tags", KI_FIELD_RAW, 2, false),
        KI_FIELD(struct rpc_commands_request, status, "Status", KI_FIELD_STR, 1, false),
        KI_FIELD(struct rpc_commands_request, name, "Name", KI_FIELD_STR, 0, false),
    };
    struct rpc_commands_request request = {0};
    if (!ki_unpack_struct(body, fields, KI_COUNT(fields), &request))
        return false;
    size_t count = 0;
    struct rpc_commands_filter filter = {0};
    struct kith_member *members = rpc_commands_list(conn, &count);
    bool good = rpc_commands_build(conn, &request, &filter);
    if (good && members && !rpc_commands_filter(&filter, members, &count)) {
        ki_log(conn->rpc->log, KI_LOG_ERR, "agent.ipc", "A client's pattern takes too many steps");
        good = false;
    }
    if (good)
        rpc_commands_answer(conn, members, count, members ? "" : rpc_commands_no_memory,
                            ki_rpc_pack_members);
    ki_pattern_free(filter.name);
    ki_pattern_free(filter.status);
    for (size_t i = 0; i < filter.tag_count; i++)
        ki_pattern_free(filter.tags[i]);
    free(members);
    return good;
}

/* ---- numbers ---- */

bool ki_rpc_run_stats(struct ki_rpc_conn *conn, struct ki_reader *body)
{
    (void)body;
    ki_rpc_reply(conn, conn->seq, "", ki_rpc_pack_stats, conn->rpc);
    return true;
}

bool ki_rpc_run_kith_info(struct ki_rpc_conn *conn, struct ki_reader *body)
{
    (void)body;
    ki_rpc_reply(conn, conn->seq, "", ki_rpc_pack_kith_info, conn->rpc);
    return true;
}

/* ---- coordinates ---- */

struct rpc_commands_place {
    bool known;
    struct kith_coordinate at; /* zero, as Serf says it, if not known */
};

static void rpc_commands_pack_place(struct ki_pack *p, const void *arg)
{
    const struct rpc_commands_place *place = arg;
    ki_pack_map(p, 2);
    ki_pack_text(p, "Coord");
    ki_pack_map(p, 4);
    ki_pack_text(p, "Adjustment");
    ki_pack_double(p, place->at.adjustment);
    ki_pack_text(p, "Error");
    ki_pack_double(p, place->at.error);
    ki_pack_text(p, "Height");
    ki_pack_double(p, place->at.height);
    ki_pack_text(p, "Vec");
    if (place->known)
        ki_pack_array(p, KI_COUNT(place->at.vec));
    else
        ki_pack_nil(p);
    for (size_t i = 0; place->known && i < KI_COUNT(place->at.vec); i++)
        ki_pack_double(p, place->at.vec[i]);
    ki_pack_text(p, "Ok");
    ki_pack_bool(p, place->known);
}

bool ki_rpc_run_get_coordinate(struct ki_rpc_conn *conn, struct ki_reader *body)
{
    struct request {
        struct ki_span node;
    } request = {{NULL, 0}};
    static const struct ki_field fields[] = {
        KI_FIELD(struct request, node, "Node", KI_FIELD_STR, 0, false),
    };
    if (!ki_unpack_struct(body, fields, KI_COUNT(fields), &request))
        return false;
    struct rpc_commands_place place = {.known = false};
    struct kith_str name = {(const char *)request.node.ptr, request.node.len};
    place.known = kith_coordinate(ki_agent_kith(conn->rpc->agent), name, &place.at) == 0;
    ki_rpc_reply(conn, conn->seq, "", rpc_commands_pack_place, &place);
    return true;
}
