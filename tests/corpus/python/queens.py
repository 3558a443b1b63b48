"""All ways to place ten queens on their board."""


def place(row, size, columns, up, down):
    if row == size:
        return 1
    count = 0
    for column in range(size):
        if column not in columns and row + column not in up and row - column not in down:
            count += place(row + 1, size, columns | {column}, up | {row + column}, down | {row - column})
    return count


print(place(0, 10, frozenset(), frozenset(), frozenset()))
