/* Random reads of 16 KB that bypass the page cache, as a database with a cache of its own does. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BLOCK = 16384, READS = 16000 };

int main(int argc, char **argv) {
    int fd = open(argc > 1 ? argv[1] : "table.bin", O_RDONLY | O_DIRECT);
    void *block;
    if (fd < 0 || posix_memalign(&block, 4096, BLOCK) != 0) {
        perror("open");
        return 1;
    }
    long blocks = lseek(fd, 0, SEEK_END) / BLOCK;
    unsigned state = 1;
    long sum = 0;
    for (int i = 0; i < READS; i++) {
        state = state * 1664525u + 1013904223u;
        if (pread(fd, block, BLOCK, (off_t)(state % blocks) * BLOCK) != BLOCK)
            return 1;
        sum += *(unsigned char *)block;
    }
    printf("%ld\n", sum);
    return 0;
}
