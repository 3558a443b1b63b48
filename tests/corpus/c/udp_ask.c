/* Asks over UDP with a receive timeout; every third answer is late and the question is put again. */
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    int server = socket(AF_INET, SOCK_DGRAM, 0), client = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    bind(server, (struct sockaddr *)&address, sizeof address);
    getsockname(server, (struct sockaddr *)&address, &length);
    pid_t child = fork();
    if (child == 0) {
        for (int seen = 0;; seen++) {
            char byte;
            struct sockaddr_in from;
            socklen_t from_length = sizeof from;
            recvfrom(server, &byte, 1, 0, (struct sockaddr *)&from, &from_length);
            if (byte == 'q')
                _exit(0);
            if (seen % 3 == 2)
                continue;
            usleep(20000);
            sendto(server, &byte, 1, 0, (struct sockaddr *)&from, from_length);
        }
    }
    struct timeval patience = {0, 60000};
    setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    connect(client, (struct sockaddr *)&address, sizeof address);
    int answers = 0;
    while (answers < 25) {
        char byte = 'a';
        send(client, &byte, 1, 0);
        if (recv(client, &byte, 1, 0) == 1)
            answers++;
    }
    send(client, "q", 1, 0);
    waitpid(child, NULL, 0);
    printf("%d\n", answers);
    return 0;
}
