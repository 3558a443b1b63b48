/* Three processes take turns on a locked file; each computes while it holds it. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    enum { PROCESSES = 3 };
    for (int id = 0; id < PROCESSES; id++) {
        if (fork() != 0)
            continue;
        int fd = open("turns.lock", O_RDWR | O_CREAT, 0644);
        unsigned x = 1;
        for (int turn = 0; turn < 60; turn++) {
            flock(fd, LOCK_EX);
            for (long i = 0; i < 9000000; i++)
                x = x * 1664525u + 1013904223u;
            flock(fd, LOCK_UN);
        }
        _exit(x == 0);
    }
    int failed = 0, status;
    while (wait(&status) > 0)
        failed += status != 0;
    unlink("turns.lock");
    printf("%d\n", failed);
    return 0;
}
