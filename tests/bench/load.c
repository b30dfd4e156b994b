/* A load generator: replays a file of DNS packets against a server, checks and counts every answer.

   load MODE ADDRESS PORT FILE [-n COUNT] [-w WINDOW] [-q RATE] [-s SOURCES] [-t MS] [-a]

   MODE   window       UDP, WINDOW packets under way at any moment: the server is never idle
          paced        UDP, RATE packets a second, evenly spaced, each sent on its own
          stream       TCP, SOURCES connections with WINDOW queries under way in all, pipelined
          connections  TCP, SOURCES connections at a time, one query on each
   FILE   per packet: length (2 octets, big-endian), what is expected (1 octet), the packet
          expected: the rcode, + 0x20 if the answer section has records, + 0x10 if TC is set
   -n     how many are sent, going round in the file; all of it once without
   -s     source ports (UDP) or connections (TCP)
   -t     after so many milliseconds without any answer what is under way is lost, the fifth time in a
          row that nothing came it ends
   -a     any answer will do that repeats the question: for an echo

   Every packet gets an ID of its own. Prints JSON: sent, answered, lost, strange (answers to nothing
   that is under way), wrong (answers that are not as expected; the first of them in hex), rcodes,
   seconds, p50_us, p99_us, max_us. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64
#define SOURCES 64
#define IDS 65536
#define LARGEST 65537
#define SILENCES 5

struct packet { uint8_t *wire; uint16_t size; uint8_t expected; };
struct slot { uint32_t packet; uint8_t live; uint8_t source; uint64_t sent_ns; };
struct source { int fd; int under_way; int sends_left; uint8_t *held; int held_size; };

static struct packet *packets;
static uint32_t packet_count;
static struct slot slots[IDS];
static struct source sources[SOURCES];
static struct sockaddr_in server;
static int source_count = 1, window = 128, timeout_ms = 1000, any;
static uint64_t wanted, sent, answered, lost, strange, wrong, rcodes[16], rate = 5000;
static uint32_t *latencies;
static char first_wrong[2100];

static void fail(const char *what) { perror(what); exit(1); }

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void read_packets(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) fail(path);
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    uint8_t *all = malloc((size_t)size + 1);
    if (!all || fread(all, 1, (size_t)size, file) != (size_t)size) fail(path);
    fclose(file);
    packets = malloc(((size_t)size / 15 + 1) * sizeof *packets);
    for (long at = 0; at + 15 <= size;) {
        uint16_t length = (uint16_t)(all[at] << 8 | all[at + 1]);
        packets[packet_count++] = (struct packet){all + at + 3, length, all[at + 2]};
        at += 3 + length;
    }
    if (!packet_count) { fprintf(stderr, "%s: no packets\n", path); exit(1); }
}

/* Takes an ID for the next packet and notes that it is under way; returns the packet. */
static struct packet *take(int source, uint16_t *id, uint64_t now) {
    uint16_t number = (uint16_t)sent;
    struct slot *slot = &slots[number];
    if (slot->live) {
        lost++;
        sources[slot->source].under_way--;
    }
    *slot = (struct slot){(uint32_t)(sent % packet_count), 1, (uint8_t)source, now};
    sources[source].under_way++;
    sent++;
    *id = htons(number);
    return &packets[slot->packet];
}

static int is_right(const struct packet *asked, const uint8_t *reply, int size) {
    int at = 12;
    while (at < asked->size && asked->wire[at]) at += asked->wire[at] + 1;
    at += 5;
    if (size < at || !(reply[2] & 0x80) || (reply[2] & 0x78)) return 0;
    if (reply[4] || reply[5] != 1 || memcmp(reply + 12, asked->wire + 12, (size_t)at - 12)) return 0;
    if (any) return 1;
    if ((reply[3] & 15) != (asked->expected & 15)) return 0;
    if (!!(asked->expected & 0x10) != !!(reply[2] & 2)) return 0;
    return !(asked->expected & 0x20) || reply[6] || reply[7];
}

static void received(int source, const uint8_t *reply, int size, uint64_t now) {
    struct slot *slot = size >= 12 ? &slots[reply[0] << 8 | reply[1]] : NULL;
    if (!slot || !slot->live || slot->source != source) {
        strange++;
        return;
    }
    slot->live = 0;
    sources[source].under_way--;
    latencies[answered++] = (uint32_t)((now - slot->sent_ns) / 10);
    rcodes[reply[3] & 15]++;
    if (!is_right(&packets[slot->packet], reply, size) && !wrong++)
        for (int i = 0; i < size && i < 1000; i++) sprintf(first_wrong + 2 * i, "%02x", reply[i]);
}

static int under_way(void) {
    int all = 0;
    for (int i = 0; i < source_count; i++) all += sources[i].under_way;
    return all;
}

static void give_up(void) {
    for (int i = 0; i < IDS; i++) slots[i].live = 0;
    for (int i = 0; i < source_count; i++) {
        lost += (uint64_t)sources[i].under_way;
        sources[i].under_way = 0;
    }
}

/* True when it has waited in vain too often. */
static int is_silent(int ready) {
    static int silences;
    static uint64_t answered_then;
    if (answered != answered_then) silences = 0;
    answered_then = answered;
    return !ready && ++silences == SILENCES;
}

/* UDP */

static void open_udp(int source) {
    int fd = socket(AF_INET, SOCK_DGRAM, 0), room = 4 << 20;
    if (fd < 0 || connect(fd, (struct sockaddr *)&server, sizeof server)) fail("connect");
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    sources[source].fd = fd;
}

static void send_udp(int source, int count) {
    struct mmsghdr headers[BATCH];
    struct iovec pieces[BATCH][2];
    uint16_t ids[BATCH];
    uint64_t now = now_ns();
    memset(headers, 0, sizeof headers);
    if (count > BATCH) count = BATCH;
    for (int i = 0; i < count; i++) {
        struct packet *packet = take(source, &ids[i], now);
        pieces[i][0] = (struct iovec){&ids[i], 2};
        pieces[i][1] = (struct iovec){packet->wire + 2, (size_t)packet->size - 2};
        headers[i].msg_hdr.msg_iov = pieces[i];
        headers[i].msg_hdr.msg_iovlen = 2;
    }
    for (int done = 0; done < count;) {
        int n = sendmmsg(sources[source].fd, headers + done, (unsigned)(count - done), 0);
        if (n < 0 && errno != ECONNREFUSED) fail("sendmmsg");
        done += n < 0 ? 1 : n;
    }
}

static void receive_udp(int source) {
    static uint8_t buffers[BATCH][4096];
    struct mmsghdr headers[BATCH];
    struct iovec pieces[BATCH];
    for (;;) {
        memset(headers, 0, sizeof headers);
        for (int i = 0; i < BATCH; i++) {
            pieces[i] = (struct iovec){buffers[i], sizeof buffers[i]};
            headers[i].msg_hdr.msg_iov = &pieces[i];
            headers[i].msg_hdr.msg_iovlen = 1;
        }
        int n = recvmmsg(sources[source].fd, headers, BATCH, MSG_DONTWAIT, NULL);
        if (n <= 0) return;
        uint64_t now = now_ns();
        for (int i = 0; i < n; i++) received(source, buffers[i], (int)headers[i].msg_len, now);
        if (n < BATCH) return;
    }
}

static void run_window(void) {
    struct pollfd polled[SOURCES];
    int each = (window + source_count - 1) / source_count;
    for (int i = 0; i < source_count; i++) {
        open_udp(i);
        polled[i] = (struct pollfd){sources[i].fd, POLLIN, 0};
    }
    while (sent < wanted || under_way()) {
        for (int i = 0; i < source_count; i++)
            while (sent < wanted && sources[i].under_way < each) {
                uint64_t room = wanted - sent;
                int count = each - sources[i].under_way;
                send_udp(i, room < (uint64_t)count ? (int)room : count);
            }
        int ready = poll(polled, (nfds_t)source_count, timeout_ms);
        if (!ready) give_up();
        if (is_silent(ready)) return;
        for (int i = 0; i < source_count; i++)
            if (polled[i].revents) receive_udp(i);
    }
}

static void run_paced(void) {
    struct pollfd polled[SOURCES];
    prctl(PR_SET_TIMERSLACK, 1);
    for (int i = 0; i < source_count; i++) {
        open_udp(i);
        polled[i] = (struct pollfd){sources[i].fd, POLLIN, 0};
    }
    uint64_t began = now_ns(), last = began;
    while (sent < wanted || under_way()) {
        uint64_t now = now_ns();
        uint64_t next = sent < wanted ? began + sent * 1000000000u / rate
                                      : last + (uint64_t)timeout_ms * 1000000u;
        if (now >= next) {
            if (sent == wanted) { give_up(); return; }
            send_udp((int)(sent % (uint64_t)source_count), 1);
            last = now;
            continue;
        }
        struct timespec left = {(time_t)((next - now) / 1000000000u), (long)((next - now) % 1000000000u)};
        if (ppoll(polled, (nfds_t)source_count, &left, NULL) > 0)
            for (int i = 0; i < source_count; i++)
                if (polled[i].revents) receive_udp(i);
    }
}

/* TCP */

static void open_tcp(int source, int sends) {
    static uint32_t opened;
    struct source *mine = &sources[source];
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    /* Many source addresses, so that ports that wait for their end do not run out. */
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr = {htonl(0x7f000002 + opened++ % 64)}};
    if (fd < 0) fail("socket");
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if ((ntohl(server.sin_addr.s_addr) >> 24) == 127 && bind(fd, (struct sockaddr *)&from, sizeof from))
        fail("bind");
    if (connect(fd, (struct sockaddr *)&server, sizeof server)) fail("connect");
    mine->fd = fd;
    mine->sends_left = sends;
    mine->held_size = 0;
    if (!mine->held && !(mine->held = malloc(2 * LARGEST))) fail("malloc");
}

static int send_tcp(int source, int count) {
    static uint8_t out[BATCH * 1024];
    struct source *mine = &sources[source];
    size_t size = 0, done = 0;
    uint64_t now = now_ns();
    for (; count > 0 && sent < wanted && mine->sends_left && size + 1024 < sizeof out; count--) {
        uint16_t id;
        struct packet *packet = take(source, &id, now);
        mine->sends_left--;
        out[size] = (uint8_t)(packet->size >> 8);
        out[size + 1] = (uint8_t)packet->size;
        memcpy(out + size + 2, &id, 2);
        memcpy(out + size + 4, packet->wire + 2, (size_t)packet->size - 2);
        size += 2u + packet->size;
    }
    while (done < size) {
        ssize_t n = send(mine->fd, out + done, size - done, MSG_NOSIGNAL);
        if (n < 0) return 0;
        done += (size_t)n;
    }
    return 1;
}

/* Reads what is there; false when the server has closed the connection. */
static int receive_tcp(int source) {
    struct source *mine = &sources[source];
    ssize_t n = recv(mine->fd, mine->held + mine->held_size,
                     (size_t)(2 * LARGEST - mine->held_size), MSG_DONTWAIT);
    if (n <= 0) return n < 0 && errno == EAGAIN;
    mine->held_size += (int)n;
    uint64_t now = now_ns();
    int at = 0;
    while (mine->held_size - at >= 2) {
        int size = mine->held[at] << 8 | mine->held[at + 1];
        if (mine->held_size - at < 2 + size) break;
        received(source, mine->held + at + 2, size, now);
        at += 2 + size;
    }
    memmove(mine->held, mine->held + at, (size_t)(mine->held_size - at));
    mine->held_size -= at;
    return 1;
}

static void drop_tcp(int source, int sends) {
    close(sources[source].fd);
    for (int i = 0; i < IDS; i++)
        if (slots[i].live && slots[i].source == source) slots[i].live = 0;
    lost += (uint64_t)sources[source].under_way;
    sources[source].under_way = 0;
    if (sent < wanted) open_tcp(source, sends);
    else sources[source].fd = -1;
}

static void run_tcp(int sends) {
    struct pollfd polled[SOURCES];
    int each = sends == 1 ? 1 : (window + source_count - 1) / source_count;
    for (int i = 0; i < source_count; i++) open_tcp(i, sends);
    while (sent < wanted || under_way()) {
        for (int i = 0; i < source_count; i++) {
            struct source *mine = &sources[i];
            if (mine->fd >= 0 && sent < wanted && mine->under_way < each && mine->sends_left)
                if (!send_tcp(i, each - mine->under_way)) drop_tcp(i, sends);
            polled[i] = (struct pollfd){mine->fd, POLLIN, 0};
        }
        int ready = poll(polled, (nfds_t)source_count, timeout_ms);
        for (int i = 0; i < source_count; i++)
            if (!ready || (polled[i].revents && !receive_tcp(i))) drop_tcp(i, sends);
            else if (polled[i].revents && !sources[i].under_way && !sources[i].sends_left) {
                close(sources[i].fd);
                sources[i].fd = -1;
                if (sent < wanted) open_tcp(i, sends);
            }
        if (is_silent(ready)) return;
    }
}

static int by_value(const void *a, const void *b) {
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

static double percentile_us(double share) {
    return answered ? latencies[(uint64_t)((double)(answered - 1) * share)] / 100.0 : 0;
}

static void print(double seconds) {
    qsort(latencies, answered, sizeof *latencies, by_value);
    printf("{\"sent\": %lu, \"answered\": %lu, \"lost\": %lu, \"strange\": %lu, \"wrong\": %lu, ",
           sent, answered, lost, strange, wrong);
    printf("\"first_wrong\": \"%s\", \"rcodes\": {", first_wrong);
    for (int i = 0, is_first = 1; i < 16; i++)
        if (rcodes[i]) {
            printf("%s\"%d\": %lu", is_first ? "" : ", ", i, rcodes[i]);
            is_first = 0;
        }
    printf("}, \"seconds\": %.3f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f}\n", seconds,
           percentile_us(0.5), percentile_us(0.99), percentile_us(1));
}

int main(int argc, char **argv) {
    int option;
    while ((option = getopt(argc, argv, "n:w:q:s:t:a")) != -1) switch (option) {
        case 'n': wanted = strtoull(optarg, NULL, 10); break;
        case 'w': window = atoi(optarg); break;
        case 'q': rate = strtoull(optarg, NULL, 10); break;
        case 's': source_count = atoi(optarg); break;
        case 't': timeout_ms = atoi(optarg); break;
        case 'a': any = 1; break;
        default: return 2;
    }
    if (argc - optind != 4 || source_count < 1 || source_count > SOURCES || window < 1 || window > 16384) {
        fprintf(stderr, "load MODE ADDRESS PORT FILE [options]: see load.c\n");
        return 2;
    }
    char **words = argv + optind;
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(words[2]))};
    if (inet_pton(AF_INET, words[1], &server.sin_addr) != 1) fail(words[1]);
    read_packets(words[3]);
    if (!wanted) wanted = packet_count;
    if (!(latencies = malloc(wanted * sizeof *latencies))) fail("malloc");
    uint64_t began = now_ns();
    if (!strcmp(words[0], "window")) run_window();
    else if (!strcmp(words[0], "paced")) run_paced();
    else if (!strcmp(words[0], "stream")) run_tcp(-1);
    else if (!strcmp(words[0], "connections")) run_tcp(1);
    else { fprintf(stderr, "%s: no such mode\n", words[0]); return 2; }
    print((double)(now_ns() - began) / 1e9);
    return 0;
}
