/* Intrusive doubly linked ring with a head.  A link is in at most one list; its comment names which. */
#ifndef KI_LIST_H
#define KI_LIST_H

#include "base/base.h"

struct ki_list {
    struct ki_list *prev;
    struct ki_list *next;
};

static inline void ki_list_init(struct ki_list *head)
{
    head->prev = head;
    head->next = head;
}

static inline bool ki_list_empty(const struct ki_list *head)
{
    return head->next == head;
}

static inline void ki_list_push(struct ki_list *head, struct ki_list *item) /* at the end */
{
    item->prev = head->prev;
    item->next = head;
    head->prev->next = item;
    head->prev = item;
}

static inline void ki_list_remove(struct ki_list *item)
{
    item->prev->next = item->next;
    item->next->prev = item->prev;
    ki_list_init(item);
}

#endif
