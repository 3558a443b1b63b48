# A pipeline in which sorting takes most of the time.
export LC_ALL=C
seq 1 4000000 | sort | sort -n | tail -n 1
