"""Four threads derive keys; somebody put a lock around it to be safe."""
import hashlib
import threading

lock = threading.Lock()
keys = []


def derive(user):
    for number in range(12):
        with lock:
            keys.append(hashlib.pbkdf2_hmac("sha256", f"{user}{number}".encode(), b"salt", 140000))


threads = [threading.Thread(target=derive, args=(user,)) for user in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(keys))
