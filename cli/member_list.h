/* Members as the RPC describes them. */
#ifndef KI_CLI_MEMBER_LIST_H
#define KI_CLI_MEMBER_LIST_H

#include <jansson.h>

#include "base/base.h"

struct ki_listed_tag {
    struct ki_span key;
    struct ki_span value;
};

struct ki_listed_member {
    struct ki_span name;
    struct ki_span addr; /* 4 or 16 bytes */
    struct ki_span status;
    struct ki_span raw_tags;
    uint16_t port;
    uint8_t versions[6];        /* protocol min, max, current, delegate min, max, current */
    struct ki_listed_tag *tags; /* sorted by key */
    size_t tag_count;
};

struct ki_member_list {
    struct ki_listed_member *members; /* sorted by name */
    size_t count;
};

/* Reads the object {"Members": [...]}; strings are borrowed from it.  Returns false when it is
 * malformed or memory is out.  Free it in either case. */
bool ki_member_list_read(struct ki_member_list *list, struct ki_span object);
void ki_member_list_free(struct ki_member_list *list);

/* "10.0.0.1:7946", "[::1]:7946"; "?" for an address of another length. */
#define KI_ADDR_TEXT_MAX 64
void ki_listed_addr(const struct ki_listed_member *member, char text[KI_ADDR_TEXT_MAX]);

/* As Serf prints one: name, addr, port, tags, status, protocol.  NULL when out of memory. */
json_t *ki_listed_json(const struct ki_listed_member *member);

#endif
