"""A pool of threads that is not used, and a main thread that asks a service one question after the other."""
import concurrent.futures
import os
import socket
import time

listener = socket.create_server(("127.0.0.1", 0))
if os.fork() == 0:
    connection, _ = listener.accept()
    while connection.recv(100):
        time.sleep(0.02)
        connection.sendall(b"answer")
    os._exit(0)
pool = concurrent.futures.ThreadPoolExecutor(8)
lengths = [pool.submit(len, "x" * n) for n in range(16)]
answers = sum(future.result() for future in lengths)
with socket.create_connection(listener.getsockname()) as connection:
    for _ in range(55):
        connection.sendall(b"question")
        answers += len(connection.recv(100)) > 0
os.wait()
pool.shutdown()
print(answers)
