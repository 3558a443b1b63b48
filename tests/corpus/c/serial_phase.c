/* Reads its input by one thread, which takes most of the time, and then evaluates it by two. */
#include <pthread.h>
#include <stdio.h>

enum { THREADS = 2, N = 1 << 20 };
static unsigned input[N];
static unsigned long sums[THREADS];

static void *evaluate(void *argument) {
    long id = (long)argument;
    unsigned long sum = 0;
    for (int round = 0; round < 1200; round++)
        for (long i = id * N / THREADS; i < (id + 1) * N / THREADS; i++)
            sum += (input[i] ^ (unsigned)round) % 10;
    sums[id] = sum;
    return NULL;
}

int main(void) {
    unsigned x = 1;
    for (int i = 0; i < N; i++) {
        for (int k = 0; k < 1200; k++)
            x = x * 1664525u + 1013904223u;
        input[i] = x;
    }
    pthread_t threads[THREADS];
    for (long id = 0; id < THREADS; id++)
        pthread_create(&threads[id], NULL, evaluate, (void *)id);
    for (int id = 0; id < THREADS; id++)
        pthread_join(threads[id], NULL);
    printf("%lu\n", sums[0] + sums[1]);
    return 0;
}
