/* Four threads fill one histogram; every bucket computation is done with the only lock held. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>

enum { THREADS = 4, ITEMS = 250000, BUCKETS = 64 };
static long histogram[BUCKETS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *fill(void *argument) {
    long id = (long)argument;
    for (long i = 0; i < ITEMS; i++) {
        pthread_mutex_lock(&lock);
        double x = 0;
        for (int k = 1; k < 40; k++)
            x += sin((double)(i * THREADS + id) / k);
        histogram[(int)fabs(x * 1000) % BUCKETS]++;
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

int main(void) {
    pthread_t threads[THREADS];
    for (long id = 0; id < THREADS; id++)
        pthread_create(&threads[id], NULL, fill, (void *)id);
    for (int id = 0; id < THREADS; id++)
        pthread_join(threads[id], NULL);
    long all = 0;
    for (int i = 0; i < BUCKETS; i++)
        all += histogram[i];
    printf("%ld\n", all);
    return 0;
}
