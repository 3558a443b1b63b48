"""A socket server in a thread, which waits before it answers, and a client in the main thread."""
import socket
import threading
import time

listener = socket.create_server(("127.0.0.1", 0))


def serve():
    connection, _ = listener.accept()
    with connection:
        while connection.recv(100):
            time.sleep(0.025)
            connection.sendall(b"answer")


threading.Thread(target=serve, daemon=True).start()
answers = 0
with socket.create_connection(listener.getsockname()) as connection:
    for _ in range(45):
        connection.sendall(b"question")
        answers += len(connection.recv(100)) > 0
print(answers)
