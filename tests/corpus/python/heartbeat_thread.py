"""Computes, while another thread reports every tenth of a second that all is well."""
import sys
import threading

finished = threading.Event()


def report():
    while not finished.wait(0.1):
        print("still at work", file=sys.stderr)


reporter = threading.Thread(target=report, daemon=True)
reporter.start()
best, longest = 0, 0
for start in range(1, 70000):
    value, steps = start, 0
    while value != 1:
        value = value // 2 if value % 2 == 0 else 3 * value + 1
        steps += 1
    if steps > longest:
        best, longest = start, steps
finished.set()
print(best, longest)
