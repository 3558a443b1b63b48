/* Like a spin-wait, but polite: yields the CPU between looks. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static atomic_int ready;

static void *fetch(void *unused) {
    (void)unused;
    usleep(1200000);
    atomic_store(&ready, 42);
    return NULL;
}

int main(void) {
    pthread_t worker;
    pthread_create(&worker, NULL, fetch, NULL);
    while (!atomic_load(&ready))
        sched_yield();
    pthread_join(worker, NULL);
    printf("%d\n", atomic_load(&ready));
    return 0;
}
