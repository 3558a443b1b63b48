/* Walks through a mapped file whose pages are not in memory. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int fd = open(argc > 1 ? argv[1] : "table.bin", O_RDONLY);
    if (fd < 0) {
        perror("open");
        return 1;
    }
    long bytes = lseek(fd, 0, SEEK_END), sum = 0;
    for (int round = 0; round < 8; round++) {
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        unsigned char *map = mmap(NULL, (size_t)bytes, PROT_READ, MAP_SHARED, fd, 0);
        madvise(map, (size_t)bytes, MADV_RANDOM);
        unsigned state = 1;
        for (int i = 0; i < 3000; i++) {
            state = state * 1664525u + 1013904223u;
            sum += map[(long)(state % (unsigned)(bytes / 4096)) * 4096];
        }
        munmap(map, (size_t)bytes);
    }
    printf("%ld\n", sum);
    return 0;
}
