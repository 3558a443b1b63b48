# A wrapper that becomes another wrapper that becomes the program.
exec env WRAPPED=1 sh -c 'exec "$@"' wrapper python3 -c '
total = 0
for number in range(12000000):
    total = (total * 31 + number) % 1000003
print(total)
'
