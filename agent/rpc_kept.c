/* The last events that the agent has told, numbered, for clients of kith-stream that come back or read slowly.
 *
 * A ring of copies, by the number modulo its size; the oldest go when there are too many or too many bytes.  Numbers are
 * given without holes, also to what could not be kept, so that a client sees from the numbers alone what it has missed.
 * They begin anew with each life of the agent, above those of earlier lives (config.first_index).
 *
 * Invariants: begin <= first <= next; records lie only at first .. next - 1; `bytes` is what they take together.
 *
 * Not here: who is told what (rpc_streams.c). */
#include "agent/rpc_conn.h"

#include <stdlib.h>
#include <string.h>

struct ki_rpc_kept_record {
    struct ki_rpc_record record; /* its spans point to bytes[] */
    size_t size;
    uint8_t bytes[];
};

bool ki_rpc_kept_init(struct ki_rpc_kept *kept, size_t cap, uint64_t bytes_max, uint64_t first_index)
{
    *kept = (struct ki_rpc_kept){
        .cap = cap, .bytes_max = bytes_max, .begin = first_index, .first = first_index, .next = first_index};
    kept->records = calloc(cap, sizeof(struct ki_rpc_kept_record *));
    return kept->records != NULL;
}

static void rpc_kept_forget_first(struct ki_rpc_kept *kept)
{
    struct ki_rpc_kept_record **at = &kept->records[kept->first++ % kept->cap];
    if (*at)
        kept->bytes -= (*at)->size;
    free(*at);
    *at = NULL;
}

void ki_rpc_kept_free(struct ki_rpc_kept *kept)
{
    while (kept->first < kept->next)
        rpc_kept_forget_first(kept);
    free(kept->records);
}

/* Copies the bytes to *to, which is moved behind them.  Returns where they are. */
static const void *rpc_kept_copy(uint8_t **to, const void *from, size_t len)
{
    uint8_t *at = *to;
    if (len > 0)
        memcpy(at, from, len);
    *to = at + len;
    return at;
}

static struct ki_rpc_kept_record *rpc_kept_new(const struct ki_rpc_record *record, size_t len)
{
    struct ki_rpc_kept_record *made = malloc(sizeof *made + len);
    if (!made)
        return NULL;
    uint8_t *to = made->bytes;
    struct ki_rpc_record *copy = &made->record;
    made->size = sizeof *made + len;
    *copy = *record;
    copy->members.ptr = rpc_kept_copy(&to, record->members.ptr, record->members.len);
    copy->message.origin.ptr = rpc_kept_copy(&to, record->message.origin.ptr, record->message.origin.len);
    copy->message.name.ptr = rpc_kept_copy(&to, record->message.name.ptr, record->message.name.len);
    copy->message.payload.ptr = rpc_kept_copy(&to, record->message.payload.ptr, record->message.payload.len);
    return made;
}

bool ki_rpc_kept_add(struct ki_rpc_kept *kept, struct ki_rpc_record *record)
{
    uint64_t index = kept->next++;
    struct ki_rpc_kept_record *made = NULL;
    if (record) {
        const struct kith_message *message = &record->message;
        size_t len = record->members.len + message->origin.len + message->name.len + message->payload.len;
        record->index = index;
        if (sizeof *made + len <= kept->bytes_max)
            made = rpc_kept_new(record, len);
    }
    while (kept->next - kept->first > kept->cap || (made && kept->bytes + made->size > kept->bytes_max))
        rpc_kept_forget_first(kept);
    kept->records[index % kept->cap] = made;
    kept->bytes += made ? made->size : 0;
    return made != NULL;
}

const struct ki_rpc_record *ki_rpc_kept_find(const struct ki_rpc_kept *kept, uint64_t index, uint64_t *last)
{
    uint64_t at = ki_max_u64(index, kept->first);
    while (at < kept->next && !kept->records[at % kept->cap])
        at++;
    if (at == index && at < kept->next)
        return &kept->records[at % kept->cap]->record;
    *last = at - 1;
    return NULL;
}
