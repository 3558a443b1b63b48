/* Two threads that each compute half of a sum: no more to gain from more threads on two CPUs. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>

enum { THREADS = 2 };
static double parts[THREADS];

static void *part(void *argument) {
    long id = (long)argument;
    double sum = 0;
    for (long i = id; i < 110000000; i += THREADS)
        sum += sin((double)i) * 1e-3;
    parts[id] = sum;
    return NULL;
}

int main(void) {
    pthread_t threads[THREADS];
    for (long id = 0; id < THREADS; id++)
        pthread_create(&threads[id], NULL, part, (void *)id);
    double sum = 0;
    for (int id = 0; id < THREADS; id++) {
        pthread_join(threads[id], NULL);
        sum += parts[id];
    }
    printf("%.6f\n", sum);
    return 0;
}
