/* Workers take one lock for a whole batch of about 2 ms of computing, then do a little outside. */
#include <pthread.h>
#include <stdio.h>

enum { THREADS = 3, BATCHES = 200 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned shared = 1;

static unsigned churn(unsigned x, long steps) {
    for (long i = 0; i < steps; i++)
        x = x * 1664525u + 1013904223u;
    return x;
}

static void *worker(void *unused) {
    (void)unused;
    unsigned own = 7;
    for (int batch = 0; batch < BATCHES; batch++) {
        pthread_mutex_lock(&lock);
        shared = churn(shared, 2000000);
        pthread_mutex_unlock(&lock);
        own = churn(own, 100000);
    }
    return (void *)(unsigned long)own;
}

int main(void) {
    pthread_t threads[THREADS];
    for (int id = 0; id < THREADS; id++)
        pthread_create(&threads[id], NULL, worker, NULL);
    for (int id = 0; id < THREADS; id++)
        pthread_join(threads[id], NULL);
    printf("%u\n", shared);
    return 0;
}
