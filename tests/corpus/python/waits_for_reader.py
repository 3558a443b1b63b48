"""Produces quickly for a consumer that thinks long about each line: the pipe is always full."""
import subprocess
import sys

program = """
import sys
total = 0
for line in sys.stdin:
    for character in line:
        total = (total * 31 + ord(character)) % 1000003
print(total)
"""
consumer = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, text=True)
for number in range(60000):
    consumer.stdin.write("x" * 199 + "\n")
consumer.stdin.close()
consumer.wait()
