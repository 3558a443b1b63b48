#ifndef BITS_H
#define BITS_H

#include <stddef.h>

/* A set of the numbers below count, one bit each. */
struct bits {
    unsigned char *bytes;
    size_t count;
};

static inline void bits_add(struct bits *set, size_t number)
{
    if (number < set->count)
        set->bytes[number / 8] |= (unsigned char)(1u << (number % 8));
}

static inline int bits_has(const struct bits *set, size_t number)
{
    return number < set->count && (set->bytes[number / 8] >> (number % 8) & 1);
}

#endif
