/* Looks again and again whether its parent is still the same. */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void) {
    long parent = syscall(SYS_getppid), changes = 0;
    for (long i = 0; i < 8000000; i++)
        changes += syscall(SYS_getppid) != parent;
    printf("%ld\n", changes);
    return 0;
}
