/* The main thread spins on a flag until a worker, which fetches something slow, has set it. */
#include <pthread.h>
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
    while (!atomic_load_explicit(&ready, memory_order_acquire))
        ;
    pthread_join(worker, NULL);
    printf("%d\n", atomic_load(&ready));
    return 0;
}
