/* A provider that costs almost nothing: one thread, epoll, HTTP/1.1 with keep-alive, ready-made answers.
 *
 *   upstream PORT
 *
 * A POST to /embeddings gets a vector of "dimensions" numbers (1536) for each text of "input", a POST to /audio/speech a KiB of
 * sound for each character of "input", and every other one a chat completion. Ordinary fields of the request steer
 * the answer, so that any gateway passes them on: "encoding_format" as everywhere, "seed" is the delay in
 * milliseconds (before a whole chat, or before each chunk of a stream), and "max_tokens" is the number of chunks of
 * a stream. Each chunk's text carries "@" and the 16 digits of the
 * monotonic clock in microseconds at which it was sent: the load generator reads from it how long it travelled.
 * Whatever a client must not see (model, id, fingerprint, request id) contains "bench-raw".
 *
 * GET /stats tells {"accepted", "requests", "open", "streams", "peak_streams"}.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONNECTIONS 8192
#define MAX_READY 64
#define MAX_DIMENSIONS 4096

/* A whole answer, head and body, made once: what it is ('c' chat, 'f' and 'b' vectors, 's' sound) and how much. */
typedef struct {
    char what;
    int count, dimensions;
    char *data;
    size_t len;
} answer;

enum kind { IDLE, WHOLE, STREAM };

typedef struct connection {
    int fd;
    char *in;              /* what was received and not yet handled */
    size_t in_len, in_cap;
    enum kind kind;        /* what is being answered */
    const answer *whole;
    int total, sent;       /* chunks of the stream */
    int delay_ms;
    int with_usage;
    long long due;         /* when the next write is due, in microseconds */
    int heap_at;           /* position in the heap of timers, -1 for none */
    int dead;              /* closed, to be freed at the end of the round */
} connection;

static long accepted, requests, open_connections, streams, peak_streams;
static int poller;
static connection *heap[MAX_CONNECTIONS];
static int heap_len;
static connection *graveyard[MAX_CONNECTIONS];
static int graves;

static answer ready[MAX_READY];
static int ready_count;
static const char STREAM_HEAD[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nx-request-id: bench-raw-request\r\n"
    "Transfer-Encoding: chunked\r\n\r\n";
#define CHUNK_HEAD \
    "{\"id\":\"chatcmpl-bench-raw-000001\",\"object\":\"chat.completion.chunk\",\"created\":1790000000," \
    "\"model\":\"bench-raw-model\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_bench-raw\","

static long long now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

/* --- timers: a binary heap on `due` --- */

static void heap_put(connection *c, int at)
{
    heap[at] = c;
    c->heap_at = at;
}

static void heap_sift(int at)
{
    connection *c = heap[at];
    while (at > 0 && heap[(at - 1) / 2]->due > c->due) {
        heap_put(heap[(at - 1) / 2], at);
        at = (at - 1) / 2;
    }
    for (int child; (child = 2 * at + 1) < heap_len; at = child) {
        if (child + 1 < heap_len && heap[child + 1]->due < heap[child]->due)
            child++;
        if (heap[child]->due >= c->due)
            break;
        heap_put(heap[child], at);
    }
    heap_put(c, at);
}

static void timer_set(connection *c, int milliseconds)
{
    c->due = now_us() + milliseconds * 1000LL;
    if (c->heap_at < 0)
        heap_put(c, heap_len++);
    heap_sift(c->heap_at);
}

static void timer_clear(connection *c)
{
    int at = c->heap_at;
    if (at < 0)
        return;
    c->heap_at = -1;
    if (at != --heap_len) {
        heap_put(heap[heap_len], at);
        heap_sift(at);
    }
}

/* --- connections --- */

static void drop(connection *c)
{
    if (c->dead)
        return;
    c->dead = 1;
    timer_clear(c);
    if (c->kind == STREAM)
        streams--;
    close(c->fd);
    open_connections--;
    graveyard[graves++] = c;
}

static int write_all(connection *c, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno != EAGAIN)
                return -1;
            poll(&(struct pollfd){.fd = c->fd, .events = POLLOUT}, 1, 1000);
            continue;
        }
        data += n;
        len -= n;
    }
    return 0;
}

/* --- answers --- */

static size_t put_chat(char *body)
{
    size_t n = sprintf(body,
        "{\"id\":\"chatcmpl-bench-raw-000001\",\"object\":\"chat.completion\",\"created\":1790000000,"
        "\"model\":\"bench-raw-model\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
        "\"content\":\"");
    for (int i = 0; i < 60; i++)
        n += sprintf(body + n, "word%02d ", i);
    return n + sprintf(body + n,
        "\",\"refusal\":null,\"annotations\":[]},\"logprobs\":null,\"finish_reason\":\"stop\"}],"
        "\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":60,\"total_tokens\":72,"
        "\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},"
        "\"completion_tokens_details\":{\"reasoning_tokens\":0,\"audio_tokens\":0}},"
        "\"service_tier\":\"default\",\"system_fingerprint\":\"fp_bench-raw\"}");
}

static unsigned scattered(unsigned at)
{
    at *= 2654435761u;
    return at ^ at >> 15;
}

static size_t put_base64(char *out, const unsigned char *data, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = 0;
    for (size_t i = 0; i < len; i += 3) {
        unsigned bits = data[i] << 16 | (i + 1 < len ? data[i + 1] << 8 : 0) | (i + 2 < len ? data[i + 2] : 0);
        out[n++] = digits[bits >> 18];
        out[n++] = digits[bits >> 12 & 63];
        out[n++] = i + 1 < len ? digits[bits >> 6 & 63] : '=';
        out[n++] = i + 2 < len ? digits[bits & 63] : '=';
    }
    return n;
}

/* Vectors of small numbers with as many digits as those of a real model. */
static size_t put_embeddings(char *body, int count, int dimensions, int as_base64)
{
    static float vector[MAX_DIMENSIONS];
    size_t n = sprintf(body, "{\"object\":\"list\",\"data\":[");
    for (int i = 0; i < count; i++) {
        n += sprintf(body + n, "%s{\"object\":\"embedding\",\"index\":%d,\"embedding\":", i ? "," : "", i);
        for (int j = 0; j < dimensions; j++)
            vector[j] = (scattered(i * dimensions + j) / 4294967296.0 - .5) / 8;
        if (as_base64) {
            body[n++] = '"';
            n += put_base64(body + n, (unsigned char *)vector, dimensions * sizeof *vector);
            body[n++] = '"';
        } else {
            for (int j = 0; j < dimensions; j++)
                n += sprintf(body + n, "%c%.17g", j ? ',' : '[', vector[j]);
            body[n++] = ']';
        }
        body[n++] = '}';
    }
    return n + sprintf(body + n,
        "],\"model\":\"bench-raw-model\",\"usage\":{\"prompt_tokens\":%d,\"total_tokens\":%d}}", 8 * count, 8 * count);
}

static size_t put_sound(char *out, int kib)
{
    size_t n = 0;
    for (int left = kib; left > 0; left -= 16) {
        int take = (left < 16 ? left : 16) * 1024;
        n += sprintf(out + n, "%x\r\n", take);
        for (int i = 0; i < take; i++)
            out[n++] = scattered(left * 1024 + i) >> 24;
        n += sprintf(out + n, "\r\n");
    }
    return n + sprintf(out + n, "0\r\n\r\n");
}

/* The answer of this kind and size, made when it is first asked for. */
static const answer *get_ready(char what, int count, int dimensions)
{
    for (int i = 0; i < ready_count; i++)
        if (ready[i].what == what && ready[i].count == count && ready[i].dimensions == dimensions)
            return ready + i;
    if (ready_count == MAX_READY || dimensions > MAX_DIMENSIONS)
        exit(1);
    answer *made = ready + ready_count++;
    char *body = malloc(8192 + (size_t)count * (what == 's' ? 1100 : 40 * dimensions + 100));
    char length[64] = "Transfer-Encoding: chunked";
    size_t n = what == 'c' ? put_chat(body) : what == 's' ? put_sound(body, count)
        : put_embeddings(body, count, dimensions, what == 'b');
    if (what != 's')
        sprintf(length, "Content-Length: %zu", n);
    *made = (answer){.what = what, .count = count, .dimensions = dimensions, .data = malloc(n + 256)};
    made->len = sprintf(made->data,
        "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nx-request-id: bench-raw-request\r\n%s\r\n\r\n",
        what == 's' ? "audio/mpeg" : "application/json", length);
    memcpy(made->data + made->len, body, n);
    made->len += n;
    free(body);
    return made;
}

static int put_event(char *out, const char *data)
{
    return sprintf(out, "%zx\r\ndata: %s\n\n\r\n", strlen(data) + 8, data);
}

/* Writes the stream's next event, or its end, to `out`; returns the length. */
static int next_event(connection *c, char *out)
{
    char data[512];
    if (c->sent < c->total) {
        sprintf(data, CHUNK_HEAD "\"choices\":[{\"index\":0,\"delta\":{%s\"content\":\"tok%04d@%016lld \"},"
            "\"logprobs\":null,\"finish_reason\":null}]}",
            c->sent ? "" : "\"role\":\"assistant\",", c->sent, now_us());
        c->sent++;
        return put_event(out, data);
    }
    int n = put_event(out, CHUNK_HEAD
        "\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}]}");
    if (c->with_usage) {
        sprintf(data, CHUNK_HEAD "\"choices\":[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":%d,"
            "\"total_tokens\":%d}}", c->total, c->total + 12);
        n += put_event(out + n, data);
    }
    n += sprintf(out + n, "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
    c->sent = c->total + 1;
    return n;
}

static int finish_stream(connection *c)
{
    c->kind = IDLE;
    streams--;
    return 0;
}

/* What is due on a connection: the whole answer, or one event. -1 when the peer is gone. */
static int step(connection *c)
{
    char out[4096];
    if (c->kind == WHOLE) {
        c->kind = IDLE;
        return write_all(c, c->whole->data, c->whole->len);
    }
    if (write_all(c, out, next_event(c, out)) < 0)
        return -1;
    if (c->sent > c->total)
        return finish_stream(c);
    timer_set(c, c->delay_ms);
    return 0;
}

/* A stream without delays: everything in one write. */
static int burst(connection *c)
{
    char *all = malloc(sizeof STREAM_HEAD + (c->total + 4) * 512UL);
    size_t n = sizeof STREAM_HEAD - 1;
    memcpy(all, STREAM_HEAD, n);
    while (c->sent <= c->total)
        n += next_event(c, all + n);
    int result = write_all(c, all, n);
    free(all);
    finish_stream(c);
    return result;
}

static int stats(connection *c)
{
    char body[256], out[512];
    int n = sprintf(body, "{\"accepted\":%ld,\"requests\":%ld,\"open\":%ld,\"streams\":%ld,\"peak_streams\":%ld}",
        accepted, requests, open_connections, streams, peak_streams);
    return write_all(c, out, sprintf(out,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", n, body));
}

static int number(const char *body, const char *name, int otherwise)
{
    const char *at = strstr(body, name);
    if (!at)
        return otherwise;
    at += strlen(name);
    at += strspn(at, " :");
    return *at >= '0' && *at <= '9' ? atoi(at) : otherwise;
}

static int is_true(const char *body, const char *name)
{
    const char *at = strstr(body, name);
    return at && !strncmp(at + strlen(name) + strspn(at + strlen(name), " :"), "true", 4);
}

/* How many characters a text has, or how many texts a list: they hold no quotes. */
static int size_of(const char *body, const char *name)
{
    const char *at = strstr(body, name);
    if (!at)
        return 1;
    at += strlen(name);
    at += strspn(at, " :");
    int is_list = *at == '[', quotes = 0;
    const char *end = is_list ? strchr(at, ']') : strchr(at + 1, '"');
    if (!end)
        return 1;
    if (!is_list)
        return end - at - 1;
    while (at < end)
        quotes += *at++ == '"';
    return quotes / 2;
}

/* Whether a request, which begins with its method and path, is for this route. */
static int is_for(const char *request, const char *route)
{
    const char *end = strchr(request + 5, ' ');
    size_t n = strlen(route);
    return end && end - request > (long)n && !strncmp(end - n, route, n);
}

static int begin_answer(connection *c, const char *body)
{
    requests++;
    c->kind = WHOLE;
    if (is_for(c->in, "/audio/speech")) {
        c->whole = get_ready('s', size_of(body, "\"input\""), 0);
        return step(c);
    }
    if (is_for(c->in, "/embeddings")) {
        int count = strstr(body, "\"input\":[") ? size_of(body, "\"input\"") : 1;
        char what = strstr(body, "\"base64\"") ? 'b' : 'f';
        c->whole = get_ready(what, count, number(body, "\"dimensions\"", 1536));
        return step(c);
    }
    c->whole = get_ready('c', 0, 0);
    c->with_usage = is_true(body, "\"include_usage\"");
    c->delay_ms = number(body, "\"seed\"", 0);
    if (!is_true(body, "\"stream\"")) {
        if (!c->delay_ms)
            return step(c);
        timer_set(c, c->delay_ms);
        return 0;
    }
    c->kind = STREAM;
    c->sent = 0;
    c->total = number(body, "\"max_tokens\"", 50);
    if (++streams > peak_streams)
        peak_streams = streams;
    if (!c->delay_ms)
        return burst(c);
    timer_set(c, c->delay_ms);
    return write_all(c, STREAM_HEAD, sizeof STREAM_HEAD - 1);
}

/* --- requests --- */

/* Handles one complete request of the buffer: 1 when there was one, 0 when there is not, -1 when it is over. */
static int handle(connection *c)
{
    c->in[c->in_len] = 0;
    char *end = strstr(c->in, "\r\n\r\n");
    if (!end)
        return 0;
    size_t head = end - c->in + 4, total = head;
    end[2] = 0;
    char *length = strcasestr(c->in, "\r\ncontent-length:");
    char *chunked = strcasestr(c->in, "\r\ntransfer-encoding: chunked");
    if (length)
        total += atol(length + 17);
    end[2] = '\r';
    if (chunked) {
        char *last = memmem(c->in + head, c->in_len - head, "\r\n0\r\n\r\n", 7);
        if (!last)
            return 0;
        total = last - c->in + 7;
    }
    if (c->in_len < total)
        return 0;
    char kept = c->in[total];
    c->in[total] = 0;
    int result = strncmp(c->in, "GET", 3) ? begin_answer(c, c->in + head) : stats(c);
    c->in[total] = kept;
    c->in_len -= total;
    memmove(c->in, c->in + total, c->in_len);
    return result < 0 ? -1 : 1;
}

static void readable(connection *c)
{
    if (c->in_len == c->in_cap) {
        c->in_cap *= 2;
        c->in = realloc(c->in, c->in_cap + 1);
    }
    ssize_t n = recv(c->fd, c->in + c->in_len, c->in_cap - c->in_len, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        drop(c);
        return;
    }
    if (n > 0)
        c->in_len += n;
    int result = 1;
    while (c->kind == IDLE && result == 1)
        result = handle(c);
    if (result < 0)
        drop(c);
}

static void accept_all(int listener)
{
    int fd, one = 1;
    while (open_connections < MAX_CONNECTIONS && (fd = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        connection *c = calloc(1, sizeof *c);
        c->fd = fd;
        c->heap_at = -1;
        c->in_cap = 8192;
        c->in = malloc(c->in_cap + 1);
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.ptr = c});
        accepted++;
        open_connections++;
    }
}

static void run_timers(void)
{
    long long now = now_us();
    while (heap_len && heap[0]->due <= now) {
        connection *c = heap[0];
        timer_clear(c);
        int result = step(c);
        while (result >= 0 && c->kind == IDLE && c->in_len && (result = handle(c)) == 1) {}
        if (result < 0)
            drop(c);
    }
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return fprintf(stderr, "usage: upstream PORT\n"), 2;
    signal(SIGPIPE, SIG_IGN);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(listener, (void *)&address, sizeof address) || listen(listener, 4096))
        return perror("upstream"), 1;
    poller = epoll_create1(0);
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &(struct epoll_event){.events = EPOLLIN, .data.ptr = 0});
    struct epoll_event events[256];
    for (;;) {
        long long wait = heap_len ? (heap[0]->due - now_us() + 999) / 1000 : -1;
        int n = epoll_wait(poller, events, 256, heap_len && wait < 0 ? 0 : (int)wait);
        run_timers();
        for (int i = 0; i < n; i++) {
            connection *c = events[i].data.ptr;
            if (!c)
                accept_all(listener);
            else if (!c->dead)
                readable(c);
        }
        while (graves) {
            connection *c = graveyard[--graves];
            free(c->in);
            free(c);
        }
    }
}
