"""Six threads update a remote record; each holds the only lock during its pause of 15 ms."""
import threading
import time

lock = threading.Lock()
updates = 0


def update():
    global updates
    for _ in range(14):
        with lock:
            time.sleep(0.015)
            updates += 1


threads = [threading.Thread(target=update) for _ in range(6)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(updates)
