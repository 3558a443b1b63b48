/* Takes snapshots of its state by fork; parent and child then both write to all of it. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BYTES = 96 << 20, SNAPSHOTS = 12 };

static void touch(char *state, char value) {
    for (long i = 0; i < BYTES; i += 4096)
        state[i] += value;
}

int main(void) {
    char *state = malloc(BYTES);
    touch(state, 1);
    for (int snapshot = 0; snapshot < SNAPSHOTS; snapshot++) {
        pid_t child = fork();
        if (child == 0) {
            touch(state, 2);
            _exit(state[0] == 0);
        }
        touch(state, 1);
        waitpid(child, NULL, 0);
    }
    printf("%d\n", state[4096]);
    return 0;
}
