/* Who sees whom.
 *
 * Each answer of a node is compared with the one before; what differs is said, one line for all members
 * that changed to the same state.  When all running nodes say the same of everybody, that is said once:
 * it is what a gossip protocol is for.
 *
 * The view of a process that has ended is forgotten without a word: it sees nobody any more, and its
 * successor starts from nothing. */
#include "cli/dev.h"

#include <stdio.h>
#include <string.h>

#include "wire/msgpack.h"

const char *ki_dev_seen_text(enum ki_dev_seen seen)
{
    static const char *const texts[KI_DEV_SEEN_COUNT] = {
        [KI_DEV_UNSEEN] = "-",
        [KI_DEV_SEEN_ALIVE] = "alive",
        [KI_DEV_SEEN_SUSPECT] = "suspect",
        [KI_DEV_SEEN_FAILED] = "failed",
        [KI_DEV_SEEN_LEAVING] = "leaving",
        [KI_DEV_SEEN_LEFT] = "left",
    };
    return texts[seen];
}

/* ---- parsing ---- */

struct dev_view_member {
    struct ki_span name;
    struct ki_span state;
    struct ki_span status;
};

static bool dev_view_is(struct ki_span word, const char *text)
{
    return ki_span_equal(word, ki_span(text, strlen(text)));
}

static enum ki_dev_seen dev_view_seen(const struct dev_view_member *member)
{
    if (dev_view_is(member->state, "suspect"))
        return KI_DEV_SEEN_SUSPECT;
    for (unsigned seen = KI_DEV_SEEN_ALIVE; seen < KI_DEV_SEEN_COUNT; seen++) {
        if (dev_view_is(member->status, ki_dev_seen_text((enum ki_dev_seen)seen)))
            return (enum ki_dev_seen)seen;
    }
    return KI_DEV_UNSEEN;
}

bool ki_dev_view_parse(const struct ki_dev *dev, struct ki_span object,
                       uint8_t sees[KI_DEV_NODES_MAX])
{
    struct reply {
        struct ki_span members;
    } reply = {{NULL, 0}};
    static const struct ki_field outer[] = {
        KI_FIELD(struct reply, members, "Members", KI_FIELD_RAW, 0, false)};
    static const struct ki_field fields[] = {
        KI_FIELD(struct dev_view_member, name, "Name", KI_FIELD_STR, 0, false),
        KI_FIELD(struct dev_view_member, state, "State", KI_FIELD_STR, 1, false),
        KI_FIELD(struct dev_view_member, status, "Status", KI_FIELD_STR, 2, false),
    };
    memset(sees, KI_DEV_UNSEEN, KI_DEV_NODES_MAX);
    struct ki_reader r = ki_reader(object.ptr, object.len);
    uint32_t count = 0;
    if (!ki_unpack_struct(&r, outer, KI_COUNT(outer), &reply) || !reply.members.ptr)
        return false;
    struct ki_reader members = ki_reader(reply.members.ptr, reply.members.len);
    if (!ki_unpack_array(&members, &count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        struct dev_view_member member = {{NULL, 0}, {NULL, 0}, {NULL, 0}};
        if (!ki_unpack_struct(&members, fields, KI_COUNT(fields), &member))
            return false;
        for (unsigned k = 0; k < dev->count; k++) {
            if (dev_view_is(member.name, dev->nodes[k].name))
                sees[k] = (uint8_t)dev_view_seen(&member);
        }
    }
    return true;
}

/* ---- changes ---- */

/* Says which members the node sees in this state that it did not before. */
static void dev_view_say(struct ki_dev_node *node, const uint8_t *before, enum ki_dev_seen seen)
{
    char names[KI_DEV_LINE - 40] = "";
    size_t len = 0;
    unsigned more = 0;
    const struct ki_dev *dev = node->dev;
    for (unsigned i = 0; i < dev->count; i++) {
        if (i == node->index || before[i] == seen || node->sees[i] != seen)
            continue;
        if (len + sizeof dev->nodes[i].name + 2 > sizeof names)
            more++;
        else
            len += (size_t)snprintf(names + len, sizeof names - len, "%s%s", len ? ", " : "",
                                    dev->nodes[i].name);
    }
    const char *text = seen == KI_DEV_UNSEEN ? "no more" : ki_dev_seen_text(seen);
    if (more > 0)
        ki_dev_say(node->dev, "%s sees %s and %u more %s", node->name, names, more, text);
    else if (len > 0)
        ki_dev_say(node->dev, "%s sees %s %s", node->name, names, text);
}

void ki_dev_view_update(struct ki_dev_node *node, const uint8_t sees[KI_DEV_NODES_MAX])
{
    uint8_t before[KI_DEV_NODES_MAX];
    bool first = !node->known;
    memcpy(before, node->sees, sizeof before);
    node->known = true;
    if (!first && memcmp(before, sees, sizeof before) == 0)
        return;
    memcpy(node->sees, sees, sizeof before);
    for (unsigned seen = 0; seen < KI_DEV_SEEN_COUNT; seen++)
        dev_view_say(node, before, (enum ki_dev_seen)seen);
    node->dev->dirty = true;
}

void ki_dev_view_forget(struct ki_dev_node *node)
{
    node->known = false;
    memset(node->sees, KI_DEV_UNSEEN, sizeof node->sees);
    node->dev->dirty = true;
}

/* ---- agreement ---- */

/* Counts the states in a view, and gives it a number that differs when it does. */
static uint64_t dev_view_count(const struct ki_dev *dev, const uint8_t *sees,
                               unsigned counts[KI_DEV_SEEN_COUNT])
{
    uint64_t hash = 1469598103934665603u; /* FNV-1a */
    memset(counts, 0, KI_DEV_SEEN_COUNT * sizeof *counts);
    for (unsigned i = 0; i < dev->count; i++) {
        counts[sees[i]]++;
        hash = (hash ^ sees[i]) * 1099511628211u;
    }
    return hash | 1;
}

/* The view that all running nodes have, or NULL. */
static const uint8_t *dev_view_agreed(const struct ki_dev *dev, unsigned *running)
{
    const uint8_t *common = NULL;
    *running = 0;
    for (unsigned i = 0; i < dev->count; i++) {
        const struct ki_dev_node *node = &dev->nodes[i];
        if (node->pid == 0 || node->process == KI_DEV_STOPPED)
            continue;
        if (!node->known || node->process != KI_DEV_RUNNING)
            return NULL;
        if (common && memcmp(common, node->sees, dev->count) != 0)
            return NULL;
        common = node->sees;
        ++*running;
    }
    return common;
}

void ki_dev_view_check(struct ki_dev *dev)
{
    unsigned running;
    unsigned counts[KI_DEV_SEEN_COUNT];
    const uint8_t *common = dev_view_agreed(dev, &running);
    if (!common) {
        dev->agreed_hash = 0;
        return;
    }
    uint64_t hash = dev_view_count(dev, common, counts);
    if (hash == dev->agreed_hash || counts[KI_DEV_SEEN_SUSPECT] + counts[KI_DEV_SEEN_LEAVING] > 0)
        return;
    if (counts[KI_DEV_SEEN_ALIVE] == dev->count && running == dev->count && !dev->announced) {
        ki_dev_say(dev, "cluster of %u is up: every node sees %u alive", dev->count, dev->count);
        dev->announced = true;
        dev->agreed_hash = hash;
    } else if (dev->announced) {
        ki_dev_say(dev, "the %u running agree: %u alive, %u failed, %u left", running,
                   counts[KI_DEV_SEEN_ALIVE], counts[KI_DEV_SEEN_FAILED], counts[KI_DEV_SEEN_LEFT]);
        dev->agreed_hash = hash;
    }
}
