/* Memory through the embedder's hooks, counted and bounded (kith_config.memory_max).  Every block
 * remembers its size, so that the count is exact. */
#ifndef KI_MEM_H
#define KI_MEM_H

#include "base/base.h"

struct ki_mem {
    void *(*resize)(void *arg, void *ptr, size_t size);
    void (*release)(void *arg, void *ptr);
    void *arg;
    uint64_t used; /* bytes, with the 16-byte header of each block */
    uint64_t max;  /* 0: no limit */
    uint64_t failures;
};

/* NULL hooks mean the C library's. */
void ki_mem_init(struct ki_mem *mem, void *(*resize)(void *, void *, size_t),
                 void (*release)(void *, void *), void *arg, uint64_t max);

/* All return NULL when the hooks fail or the limit is reached, and leave what was there untouched.
 * A size of 0 gives a block like any other. */
void *ki_mem_new(struct ki_mem *mem, size_t size);               /* zeroed */
void *ki_mem_resize(struct ki_mem *mem, void *ptr, size_t size); /* grown part not zeroed */
void *ki_mem_copy(struct ki_mem *mem, const void *from, size_t size);
void ki_mem_free(struct ki_mem *mem, void *ptr); /* NULL is fine */

/* Room for one more in an array that doubles.  false: memory is out, nothing changed. */
bool ki_list_room(struct ki_mem *mem, void **list, size_t item, uint32_t count, uint32_t *cap);

#endif
