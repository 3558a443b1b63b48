#include "sieve.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    size_t limit = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000;
    if (limit < 2) {
        fprintf(stderr, "usage: primes LIMIT (at least 2)\n");
        return 2;
    }
    unsigned char *flags = calloc(limit + 1, 1);
    if (flags == NULL) {
        fprintf(stderr, "out of memory\n");
        return 1;
    }
    sieve(flags, limit);
    size_t count = 0;
    for (size_t n = 0; n <= limit; n++)
        count += flags[n] == 0;
    printf("primes up to %zu: %zu\n", limit, count);
    printf("checksum: %llu\n", factor_sum(flags, limit));
    free(flags);
    return 0;
}
