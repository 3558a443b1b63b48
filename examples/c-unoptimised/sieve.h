#ifndef SIEVE_H
#define SIEVE_H

#include "bits.h"

/* Adds all numbers up to limit that are not prime. */
void sieve(struct bits *composite, size_t limit);

/* A number that depends on every gap between the primes up to limit. */
unsigned long long gap_hash(const struct bits *composite, size_t limit);

#endif
