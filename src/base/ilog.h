/* Logarithms and roots for protocol rules, in integers, so that every compiler and machine decides alike. */
#ifndef KI_ILOG_H
#define KI_ILOG_H

#include "base/base.h"

/* ceil(log10(n)), 0 for n <= 1: how many digits news must travel. */
uint32_t ki_log10_ceil(uint64_t n);
/* ceil(log2(n)), 0 for n <= 1. */
uint32_t ki_log2_ceil(uint64_t n);
/* floor(1000 * log10(n)), 0 for n <= 1. Exact at powers of ten. */
uint32_t ki_log10_milli(uint32_t n);
/* 10^6 * ln(n) rounded, for 1 <= n <= 33 (above: as 33). */
uint32_t ki_ln_micro(uint32_t n);
/* floor(sqrt(n)), for every n. */
uint32_t ki_sqrt(uint64_t n);

#endif
