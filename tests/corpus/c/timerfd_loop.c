/* An event loop whose only event is a timer. */
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/timerfd.h>
#include <unistd.h>

int main(void) {
    int timer = timerfd_create(CLOCK_MONOTONIC, 0);
    struct itimerspec every = {{0, 50000000}, {0, 50000000}};
    timerfd_settime(timer, 0, &every, NULL);
    uint64_t total = 0;
    while (total < 25) {
        struct pollfd poller = {timer, POLLIN, 0};
        uint64_t fired;
        if (poll(&poller, 1, -1) == 1 && read(timer, &fired, sizeof fired) == sizeof fired)
            total += fired;
    }
    printf("%s\n", total >= 25 ? "done" : "early");
    return 0;
}
