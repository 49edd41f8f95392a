/* A placeholder for what is being built. */
#include <kith/event.h>

#include "node/node.h"

int kith_send_event(kith *k, struct kith_time now, const struct kith_user_event *event, kith_ticket *ticket)
{
    (void)k, (void)now, (void)event, (void)ticket;
    return KITH_ERR_STATE;
}
int kith_ask(kith *k, struct kith_time now, const struct kith_query *query, kith_ticket *ticket)
{
    (void)k, (void)now, (void)query, (void)ticket;
    return KITH_ERR_STATE;
}
int kith_ask_cancel(kith *k, struct kith_time now, kith_ticket ticket)
{
    (void)k, (void)now, (void)ticket;
    return KITH_ERR_NOT_FOUND;
}
int kith_respond(kith *k, struct kith_time now, uint64_t query, struct kith_str payload)
{
    (void)k, (void)now, (void)query, (void)payload;
    return KITH_ERR_NOT_FOUND;
}
int kith_change_keys(kith *k, struct kith_time now, enum kith_key_change change, const struct kith_key *key,
                     kith_ticket *ticket)
{
    (void)k, (void)now, (void)change, (void)key, (void)ticket;
    return KITH_ERR_STATE;
}
bool kith_answer_key(const struct kith_event *answer, size_t *cursor, struct kith_key *key, bool *primary)
{
    (void)answer, (void)cursor, (void)key, (void)primary;
    return false;
}
size_t kith_keys(const kith *k, struct kith_key *out, size_t cap)
{
    (void)k, (void)out, (void)cap;
    return 0;
}
void kith_keys_written(kith *k, struct kith_time now, uint64_t change, const char *error)
{
    (void)k, (void)now, (void)change, (void)error;
}
