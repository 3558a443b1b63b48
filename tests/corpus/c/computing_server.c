/* A client asks a server on loopback, one request after the other; the server computes each answer. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void serve(int listener) {
    int client = accept(listener, NULL, NULL);
    char request[64];
    while (recv(client, request, sizeof request, 0) > 0) {
        unsigned x = (unsigned char)request[0];
        for (long i = 0; i < 18000000; i++)
            x = x * 1664525u + 1013904223u;
        request[0] = (char)x;
        send(client, request, 2, 0);
    }
}

int main(void) {
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    bind(listener, (struct sockaddr *)&address, sizeof address);
    listen(listener, 1);
    getsockname(listener, (struct sockaddr *)&address, &length);
    pid_t server = fork();
    if (server == 0) {
        serve(listener);
        _exit(0);
    }
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(connection, (struct sockaddr *)&address, sizeof address) != 0)
        return 1;
    int answers = 0;
    for (int i = 0; i < 80; i++) {
        char answer[8];
        send(connection, "get", 3, 0);
        if (recv(connection, answer, sizeof answer, 0) > 0)
            answers++;
    }
    close(connection);
    waitpid(server, NULL, 0);
    printf("%d\n", answers);
    return 0;
}
