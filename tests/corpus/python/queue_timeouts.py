"""Three consumers poll a queue with a timeout for items that arrive slowly."""
import queue
import threading
import time

items = queue.Queue()
closed = threading.Event()
taken = []


def consume():
    while not closed.is_set() or not items.empty():
        try:
            taken.append(items.get(timeout=0.05))
        except queue.Empty:
            continue


consumers = [threading.Thread(target=consume) for _ in range(3)]
for consumer in consumers:
    consumer.start()
for number in range(8):
    time.sleep(0.16)
    items.put(number)
closed.set()
for consumer in consumers:
    consumer.join()
print(len(taken))
