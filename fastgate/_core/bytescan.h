/* Finding the next interesting byte, sixteen at a time.

   GCC and Clang vector extensions: SSE2 on every x86-64, NEON on arm64, no -march flag needed. Only whole blocks inside
   [p, end) are loaded; what is left is looked at byte by byte. */
#ifndef FASTGATE_BYTESCAN_H
#define FASTGATE_BYTESCAN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef signed char fg_block __attribute__((vector_size(16)));

static inline fg_block fg_load(const uint8_t *p) {
    fg_block block;
    memcpy(&block, p, 16);
    return block;
}

/* Index of the first non-zero byte of a comparison's result, 16 where there is none. */
static inline int fg_first(fg_block hits) {
    uint64_t half[2];
    memcpy(half, &hits, 16);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (half[0]) return __builtin_ctzll(half[0]) >> 3;
    if (half[1]) return 8 + (__builtin_ctzll(half[1]) >> 3);
#else
    if (half[0]) return __builtin_clzll(half[0]) >> 3;
    if (half[1]) return 8 + (__builtin_clzll(half[1]) >> 3);
#endif
    return 16;
}

/* A byte that ends a run of plain string text: quote, backslash, control character, or part of a multi-byte character
   (which is negative as a signed char, hence below 0x20 too). */
static inline fg_block fg_special(fg_block v) {
    return (v < 0x20) | (v == '"') | (v == '\\');
}

static inline const uint8_t *fg_plain_run(const uint8_t *p, const uint8_t *end) {
    int at;
    while (end - p >= 64) {
        fg_block a = fg_special(fg_load(p)), b = fg_special(fg_load(p + 16));
        fg_block c = fg_special(fg_load(p + 32)), d = fg_special(fg_load(p + 48));
        if ((at = fg_first(a)) < 16) return p + at;
        if (fg_first(b | c | d) < 16) {
            if ((at = fg_first(b)) < 16) return p + 16 + at;
            if ((at = fg_first(c)) < 16) return p + 32 + at;
            return p + 48 + fg_first(d);
        }
        p += 64;
    }
    while (end - p >= 16) {
        if ((at = fg_first(fg_special(fg_load(p)))) < 16) return p + at;
        p += 16;
    }
    while (p < end && (int8_t)*p >= 0x20 && *p != '"' && *p != '\\') p++;
    return p;
}

/* The next carriage return or line feed, or end. */
static inline const uint8_t *fg_line_run(const uint8_t *p, const uint8_t *end) {
    int at;
    while (end - p >= 16) {
        fg_block v = fg_load(p);
        if ((at = fg_first((v == '\n') | (v == '\r'))) < 16) return p + at;
        p += 16;
    }
    while (p < end && *p != '\n' && *p != '\r') p++;
    return p;
}

/* Whether all of them are ASCII. */
static inline int fg_is_ascii(const uint8_t *p, size_t size) {
    uint64_t seen = 0, word;
    for (; size >= 8; size -= 8, p += 8) {
        memcpy(&word, p, 8);
        seen |= word;
    }
    for (; size; size--, p++) seen |= *p;
    return !(seen & 0x8080808080808080ULL);
}

/* Whether a control character, the tab apart, is among them: none may stand in a line of a head. */
static inline int fg_has_controls(const uint8_t *p, size_t size) {
    typedef uint8_t fg_unsigned __attribute__((vector_size(16)));
    fg_unsigned v;
    fg_block bad = {0};
    size_t i;
    if (size < 16) {
        for (i = 0; i < size; i++)
            if ((p[i] < 0x20 && p[i] != '\t') || p[i] == 0x7f) return 1;
        return 0;
    }
    for (i = 0; i < size; i += 16) {
        memcpy(&v, p + (i + 16 <= size ? i : size - 16), 16);   /* the last block overlaps the one before */
        bad |= ((v < 0x20) & (v != '\t')) | (v == 0x7f);
    }
    return fg_first(bad) < 16;
}

/* A seeded 64-bit hash (multiply and fold, as wyhash does); never 0, so that 0 can mean an empty slot. */
static inline uint64_t fg_fold(uint64_t a, uint64_t b) {
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t fg_hash(uint64_t seed, const uint8_t *p, size_t size) {
    uint64_t hash = seed ^ size, word;
    for (; size >= 8; size -= 8, p += 8) {
        memcpy(&word, p, 8);
        hash = fg_fold(hash ^ word, seed | 1);
    }
    word = 0;
    memcpy(&word, p, size);
    hash = fg_fold(hash ^ word, 0x9e3779b97f4a7c15ULL) ^ seed;
    return hash ? hash : 1;
}

#endif
