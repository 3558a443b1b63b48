/* Multiplies two dense matrices the textbook way. */
#include <stdio.h>
#include <stdlib.h>

enum { N = 1300 };

int main(void) {
    double *a = malloc(sizeof(double) * N * N);
    double *b = malloc(sizeof(double) * N * N);
    double *c = calloc(N * N, sizeof(double));
    for (int i = 0; i < N * N; i++) {
        a[i] = (double)(i % 17);
        b[i] = (double)(i % 23);
    }
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            double sum = 0;
            for (int k = 0; k < N; k++)
                sum += a[i * N + k] * b[k * N + j];
            c[i * N + j] = sum;
        }
    printf("%.0f\n", c[N * N - 1]);
    return 0;
}
