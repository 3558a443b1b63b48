# xargs with one process for each line.
seq 1 1300 | xargs -n 1 basename | tail -n 1
