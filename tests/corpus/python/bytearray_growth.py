"""A receiver that takes a fresh, filled buffer of 128 MB for every batch."""
total = 0
for batch in range(22):
    buffer = bytearray(b"\1") * (128 << 20)
    buffer[batch] = 2
    total += buffer[batch] + len(buffer)
    del buffer
print(total)
