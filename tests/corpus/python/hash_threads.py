"""Hashes large blocks in two threads; the hash function computes without the interpreter's lock."""
import hashlib
import threading

block = bytes(8 << 20)
digests = [None, None]


def work(slot):
    digest = hashlib.sha512()
    for _ in range(90):
        digest.update(block)
    digests[slot] = digest.hexdigest()


threads = [threading.Thread(target=work, args=(slot,)) for slot in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(digests[0] == digests[1])
