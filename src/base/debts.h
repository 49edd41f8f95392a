/* Until when what each of those who ask has been given is paid for, at a rate of so much a microsecond. */
#ifndef KI_DEBTS_H
#define KI_DEBTS_H

#include "base/mem.h"

#define KI_DEBTS_MAX 1024

struct ki_debt {
    uint64_t until_us;
    uint32_t id;
};

struct ki_debts {
    struct ki_mem *mem;
    struct ki_debt *list;
    uint32_t count, cap;
};

/* The debt of this one, which is not over before now_us; to be raised by what it is given.  Good until the next call.
 * NULL: memory is out. */
struct ki_debt *ki_debts_of(struct ki_debts *d, uint32_t id, uint64_t now_us);
void ki_debts_forget(struct ki_debts *d, uint32_t id);
void ki_debts_free(struct ki_debts *d);

#endif
