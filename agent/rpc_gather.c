/* What members say to one ask that ends with one answer: who lacks an event, who refused a key, which keys there are.
 *
 * A list for each kind, newest first; names that are counted are looked for in it, so those lists are kept short by the
 * caller's limit.  The lists are as long as the pool at most, and last as long as the ask.
 *
 * Invariant: nothing is left out in silence: `lost` says that the answer is not whole.
 *
 * Not here: what the answer looks like (rpc_messages.c, rpc_keys.c). */
#include "agent/rpc_conn.h"

#include <stdlib.h>
#include <string.h>

struct ki_rpc_said {
    struct ki_rpc_said *next;
    uint32_t count;
    size_t name_len, text_len;
    char bytes[]; /* name, then text */
};

static struct ki_rpc_said *rpc_gather_find(struct ki_rpc_said *said, struct kith_str name)
{
    while (said && (said->name_len != name.len || memcmp(said->bytes, name.ptr, name.len) != 0))
        said = said->next;
    return said;
}

void ki_rpc_gather_add(struct ki_rpc_gather *gather, enum ki_rpc_group group, struct kith_str name, struct kith_str text,
                       bool counted, size_t max)
{
    struct ki_rpc_said *said = counted ? rpc_gather_find(gather->said[group], name) : NULL;
    if (said) {
        said->count++;
        return;
    }
    said = gather->counts[group] < max ? malloc(sizeof *said + name.len + text.len) : NULL;
    if (!said) {
        gather->lost = true;
        return;
    }
    *said = (struct ki_rpc_said){
        .next = gather->said[group], .count = 1, .name_len = name.len, .text_len = text.len};
    memcpy(said->bytes, name.ptr, name.len);
    if (text.len > 0)
        memcpy(said->bytes + name.len, text.ptr, text.len);
    gather->said[group] = said;
    gather->counts[group]++;
}

void ki_rpc_gather_clear(struct ki_rpc_gather *gather)
{
    for (size_t group = 0; group < KI_RPC_GROUP_COUNT; group++) {
        while (gather->said[group]) {
            struct ki_rpc_said *next = gather->said[group]->next;
            free(gather->said[group]);
            gather->said[group] = next;
        }
    }
    free(gather->folded);
    memset(gather, 0, sizeof *gather);
}

static void rpc_gather_name(struct ki_pack *p, const struct ki_rpc_said *said)
{
    ki_pack_str(p, ki_span(said->bytes, said->name_len));
}

void ki_rpc_pack_gathered_names(struct ki_pack *p, const struct ki_rpc_gather *gather, enum ki_rpc_group group)
{
    ki_pack_array(p, gather->counts[group]);
    for (const struct ki_rpc_said *said = gather->said[group]; said; said = said->next)
        rpc_gather_name(p, said);
}

void ki_rpc_pack_gathered_texts(struct ki_pack *p, const struct ki_rpc_gather *gather, enum ki_rpc_group group)
{
    ki_pack_map(p, gather->counts[group]);
    for (const struct ki_rpc_said *said = gather->said[group]; said; said = said->next) {
        rpc_gather_name(p, said);
        ki_pack_str(p, ki_span(said->bytes + said->name_len, said->text_len));
    }
}

void ki_rpc_pack_gathered_counts(struct ki_pack *p, const struct ki_rpc_gather *gather, enum ki_rpc_group group)
{
    ki_pack_map(p, gather->counts[group]);
    for (const struct ki_rpc_said *said = gather->said[group]; said; said = said->next) {
        rpc_gather_name(p, said);
        ki_pack_uint(p, said->count);
    }
}
