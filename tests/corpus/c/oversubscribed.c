/* Sixteen threads that all compute, as on a larger machine, whatever the number of CPUs here. */
#include <pthread.h>
#include <stdio.h>

enum { THREADS = 16 };
static unsigned results[THREADS];

static void *work(void *argument) {
    long id = (long)argument;
    unsigned x = (unsigned)id;
    for (long i = 0; i < 160000000; i++)
        x = x * 1664525u + 1013904223u;
    results[id] = x;
    return NULL;
}

int main(void) {
    pthread_t threads[THREADS];
    for (long id = 0; id < THREADS; id++)
        pthread_create(&threads[id], NULL, work, (void *)id);
    unsigned all = 0;
    for (int id = 0; id < THREADS; id++) {
        pthread_join(threads[id], NULL);
        all ^= results[id];
    }
    printf("%u\n", all);
    return 0;
}
