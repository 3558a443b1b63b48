/* Two threads share a list of jobs by halves; the long jobs all lie in the second half. */
#include <pthread.h>
#include <stdio.h>

enum { JOBS = 40, THREADS = 2 };

static unsigned job(int number) {
    long steps = number < JOBS / 2 ? 6000000 : 45000000;
    unsigned x = (unsigned)number + 1;
    for (long i = 0; i < steps; i++)
        x = x * 1664525u + 1013904223u;
    return x;
}

static unsigned results[JOBS];

static void *half(void *argument) {
    long id = (long)argument;
    for (int i = (int)id * JOBS / THREADS; i < ((int)id + 1) * JOBS / THREADS; i++)
        results[i] = job(i);
    return NULL;
}

int main(void) {
    pthread_t threads[THREADS];
    for (long id = 0; id < THREADS; id++)
        pthread_create(&threads[id], NULL, half, (void *)id);
    for (int id = 0; id < THREADS; id++)
        pthread_join(threads[id], NULL);
    unsigned all = 0;
    for (int i = 0; i < JOBS; i++)
        all ^= results[i];
    printf("%u\n", all);
    return 0;
}
