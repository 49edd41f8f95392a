/* Queries and answers, by table (msgpack.h).
 *
 * The idea: filters and tags stay encoded, since who reads a query here needs neither; they are still checked to be
 * one whole object.
 *
 * Invariants: a decoded query can be answered (it names its source and an address of 4 or 16 bytes).
 * It deliberately does not know what any query means. */
#include "wire/serf_query.h"

static const struct ki_field query_fields[] = {
    KI_FIELD(struct ki_serf_query, ltime, "LTime", KI_FIELD_U64, 4, false),
    KI_FIELD(struct ki_serf_query, id, "ID", KI_FIELD_U32, 3, false),
    KI_FIELD(struct ki_serf_query, addr, "Addr", KI_FIELD_BYTES, 0, false),
    KI_FIELD(struct ki_serf_query, port, "Port", KI_FIELD_U16, 7, false),
    KI_FIELD(struct ki_serf_query, source_node, "SourceNode", KI_FIELD_STR, 9, false),
    KI_FIELD(struct ki_serf_query, filters, "Filters", KI_FIELD_RAW, 1, false),
    KI_FIELD(struct ki_serf_query, flags, "Flags", KI_FIELD_U32, 2, false),
    KI_FIELD(struct ki_serf_query, relay_factor, "RelayFactor", KI_FIELD_U8, 8, false),
    KI_FIELD(struct ki_serf_query, timeout_ns, "Timeout", KI_FIELD_I64, 10, false),
    KI_FIELD(struct ki_serf_query, name, "Name", KI_FIELD_STR, 5, false),
    KI_FIELD(struct ki_serf_query, payload, "Payload", KI_FIELD_BYTES, 6, false),
};

static const struct ki_field response_fields[] = {
    KI_FIELD(struct ki_serf_response, ltime, "LTime", KI_FIELD_U64, 3, false),
    KI_FIELD(struct ki_serf_response, id, "ID", KI_FIELD_U32, 2, false),
    KI_FIELD(struct ki_serf_response, from, "From", KI_FIELD_STR, 1, false),
    KI_FIELD(struct ki_serf_response, flags, "Flags", KI_FIELD_U32, 0, false),
    KI_FIELD(struct ki_serf_response, payload, "Payload", KI_FIELD_BYTES, 4, false),
};

static const struct ki_field member_fields[] = {
    KI_FIELD(struct ki_serf_member, name, "Name", KI_FIELD_STR, 4, false),
    KI_FIELD(struct ki_serf_member, addr, "Addr", KI_FIELD_BYTES, 0, false),
    KI_FIELD(struct ki_serf_member, port, "Port", KI_FIELD_U16, 5, false),
    KI_FIELD(struct ki_serf_member, tags, "Tags", KI_FIELD_RAW, 10, false),
    KI_FIELD(struct ki_serf_member, status, "Status", KI_FIELD_I64, 9, false),
    KI_FIELD(struct ki_serf_member, pmin, "ProtocolMin", KI_FIELD_U8, 8, false),
    KI_FIELD(struct ki_serf_member, pmax, "ProtocolMax", KI_FIELD_U8, 7, false),
    KI_FIELD(struct ki_serf_member, pcur, "ProtocolCur", KI_FIELD_U8, 6, false),
    KI_FIELD(struct ki_serf_member, dmin, "DelegateMin", KI_FIELD_U8, 3, false),
    KI_FIELD(struct ki_serf_member, dmax, "DelegateMax", KI_FIELD_U8, 2, false),
    KI_FIELD(struct ki_serf_member, dcur, "DelegateCur", KI_FIELD_U8, 1, false),
};

void ki_encode_serf_query(struct ki_pack *p, const struct ki_serf_query *msg)
{
    ki_put_u8(&p->w, KI_SERF_QUERY);
    ki_pack_struct(p, query_fields, KI_COUNT(query_fields), msg);
}

void ki_encode_serf_response(struct ki_pack *p, const struct ki_serf_response *msg)
{
    ki_put_u8(&p->w, KI_SERF_QUERY_RESPONSE);
    ki_pack_struct(p, response_fields, KI_COUNT(response_fields), msg);
}

void ki_encode_serf_member(struct ki_pack *p, const struct ki_serf_member *msg)
{
    ki_put_u8(&p->w, KI_SERF_CONFLICT_RESPONSE);
    ki_pack_struct(p, member_fields, KI_COUNT(member_fields), msg);
}

static bool query_require(struct ki_reader *r, bool valid)
{
    if (!valid)
        r->bad = true;
    return valid;
}

bool ki_decode_serf_query(struct ki_reader *r, struct ki_serf_query *out)
{
    memset(out, 0, sizeof *out);
    return ki_unpack_struct(r, query_fields, KI_COUNT(query_fields), out) &&
           query_require(r, out->source_node.len > 0 && out->name.len > 0 &&
                                (out->addr.len == 4 || out->addr.len == 16));
}

bool ki_decode_serf_response(struct ki_reader *r, struct ki_serf_response *out)
{
    memset(out, 0, sizeof *out);
    return ki_unpack_struct(r, response_fields, KI_COUNT(response_fields), out) &&
           query_require(r, out->from.len > 0);
}

bool ki_decode_serf_member(struct ki_reader *r, struct ki_serf_member *out)
{
    memset(out, 0, sizeof *out);
    if (!r->bad && r->left > 0 && r->pos[0] == 0xC0) /* nil: the one who answers does not know the name */
        return ki_take(r, 1) != NULL;
    return ki_unpack_struct(r, member_fields, KI_COUNT(member_fields), out);
}
