/* A keyed 128-bit hash that nobody who lacks the key makes collide, and a quick checksum. */
#ifndef FASTGATE_DIGEST_H
#define FASTGATE_DIGEST_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef unsigned __int128 fg_wide;

static inline uint64_t fg_word_at(const uint8_t *p) {
    uint64_t word;
    memcpy(&word, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

static inline uint64_t fg_rotated(uint64_t word, int by) { return word << by | word >> (64 - by); }

static inline void fg_sip_rounds(uint64_t v[4], int rounds) {
    while (rounds--) {
        v[0] += v[1], v[2] += v[3];
        v[1] = fg_rotated(v[1], 13) ^ v[0], v[3] = fg_rotated(v[3], 16) ^ v[2];
        v[0] = fg_rotated(v[0], 32);
        v[2] += v[1], v[0] += v[3];
        v[1] = fg_rotated(v[1], 17) ^ v[2], v[3] = fg_rotated(v[3], 21) ^ v[0];
        v[2] = fg_rotated(v[2], 32);
    }
}

/* SipHash-2-4 with 128 bits of output (Aumasson and Bernstein, 2012; github.com/veorq/SipHash). */
static inline void fg_siphash128(const uint8_t key[16], const uint8_t *p, size_t size, uint64_t out[2]) {
    uint64_t low = fg_word_at(key), high = fg_word_at(key + 8), word = (uint64_t)size << 56;
    uint64_t v[4] = {low ^ 0x736f6d6570736575ULL, high ^ 0x646f72616e646f6dULL ^ 0xee,
                     low ^ 0x6c7967656e657261ULL, high ^ 0x7465646279746573ULL};
    for (; size >= 8; size -= 8, p += 8) {
        uint64_t block = fg_word_at(p);
        v[3] ^= block;
        fg_sip_rounds(v, 2);
        v[0] ^= block;
    }
    for (size_t i = 0; i < size; i++)
        word |= (uint64_t)p[i] << (8 * i);
    v[3] ^= word;
    fg_sip_rounds(v, 2);
    v[0] ^= word;
    v[2] ^= 0xee;
    fg_sip_rounds(v, 4);
    out[0] = v[0] ^ v[1] ^ v[2] ^ v[3];
    v[1] ^= 0xdd;
    fg_sip_rounds(v, 4);
    out[1] = v[0] ^ v[1] ^ v[2] ^ v[3];
}

static inline uint64_t fg_folded(uint64_t a, uint64_t b) {
    fg_wide product = (fg_wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Multiply and fold, as wyhash does, in four lanes that do not wait for each other. For accidents, not against foes. */
static inline uint64_t fg_checksum(uint64_t seed, const uint8_t *p, size_t size) {
    uint64_t lanes[4] = {seed, seed ^ 0xa0761d6478bd642fULL, seed ^ 0xe7037ed1a0b428dbULL, seed ^ 0x8ebc6af09c88c6e3ULL};
    uint64_t tail[8] = {0}, length = size;
    for (; size >= 64; size -= 64, p += 64)
        for (int i = 0; i < 4; i++)
            lanes[i] = fg_folded(fg_word_at(p + 16 * i) ^ 0x589965cc75374cc3ULL, fg_word_at(p + 16 * i + 8) ^ lanes[i]);
    memcpy(tail, p, size);
    for (int i = 0; i < 4; i++)
        lanes[i] = fg_folded(tail[2 * i] ^ 0x589965cc75374cc3ULL, tail[2 * i + 1] ^ lanes[i]);
    return fg_folded(lanes[0] ^ lanes[1] ^ length, lanes[2] ^ fg_rotated(lanes[3], 32) ^ 0x1d8e4e27c47d124fULL);
}

#endif
