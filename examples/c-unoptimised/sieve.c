#include "sieve.h"

void sieve(unsigned char *flags, size_t limit)
{
    flags[0] = 1;
    flags[1] = 1;
    for (size_t p = 2; p * p <= limit; p++) {
        if (flags[p])
            continue;
        for (size_t multiple = p * p; multiple <= limit; multiple += p)
            flags[multiple] = 1;
    }
}

unsigned long long factor_sum(const unsigned char *flags, size_t limit)
{
    unsigned long long sum = 0;
    for (size_t p = 2; p <= limit; p++) {
        if (flags[p])
            continue;
        for (size_t multiple = p; multiple <= limit; multiple += p)
            sum += p ^ (multiple & 255);
    }
    return sum;
}
