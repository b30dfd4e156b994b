/* A server that does nothing: what it costs is the kernel's part of a query.

   peer echo [ADDRESS]     sends every packet back with QR set
   peer answer [ADDRESS]   answers every question with an address, TTL 300: an upstream that knows all names
   peer lie [ADDRESS]      an echo that swallows every 8th packet and turns a bit of every 8th + 1: for the tests

   UDP in batches, TCP beside it in a thread of its own. Prints its port, then serves until it is ended. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <signal.h>
#include <unistd.h>

#define BATCH 64
#define ROOM 4096
#define LARGEST 65537

static int is_answering, is_lying;

static void fail(const char *what) { perror(what); exit(1); }

/* Turns the packet into its reply in place, within `room`; returns its size. */
static int reply(uint8_t *packet, int size, int room) {
    static _Thread_local unsigned count;
    if (size < 12) return size;
    packet[2] |= 0x80;
    if (is_lying && ++count % 8 == 0) return 0;
    if (is_lying && count % 8 == 1) packet[13] ^= 1;
    if (!is_answering) return size;
    int at = 12, has_opt = packet[11];
    while (at < size && packet[at]) at += packet[at] + 1;
    at += 5;
    if (at > size || at + 39 > room) return size;
    int type = packet[at - 4] << 8 | packet[at - 3], length = type == 28 ? 16 : 4;
    packet[3] = 0x80;
    memset(packet + 6, 0, 6);
    if (type == 1 || type == 28) {
        const uint8_t head[] = {0xc0, 12, 0, (uint8_t)type, 0, 1, 0, 0, 1, 44, 0, (uint8_t)length};
        packet[7] = 1;
        memcpy(packet + at, head, 12);
        memset(packet + at + 12, 0, (size_t)length);
        packet[at + 12] = type == 1 ? 192 : 0x20;
        packet[at + 11 + length] = 7;
        at += 12 + length;
    }
    if (has_opt) {
        const uint8_t opt[] = {0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0};
        packet[11] = 1;
        memcpy(packet + at, opt, 11);
        at += 11;
    }
    return at;
}

static void serve_udp(int fd) {
    static uint8_t buffers[BATCH][ROOM];
    static struct sockaddr_in from[BATCH];
    struct mmsghdr headers[BATCH];
    struct iovec pieces[BATCH];
    memset(headers, 0, sizeof headers);
    for (int i = 0; i < BATCH; i++) {
        pieces[i].iov_base = buffers[i];
        headers[i].msg_hdr.msg_iov = &pieces[i];
        headers[i].msg_hdr.msg_iovlen = 1;
        headers[i].msg_hdr.msg_name = &from[i];
    }
    for (;;) {
        for (int i = 0; i < BATCH; i++) {
            pieces[i].iov_len = ROOM;
            headers[i].msg_hdr.msg_namelen = sizeof from[i];
        }
        int n = recvmmsg(fd, headers, BATCH, MSG_WAITFORONE, NULL);
        if (n < 0 && errno != EINTR) fail("recvmmsg");
        for (int i = 0; i < n; i++)
            pieces[i].iov_len = (size_t)reply(buffers[i], (int)headers[i].msg_len, ROOM);
        for (int done = 0; done < n;) {
            if (!pieces[done].iov_len) { done++; continue; }
            int end = done;
            while (end < n && pieces[end].iov_len) end++;
            int went = sendmmsg(fd, headers + done, (unsigned)(end - done), 0);
            done += went < 0 ? 1 : went;
        }
    }
}

struct connection { int fd, size; uint8_t held[LARGEST]; };

/* Answers the whole messages that are held; false when the connection is over. */
static int serve_messages(struct connection *each) {
    static uint8_t out[LARGEST];
    ssize_t n = recv(each->fd, each->held + each->size, (size_t)(LARGEST - each->size), 0);
    if (n <= 0) return 0;
    each->size += (int)n;
    int at = 0, filled = 0;
    while (each->size - at >= 2) {
        int size = each->held[at] << 8 | each->held[at + 1];
        if (each->size - at < 2 + size || filled + size + 64 > LARGEST) break;
        memcpy(out + filled + 2, each->held + at + 2, (size_t)size);
        int told = reply(out + filled + 2, size, size + 62);
        out[filled] = (uint8_t)(told >> 8);
        out[filled + 1] = (uint8_t)told;
        filled += told ? 2 + told : 0;
        at += 2 + size;
    }
    memmove(each->held, each->held + at, (size_t)(each->size - at));
    each->size -= at;
    return !filled || send(each->fd, out, (size_t)filled, MSG_NOSIGNAL) == filled;
}

static void *serve_tcp(void *argument) {
    int listening = *(int *)argument, one = 1, watch = epoll_create1(0);
    struct epoll_event event = {EPOLLIN, {NULL}}, events[BATCH];
    epoll_ctl(watch, EPOLL_CTL_ADD, listening, &event);
    for (;;) {
        int n = epoll_wait(watch, events, BATCH, -1);
        for (int i = 0; i < n; i++) {
            struct connection *each = events[i].data.ptr;
            if (each) {
                if (serve_messages(each)) continue;
                close(each->fd);
                free(each);
                continue;
            }
            int fd = accept(listening, NULL, NULL);
            each = fd < 0 ? NULL : malloc(sizeof *each);
            if (!each) continue;
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            each->fd = fd;
            each->size = 0;
            event = (struct epoll_event){EPOLLIN, {each}};
            epoll_ctl(watch, EPOLL_CTL_ADD, fd, &event);
        }
    }
    return NULL;
}

int main(int argc, char **argv) {
    int one = 1, room = 4 << 20, udp = socket(AF_INET, SOCK_DGRAM, 0), tcp = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in self = {.sin_family = AF_INET};
    socklen_t length = sizeof self;
    pthread_t thread;
    if (argc < 2 || inet_pton(AF_INET, argc > 2 ? argv[2] : "127.0.0.1", &self.sin_addr) != 1) return 2;
    is_answering = !strcmp(argv[1], "answer");
    is_lying = !strcmp(argv[1], "lie");
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* it never outlives who started it */
    setsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(udp, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    for (int tries = 0;; tries++) {
        self.sin_port = 0;
        if (bind(udp, (struct sockaddr *)&self, sizeof self)) fail("bind");
        getsockname(udp, (struct sockaddr *)&self, &length);
        if (!bind(tcp, (struct sockaddr *)&self, sizeof self)) break;
        if (tries == 20) fail("bind");
        close(udp);
        udp = socket(AF_INET, SOCK_DGRAM, 0);
    }
    if (listen(tcp, 1024)) fail("listen");
    printf("%d\n", ntohs(self.sin_port));
    fflush(stdout);
    if (pthread_create(&thread, NULL, serve_tcp, &tcp)) fail("pthread_create");
    serve_udp(udp);
    return 0;
}
