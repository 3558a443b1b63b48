"""Asks a local daemon over a Unix socket, which waits for its own backend before it answers."""
import os
import socket
import time

client, daemon = socket.socketpair(socket.AF_UNIX)
if os.fork() == 0:
    client.close()
    while daemon.recv(100):
        time.sleep(0.03)
        daemon.sendall(b"answer")
    os._exit(0)
daemon.close()
answers = 0
for _ in range(38):
    client.sendall(b"question")
    answers += len(client.recv(100)) > 0
client.close()
os.wait()
print(answers)
