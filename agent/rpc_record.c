/* What records hold: events in Serf's shape (stream) and in kith's own (kith-stream), and what a query brings.
 *
 * kith's own has a number, Index, in every record; user events and queries say who sent them, user events also which of
 * its sender's they are (Seq, 0: it did not say), and there are gaps: what a client will not get.  A gap with an Origin
 * is user events of that member, From and To being their Seq; one without is records of this agent, by their Index.
 *
 * Keys go out sorted, like all answers (rpc_reply.c).  A packer only reads: it may be called again with a larger buffer. */
#include "agent/rpc_conn.h"

#include <string.h>

static void rpc_record_str(struct ki_pack *p, const char *key, struct kith_str value)
{
    ki_pack_text(p, key);
    ki_pack_str(p, ki_span(value.ptr, value.len));
}

/* Without any bytes nil, as Serf has it. */
static void rpc_record_bytes(struct ki_pack *p, const char *key, struct kith_str value)
{
    ki_pack_text(p, key);
    ki_pack_bytes(p, ki_span(value.len > 0 ? value.ptr : NULL, value.len));
}

static void rpc_record_uint(struct ki_pack *p, const char *key, uint64_t value)
{
    ki_pack_text(p, key);
    ki_pack_uint(p, value);
}

static void rpc_record_text(struct ki_pack *p, const char *key, const char *value)
{
    ki_pack_text(p, key);
    ki_pack_text(p, value);
}

static void rpc_record_members(struct ki_pack *p, const struct ki_rpc_told *told)
{
    ki_pack_map(p, told->indexed ? 3 : 2);
    rpc_record_text(p, "Event", told->record->event);
    if (told->indexed)
        rpc_record_uint(p, "Index", told->record->index);
    ki_pack_text(p, "Members");
    ki_put(&p->w, told->record->members.ptr, told->record->members.len);
}

static void rpc_record_user(struct ki_pack *p, const struct ki_rpc_told *told)
{
    const struct kith_message *message = &told->record->message;
    ki_pack_map(p, told->indexed ? 8 : 5);
    ki_pack_text(p, "Coalesce");
    ki_pack_bool(p, message->coalesce);
    rpc_record_text(p, "Event", told->record->event);
    if (told->indexed)
        rpc_record_uint(p, "Index", told->record->index);
    rpc_record_uint(p, "LTime", message->ltime);
    rpc_record_str(p, "Name", message->name);
    if (told->indexed)
        rpc_record_str(p, "Origin", message->origin);
    rpc_record_bytes(p, "Payload", message->payload);
    if (told->indexed)
        rpc_record_uint(p, "Seq", message->seq);
}

static void rpc_record_query(struct ki_pack *p, const struct ki_rpc_told *told)
{
    const struct kith_message *message = &told->record->message;
    ki_pack_map(p, told->indexed ? 7 : 5);
    rpc_record_text(p, "Event", told->record->event);
    rpc_record_uint(p, "ID", told->id);
    if (told->indexed)
        rpc_record_uint(p, "Index", told->record->index);
    rpc_record_uint(p, "LTime", message->ltime);
    rpc_record_str(p, "Name", message->name);
    if (told->indexed)
        rpc_record_str(p, "Origin", message->origin);
    rpc_record_bytes(p, "Payload", message->payload);
}

static void rpc_record_gap(struct ki_pack *p, uint64_t index, uint64_t from, uint64_t to, struct kith_str origin)
{
    ki_pack_map(p, 5);
    rpc_record_text(p, "Event", "gap");
    rpc_record_uint(p, "From", from);
    rpc_record_uint(p, "Index", index);
    rpc_record_str(p, "Origin", origin);
    rpc_record_uint(p, "To", to);
}

void ki_rpc_pack_record(struct ki_pack *p, const void *arg)
{
    const struct ki_rpc_told *told = arg;
    const struct ki_rpc_record *record = told->record;
    if (record->members.len > 0)
        rpc_record_members(p, told);
    else if (strcmp(record->event, "user") == 0)
        rpc_record_user(p, told);
    else if (strcmp(record->event, "query") == 0)
        rpc_record_query(p, told);
    else
        rpc_record_gap(p, record->index, record->message.seq, record->message.seq_last, record->message.origin);
}

void ki_rpc_pack_missing(struct ki_pack *p, const void *arg)
{
    const struct ki_rpc_missing *missing = arg;
    rpc_record_gap(p, missing->to, missing->from, missing->to, ki_rpc_str(ki_span("", 0)));
}

void ki_rpc_pack_answer(struct ki_pack *p, const void *arg)
{
    const struct ki_rpc_answer *answer = arg;
    ki_pack_map(p, 3);
    rpc_record_str(p, "From", answer->from);
    rpc_record_bytes(p, "Payload", answer->payload);
    rpc_record_text(p, "Type", answer->type);
}
