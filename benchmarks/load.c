/* A closed-loop load generator for the API's POST routes: one thread, epoll, keep-alive.
 *
 *   load -u HOST:PORT -p PATH -k KEY -b BODY [-c CONNECTIONS] [-d SECONDS] [-n REQUESTS] [-l LEAK] [-e FILE]
 *
 * Each connection sends its next request as soon as its answer is complete. Prints one JSON object: counts, times
 * in microseconds (whole answer, first event of a stream, age of each chunk by the "@" stamp of the upstream), and
 * what is wrong with the answers: a status other than 200, transport errors, streams without [DONE], broken frames,
 * and LEAK seen in a header or a body. Without FILE the answers have to be chat completions, whole or streamed; with
 * it every body has to be what is in the file, byte by byte.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

typedef struct {
    unsigned *values;
    long count, capacity;
} samples;

enum part { HEAD, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER, SIZED, UNTIL_CLOSE };

typedef struct {
    int fd, busy;
    enum part part;
    char head[16384];
    int head_len, status, is_stream;
    long long left;              /* bytes of the body, or of the chunk, that are still to come */
    char *line;                  /* the body's line so far */
    int line_len, line_cap;
    int events, done;            /* of the stream at hand */
    long taken, wrong;           /* bytes of the body so far, and whether they are not those of FILE */
    long long started;
} connection;

static samples latency, first_event, age;
static long ok, bad_status, transport_errors, truncated, broken, leaks, events, chunks, sent, live, most_live;
static char complaint[300];
static const char *leak = "bench-raw";
static char *request;
static char *expected;
static long expected_len;
static int request_len, poller;
static struct sockaddr_in address;

static long long now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static void add(samples *s, long long value)
{
    if (s->count == s->capacity) {
        s->capacity = s->capacity ? 2 * s->capacity : 65536;
        s->values = realloc(s->values, s->capacity * sizeof *s->values);
    }
    s->values[s->count++] = value < 0 ? 0 : value;
}

static int by_value(const void *a, const void *b)
{
    unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
    return x < y ? -1 : x > y;
}

static void print_samples(const char *name, samples *s)
{
    qsort(s->values, s->count, sizeof *s->values, by_value);
    printf(",\"%s\":{\"count\":%ld", name, s->count);
    const struct { const char *name; double at; } quantiles[] = {{"p50", .5}, {"p99", .99}, {"max", 1}};
    for (int i = 0; i < 3; i++)
        printf(",\"%s\":%u", quantiles[i].name, s->count ? s->values[(long)((s->count - 1) * quantiles[i].at)] : 0);
    printf("}");
}

/* Keeps the first thing that was wrong, in a form that fits into a JSON string. */
static void complain(const char *what, const char *text)
{
    if (*complaint)
        return;
    snprintf(complaint, sizeof complaint, "%s: %s", what, text);
    for (char *p = complaint; *p; p++)
        if (*p == '"' || *p == '\\' || (unsigned char)*p < 32 || (unsigned char)*p > 126)
            *p = '\'';
}

static int connect_it(connection *c)
{
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(c->fd, (void *)&address, sizeof address)) {
        close(c->fd);
        c->fd = -1;
        return -1;
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &(struct epoll_event){.events = EPOLLIN, .data.ptr = c});
}

static int send_next(connection *c)
{
    if (c->fd < 0 && connect_it(c))
        return -1;
    c->busy = 1;
    c->part = HEAD;
    c->head_len = c->line_len = c->events = c->done = c->taken = c->wrong = 0;
    c->started = now_us();
    sent++;
    if (send(c->fd, request, request_len, MSG_NOSIGNAL) == request_len)
        return 0;
    close(c->fd);
    return connect_it(c) || send(c->fd, request, request_len, MSG_NOSIGNAL) != request_len ? -1 : 0;
}

/* One event of a stream: counts it, times it, and looks whether it is whole. */
static void take_event(connection *c, const char *data, int len)
{
    long long now = now_us();
    events++;
    if (!c->events++) {
        add(&first_event, now - c->started);
        if (++live > most_live)
            most_live = live;
    }
    if (!strcmp(data, "[DONE]")) {
        c->done = 1;
        return;
    }
    if (c->done || data[0] != '{' || data[len - 1] != '}' || strstr(data, "\"error\"")) {
        broken++;
        complain("broken event", data);
    }
    const char *stamp = strchr(data, '@');
    if (stamp && strspn(stamp + 1, "0123456789") == 16) {
        chunks++;
        add(&age, now - atoll(stamp + 1));
    }
}

static void take_line(connection *c)
{
    c->line[c->line_len] = 0;
    if (strcasestr(c->line, leak)) {
        leaks++;
        complain("leak", c->line);
    }
    if (c->status != 200)
        complain("status", c->line);
    else if (c->is_stream && !strncmp(c->line, "data: ", 6))
        take_event(c, c->line + 6, c->line_len - 6);
    else if (c->is_stream && c->line_len && c->line[0] != ':') {
        broken++;
        complain("broken line", c->line);
    } else if (!c->is_stream && !strstr(c->line, "\"object\":\"chat.completion\"")) {
        broken++;
        complain("not a completion", c->line);
    }
    c->line_len = 0;
}

static void take_body(connection *c, const char *data, int len)
{
    if (expected && c->status == 200) {
        if (c->taken + len > expected_len || memcmp(expected + c->taken, data, len))
            c->wrong = 1;
        c->taken += len;
        return;
    }
    for (int i = 0; i < len; i++) {
        if (c->line_len + 2 > c->line_cap) {
            c->line_cap = c->line_cap ? 2 * c->line_cap : 4096;
            c->line = realloc(c->line, c->line_cap);
        }
        if (data[i] == '\n')
            take_line(c);
        else if (data[i] != '\r')
            c->line[c->line_len++] = data[i];
    }
}

/* The answer is over: complete, or cut off. */
static void finish(connection *c, int complete)
{
    if (c->line_len)
        take_line(c);
    if (c->events)
        live--;
    c->busy = 0;
    if (!complete)
        transport_errors++;
    else if (c->status != 200)
        bad_status++;
    else if (c->is_stream && !c->done)
        truncated++;
    else if (expected && (c->wrong || c->taken != expected_len)) {
        broken++;
        complain("another body", c->head);
    } else
        ok++;
    add(&latency, now_us() - c->started);
}

static void read_head(connection *c)
{
    char *length = strcasestr(c->head, "\r\ncontent-length:");
    c->status = atoi(c->head + 9);
    c->is_stream = strcasestr(c->head, "\r\ncontent-type: text/event-stream") != 0;
    c->left = 0;
    if (strcasestr(c->head, "\r\ntransfer-encoding: chunked"))
        c->part = CHUNK_SIZE;
    else if (length) {
        c->part = SIZED;
        c->left = atoll(length + 17);
    } else
        c->part = UNTIL_CLOSE;
    if (strcasestr(c->head, leak)) {
        leaks++;
        complain("leak in a header", c->head);
    }
}

/* Takes what was received; 1 when the answer is complete. */
static int feed(connection *c, const char *data, int len)
{
    while (len > 0 || (c->part == SIZED && !c->left)) {
        int take = c->left < len ? (int)c->left : len;
        switch (c->part) {
        case HEAD:
            if (c->head_len + 1 >= (int)sizeof c->head)
                return 1;
            c->head[c->head_len++] = *data++;
            c->head[c->head_len] = 0;
            len--;
            if (c->head_len >= 4 && !memcmp(c->head + c->head_len - 4, "\r\n\r\n", 4))
                read_head(c);
            break;
        case CHUNK_SIZE:
            if (*data == '\n')
                c->part = c->left ? CHUNK_DATA : TRAILER;
            else if (*data != '\r')
                c->left = c->left * 16 + (*data <= '9' ? *data - '0' : (*data | 32) - 'a' + 10);
            data++, len--;
            break;
        case CHUNK_DATA:
            take_body(c, data, take);
            data += take, len -= take, c->left -= take;
            if (!c->left)
                c->part = CHUNK_END;
            break;
        case CHUNK_END:
            if (*data == '\n')
                c->part = CHUNK_SIZE;
            data++, len--;
            break;
        case TRAILER:
            if (*data == '\n')
                return 1;
            data++, len--;
            break;
        case SIZED:
            take_body(c, data, take);
            data += take, len -= take, c->left -= take;
            if (!c->left)
                return 1;
            break;
        case UNTIL_CLOSE:
            take_body(c, data, len);
            return 0;
        }
    }
    return 0;
}

/* Reads what there is; 1 when an answer ended with it. */
static int readable(connection *c)
{
    static char buffer[262144];
    ssize_t n = recv(c->fd, buffer, sizeof buffer, 0);
    if (n <= 0) {
        close(c->fd);
        c->fd = -1;
        if (!c->busy)
            return 0;
        finish(c, c->part == UNTIL_CLOSE);
        return 1;
    }
    if (!c->busy || !feed(c, buffer, n))
        return 0;
    finish(c, 1);
    if (strcasestr(c->head, "\r\nconnection: close")) {
        close(c->fd);
        c->fd = -1;
    }
    return 1;
}

static void expect(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) || (expected_len = ftell(file)) < 0)
        perror(path), exit(2);
    rewind(file);
    expected = malloc(expected_len + 1);
    if (fread(expected, 1, expected_len, file) != (size_t)expected_len)
        perror(path), exit(2);
    fclose(file);
}

int main(int argc, char **argv)
{
    const char *where = "127.0.0.1:8000", *path = "/v1/chat/completions", *key = "none", *body = "{}";
    int connections = 1, option;
    double seconds = 5;
    long most = 1L << 60;
    while ((option = getopt(argc, argv, "u:p:k:b:c:d:n:l:e:")) > 0)
        switch (option) {
        case 'u': where = optarg; break;
        case 'p': path = optarg; break;
        case 'k': key = optarg; break;
        case 'b': body = optarg; break;
        case 'c': connections = atoi(optarg); break;
        case 'd': seconds = atof(optarg); break;
        case 'n': most = atol(optarg); break;
        case 'l': leak = optarg; break;
        case 'e': expect(optarg); break;
        default: return 2;
        }
    signal(SIGPIPE, SIG_IGN);
    char host[64] = "";
    strncpy(host, where, sizeof host - 1);
    char *port = strchr(host, ':');
    if (!port)
        return 2;
    *port = 0;
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(port + 1))};
    inet_aton(host, &address.sin_addr);
    request_len = asprintf(&request,
        "POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"
        "Accept: application/json\r\nUser-Agent: benchmark\r\nContent-Length: %zu\r\n\r\n%s",
        path, where, key, strlen(body), body);
    poller = epoll_create1(0);
    connection *all = calloc(connections, sizeof *all);
    long long start = now_us(), end = start + (long long)(seconds * 1e6), give_up = end + 60000000;
    int busy = 0;
    for (int i = 0; i < connections && sent < most; i++) {
        all[i].fd = -1;
        if (send_next(all + i))
            transport_errors++;
        else
            busy++;
    }
    struct epoll_event ready[256];
    while (busy && now_us() < give_up) {
        int n = epoll_wait(poller, ready, 256, 1000);
        for (int i = 0; i < n; i++) {
            connection *c = ready[i].data.ptr;
            if (!readable(c))
                continue;
            if (now_us() >= end || sent >= most || transport_errors > 1000)
                busy--;
            else if (send_next(c)) {
                transport_errors++;
                busy--;
            }
        }
    }
    transport_errors += busy;
    double took = (now_us() - start) / 1e6;
    printf("{\"ok\":%ld,\"bad_status\":%ld,\"transport_errors\":%ld,\"truncated\":%ld,\"broken\":%ld,\"leaks\":%ld,"
        "\"seconds\":%.3f,\"rate\":%.1f,\"events\":%ld,\"chunks\":%ld,\"most_live\":%ld,\"complaint\":\"%s\"",
        ok, bad_status, transport_errors, truncated, broken, leaks, took, ok / took, events, chunks, most_live,
        complaint);
    print_samples("latency", &latency);
    print_samples("first_event", &first_event);
    print_samples("age", &age);
    printf("}\n");
}
