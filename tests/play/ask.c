/* Looks a host up and fetches a page from it over the first address that takes the connection. */
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int count, char **words)
{
    struct addrinfo hints = {0}, *found, *at;
    const char *asked = "GET / HTTP/1.0\r\n\r\n";
    char text[4096];
    ssize_t size;
    int code, one = -1;

    if (count != 3)
        return 2;
    hints.ai_socktype = SOCK_STREAM;
    if ((code = getaddrinfo(words[1], words[2], &hints, &found)) != 0) {
        printf("%s\n", gai_strerror(code));
        return 1;
    }
    for (at = found; at; at = at->ai_next) {
        one = socket(at->ai_family, at->ai_socktype, 0);
        if (connect(one, at->ai_addr, at->ai_addrlen) == 0)
            break;
        close(one);
        one = -1;
    }
    if (one < 0 || write(one, asked, strlen(asked)) < 0) {
        perror("connect");
        return 1;
    }
    while ((size = read(one, text, sizeof text)) > 0)
        fwrite(text, 1, size, stdout);
    return 0;
}
