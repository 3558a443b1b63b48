/* Writes pages of a file that is opened for synchronous data. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void) {
    char page[4096];
    int fd = open("pages.bin", O_WRONLY | O_CREAT | O_TRUNC | O_DSYNC, 0644);
    for (int i = 0; i < 5000; i++) {
        memset(page, i, sizeof page);
        if (pwrite(fd, page, sizeof page, (off_t)(i % 256) * 4096) != sizeof page)
            return 1;
    }
    close(fd);
    unlink("pages.bin");
    puts("done");
    return 0;
}
