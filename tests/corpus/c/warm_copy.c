/* Reads a file that lies in the page cache, many times over, in large blocks. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BLOCK = 1 << 20, FILE_BYTES = 32 << 20, ROUNDS = 600 };

int main(void) {
    char *block = malloc(BLOCK);
    for (int i = 0; i < BLOCK; i++)
        block[i] = (char)i;
    int fd = open("warm.bin", O_RDWR | O_CREAT | O_TRUNC, 0644);
    for (int written = 0; written < FILE_BYTES; written += BLOCK)
        if (write(fd, block, BLOCK) != BLOCK)
            return 1;
    long total = 0;
    for (int round = 0; round < ROUNDS; round++) {
        lseek(fd, 0, SEEK_SET);
        ssize_t got;
        while ((got = read(fd, block, BLOCK)) > 0)
            total += got;
    }
    close(fd);
    unlink("warm.bin");
    printf("%ld\n", total);
    return 0;
}
