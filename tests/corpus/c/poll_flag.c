/* Looks every 10 ms whether a file has appeared; somebody else makes it after a while. */
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    char path[64];
    snprintf(path, sizeof path, "ready.%d", (int)getpid());
    pid_t other = fork();
    if (other == 0) {
        sleep(1);
        FILE *file = fopen(path, "w");
        fclose(file);
        _exit(0);
    }
    struct stat status;
    long looks = 0;
    while (stat(path, &status) != 0) {
        looks++;
        usleep(10000);
    }
    waitpid(other, NULL, 0);
    unlink(path);
    printf("%s\n", looks > 10 ? "waited" : "was there");
    return 0;
}
