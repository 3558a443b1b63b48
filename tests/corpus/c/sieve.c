/* Counts primes below a limit, again and again for growing limits. */
#include <stdio.h>
#include <string.h>

enum { LIMIT = 2000000 };
static char composite[LIMIT];

int main(void) {
    long total = 0;
    for (int limit = 100000; limit <= LIMIT; limit += 3000) {
        memset(composite, 0, sizeof composite);
        for (long i = 2; i < limit; i++) {
            if (composite[i])
                continue;
            total++;
            for (long j = i * i; j < limit; j += i)
                composite[j] = 1;
        }
    }
    printf("%ld\n", total);
    return 0;
}
