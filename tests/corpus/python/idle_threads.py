"""A program with a pool of threads that has next to nothing to do, while the main thread computes."""
import concurrent.futures

pool = concurrent.futures.ThreadPoolExecutor(8)
warm = [pool.submit(len, "x" * n) for n in range(20)]
total = sum(future.result() for future in warm)
for number in range(18000000):
    total = (total * 31 + number) % 1000003
print(total)
pool.shutdown()
