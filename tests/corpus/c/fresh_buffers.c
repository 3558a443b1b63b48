/* Takes a fresh 64 MB buffer for every frame and gives it back afterwards. */
#include <stdio.h>
#include <stdlib.h>

enum { FRAMES = 50, BYTES = 64 << 20 };

int main(void) {
    long sum = 0;
    for (int frame = 0; frame < FRAMES; frame++) {
        char *buffer = malloc(BYTES);
        for (long i = 0; i < BYTES; i += 4096)
            buffer[i] = (char)frame;
        sum += buffer[4096L * (frame + 1)];
        free(buffer);
    }
    printf("%ld\n", sum);
    return 0;
}
