"""Sends lines to a filter one by one and waits for each answer before the next."""
import subprocess

filter_process = subprocess.Popen(["sed", "-u", "s/item/part/"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
length = 0
for number in range(60000):
    filter_process.stdin.write(b"item %d\n" % number)
    filter_process.stdin.flush()
    length += len(filter_process.stdout.readline())
filter_process.stdin.close()
filter_process.wait()
print(length)
