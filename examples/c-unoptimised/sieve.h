#ifndef SIEVE_H
#define SIEVE_H

#include <stddef.h>

/* Marks composites in flags[0..limit]; flags[n] is 0 when n is prime. */
void sieve(unsigned char *flags, size_t limit);

/* Sum of the distinct prime factors of every number up to limit. */
unsigned long long factor_sum(const unsigned char *flags, size_t limit);

#endif
