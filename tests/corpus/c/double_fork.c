/* Starts a detached helper for every item, by a second fork, and counts the helpers' marks on a pipe. */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    int marks[2];
    if (pipe(marks) != 0)
        return 1;
    int seen = 0;
    for (int i = 0; i < 4000; i++) {
        pid_t first = fork();
        if (first == 0) {
            if (fork() == 0) {
                setsid();
                if (write(marks[1], "x", 1) != 1)
                    _exit(1);
            }
            _exit(0);
        }
        waitpid(first, NULL, 0);
        char mark;
        if (read(marks[0], &mark, 1) == 1)
            seen++;
    }
    printf("%d\n", seen);
    return 0;
}
