/* Half of a second of computing for each second of waiting. */
#include <stdio.h>
#include <unistd.h>

int main(void) {
    unsigned x = 1;
    for (int step = 0; step < 8; step++) {
        for (long i = 0; i < 70000000; i++)
            x = x * 1664525u + 1013904223u;
        usleep(140000);
    }
    printf("%u\n", x);
    return 0;
}
