"""Looks up records of a file that is not in memory."""
import os
import random

random.seed(1)
file = os.open("table.bin", os.O_RDONLY)
records = os.fstat(file).st_size // 65536
total = 0
for _ in range(12):
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)
    for _ in range(500):
        total += os.pread(file, 65536, random.randrange(records) * 65536)[0]
print(total)
