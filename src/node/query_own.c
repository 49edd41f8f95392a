/* Serf's own queries, which its agents ask each other: their names begin with "_serf_".
 *
 *   _serf_ping       the acknowledgement is all that is wanted
 *   _serf_conflict   where do you believe this name to be? (vote.c)
 *   _serf_install-key, _serf_use-key, _serf_remove-key, _serf_list-keys   (change_keys.c)
 *
 * One that is not known here has been passed on, and nobody answers it.
 * Deliberately not here: what the answers say. */
#include "node/messages.h"

#define OWN_PREFIX "_serf_"

static bool own_is(struct ki_span name, const char *text)
{
    return ki_span_equal(name, ki_span(text, strlen(text)));
}

bool ki_query_is_own(struct ki_span name)
{
    return name.len >= strlen(OWN_PREFIX) && memcmp(name.ptr, OWN_PREFIX, strlen(OWN_PREFIX)) == 0;
}

bool ki_query_is_gauge(struct ki_span name)
{
    return own_is(name, "_kith_gauge");
}

bool ki_query_is_ping(struct ki_span name, size_t payload_len)
{
    return payload_len == 0 && own_is(name, "_serf_ping");
}

static enum kith_key_change own_key_change(struct ki_span name, bool *is_one)
{
    static const char *const names[] = {[KITH_KEY_LIST] = KI_QUERY_LIST_KEYS,
                                        [KITH_KEY_INSTALL] = KI_QUERY_INSTALL_KEY,
                                        [KITH_KEY_USE] = KI_QUERY_USE_KEY,
                                        [KITH_KEY_REMOVE] = KI_QUERY_REMOVE_KEY};
    *is_one = true;
    for (size_t i = 0; i < KI_COUNT(names); i++) {
        if (own_is(name, names[i]))
            return (enum kith_key_change)i;
    }
    *is_one = false;
    return KITH_KEY_LIST;
}

bool ki_query_changes_key(struct ki_span name)
{
    bool is_one;
    return own_key_change(name, &is_one) != KITH_KEY_LIST && is_one;
}

void ki_query_own(struct kith *k, const struct ki_serf_query *query, struct ki_query_in *in)
{
    bool is_key, waits = false;
    enum kith_key_change change = own_key_change(query->name, &is_key);
    if (is_key)
        waits = ki_keys_change(k, change, query, in);
    else if (own_is(query->name, KI_QUERY_CONFLICT))
        ki_vote_answer(k, query, in);
    if (!waits)
        ki_query_in_free(k, in);
}
