/* Reading the RPC's list of members, putting it in order, and printing one of them.
 *
 * An agent that is a Go program sends members and tags in the order of its hash tables, different each
 * time; here both are sorted by their bytes, so that two outputs can be compared.
 *
 * The counts in the object are checked by the decoder against the bytes that are there, so memory is
 * bounded by the size of the answer, which the client limits. */
#include "cli/member_list.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "wire/msgpack.h"

static int member_list_by_name(const void *a, const void *b)
{
    const struct ki_listed_member *left = a;
    const struct ki_listed_member *right = b;
    return ki_span_compare(left->name, right->name);
}

static int member_list_by_key(const void *a, const void *b)
{
    const struct ki_listed_tag *left = a;
    const struct ki_listed_tag *right = b;
    return ki_span_compare(left->key, right->key);
}

static bool member_list_read_tags(struct ki_listed_member *member)
{
    uint32_t count = 0;
    struct ki_reader r = ki_reader(member->raw_tags.ptr, member->raw_tags.len);
    if (!member->raw_tags.ptr)
        return true;
    if (!ki_unpack_map(&r, &count))
        return false;
    if (count == 0)
        return true;
    member->tags = calloc(count, sizeof *member->tags);
    if (!member->tags)
        return false;
    member->tag_count = count;
    for (uint32_t i = 0; i < count; i++) {
        if (!ki_unpack_bytes(&r, &member->tags[i].key) ||
            !ki_unpack_bytes(&r, &member->tags[i].value))
            return false;
    }
    qsort(member->tags, count, sizeof *member->tags, member_list_by_key);
    return true;
}

static bool member_list_read_one(struct ki_reader *r, struct ki_listed_member *member)
{
    /* In the order in which Serf declares them: an array in place of a map is legal. */
    static const struct ki_field fields[] = {
        KI_FIELD(struct ki_listed_member, name, "Name", KI_FIELD_STR, 4, false),
        KI_FIELD(struct ki_listed_member, addr, "Addr", KI_FIELD_BYTES, 0, false),
        KI_FIELD(struct ki_listed_member, port, "Port", KI_FIELD_U16, 5, false),
        KI_FIELD(struct ki_listed_member, raw_tags, "Tags", KI_FIELD_RAW, 10, false),
        KI_FIELD(struct ki_listed_member, status, "Status", KI_FIELD_STR, 9, false),
        KI_FIELD(struct ki_listed_member, versions[0], "ProtocolMin", KI_FIELD_U8, 8, false),
        KI_FIELD(struct ki_listed_member, versions[1], "ProtocolMax", KI_FIELD_U8, 7, false),
        KI_FIELD(struct ki_listed_member, versions[2], "ProtocolCur", KI_FIELD_U8, 6, false),
        KI_FIELD(struct ki_listed_member, versions[3], "DelegateMin", KI_FIELD_U8, 3, false),
        KI_FIELD(struct ki_listed_member, versions[4], "DelegateMax", KI_FIELD_U8, 2, false),
        KI_FIELD(struct ki_listed_member, versions[5], "DelegateCur", KI_FIELD_U8, 1, false),
    };
    return ki_unpack_struct(r, fields, KI_COUNT(fields), member) && member_list_read_tags(member);
}

struct member_list_reply {
    struct ki_span members;
};

bool ki_member_list_read(struct ki_member_list *list, struct ki_span object)
{
    static const struct ki_field fields[] = {
        KI_FIELD(struct member_list_reply, members, "Members", KI_FIELD_RAW, 0, false),
    };
    *list = (struct ki_member_list){0};
    struct member_list_reply reply = {0};
    struct ki_reader r = ki_reader(object.ptr, object.len);
    if (!ki_unpack_struct(&r, fields, KI_COUNT(fields), &reply))
        return false;
    if (!reply.members.ptr) /* nil: none */
        return true;
    uint32_t count = 0;
    struct ki_reader members = ki_reader(reply.members.ptr, reply.members.len);
    if (!ki_unpack_array(&members, &count))
        return false;
    if (count == 0)
        return true;
    list->members = calloc(count, sizeof *list->members);
    if (!list->members)
        return false;
    list->count = count;
    for (uint32_t i = 0; i < count; i++) {
        if (!member_list_read_one(&members, &list->members[i]))
            return false;
    }
    qsort(list->members, count, sizeof *list->members, member_list_by_name);
    return true;
}

void ki_member_list_free(struct ki_member_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->members[i].tags);
    free(list->members);
    *list = (struct ki_member_list){0};
}

void ki_listed_addr(const struct ki_listed_member *member, char text[KI_ADDR_TEXT_MAX])
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    struct ki_span ip = member->addr;
    if (ip.len == 16 && memcmp(ip.ptr, mapped, 12) == 0)
        ip = ki_span(ip.ptr + 12, 4);
    char host[INET6_ADDRSTRLEN];
    if (ip.len == 4 && inet_ntop(AF_INET, ip.ptr, host, sizeof host))
        snprintf(text, KI_ADDR_TEXT_MAX, "%s:%u", host, member->port);
    else if (ip.len == 16 && inet_ntop(AF_INET6, ip.ptr, host, sizeof host))
        snprintf(text, KI_ADDR_TEXT_MAX, "[%s]:%u", host, member->port);
    else
        snprintf(text, KI_ADDR_TEXT_MAX, "?");
}

json_t *ki_listed_json(const struct ki_listed_member *member)
{
    char addr[KI_ADDR_TEXT_MAX];
    ki_listed_addr(member, addr);
    json_t *tags = json_object();
    for (size_t i = 0; i < member->tag_count; i++)
        ki_json_set(tags, member->tags[i].key, ki_json_bytes(member->tags[i].value));
    return json_pack("{s:o, s:s, s:i, s:o, s:o, s:{s:i, s:i, s:i}}", "name",
                     ki_json_bytes(member->name), "addr", addr, "port", (int)member->port, "tags",
                     tags, "status", ki_json_bytes(member->status), "protocol", "max",
                     (int)member->versions[4], "min", (int)member->versions[3], "version",
                     (int)member->versions[5]);
}
