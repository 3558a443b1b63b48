#!/bin/sh
# The counts are those of any table of primes.
set -eu
for pair in 10:4 100:25 1000:168 10000:1229; do
    limit=${pair%:*}
    expected=${pair#*:}
    got=$(./primes "$limit" | sed -n 's/^primes up to .*: //p')
    [ "$got" = "$expected" ] || { echo "primes up to $limit: $got instead of $expected"; exit 1; }
done
if ./primes 1 2>/dev/null; then echo "1 must be refused"; exit 1; fi
echo "5 passed"
