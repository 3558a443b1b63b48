"""Summarises a generated access log, line by line."""
import collections

methods = ["GET", "PUT", "POST"]
lines = [f"10.0.{i % 13}.{i % 251} {methods[i % 3]} /item/{i % 997} {200 if i % 29 else 500} {i % 4096}" for i in range(900000)]
hits = collections.Counter()
volume = collections.defaultdict(int)
errors = []
for line in lines:
    address, method, path, status, size = line.split(" ")
    hits[path] += 1
    volume[address] += int(size)
    if status.startswith("5") and method != "GET":
        errors.append((path, address))
print(len(errors), hits.most_common(1), max(volume.values()))
