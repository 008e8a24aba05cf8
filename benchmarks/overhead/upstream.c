/* The fake model behind every gateway: answers at once, or after a delay, or at a pace.
 *
 * upstream PORT:DELAY_US:PACE_US ...   one listener each, on 127.0.0.1 only.
 * A body that asks for a stream gets 35 events; any other gets one chat completion. A paced stream
 * waits PACE_US between two events; without a pace all events leave in one write. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define EVENTS 35
#define MAX_FD 8192
#define IN_LIMIT (4 << 20)

typedef struct {
    int is_listener, port, open, streams, next_event, waiting;
    uint64_t due;
    char *in;
    size_t in_len, in_cap;
    char *out;
    size_t out_len;
} Conn;

typedef struct { uint64_t delay_ns, pace_ns; } Port;

static Conn conns[MAX_FD];
static Port ports[16];
static int heap[MAX_FD], heap_len;
static int epoll, timer;
static char json_reply[2048], stream_head[512], stream_whole[32768], *events[EVENTS + 1];
static size_t json_len, head_len, whole_len, event_len[EVENTS + 1];

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

/* A heap of descriptors by due time. */
static void heap_push(int fd) {
    int i = heap_len++;
    while (i && conns[heap[(i - 1) / 2]].due > conns[fd].due) {
        heap[i] = heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    heap[i] = fd;
    conns[fd].waiting = 1;
}

static int heap_remove(int i) {
    int fd = heap[i], last = heap[--heap_len];
    conns[fd].waiting = 0;
    if (i == heap_len) return fd;
    while (i && conns[heap[(i - 1) / 2]].due > conns[last].due) {
        heap[i] = heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    for (;;) {
        int child = 2 * i + 1;
        if (child >= heap_len) break;
        if (child + 1 < heap_len && conns[heap[child + 1]].due < conns[heap[child]].due) child++;
        if (conns[heap[child]].due >= conns[last].due) break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = last;
    return fd;
}

static void set_timer(void) {
    struct itimerspec when = {0};
    if (heap_len) {
        uint64_t due = conns[heap[0]].due;
        when.it_value.tv_sec = (time_t)(due / 1000000000ull);
        when.it_value.tv_nsec = (long)(due % 1000000000ull);
    }
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static void drop(int fd) {
    Conn *c = &conns[fd];
    if (c->waiting)
        for (int i = 0; i < heap_len; i++)
            if (heap[i] == fd) { heap_remove(i); break; }
    free(c->in);
    free(c->out);
    memset(c, 0, sizeof *c);
    close(fd);
}

static void watch(int fd, int writing) {
    struct epoll_event e = {.events = EPOLLIN | (writing ? EPOLLOUT : 0u), .data.fd = fd};
    epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &e);
}

static void send_all(int fd, const char *bytes, size_t n) {
    Conn *c = &conns[fd];
    if (!c->out_len) {
        ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) return;
        if (sent > 0) { bytes += sent; n -= (size_t)sent; }
    }
    if (!n) return;
    c->out = realloc(c->out, c->out_len + n);
    memcpy(c->out + c->out_len, bytes, n);
    c->out_len += n;
    watch(fd, 1);
}

static void flush_out(int fd) {
    Conn *c = &conns[fd];
    ssize_t sent = send(fd, c->out, c->out_len, MSG_NOSIGNAL);
    if (sent <= 0) return;
    c->out_len -= (size_t)sent;
    memmove(c->out, c->out + sent, c->out_len);
    if (!c->out_len) watch(fd, 0);
}

static void step(int fd) {
    Conn *c = &conns[fd];
    uint64_t pace = ports[c->port].pace_ns;
    if (!c->streams) { send_all(fd, json_reply, json_len); return; }
    if (!pace) { send_all(fd, stream_whole, whole_len); return; }
    if (!c->next_event) send_all(fd, stream_head, head_len);
    send_all(fd, events[c->next_event], event_len[c->next_event]);
    if (c->next_event++ == EVENTS) return;
    c->due += pace;
    heap_push(fd);
}

static size_t body_end(const char *in, size_t len, size_t head) {
    char lower[8192];
    size_t n = head < sizeof lower - 1 ? head : sizeof lower - 1;
    for (size_t i = 0; i < n; i++) lower[i] = (char)tolower((unsigned char)in[i]);
    lower[n] = 0;
    if (strstr(lower, "transfer-encoding: chunked")) {
        char *last = memmem(in + head, len - head, "0\r\n\r\n", 5);
        return last ? (size_t)(last - in) + 5 : 0;
    }
    char *length = strstr(lower, "content-length:");
    size_t end = head + (length ? strtoul(length + 15, NULL, 10) : 0);
    return end <= len ? end : 0;
}

static void take(int fd) {
    Conn *c = &conns[fd];
    char *mark = memmem(c->in, c->in_len, "\r\n\r\n", 4);
    if (!mark) return;
    size_t head = (size_t)(mark - c->in) + 4, end = body_end(c->in, c->in_len, head);
    if (!end) return;
    c->streams = memmem(c->in + head, end - head, "\"stream\":true", 13) ||
                 memmem(c->in + head, end - head, "\"stream\": true", 14);
    c->in_len -= end;
    memmove(c->in, c->in + end, c->in_len);
    c->next_event = 0;
    if (!ports[c->port].delay_ns) { c->due = now_ns(); step(fd); return; }
    c->due = now_ns() + ports[c->port].delay_ns;
    heap_push(fd);
}

static void receive(int fd) {
    Conn *c = &conns[fd];
    for (;;) {
        if (c->in_cap - c->in_len < 4096) c->in = realloc(c->in, c->in_cap += 16384);
        ssize_t n = recv(fd, c->in + c->in_len, c->in_cap - c->in_len, 0);
        if (n < 0 && errno == EAGAIN) break;
        if (n <= 0 || c->in_len > IN_LIMIT) { drop(fd); return; }
        c->in_len += (size_t)n;
        if (c->in_len < c->in_cap) break;
    }
    take(fd);
}

static void welcome(int listener) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
        if (fd < 0) return;
        if (fd >= MAX_FD) { close(fd); continue; }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        conns[fd] = (Conn){.open = 1, .port = conns[listener].port};
        struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e);
    }
}

static size_t chunk(char *to, const char *payload) {
    return (size_t)sprintf(to, "%zx\r\ndata: %s\n\n\r\n", strlen(payload) + 8, payload);
}

static void prepare(void) {
    const char *id = "\"id\":\"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG\"";
    const char *print = "\"system_fingerprint\":\"fp_44709d6fcb\"";
    char body[1600], payload[1024];
    sprintf(body,
            "{%s,\"object\":\"chat.completion\",\"created\":1741570283,\"model\":\"fake-model\","
            "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"You can "
            "reset the password yourself: open the sign-in page, choose the link under the form, "
            "and follow the message that arrives within five minutes. If none arrives, look in the "
            "spam folder and then write to the desk again, and add your customer number.\",\"refusal\":null,\"annotations\":[]},"
            "\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":110,"
            "\"completion_tokens\":52,\"total_tokens\":162,\"prompt_tokens_details\":"
            "{\"cached_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":0}},"
            "\"service_tier\":\"default\",%s}", id, print);
    json_len = (size_t)sprintf(json_reply,
                               "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
                               "x-request-id: req_fake\r\ncontent-length: %zu\r\n\r\n%s",
                               strlen(body), body);
    head_len = (size_t)sprintf(stream_head,
                               "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8"
                               "\r\ncache-control: no-cache\r\nx-request-id: req_fake\r\n"
                               "transfer-encoding: chunked\r\n\r\n");
    memcpy(stream_whole, stream_head, whole_len = head_len);
    for (int i = 0; i <= EVENTS; i++) {
        char delta[64] = "{\"content\":\" answer\"}", text[512];
        if (i == 0) strcpy(delta, "{\"role\":\"assistant\",\"content\":\"\"}");
        if (i == EVENTS - 2) strcpy(delta, "{}");
        sprintf(text, "[{\"index\":0,\"delta\":%s,\"logprobs\":null,\"finish_reason\":%s}]", delta,
                i == EVENTS - 2 ? "\"stop\"" : "null");
        if (i == EVENTS - 1) strcpy(text, "[]");
        sprintf(payload,
                "{%s,\"object\":\"chat.completion.chunk\",\"created\":1741570283,"
                "\"model\":\"fake-model\",%s,\"choices\":%s%s}", id, print, text,
                i == EVENTS - 1 ? ",\"usage\":{\"prompt_tokens\":110,\"completion_tokens\":32,"
                                  "\"total_tokens\":142}" : "");
        if (i == EVENTS) strcpy(payload, "[DONE]");
        events[i] = malloc(1200);
        event_len[i] = chunk(events[i], payload);
        if (i == EVENTS) event_len[i] += (size_t)sprintf(events[i] + event_len[i], "0\r\n\r\n");
        memcpy(stream_whole + whole_len, events[i], event_len[i]);
        whole_len += event_len[i];
    }
}

static int listen_on(const char *words, int index) {
    int port = 0, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    unsigned long delay = 0, pace = 0;
    sscanf(words, "%d:%lu:%lu", &port, &delay, &pace);
    ports[index] = (Port){delay * 1000ull, pace * 1000ull};
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&where, sizeof where) || listen(fd, 1024)) {
        perror("listen");
        exit(1);
    }
    conns[fd] = (Conn){.is_listener = 1, .port = index};
    struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e);
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    prepare();
    epoll = epoll_create1(EPOLL_CLOEXEC);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event e = {.events = EPOLLIN, .data.fd = timer}, ready[256];
    epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &e);
    for (int i = 1; i < argc && i <= 16; i++) listen_on(argv[i], i - 1);
    puts("ready");
    fflush(stdout);
    for (;;) {
        set_timer();
        int n = epoll_wait(epoll, ready, 256, -1);
        for (int i = 0; i < n; i++) {
            int fd = ready[i].data.fd;
            if (fd == timer) {
                uint64_t ticks;
                if (read(timer, &ticks, sizeof ticks) < 0) continue;
            } else if (conns[fd].is_listener) {
                welcome(fd);
            } else if (conns[fd].open) {
                if ((ready[i].events & EPOLLOUT) && conns[fd].out_len) flush_out(fd);
                if (ready[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(fd);
            }
        }
        uint64_t now = now_ns();
        while (heap_len && conns[heap[0]].due <= now) step(heap_remove(0));
    }
}
