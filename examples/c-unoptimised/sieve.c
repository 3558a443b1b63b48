#include "sieve.h"

void sieve(struct bits *composite, size_t limit)
{
    bits_add(composite, 0);
    bits_add(composite, 1);
    for (size_t p = 2; p * p <= limit; p++) {
        if (bits_has(composite, p))
            continue;
        for (size_t multiple = p * p; multiple <= limit; multiple += p)
            bits_add(composite, multiple);
    }
}

unsigned long long gap_hash(const struct bits *composite, size_t limit)
{
    unsigned long long hash = 14695981039346656037ull;
    size_t last = 0;
    for (size_t n = 2; n <= limit; n++) {
        if (bits_has(composite, n))
            continue;
        hash = (hash ^ (n - last)) * 1099511628211ull;
        last = n;
    }
    return hash;
}
