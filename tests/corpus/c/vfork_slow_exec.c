/* A child made by vfork does its slow preparations before it executes its program; the parent cannot be interrupted. */
#define _DEFAULT_SOURCE
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    pid_t child = vfork();
    if (child == 0) {
        usleep(1100000);
        execlp("true", "true", (char *)NULL);
        _exit(127);
    }
    int status;
    waitpid(child, &status, 0);
    printf("%d\n", status);
    return 0;
}
