/* A consumer waits on a condition variable with a timeout of 50 ms for a producer that is asleep most of the time. */
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int produced, closed;

static void *produce(void *unused) {
    (void)unused;
    for (int i = 0; i < 6; i++) {
        usleep(220000);
        pthread_mutex_lock(&lock);
        produced++;
        pthread_cond_signal(&changed);
        pthread_mutex_unlock(&lock);
    }
    pthread_mutex_lock(&lock);
    closed = 1;
    pthread_mutex_unlock(&lock);
    return NULL;
}

int main(void) {
    pthread_t producer;
    pthread_create(&producer, NULL, produce, NULL);
    int consumed = 0;
    pthread_mutex_lock(&lock);
    while (!closed || produced > 0) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 50000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        pthread_cond_timedwait(&changed, &lock, &until);
        consumed += produced;
        produced = 0;
    }
    pthread_mutex_unlock(&lock);
    pthread_join(producer, NULL);
    printf("%d\n", consumed);
    return 0;
}
