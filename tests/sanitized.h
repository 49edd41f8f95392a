/* Whether this is built with a sanitizer: what computes much does less of it then. */
#ifndef KITH_TESTS_SANITIZED_H
#define KITH_TESTS_SANITIZED_H

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) && !defined(IS_SANITIZED)
#define IS_SANITIZED 1
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED 0
#endif

#define FEWER(n) (IS_SANITIZED ? (n) / 4 : (n)) /* of worlds that are alike but for their luck */
#define STEP(n)  (IS_SANITIZED ? (n) : 1)       /* through what is alike but for its place */

#endif
