"""Splits a computation over two threads."""
import threading

results = [0, 0]


def work(slot):
    total = 0
    for number in range(11000000):
        total += number * number % 7
    results[slot] = total


threads = [threading.Thread(target=work, args=(slot,)) for slot in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(sum(results))
