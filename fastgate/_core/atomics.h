/* C11 atomics for the shared mapping. Everything here works on memory that several processes map. */
#ifndef FASTGATE_ATOMICS_H
#define FASTGATE_ATOMICS_H

#include <stdint.h>

/* An amount and what tells when and by whom it was last changed: always replaced as one. */
typedef struct {
    int64_t amount;
    uint64_t tag;
} __attribute__((aligned(16))) fg_word;

static inline uint64_t fg_load(const uint64_t *at) { return __atomic_load_n(at, __ATOMIC_ACQUIRE); }
static inline void fg_store(uint64_t *at, uint64_t value) { __atomic_store_n(at, value, __ATOMIC_RELEASE); }
static inline int64_t fg_load_signed(const int64_t *at) { return __atomic_load_n(at, __ATOMIC_ACQUIRE); }
static inline void fg_store_signed(int64_t *at, int64_t value) { __atomic_store_n(at, value, __ATOMIC_RELEASE); }
/* Amounts end at the ends of 64 bits instead of going round: what is full stays full. */
static inline int64_t fg_plus(int64_t a, int64_t b)
{
    int64_t sum;
    if (!__builtin_add_overflow(a, b, &sum))
        return sum;
    return b > 0 ? INT64_MAX : INT64_MIN;
}

static inline int64_t fg_add(int64_t *at, int64_t value) { return __atomic_add_fetch(at, value, __ATOMIC_ACQ_REL); }
static inline void fg_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
/* What was read before is read before what is read next. */
static inline void fg_fence_reads(void) { __atomic_thread_fence(__ATOMIC_ACQUIRE); }

static inline int fg_cas(uint64_t *at, uint64_t expected, uint64_t desired) {
    return __atomic_compare_exchange_n(at, &expected, desired, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}
static inline int fg_cas_signed(int64_t *at, int64_t expected, int64_t desired) {
    return __atomic_compare_exchange_n(at, &expected, desired, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}
static inline uint32_t fg_load32(const uint32_t *at) { return __atomic_load_n(at, __ATOMIC_ACQUIRE); }
static inline int fg_cas32(uint32_t *at, uint32_t expected, uint32_t desired) {
    return __atomic_compare_exchange_n(at, &expected, desired, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

/* Tags never repeat while a reader looks (they bear a sequence), so an unchanged tag proves an unchanged amount. */
static inline fg_word fg_load_word(const fg_word *at) {
    fg_word seen;
    do {
        seen.tag = __atomic_load_n(&at->tag, __ATOMIC_ACQUIRE);
        seen.amount = __atomic_load_n(&at->amount, __ATOMIC_ACQUIRE);
    } while (__atomic_load_n(&at->tag, __ATOMIC_ACQUIRE) != seen.tag);
    return seen;
}

static inline int fg_cas_word(fg_word *at, fg_word expected, fg_word desired) {
    unsigned __int128 before = ((unsigned __int128)expected.tag << 64) | (uint64_t)expected.amount;
    unsigned __int128 after = ((unsigned __int128)desired.tag << 64) | (uint64_t)desired.amount;
    return __sync_bool_compare_and_swap((unsigned __int128 *)at, before, after);
}

#endif
