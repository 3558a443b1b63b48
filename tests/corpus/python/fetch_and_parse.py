"""Asks a service and works on each answer; asking takes most of the time."""
import os
import socket
import time

listener = socket.create_server(("127.0.0.1", 0))
if os.fork() == 0:
    connection, _ = listener.accept()
    while connection.recv(100):
        time.sleep(0.03)
        connection.sendall(b"7" * 500)
    os._exit(0)
total = 0
with socket.create_connection(listener.getsockname()) as connection:
    for _ in range(30):
        connection.sendall(b"question")
        answer = connection.recv(1000)
        for _ in range(500):
            for digit in answer[:400]:
                total += digit - 48
os.wait()
print(total > 0)
