/* Prints a report with standard output unbuffered. */
#include <stdio.h>

int main(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    for (int i = 0; i < 5000000; i++)
        putchar(i % 60 == 59 ? '\n' : 'a' + i % 26);
    return 0;
}
