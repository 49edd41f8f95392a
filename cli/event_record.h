/* One record of the RPC's stream of events, for the commands that follow it. */
#ifndef KI_CLI_EVENT_RECORD_H
#define KI_CLI_EVENT_RECORD_H

#include "cli/cli.h"
#include "cli/member_list.h"

enum ki_event_kind {
    KI_EVENT_USER,
    KI_EVENT_QUERY,
    KI_EVENT_GAP,    /* events that this client will not get */
    KI_EVENT_MEMBERS /* all others: member-join, member-failed ... */
};

struct ki_event_record {
    enum ki_event_kind kind;
    struct ki_span event; /* "user", "member-join"; all spans are borrowed from the object */
    struct ki_span name;
    struct ki_span payload;
    struct ki_member_list members;
    uint64_t index; /* where a kith agent keeps it; 0: the agent does not say */
    uint64_t ltime;
    uint64_t id; /* of a query, to answer it on the same connection */
    struct ki_span origin; /* who sent it; ptr NULL: the agent does not say */
    uint64_t seq;          /* of a user event: its number among its sender's; 0: unknown */
    uint64_t from, to;     /* of a gap: the first and the last that is missing, by seq if it has an origin, else by index */
    bool coalesce;
};

/* Reads one.  Returns false when it is malformed or memory is out.  Free it in either case. */
bool ki_event_record_read(struct ki_event_record *record, struct ki_span object);
void ki_event_record_free(struct ki_event_record *record);

/* The record as one object with the keys of its kind; NULL when out of memory. */
json_t *ki_event_record_json(const struct ki_event_record *record);
/* The record as one line of text, without its end. */
void ki_event_record_print(FILE *to, const struct ki_event_record *record);

#endif
