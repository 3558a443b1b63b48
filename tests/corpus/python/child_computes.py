"""Leaves the work to another interpreter and waits for it."""
import subprocess
import sys

program = """
total = 0
for number in range(11000000):
    total = (total + number * number) % 1000003
print(total)
"""
print(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout.strip())
