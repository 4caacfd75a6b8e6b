/* Text of others looked at: words of eight bytes, and sets of tokens that one may be among. */

#ifndef FLOW_TOKENS_H
#define FLOW_TOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* All is compiled into a few functions, some of them twice, for processors that know more. */
#if defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline))
#else
#define INLINE static inline
#endif

/* A set of tokens: token i is text[begins[i], begins[i + 1]). A slot has a token's number or -1, and
 * `taken` a bit for each that has one, all of which are looked at sooner than the slots; mask is one less than the number of slots, a power of two that is more than that of tokens. */
typedef struct {
    const uint8_t *text;
    const int64_t *begins;
    int32_t *slots;
    uint64_t *taken;
    int64_t number;
    int64_t mask;
} Tokens;

typedef struct {
    const uint8_t *at;
    int64_t length;
} Token;

INLINE uint64_t load(const uint8_t *at) {
    uint64_t word;
    memcpy(&word, at, sizeof word);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* The first `length` bytes, 1 to 8, as the last of a word whose first ones are zero bits. */
INLINE uint64_t load_last(const uint8_t *at, int64_t length, const uint8_t *limit) {
    if (limit - at >= 8) return load(at) << (8 * (8 - length));
    uint64_t word = 0;
    for (int64_t i = 0; i < length; i++) word |= (uint64_t)at[i] << (8 * (8 - length + i));
    return word;
}

INLINE int lowest(uint64_t bits) {
#if defined(__GNUC__)
    return __builtin_ctzll(bits);
#else
    int n = 0;
    while (!(bits >> n & 1)) n++;
    return n;
#endif
}

INLINE int64_t ones(uint64_t bits) {
#if defined(__GNUC__)
    return __builtin_popcountll(bits);
#else
    int64_t number = 0;
    for (; bits; bits &= bits - 1) number++;
    return number;
#endif
}

INLINE bool is(Token token, const char *text, int64_t length) {
    return token.length == length && memcmp(token.at, text, (size_t)length) == 0;
}

INLINE bool is_dash(Token token) { return token.length == 1 && *token.at == '-'; }

INLINE uint64_t hash(Token token, const uint8_t *limit) {
    uint64_t head, tail;
    if (token.length >= 8) {
        head = load(token.at);
        tail = load(token.at + token.length - 8);
    } else {
        head = 0;
        tail = token.length ? load_last(token.at, token.length, limit) : 0;
    }
    uint64_t word = (head * 0x9E3779B97F4A7C15u) ^ tail ^ ((uint64_t)token.length << 56);
    word = (word ^ (word >> 32)) * 0xD6E8FEB86659FD93u;
    return word ^ (word >> 32);
}

/* Return the slot where the search for a token begins; where it is empty there is no such token. */
INLINE int64_t slot_of(const Tokens *tokens, Token token, const uint8_t *limit) {
    return (int64_t)hash(token, limit) & tokens->mask;
}

INLINE bool are_same(const uint8_t *text, Token token) {
    if (token.length < 8) return memcmp(text, token.at, (size_t)token.length) == 0;
    int64_t last = token.length - 8;
    uint64_t differs = load(text + last) ^ load(token.at + last);
    for (int64_t i = 0; i < last; i += 8) differs |= load(text + i) ^ load(token.at + i);
    return !differs;
}

/* Return which token it is; -1 for none of them. */
INLINE int64_t find(const Tokens *tokens, Token token, int64_t slot) {
    for (;; slot = (slot + 1) & tokens->mask) {
        int64_t i = tokens->slots[slot];
        if (i < 0) return -1;
        int64_t begin = tokens->begins[i];
        if (tokens->begins[i + 1] - begin == token.length &&
            are_same(tokens->text + begin, token))
            return i;
    }
}

#endif
