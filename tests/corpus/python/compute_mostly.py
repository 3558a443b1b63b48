"""About 60 % computing, 40 % pauses."""
import time

total = 0
for step in range(10):
    for number in range(1000000):
        total = (total + number * number) % 1000003
    time.sleep(0.05)
print(total)
