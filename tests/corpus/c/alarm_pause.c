/* A ticker: an interval timer and pause(). */
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <unistd.h>

static volatile sig_atomic_t ticks;

static void on_tick(int signal) {
    (void)signal;
    ticks++;
}

int main(void) {
    signal(SIGALRM, on_tick);
    struct itimerval every = {{0, 100000}, {0, 100000}};
    setitimer(ITIMER_REAL, &every, NULL);
    while (ticks < 12)
        pause();
    printf("%d\n", (int)ticks);
    return 0;
}
