/* Counted memory.
 *
 * Each block is preceded by 16 bytes that hold its whole size, so that freeing and resizing keep
 * `used` exact without asking the hooks, which need not know sizes.  16 also keeps the alignment of
 * what the hooks return, as long as they align as malloc does.
 *
 * Invariants: used is the sum of the sizes in the heads of all living blocks; a call that fails has
 * changed nothing but `failures`.  The limit binds growth only: shrinking a block is always allowed.
 *
 * Deliberately not here: pools, guards, statistics by kind.  The sanitizers guard better, and the
 * owners count what they hold.
 */
#include "base/mem.h"

struct mem_head {
    uint64_t size; /* of head and body */
    uint64_t unused;
};

#define MEM_LIST_MIN 4 /* items that an array begins with */

_Static_assert(sizeof(struct mem_head) == 16, "the head keeps the body aligned");

static void *mem_default_resize(void *arg, void *ptr, size_t size)
{
    (void)arg;
    return realloc(ptr, size);
}

static void mem_default_release(void *arg, void *ptr)
{
    (void)arg;
    free(ptr);
}

void ki_mem_init(struct ki_mem *mem, void *(*resize)(void *, void *, size_t),
                 void (*release)(void *, void *), void *arg, uint64_t max)
{
    KI_ASSERT(!resize == !release);
    *mem = (struct ki_mem){
        .resize = resize ? resize : mem_default_resize,
        .release = release ? release : mem_default_release,
        .arg = arg,
        .max = max,
    };
}

static struct mem_head *mem_head_of(void *ptr)
{
    return (struct mem_head *)ptr - 1;
}

void *ki_mem_resize(struct ki_mem *mem, void *ptr, size_t size)
{
    struct mem_head *head = ptr ? mem_head_of(ptr) : NULL;
    uint64_t old = head ? head->size : 0;
    KI_ASSERT(mem->used >= old);
    if (size > SIZE_MAX - sizeof *head) {
        mem->failures++;
        return NULL;
    }
    size_t whole = size + sizeof *head;
    bool over = mem->max && (mem->used - old > mem->max || whole > mem->max - (mem->used - old));
    if (over && whole > old) {
        mem->failures++;
        return NULL;
    }
    head = (struct mem_head *)mem->resize(mem->arg, head, whole);
    if (!head) {
        mem->failures++;
        return NULL;
    }
    head->size = whole;
    head->unused = 0;
    mem->used = mem->used - old + whole;
    return head + 1;
}

void *ki_mem_new(struct ki_mem *mem, size_t size)
{
    void *ptr = ki_mem_resize(mem, NULL, size);
    if (ptr)
        memset(ptr, 0, size);
    return ptr;
}

void *ki_mem_copy(struct ki_mem *mem, const void *from, size_t size)
{
    void *ptr = ki_mem_resize(mem, NULL, size);
    if (ptr && size)
        memcpy(ptr, from, size);
    return ptr;
}

void ki_mem_free(struct ki_mem *mem, void *ptr)
{
    if (!ptr)
        return;
    struct mem_head *head = mem_head_of(ptr);
    KI_ASSERT(mem->used >= head->size);
    mem->used -= head->size;
    mem->release(mem->arg, head);
}

bool ki_list_room(struct ki_mem *mem, void **list, size_t item, uint32_t count, uint32_t *cap)
{
    if (count < *cap)
        return true;
    if (*cap > UINT32_MAX / 2)
        return false;
    uint32_t larger = *cap ? *cap * 2 : MEM_LIST_MIN;
    void *grown = ki_mem_resize(mem, *list, (size_t)larger * item);
    if (!grown)
        return false;
    *list = grown;
    *cap = larger;
    return true;
}
