"""Parses many small documents in a pool of four threads."""
import concurrent.futures


def parse(seed):
    words = [f"{seed}-{i}" for i in range(2000)]
    counts = {}
    for word in words:
        for part in word.split("-"):
            counts[part] = counts.get(part, 0) + 1
    return len(counts)


with concurrent.futures.ThreadPoolExecutor(4) as pool:
    print(sum(pool.map(parse, range(1600))))
