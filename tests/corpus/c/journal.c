/* Appends records to a journal and makes each durable before the next. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(void) {
    int fd = open("journal.log", O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0644);
    for (int i = 0; i < 4000; i++) {
        char line[64];
        int length = snprintf(line, sizeof line, "record %d: payment of %d accepted\n", i, i * 7 % 100);
        if (write(fd, line, (size_t)length) != length || fsync(fd) != 0)
            return 1;
    }
    close(fd);
    unlink("journal.log");
    return 0;
}
