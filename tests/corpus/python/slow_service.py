"""A small HTTP service on loopback. It prints its port. With `sleep` it waits 20 ms for an answer, with `compute` it
computes it."""
import http.server
import sys
import time


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if sys.argv[1] == "sleep":
            time.sleep(0.02)
        else:
            value = 1
            for step in range(160000):
                value = (value * 31 + step) % 1000003
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
