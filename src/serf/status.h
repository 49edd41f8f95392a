/* Serf's status of a member: what failure detection says, joined with what intents say (PROTOCOL.md "status"). */
#ifndef KI_STATUS_H
#define KI_STATUS_H

#include "base/base.h"

enum ki_status { KI_STATUS_NONE, KI_STATUS_ALIVE, KI_STATUS_LEAVING, KI_STATUS_LEFT, KI_STATUS_FAILED };

struct ki_standing {
    uint64_t ltime;   /* of the newest intent heeded */
    uint32_t since_s; /* when it began to leave, left or failed, monotonic */
    uint8_t status;   /* enum ki_status */
    bool returning;   /* it left or failed, and a join newer than that has been heard: it is about to come up */
};

enum ki_status_input {
    KI_STATUS_UP,           /* failure detection: new, or back */
    KI_STATUS_DOWN,         /* failure detection: dead */
    KI_STATUS_GONE,         /* failure detection: it said itself that it is going */
    KI_STATUS_JOIN_INTENT,
    KI_STATUS_LEAVE_INTENT
};

enum ki_status_change { KI_CHANGE_NONE, KI_CHANGE_JOINED, KI_CHANGE_LEFT, KI_CHANGE_FAILED, KI_CHANGE_LEAVING };

struct ki_status_result {
    enum ki_status_change change;
    bool heeded; /* an intent that was news: pass it on */
};

/* Moves a standing by one input.  ltime: of an intent; ignored otherwise. */
struct ki_status_result ki_status_step(struct ki_standing *s, enum ki_status_input input, uint64_t ltime,
                                       uint32_t now_s);

#endif
