"""Compresses a log as well as zlib can."""
import zlib

lines = "".join(f"{i * 7919 % 100003} user{i % 37} visited page {i % 501}\n" for i in range(150000)).encode()
print(len(zlib.compress(lines * 3, 9)))
