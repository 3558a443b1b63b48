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
    struct bits composite = {calloc(limit / 8 + 1, 1), limit + 1};
    if (composite.bytes == NULL) {
        fprintf(stderr, "out of memory\n");
        return 1;
    }
    sieve(&composite, limit);
    size_t count = 0;
    for (size_t n = 0; n <= limit; n++)
        count += !bits_has(&composite, n);
    printf("primes up to %zu: %zu\n", limit, count);
    printf("gaps: %016llx\n", gap_hash(&composite, limit));
    free(composite.bytes);
    return 0;
}
