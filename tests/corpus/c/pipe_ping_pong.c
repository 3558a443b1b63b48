/* Parent and child hand one byte back and forth through two pipes. */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    int there[2], back[2];
    if (pipe(there) != 0 || pipe(back) != 0)
        return 1;
    char byte = 'x';
    pid_t child = fork();
    if (child == 0) {
        close(there[1]);
        while (read(there[0], &byte, 1) == 1)
            if (write(back[1], &byte, 1) != 1)
                break;
        _exit(0);
    }
    long turns = 0;
    for (; turns < 40000; turns++)
        if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
            return 1;
    close(there[1]);
    waitpid(child, NULL, 0);
    printf("%ld\n", turns);
    return 0;
}
