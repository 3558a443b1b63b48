"""Prints many lines."""
for number in range(1500000):
    print(number, number * 3 % 7)
