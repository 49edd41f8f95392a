/* The keyring of the pool: asking all members to change theirs, and changing ours when we are asked.
 *
 * Each change is one of Serf's own queries.  A member changes its ring, has it written down if it keeps one on disk, and
 * then says yes, or no and why.  So when all have said yes to a new key, all can read what is sealed with it, after a
 * restart too.
 *
 *   asked: ring changed --no file--> answered         asker: DONE when every living member has answered, or in time
 *                 '--> KITH_EVENT_KEYS --kith_keys_written()--> answered
 *
 * A list of keys is cut at its end when one datagram does not hold it, and says so.
 * Invariant: the key that seals is never removed (wire/seal.h).
 * Deliberately not here: keys of the store. */
#include "node/messages.h"

#define KEYS_LIST_MAX 1024 /* bytes of an answer, as Serf has it */
#define KEYS_ANSWER_FRONT 96

static const char *const keys_queries[] = {[KITH_KEY_LIST] = KI_QUERY_LIST_KEYS,
                                           [KITH_KEY_INSTALL] = KI_QUERY_INSTALL_KEY,
                                           [KITH_KEY_USE] = KI_QUERY_USE_KEY,
                                           [KITH_KEY_REMOVE] = KI_QUERY_REMOVE_KEY};

size_t kith_keys(const struct kith *k, struct kith_key *out, size_t cap)
{
    for (size_t i = 0; i < k->keyring.count && i < cap; i++) {
        struct ki_span key = ki_keyring_key(&k->keyring, i);
        out[i] = (struct kith_key){.len = (uint8_t)key.len};
        memcpy(out[i].bytes, key.ptr, key.len);
    }
    return k->keyring.count;
}

/* ---- asked ---- */

static void keys_answer(struct kith *k, const struct ki_query_in *in, bool fine, const char *message)
{
    uint8_t buf[512];
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    size_t len = ki_min_size(strlen(message), sizeof buf - KEYS_ANSWER_FRONT);
    ki_encode_serf_key_response(
        &p, &(struct ki_serf_key_response){.result = fine, .message = ki_span(message, len)});
    KI_ASSERT(!p.w.full);
    (void)ki_query_answer(k, in, 0, ki_span(buf, p.w.len));
}

/* As many of our keys as fit. */
static void keys_list(struct kith *k, const struct ki_query_in *in)
{
    static const char cut[] = "truncated key list response: not all keys fit one datagram";
    uint8_t buf[KEYS_LIST_MAX], list[KEYS_LIST_MAX], text[KI_KEY_TEXT_MAX];
    size_t room = KEYS_LIST_MAX - KEYS_ANSWER_FRONT - sizeof cut - KI_KEY_TEXT_MAX - k->cfg.name.len;
    size_t fit = ki_min_size(k->keyring.count, room / (KI_KEY_TEXT_MAX + 2));
    struct ki_pack keys = ki_pack(list, sizeof list, false), p = ki_pack(buf, sizeof buf, false);
    ki_pack_array(&keys, fit);
    for (size_t i = 0; i < fit; i++)
        ki_pack_str(&keys, ki_span(text, ki_key_text(ki_keyring_key(&k->keyring, i), text)));
    size_t primary_len = ki_key_text(ki_keyring_key(&k->keyring, 0), text);
    ki_encode_serf_key_response(
        &p, &(struct ki_serf_key_response){.result = true,
                                           .message = ki_span(cut, fit < k->keyring.count ? sizeof cut - 1 : 0),
                                           .keys = ki_span(list, keys.w.len),
                                           .primary = ki_span(text, primary_len)});
    KI_ASSERT(!keys.w.full && !p.w.full);
    (void)ki_query_answer(k, in, 0, ki_span(buf, p.w.len));
}

/* NULL: done. */
static const char *keys_apply(struct kith *k, enum kith_key_change change, struct ki_span key)
{
    switch (change) {
    case KITH_KEY_LIST:
        return NULL;
    case KITH_KEY_INSTALL:
        switch (ki_keyring_add(&k->keyring, key.ptr, key.len)) {
        case 0:
            return NULL;
        case -1:
            return "key size must be 16, 24 or 32 bytes";
        case -2:
            return "the keyring is full: remove old keys first";
        default:
            return "out of memory";
        }
    case KITH_KEY_USE:
        return ki_keyring_use(&k->keyring, key.ptr, key.len) ? NULL : "Requested key is not in the keyring";
    case KITH_KEY_REMOVE:
        return ki_keyring_remove(&k->keyring, key.ptr, key.len) == 0 ? NULL
                                                                     : "Removing the primary key is not allowed";
    }
    KI_UNREACHABLE();
}

static bool keys_request(const struct ki_serf_query *query, struct ki_span *key)
{
    struct ki_reader r = ki_reader(query->payload.ptr, query->payload.len);
    return ki_take_be(&r, 1) == KI_SERF_KEY_REQUEST && !r.bad && ki_decode_serf_key_request(&r, key);
}

bool ki_keys_change(struct kith *k, enum kith_key_change change, const struct ki_serf_query *query,
                    struct ki_query_in *in)
{
    struct ki_span key = ki_span(NULL, 0);
    const char *why = NULL;
    if (k->keyring.count == 0)
        why = change == KITH_KEY_LIST ? "Keyring is empty (encryption not enabled)"
                                      : "No keyring to modify (encryption not enabled)";
    else if (change != KITH_KEY_LIST && !keys_request(query, &key))
        why = "the key request cannot be read";
    else
        why = keys_apply(k, change, key);
    if (why || change == KITH_KEY_LIST) {
        if (why)
            keys_answer(k, in, false, why);
        else
            keys_list(k, in);
        return false;
    }
    ki_count(k, KI_COUNT_keys_changed);
    in->changes_keys = k->cfg.keys_kept;
    struct kith_event event = {.kind = KITH_EVENT_KEYS, .message.query = in->handle};
    int error = ki_message_put(k, &event);
    if (in->changes_keys && error)
        keys_answer(k, in, false, "changed, but not written down: too much waits to be told");
    else if (!in->changes_keys)
        keys_answer(k, in, true, "");
    return in->changes_keys && !error;
}

void kith_keys_written(struct kith *k, struct kith_time now, uint64_t change, const char *error)
{
    ki_input(k, now);
    struct ki_query_in *in = k->messages ? k->messages->in : NULL;
    while (in && in->handle != change)
        in = in->next;
    if (!in || !in->changes_keys)
        return; /* nobody waits for it any more */
    keys_answer(k, in, !error, error ? error : "");
    ki_query_in_free(k, in);
}

/* ---- asking ---- */

int kith_change_keys(struct kith *k, struct kith_time now, enum kith_key_change change, const struct kith_key *key,
                     kith_ticket *ticket)
{
    KI_ASSERT(ticket && (change == KITH_KEY_LIST || key));
    ki_input(k, now);
    if (k->life != KI_LIFE_LIVE || k->bare)
        return KITH_ERR_STATE;
    if (change != KITH_KEY_LIST && key->len != 16 && key->len != 24 && key->len != 32)
        return KITH_ERR_ARG;
    if (!ki_dones_reserve(k)) {
        ki_count(k, KI_COUNT_out_of_memory);
        return KITH_ERR_NOMEM;
    }
    uint8_t buf[64];
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    ki_encode_serf_key_request(&p, change == KITH_KEY_LIST ? ki_span("", 0) : ki_span(key->bytes, key->len));
    KI_ASSERT(!p.w.full);
    struct kith_query query = {.name = {keys_queries[change], strlen(keys_queries[change])},
                               .payload = {(const char *)buf, p.w.len}};
    *ticket = ++k->last_ticket;
    return ki_query_ask(k, change == KITH_KEY_LIST ? KI_QUERY_LIST : KI_QUERY_KEYS, &query, *ticket);
}

static bool keys_response(const struct ki_serf_response *response, struct ki_serf_key_response *out)
{
    struct ki_reader r = ki_reader(response->payload.ptr, response->payload.len);
    return ki_take_be(&r, 1) == KI_SERF_KEY_RESPONSE && !r.bad && ki_decode_serf_key_response(&r, out);
}

int ki_keys_answered(struct kith *k, struct ki_query_out *out, const struct ki_serf_response *response)
{
    struct ki_serf_key_response answer = {.result = false};
    bool fine = keys_response(response, &answer);
    if (!fine)
        ki_count(k, KI_COUNT_malformed);
    fine = fine && answer.result;
    out->yes += fine;
    bool lists = fine && out->use == KI_QUERY_LIST;
    struct ki_span payload = lists ? response->payload : answer.message;
    struct kith_event event = {.kind = KITH_EVENT_ANSWER,
                               .ticket = out->ticket,
                               .result = fine ? 0 : KITH_ERR_REFUSED,
                               .message = {.origin = {(const char *)response->from.ptr, response->from.len},
                                           .payload = {(const char *)payload.ptr, payload.len},
                                           .ltime = out->ltime}};
    (void)ki_message_put(k, &event); /* counted, if it is lost */
    return 0;
}

bool ki_keys_all_answered(const struct kith *k, const struct ki_query_out *out)
{
    for (uint32_t id = 0; id < k->table.used; id++) {
        const struct ki_member *m = ki_table_at(&k->table, id);
        bool lives = m && (m->state == KI_ALIVE || m->state == KI_SUSPECT);
        if (lives && (id >= out->answered_cap || !(out->answered[id] & KI_ANSWERED_RESPONSE)))
            return false;
    }
    return true;
}

void ki_keys_ended(struct kith *k, const struct ki_query_out *out)
{
    int result = out->yes < out->responses ? KITH_ERR_REFUSED : out->is_whole ? 0 : KITH_ERR_TIMEOUT;
    ki_done_event(
        k, &(struct ki_done){.kind = KITH_EVENT_DONE, .ticket = out->ticket, .result = result, .count = out->yes});
}

bool kith_answer_key(const struct kith_event *answer, size_t *cursor, struct kith_key *key, bool *primary)
{
    struct ki_serf_response response = {
        .payload = ki_span(answer->message.payload.ptr, answer->message.payload.len)};
    struct ki_serf_key_response list;
    struct ki_span text;
    uint32_t count;
    if (answer->result != 0 || !keys_response(&response, &list))
        return false;
    struct ki_reader r = ki_reader(list.keys.ptr, list.keys.len);
    if (list.keys.len == 0 || !ki_unpack_array(&r, &count) || *cursor >= count)
        return false;
    for (size_t i = 0; i <= *cursor; i++) {
        if (!ki_unpack_str(&r, &text))
            return false;
    }
    key->len = (uint8_t)ki_key_from_text(text, key->bytes);
    *primary = ki_span_equal(text, list.primary);
    *cursor += 1;
    return key->len > 0;
}
