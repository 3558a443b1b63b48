/* A supervisor waits for a worker that has stopped itself; somebody lets it go on after a while. */
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    pid_t worker = fork();
    if (worker == 0) {
        raise(SIGSTOP);
        _exit(0);
    }
    pid_t helper = fork();
    if (helper == 0) {
        sleep(1);
        kill(worker, SIGCONT);
        _exit(0);
    }
    int status;
    waitpid(worker, &status, 0);
    waitpid(helper, NULL, 0);
    printf("%d\n", status);
    return 0;
}
