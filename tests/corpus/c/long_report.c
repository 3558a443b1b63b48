/* Prints a long report through the buffer of the C library. */
#include <stdio.h>

int main(void) {
    for (int i = 0; i < 7000000; i++)
        printf("%d %.3f %s\n", i, i / 7.0, i % 3 ? "fine" : "late");
    return 0;
}
