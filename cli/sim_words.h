/* The small words of the simulator's flags: durations, shares, ranges, seeds.  A function returns NULL when it has
 * understood, else what is wrong, to be put behind the flag and its value: static, without a full stop. */
#ifndef KI_CLI_SIM_WORDS_H
#define KI_CLI_SIM_WORDS_H

#include <stdbool.h>
#include <stdint.h>

#define KI_SIM_DURATION_MAX_US (UINT64_C(1000) * 3600 * 1000000) /* 1,000 hours */

/* "20us", "0.5ms", "10s", "2m", "1.5h": whole microseconds. */
const char *ki_sim_duration(const char *text, uint64_t *us);

/* "5%", "0.05%", or "0.05" for the same as "5%"; at most 100%.  Whole millionths. */
const char *ki_sim_percent(const char *text, uint32_t *ppm);

/* "0.5ms..50ms", or "5ms" for both ends. */
const char *ki_sim_duration_range(const char *text, uint64_t *min_us, uint64_t *max_us);

/* "17", or in hexadecimal "0x11". */
const char *ki_sim_seed(const char *text, uint64_t *seed);

/* "1..200", or "7" for both ends. */
const char *ki_sim_seeds(const char *text, uint64_t *first, uint64_t *last);

/* "3,7,9", or "none": numbers from 1 to 64, as a set in which bit n - 1 stands for n. */
const char *ki_sim_numbers(const char *text, uint64_t *set);

/* How many nodes and when: "10%@20s", "3@20s", "30%@20s..40s". */
struct ki_sim_share {
    bool counted;      /* nodes, not a share */
    uint32_t ppm;
    uint32_t nodes;
    bool ends;
    uint64_t at_us;
    uint64_t until_us; /* when it ends */
};
const char *ki_sim_share(const char *text, struct ki_sim_share *out);

/* So many of a number of nodes, to the nearest. */
uint32_t ki_sim_share_of(const struct ki_sim_share *share, uint32_t nodes);

/* "30:70": of a + b, a.  In millionths. */
const char *ki_sim_mix(const char *text, uint32_t *ppm);

#endif
