#!/bin/sh
# Usage: checksums.sh
# One independent process after the other, each with an output of its own.
mkdir -p out
for part in parts/*.txt; do
    sh work.sh "$part" > "out/${part##*/}"
done
cat out/*.txt
