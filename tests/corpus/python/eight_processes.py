"""Spreads a computation evenly over eight processes."""
import multiprocessing


def work(seed):
    for _ in range(300000):
        seed = (seed * 1103515245 + 12345) % 2147483648
    return seed


if __name__ == "__main__":
    with multiprocessing.Pool(8) as pool:
        print(sum(pool.map(work, range(64), chunksize=1)))
