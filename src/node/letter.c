/* Messages that are ready to be sent: answers to queries, relays, what is sent again.
 *
 * Datagrams are built when they are asked for; the bytes of these exist already, and may go to several, so they are
 * counted blocks that the notes of what is to be sent (struct ki_send) hold on to.  All of them together have a limit.
 *
 * Deliberately not here: who gets one. */
#include "node/messages.h"

#define LETTER_BYTES_MAX (4u << 20) /* waiting, of all together: 3,000 full datagrams */

struct ki_letter {
    uint32_t uses;
    uint32_t len;
    uint8_t bytes[];
};

struct ki_letter *ki_letter_new(struct kith *k, struct ki_span message)
{
    size_t len = message.len + 1;
    bool fits = len <= ki_message_room(k) && k->letter_bytes + len <= LETTER_BYTES_MAX;
    struct ki_letter *letter = fits ? ki_mem_resize(&k->mem, NULL, sizeof *letter + len) : NULL;
    if (!letter) {
        ki_count(k, KI_COUNT_replies_dropped);
        return NULL;
    }
    letter->uses = 1;
    letter->len = (uint32_t)len;
    letter->bytes[0] = KI_MSG_USER;
    memcpy(letter->bytes + 1, message.ptr, message.len);
    k->letter_bytes += len;
    return letter;
}

struct ki_letter *ki_letter_use(struct ki_letter *letter)
{
    letter->uses++;
    return letter;
}

void ki_letter_drop(struct kith *k, struct ki_letter *letter)
{
    if (!letter || --letter->uses > 0)
        return;
    k->letter_bytes -= letter->len;
    ki_mem_free(&k->mem, letter);
}

struct ki_span ki_letter_bytes(const struct ki_letter *letter)
{
    return ki_span(letter->bytes, letter->len);
}

bool ki_letter_send(struct kith *k, struct ki_letter *letter, const struct kith_addr *to, uint32_t id)
{
    struct ki_send send = {.kind = KI_SEND_LETTER, .id = id, .to_member = true, .to = *to, .letter = letter};
    if (!ki_send(k, KI_CLASS_OTHER, &send))
        return false;
    ki_letter_use(letter);
    return true;
}

bool ki_write_to(struct kith *k, struct ki_span message, const struct kith_addr *to, uint32_t id)
{
    struct ki_letter *letter = ki_letter_new(k, message);
    bool sent = letter && ki_letter_send(k, letter, to, id);
    ki_letter_drop(k, letter);
    return sent;
}
