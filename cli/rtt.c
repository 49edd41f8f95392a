/* kith rtt: the round trip between two members, estimated from the coordinates that the agent knows.
 *
 * The words are Serf's, and so is the way: who is asked for one name takes the agent's own for the other, which `stats`
 * tells; then one get-coordinate for each.  So it asks a Serf agent as well as one of ours.  The reckoning is done here,
 * by the library.
 *
 * Different from Serf: --json; what goes wrong goes to standard error; a coordinate of other than 8 dimensions is a
 * malformed answer, not the end of the program.
 *
 * Not here: measuring anything.  What the pool's probes have taught is all there is. */
#include "cli/cli.h"

#include <string.h>

#include "kith/kith.h"

/* ---- what the agent answers ---- */

/* The name in the section `agent` of its statistics. */
static bool rtt_read_name(struct ki_span stats, char name[KITH_NAME_MAX + 1])
{
    struct section {
        struct ki_span agent;
    } section = {{NULL, 0}};
    struct agent {
        struct ki_span name;
    } agent = {{NULL, 0}};
    static const struct ki_field sections[] = {KI_FIELD(struct section, agent, "agent", KI_FIELD_RAW, 0, false)};
    static const struct ki_field keys[] = {KI_FIELD(struct agent, name, "name", KI_FIELD_STR, 0, false)};
    struct ki_reader r = ki_reader(stats.ptr, stats.len);
    if (!ki_unpack_struct(&r, sections, KI_COUNT(sections), &section) || section.agent.len == 0)
        return false;
    r = ki_reader(section.agent.ptr, section.agent.len);
    if (!ki_unpack_struct(&r, keys, KI_COUNT(keys), &agent) || agent.name.len == 0 || agent.name.len > KITH_NAME_MAX ||
        memchr(agent.name.ptr, 0, agent.name.len))
        return false;
    memcpy(name, agent.name.ptr, agent.name.len);
    name[agent.name.len] = '\0';
    return true;
}

struct rtt_answer {
    struct ki_span coordinate; /* encoded */
    bool known;
};

static bool rtt_read_coordinate(struct ki_span encoded, struct kith_coordinate *out)
{
    struct body {
        double adjustment, error, height;
        struct ki_span vec;
    } body = {.adjustment = 0};
    static const struct ki_field fields[] = {
        KI_FIELD(struct body, adjustment, "Adjustment", KI_FIELD_DOUBLE, 0, false),
        KI_FIELD(struct body, error, "Error", KI_FIELD_DOUBLE, 1, false),
        KI_FIELD(struct body, height, "Height", KI_FIELD_DOUBLE, 2, false),
        KI_FIELD(struct body, vec, "Vec", KI_FIELD_RAW, 3, false),
    };
    struct ki_reader r = ki_reader(encoded.ptr, encoded.len);
    uint32_t count;
    if (!ki_unpack_struct(&r, fields, KI_COUNT(fields), &body) || body.vec.len == 0)
        return false;
    *out = (struct kith_coordinate){.adjustment = body.adjustment, .error = body.error, .height = body.height};
    r = ki_reader(body.vec.ptr, body.vec.len);
    if (!ki_unpack_array(&r, &count) || count != KI_COUNT(out->vec))
        return false;
    for (size_t i = 0; i < KI_COUNT(out->vec); i++) {
        if (!ki_unpack_double(&r, &out->vec[i]))
            return false;
    }
    return true;
}

/* ---- asking ---- */

static int rtt_malformed(const char *what)
{
    fprintf(stderr, "%s: the agent's answer is malformed\n", what);
    return KI_EXIT_FAILED;
}

static int rtt_own_name(struct ki_rpc_client *client, char name[KITH_NAME_MAX + 1])
{
    static const char what[] = "Error querying agent";
    struct ki_span stats;
    if (!ki_rpc_call(client, "stats", NULL, KI_RPC_WAIT_MS, &stats))
        return ki_client_failed(client, KI_EXIT_FAILED, what);
    return rtt_read_name(stats, name) ? KI_EXIT_OK : rtt_malformed(what);
}

static int rtt_coordinate(struct ki_rpc_client *client, const char *node, struct kith_coordinate *out)
{
    static const char what[] = "Error getting coordinates";
    static const struct ki_field fields[] = {
        KI_FIELD(struct rtt_answer, coordinate, "Coord", KI_FIELD_RAW, 0, false),
        KI_FIELD(struct rtt_answer, known, "Ok", KI_FIELD_BOOL, 1, false),
    };
    uint8_t small[512];
    struct ki_pack body = ki_pack(small, sizeof small, true);
    ki_pack_map(&body, 1);
    ki_pack_text(&body, "Node");
    ki_pack_text(&body, node);
    struct ki_span reply;
    if (!ki_rpc_call(client, "get-coordinate", &body, KI_RPC_WAIT_MS, &reply))
        return ki_client_failed(client, KI_EXIT_FAILED, what);
    struct rtt_answer answer = {.known = false};
    struct ki_reader r = ki_reader(reply.ptr, reply.len);
    if (!ki_unpack_struct(&r, fields, KI_COUNT(fields), &answer))
        return rtt_malformed(what);
    if (!answer.known) {
        fputs("Could not find a coordinate for node \"", stderr);
        ki_print_safe(stderr, ki_span(node, strlen(node)));
        fputs("\"\n", stderr);
        return KI_EXIT_FAILED;
    }
    return rtt_read_coordinate(answer.coordinate, out) ? KI_EXIT_OK : rtt_malformed(what);
}

static int rtt_print(const char *const nodes[2], const struct kith_coordinate at[2], bool json)
{
    double ms = (double)kith_coordinate_distance_us(&at[0], &at[1]) / 1000;
    struct ki_span from = ki_span(nodes[0], strlen(nodes[0])), to = ki_span(nodes[1], strlen(nodes[1]));
    if (json)
        return ki_json_print(
            json_pack("{s:o, s:o, s:f}", "from", ki_json_bytes(from), "to", ki_json_bytes(to), "rtt_ms", ms),
            JSON_REAL_PRECISION(15)); /* microseconds, without what doubles make of them */
    fputs("Estimated ", stdout);
    ki_print_safe(stdout, from);
    fputs(" <-> ", stdout);
    ki_print_safe(stdout, to);
    printf(" rtt: %.3f ms\n", ms);
    return KI_EXIT_OK;
}

int ki_cmd_rtt(int argc, char **argv)
{
    struct ki_client_options options = ki_client_options();
    const struct ki_flag flags[] = {KI_JSON_FLAG(options), KI_CLIENT_FLAGS(options)};
    const struct ki_usage usage = {
        "rtt",
        "node [node]",
        "Estimates the round trip between two members, or from one to the agent, by the\n"
        "  network coordinates that the pool's probes have taught.",
        flags,
        KI_COUNT(flags),
        1,
        2};
    int first;
    int code;
    if (!ki_flags_parse(&usage, argc, argv, &first, &code))
        return code;
    struct ki_rpc_client client;
    char own[KITH_NAME_MAX + 1];
    const char *nodes[2] = {argv[first], argc - first == 2 ? argv[first + 1] : own};
    struct kith_coordinate at[2];
    code = ki_client_connect(&client, &options);
    if (code != KI_EXIT_OK)
        return code;
    if (nodes[1] == own)
        code = rtt_own_name(&client, own);
    for (size_t i = 0; code == KI_EXIT_OK && i < KI_COUNT(nodes); i++)
        code = rtt_coordinate(&client, nodes[i], &at[i]);
    if (code == KI_EXIT_OK)
        code = rtt_print(nodes, at, options.json);
    ki_rpc_close(&client);
    return code;
}
