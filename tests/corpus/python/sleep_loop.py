"""Polls for a result with a pause between the looks, as it is done with slow interfaces."""
import time

ready_at = time.monotonic() + 1.2
looks = 0
while time.monotonic() < ready_at:
    looks += 1
    time.sleep(0.05)
print(looks > 5)
