/* Intents about members not known yet: the news of a join or leave may arrive before the member does. */
#ifndef KI_INTENTS_H
#define KI_INTENTS_H

#include "base/map.h"
#include "base/mem.h"

struct ki_intent {
    uint64_t ltime;
    uint64_t heard_us;
    uint8_t *name;
    uint32_t name_len;
    uint32_t older, newer; /* places of its neighbours in the order of hearing */
    bool leave;
};

struct ki_intents {
    struct ki_mem *mem;
    struct ki_intent *items;
    uint32_t count, cap, max;
    uint32_t oldest, newest; /* heard; places */
    struct ki_map by_name;
    uint8_t hash_key[16];
    uint64_t dropped; /* pushed out because the table was full */
};

void ki_intents_init(struct ki_intents *t, struct ki_mem *mem, uint32_t max, const uint8_t hash_key[16]);
void ki_intents_free(struct ki_intents *t);

enum ki_intent_result { KI_INTENT_OLD, KI_INTENT_NEW, KI_INTENT_NOMEM };
/* Remembers the newest intent of each name; when full the oldest heard makes room.  NEW: pass it on. */
enum ki_intent_result ki_intents_note(struct ki_intents *t, struct ki_span name, bool leave, uint64_t ltime,
                                      uint64_t now_us);
/* Takes the intent about a name out, if there is one. */
bool ki_intents_take(struct ki_intents *t, struct ki_span name, bool *leave, uint64_t *ltime);
/* Forgets those heard before. */
void ki_intents_expire(struct ki_intents *t, uint64_t before_us);

#endif
