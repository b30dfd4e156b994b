/* A flooder: sends the packets of a file as fast as it can, or at a rate, and reads no answer.

   flood ADDRESS PORT FILE SOURCE [-s SOURCES] [-q RATE] [-d SECONDS] [-u]

   FILE    as of `load.c`
   SOURCE  the address it sends from; the first one of SOURCES (loopback has 16 million)
   -q      packets a second, all sources together; without, as many as go
   -d      how long; 10 s without
   -u      no question twice: the first eight letters of every name, which has so many, are random

   Each packet gets a random ID. Prints JSON: sent, seconds. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64
#define MOST 4096

static void fail(const char *what) { perror(what); exit(1); }

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    int option, count = 1, is_unique = 0;
    double rate = 0, lasts = 10;
    while ((option = getopt(argc, argv, "s:q:d:u")) != -1) switch (option) {
        case 's': count = atoi(optarg); break;
        case 'q': rate = atof(optarg); break;
        case 'u': is_unique = 1; break;
        case 'd': lasts = atof(optarg); break;
        default: return 2;
    }
    if (argc - optind != 4 || count < 1 || count > MOST) {
        fprintf(stderr, "flood ADDRESS PORT FILE SOURCE [options]: see flood.c\n");
        return 2;
    }
    char **words = argv + optind;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(words[1]))};
    struct sockaddr_in from = {.sin_family = AF_INET};
    if (inet_pton(AF_INET, words[0], &to.sin_addr) != 1) fail(words[0]);
    if (inet_pton(AF_INET, words[3], &from.sin_addr) != 1) fail(words[3]);
    static int socks[MOST];
    uint32_t first = ntohl(from.sin_addr.s_addr);
    for (int i = 0; i < count; i++) {
        int room = 2048;
        from.sin_addr.s_addr = htonl(first + (uint32_t)i);
        socks[i] = socket(AF_INET, SOCK_DGRAM, 0);
        setsockopt(socks[i], SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
        if (socks[i] < 0 || bind(socks[i], (struct sockaddr *)&from, sizeof from)) fail("bind");
        if (connect(socks[i], (struct sockaddr *)&to, sizeof to)) fail("connect");
    }
    FILE *file = fopen(words[2], "rb");
    if (!file) fail(words[2]);
    static struct iovec pieces[MOST];
    int packets = 0;
    uint8_t head[3];
    while (packets < MOST && fread(head, 1, 3, file) == 3) {
        size_t size = (size_t)(head[0] << 8 | head[1]);
        uint8_t *packet = malloc(size);
        if (!packet || fread(packet, 1, size, file) != size) fail(words[2]);
        pieces[packets++] = (struct iovec){packet, size};
    }
    if (!packets) { fprintf(stderr, "%s: no packets\n", words[2]); return 1; }
    static struct mmsghdr headers[BATCH];
    double began = now_s();
    uint64_t sent = 0, next = 0;
    for (int turn = 0;; turn++) {
        double passed = now_s() - began;
        if (passed >= lasts) break;
        if (rate > 0 && (double)sent > passed * rate) {
            usleep(200);
            continue;
        }
        for (int i = 0; i < BATCH; i++) {
            struct iovec *piece = &pieces[next++ % (uint64_t)packets];
            uint16_t id = (uint16_t)random();
            memcpy(piece->iov_base, &id, 2);
            if (is_unique)
                for (int at = 13; at < 21; at++) ((uint8_t *)piece->iov_base)[at] = (uint8_t)('a' + random() % 26);
            headers[i].msg_hdr.msg_iov = piece;
            headers[i].msg_hdr.msg_iovlen = 1;
        }
        int done = sendmmsg(socks[turn % count], headers, BATCH, 0);
        sent += done > 0 ? (uint64_t)done : 0; /* a refused one is an earlier one's */
    }
    printf("{\"sent\": %lu, \"seconds\": %.3f}\n", sent, now_s() - began);
    return 0;
}
