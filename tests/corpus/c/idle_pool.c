/* A pool of eight workers is started and given one small job each; the main thread then computes by itself. */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

enum { WORKERS = 8 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;
static int queued, done;
static bool closing;

static void *worker(void *unused) {
    (void)unused;
    pthread_mutex_lock(&lock);
    for (;;) {
        while (queued == 0 && !closing)
            pthread_cond_wait(&work, &lock);
        if (queued == 0)
            break;
        queued--;
        done++;
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

int main(void) {
    pthread_t workers[WORKERS];
    for (int i = 0; i < WORKERS; i++)
        pthread_create(&workers[i], NULL, worker, NULL);
    pthread_mutex_lock(&lock);
    queued = WORKERS;
    pthread_cond_broadcast(&work);
    pthread_mutex_unlock(&lock);
    unsigned x = 1;
    for (long i = 0; i < 1400000000; i++)
        x = x * 1664525u + 1013904223u;
    pthread_mutex_lock(&lock);
    closing = true;
    pthread_cond_broadcast(&work);
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < WORKERS; i++)
        pthread_join(workers[i], NULL);
    printf("%u %d\n", x, done);
    return 0;
}
