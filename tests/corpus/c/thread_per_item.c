/* Starts a thread for every item and waits for it. */
#include <pthread.h>
#include <stdio.h>

static void *square(void *argument) {
    long *value = argument;
    *value *= *value;
    return NULL;
}

int main(void) {
    unsigned long sum = 0;
    for (long i = 0; i < 40000; i++) {
        pthread_t thread;
        long value = i;
        pthread_create(&thread, NULL, square, &value);
        pthread_join(thread, NULL);
        sum += (unsigned long)value;
    }
    printf("%lu\n", sum);
    return 0;
}
