"""Spreads documents over two processes; one document is far longer than all others."""
import multiprocessing


def index(length):
    counts = {}
    for i in range(length):
        key = i * 7919 % 10007
        counts[key] = counts.get(key, 0) + 1
    return len(counts)


if __name__ == "__main__":
    lengths = [300000] * 15 + [11000000]
    with multiprocessing.Pool(2) as pool:
        print(sum(pool.map(index, lengths, chunksize=8)))
