/* Looks a name up as any program does, with the resolv.conf named, and prints what it was told. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netdb.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>

int main(int count, char **words)
{
    struct addrinfo hints = {0}, *found = NULL, *at;
    int code;

    if (count != 4 || unshare(CLONE_NEWNS) != 0)
        return 1;
    if (mount(words[1], "/etc/resolv.conf", NULL, MS_BIND, NULL) != 0)
        return 2;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_CANONNAME;
    hints.ai_family = atoi(words[3]) == 4 ? AF_INET : atoi(words[3]) == 6 ? AF_INET6 : AF_UNSPEC;
    code = getaddrinfo(words[2], NULL, &hints, &found);
    printf("%d %s", code, found && found->ai_canonname ? found->ai_canonname : "-");
    for (at = code == 0 ? found : NULL; at; at = at->ai_next) {
        char text[INET6_ADDRSTRLEN];
        const void *address = at->ai_family == AF_INET6
            ? (const void *)&((struct sockaddr_in6 *)at->ai_addr)->sin6_addr
            : (const void *)&((struct sockaddr_in *)at->ai_addr)->sin_addr;
        printf(" %s", inet_ntop(at->ai_family, address, text, sizeof text));
    }
    printf("\n");
    return 0;
}
