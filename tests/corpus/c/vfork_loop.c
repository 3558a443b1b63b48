/* Runs a tool for every item, started by posix_spawn. */
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>

extern char **environ;

int main(void) {
    int failures = 0;
    for (int i = 0; i < 1500; i++) {
        char number[16];
        snprintf(number, sizeof number, "%d", i);
        char *words[] = {"test", number, "-ge", "0", NULL};
        pid_t child;
        int status;
        if (posix_spawnp(&child, "test", NULL, NULL, words, environ) != 0)
            return 1;
        waitpid(child, &status, 0);
        failures += status != 0;
    }
    printf("%d\n", failures);
    return 0;
}
