"""Runs a small tool for every item and looks at its exit status."""
import subprocess

failures = 0
for number in range(700):
    failures += subprocess.run(["test", str(number), "-ge", "0"]).returncode != 0
print(failures)
