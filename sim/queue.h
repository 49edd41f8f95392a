/* What happens when: a heap ordered by time, then by the order in which it was entered, so that no order depends on
 * the heap's shape. */
#ifndef KI_SIM_QUEUE_H
#define KI_SIM_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sim_kind {
    SIM_DEADLINE, /* of node `id` */
    SIM_DATAGRAM, /* struct sim_datagram arrives at node `id` */
    SIM_REFUSED,  /* struct sim_datagram comes back to node `id`: nobody listens there */
    SIM_ROWS,     /* a group of rows comes to the disk of node `id` in its life number `arg` */
    SIM_STREAM,   /* something is due for stream `id` with serial number `arg` */
    SIM_WAKE      /* of node `id` in its life number `*ptr`, a uint32_t; cookie in `arg` */
};

struct sim_entry {
    uint64_t at_us;
    uint64_t order;
    enum sim_kind kind;
    uint32_t id;
    uint64_t arg;
    void *ptr; /* owned; from malloc */
};

struct sim_queue {
    struct sim_entry *heap;
    size_t count, cap;
    uint64_t order;
};

void ki_sim_queue_put(struct sim_queue *q, struct sim_entry entry); /* order is set here */
const struct sim_entry *ki_sim_queue_first(const struct sim_queue *q); /* NULL: empty */
struct sim_entry ki_sim_queue_take(struct sim_queue *q);               /* must not be empty */
void ki_sim_queue_free(struct sim_queue *q);                           /* and every ptr */

#endif
