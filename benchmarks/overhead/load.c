/* The load generator: closed loop, 127.0.0.1 only, bounded in time and count; prints one JSON line.
 *
 * load loop   PORT REQUEST_FILE CONNECTIONS SECONDS MAX_REQUESTS
 * load paired PORT REQUEST_FILE BASE_PORT BASE_REQUEST_FILE PAIRS
 *
 * `loop` keeps every connection busy. `paired` sends one request to the base and one to the target
 * in turn, on one connection each, so that what disturbs the machine disturbs both alike.
 * A request file holds the raw bytes of one HTTP/1.1 request. An answer counts when it is complete,
 * has status 200 and, where it is an event stream, ends with [DONE]; any other is an error. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD, LENGTH, CHUNK_SIZE, CHUNK, CHUNK_END, TRAILER, UNTIL_CLOSE, DONE };

typedef struct {
    int fd, state, status, is_stream, saw_done;
    size_t left, line_len, tail_len;
    char line[8192], tail[32];
    uint64_t sent, first;
} Conn;

typedef struct { int port; char *bytes; size_t len; } Request;

typedef struct { uint32_t *us10; size_t n, cap; } Times;

static Times firsts, totals, base_firsts, base_totals;
static uint64_t good, bad;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static void note(Times *times, uint64_t ns) {
    if (times->n == times->cap)
        times->us10 = realloc(times->us10, (times->cap = times->cap * 2 + 4096) * sizeof(uint32_t));
    times->us10[times->n++] = (uint32_t)(ns / 100);
}

static int by_size(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void print_times(const char *name, Times *times) {
    if (!times->n) return;
    qsort(times->us10, times->n, sizeof(uint32_t), by_size);
    double at[3] = {0.5, 0.9, 0.99};
    printf(",\"%s\":{", name);
    for (int i = 0; i < 3; i++) {
        size_t place = (size_t)(at[i] * (double)(times->n - 1) + 0.5);
        printf("%s\"p%d\":%.1f", i ? "," : "", (int)(at[i] * 100 + 0.5), times->us10[place] / 10.0);
    }
    printf("}");
}

static Request read_request(const char *port, const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) { perror(path); exit(2); }
    Request r = {.port = atoi(port), .bytes = malloc(1 << 20)};
    r.len = fread(r.bytes, 1, 1 << 20, file);
    fclose(file);
    return r;
}

static int connect_to(int port) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct timeval patience = {.tv_sec = 30};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&to, sizeof to)) { close(fd); return -1; }
    return fd;
}

static void send_request(Conn *c, const Request *r) {
    int fd = c->fd;
    memset(c, 0, offsetof(Conn, line));
    c->fd = fd;
    c->first = 0;
    c->sent = now_ns();
    if (send(fd, r->bytes, r->len, MSG_NOSIGNAL) != (ssize_t)r->len) c->status = -1;
}

/* The end marker may be split between two reads: the last bytes of the read before are kept. */
static void look_for_done(Conn *c, const char *bytes, size_t n) {
    char joined[64];
    size_t k = n < 24 ? n : 24;
    memcpy(joined, c->tail, c->tail_len);
    memcpy(joined + c->tail_len, bytes, k);
    if (memmem(bytes, n, "data: [DONE]", 12) || memmem(joined, c->tail_len + k, "data: [DONE]", 12))
        c->saw_done = 1;
    size_t keep = n < 16 ? n : 16;
    memcpy(c->tail, bytes + n - keep, c->tail_len = keep);
}

static void read_head(Conn *c) {
    c->status = atoi(c->line + 9);
    c->is_stream = strcasestr(c->line, "text/event-stream") != NULL;
    char *length = strcasestr(c->line, "\r\ncontent-length:");
    if (strcasestr(c->line, "\r\ntransfer-encoding: chunked")) c->state = CHUNK_SIZE;
    else if (length) { c->left = strtoul(length + 17, NULL, 10); c->state = c->left ? LENGTH : DONE; }
    else c->state = UNTIL_CLOSE;
    c->line_len = 0;
}

static void feed(Conn *c, const char *bytes, size_t n) {
    while (n && c->state != DONE) {
        if (c->state == LENGTH || c->state == CHUNK || c->state == UNTIL_CLOSE) {
            size_t k = c->state == UNTIL_CLOSE || n < c->left ? n : c->left;
            if (c->is_stream) look_for_done(c, bytes, k);
            bytes += k; n -= k;
            if (c->state == UNTIL_CLOSE) continue;
            if (!(c->left -= k)) c->state = c->state == LENGTH ? DONE : CHUNK_END;
            continue;
        }
        if (c->line_len < sizeof c->line - 1) c->line[c->line_len++] = *bytes;
        char byte = *bytes;
        bytes++; n--;
        c->line[c->line_len] = 0;
        if (byte != '\n') continue;
        if (c->state == HEAD) {
            if (c->line_len >= 4 && !memcmp(c->line + c->line_len - 4, "\r\n\r\n", 4)) read_head(c);
            continue;
        }
        if (c->state == CHUNK_SIZE) {
            c->left = strtoul(c->line, NULL, 16);
            c->state = c->left ? CHUNK : TRAILER;
        } else if (c->state == CHUNK_END) c->state = CHUNK_SIZE;
        else if (c->line_len <= 2) c->state = DONE;
        c->line_len = 0;
    }
}

/* One read; returns 1 when the answer is complete, -1 when the connection broke. */
static int receive(Conn *c) {
    char bytes[65536];
    ssize_t n = recv(c->fd, bytes, sizeof bytes, 0);
    if (n <= 0) return c->state == UNTIL_CLOSE && n == 0 ? 1 : -1;
    if (!c->first) c->first = now_ns();
    feed(c, bytes, (size_t)n);
    return c->state == DONE;
}

static int finish(Conn *c, int came, Times *first, Times *total) {
    int is_good = came > 0 && c->status == 200 && (!c->is_stream || c->saw_done);
    if (is_good) {
        note(first, c->first - c->sent);
        note(total, now_ns() - c->sent);
        good++;
    } else bad++;
    return is_good;
}

static void loop(Request r, int connections, double seconds, uint64_t limit) {
    Conn *conns = calloc((size_t)connections, sizeof *conns);
    int epoll = epoll_create1(0);
    uint64_t begin = now_ns(), end = begin + (uint64_t)(seconds * 1e9), started = 0;
    struct epoll_event ready[512];
    for (int i = 0; i < connections; i++) {
        if ((conns[i].fd = connect_to(r.port)) < 0) { bad++; continue; }
        struct epoll_event e = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
        epoll_ctl(epoll, EPOLL_CTL_ADD, conns[i].fd, &e);
        if (started++ < limit) send_request(&conns[i], &r);
    }
    while (now_ns() < end && good + bad < limit) {
        int n = epoll_wait(epoll, ready, 512, 100);
        for (int i = 0; i < n; i++) {
            Conn *c = &conns[ready[i].data.u32];
            int came = receive(c);
            if (!came) continue;
            int reopen = came < 0 || c->state == UNTIL_CLOSE;
            finish(c, came, &firsts, &totals);
            if (reopen) {
                close(c->fd);
                if (bad > 100 + good || (c->fd = connect_to(r.port)) < 0) continue;
                struct epoll_event e = {.events = EPOLLIN, .data.u32 = ready[i].data.u32};
                epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &e);
            }
            if (started < limit) { started++; send_request(c, &r); }
        }
        if (bad > 1000 + good) break;
    }
    printf("{\"requests\":%lu,\"errors\":%lu,\"seconds\":%.4f", good, bad, (double)(now_ns() - begin) / 1e9);
    print_times("first_us", &firsts);
    print_times("total_us", &totals);
    puts("}");
}

static void once(Conn *c, const Request *r, Times *first, Times *total) {
    if (c->fd <= 0 && (c->fd = connect_to(r->port)) < 0) { bad++; return; }
    send_request(c, r);
    int came = 0;
    while (!came) came = receive(c);
    finish(c, came, first, total);
    if (came < 0 || c->state == UNTIL_CLOSE) { close(c->fd); c->fd = -1; }
}

static void paired(Request target, Request base, int pairs) {
    static Conn c, b;
    Times warm = {0};
    for (int i = 0; i < pairs / 10 + 20; i++) { once(&b, &base, &warm, &warm); once(&c, &target, &warm, &warm); }
    good = bad = 0;
    uint64_t begin = now_ns();
    for (int i = 0; i < pairs && bad < 100; i++) {
        once(&b, &base, &base_firsts, &base_totals);
        once(&c, &target, &firsts, &totals);
    }
    printf("{\"requests\":%lu,\"errors\":%lu,\"seconds\":%.4f", good, bad, (double)(now_ns() - begin) / 1e9);
    print_times("first_us", &firsts);
    print_times("total_us", &totals);
    print_times("base_first_us", &base_firsts);
    print_times("base_total_us", &base_totals);
    puts("}");
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    if (argc == 7 && !strcmp(argv[1], "loop"))
        loop(read_request(argv[2], argv[3]), atoi(argv[4]), atof(argv[5]), strtoul(argv[6], NULL, 10));
    else if (argc == 7 && !strcmp(argv[1], "paired"))
        paired(read_request(argv[2], argv[3]), read_request(argv[4], argv[5]), atoi(argv[6]));
    else {
        fputs("usage: see the top of load.c\n", stderr);
        return 2;
    }
    return 0;
}
