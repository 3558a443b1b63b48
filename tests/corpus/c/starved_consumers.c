/* One producer computes items, four consumers wait on a condition variable and do next to nothing with each. */
#include <pthread.h>
#include <stdio.h>

enum { CONSUMERS = 4, ITEMS = 300 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t filled = PTHREAD_COND_INITIALIZER;
static unsigned queue[ITEMS];
static int head, tail, closed;
static unsigned long sum;

static void *consume(void *unused) {
    (void)unused;
    pthread_mutex_lock(&lock);
    for (;;) {
        while (head == tail && !closed)
            pthread_cond_wait(&filled, &lock);
        if (head == tail)
            break;
        sum += queue[head++];
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

int main(void) {
    pthread_t consumers[CONSUMERS];
    for (int i = 0; i < CONSUMERS; i++)
        pthread_create(&consumers[i], NULL, consume, NULL);
    unsigned x = 1;
    for (int item = 0; item < ITEMS; item++) {
        for (long i = 0; i < 5000000; i++)
            x = x * 1664525u + 1013904223u;
        pthread_mutex_lock(&lock);
        queue[tail++] = x;
        pthread_cond_signal(&filled);
        pthread_mutex_unlock(&lock);
    }
    pthread_mutex_lock(&lock);
    closed = 1;
    pthread_cond_broadcast(&filled);
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < CONSUMERS; i++)
        pthread_join(consumers[i], NULL);
    printf("%lu\n", sum);
    return 0;
}
