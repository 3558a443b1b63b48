"""Starts the service beside this file and fetches items from it with four threads."""
import concurrent.futures
import pathlib
import subprocess
import sys
import urllib.request

service = subprocess.Popen(
    [sys.executable, str(pathlib.Path(__file__).with_name("slow_service.py")), "sleep"],
    stdout=subprocess.PIPE,
    text=True,
)


def fetch(number):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/item/{number}") as answer:
        return answer.read()


try:
    port = int(service.stdout.readline())
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        print(len(list(pool.map(fetch, range(200)))))
finally:
    service.kill()
    service.wait()
