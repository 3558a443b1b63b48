/* Copies a file byte by byte with read and write. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(void) {
    int in = open("/dev/zero", O_RDONLY), out = open("/dev/null", O_WRONLY);
    char byte;
    long copied = 0;
    while (copied < 3000000 && read(in, &byte, 1) == 1)
        copied += write(out, &byte, 1);
    printf("%ld\n", copied);
    return 0;
}
