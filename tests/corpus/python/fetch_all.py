"""Starts the service beside this file and fetches items from it, one after the other, as in a first draft."""
import pathlib
import subprocess
import sys
import urllib.request

kind, count = sys.argv[1], int(sys.argv[2])
service = subprocess.Popen(
    [sys.executable, str(pathlib.Path(__file__).with_name("slow_service.py")), kind],
    stdout=subprocess.PIPE,
    text=True,
)
try:
    port = int(service.stdout.readline())
    items = []
    for number in range(count):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/item/{number}") as answer:
            items.append(answer.read())
    print(len(items))
finally:
    service.kill()
    service.wait()
