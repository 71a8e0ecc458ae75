/*
 * Publishes QoS 1 over raw MQTT 3.1.1 and measures PUBACKs: one thread, epoll, little CPU, so that the broker is what is
 * measured. Arguments: port clients window payload_bytes messages rate [site]. `messages` over all clients; `rate` in messages per
 * second over all clients, 0: as fast as the windows allow. Prints one line of JSON.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define OUT_BYTES (1 << 20)
#define IDS 65536

struct client {
  int fd, connected, in_flight, want_write;
  unsigned next_id;
  long sequence;
  unsigned char *out;
  size_t out_length;
  unsigned char in[4];
  int in_length;
  double *sent_at;
};

static int clients, window, payload_bytes;
static long messages, sent, acked;
static double rate, *latencies;
static const char *site = "plant";
static struct client *all;
static int poll_fd;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void put(struct client *c, const void *bytes, size_t length) {
  if (c->out_length + length > OUT_BYTES) {
    fprintf(stderr, "out of room\n");
    exit(1);
  }
  memcpy(c->out + c->out_length, bytes, length);
  c->out_length += length;
}

static void flush_out(struct client *c) {
  size_t done = 0;
  while (done < c->out_length) {
    ssize_t n = write(c->fd, c->out + done, c->out_length - done);
    if (n < 0) {
      if (errno == EAGAIN) break;
      fail("write");
    }
    done += n;
  }
  memmove(c->out, c->out + done, c->out_length - done);
  c->out_length -= done;
  int want = c->out_length > 0;
  if (want != c->want_write) {
    c->want_write = want;
    struct epoll_event event = {.events = EPOLLIN | (want ? EPOLLOUT : 0), .data.u32 = c - all};
    epoll_ctl(poll_fd, EPOLL_CTL_MOD, c->fd, &event);
  }
}

static void publish(struct client *c, double at) {
  int index = c - all;
  unsigned char packet[2048];
  char topic[64], payload[1024];
  int topic_length = snprintf(topic, sizeof topic, "%s/line-%d/pump-%d/state", site, index % 4, index);
  int length = snprintf(payload, sizeof payload, "{\"ts\":%ld,\"seq\":%ld,\"flow\":%ld.%02ld,\"temp\":%ld.%ld,\"ok\":true,\"note\":\"",
                        1700000000000L + c->sequence * 20, c->sequence, c->sequence * 7919 % 100, c->sequence * 104729 % 100,
                        20 + c->sequence * 31 % 60, c->sequence % 10);
  while (length < payload_bytes - 2) payload[length] = 'a' + (c->sequence * 31 + length * 17) % 26, length++;
  payload[length++] = '"';
  payload[length++] = '}';
  int remaining = 2 + topic_length + 2 + length, at_byte = 0;
  packet[at_byte++] = 0x32;
  for (int rest = remaining;;) {
    int digit = rest % 128;
    rest /= 128;
    packet[at_byte++] = digit | (rest ? 0x80 : 0);
    if (!rest) break;
  }
  packet[at_byte++] = topic_length >> 8;
  packet[at_byte++] = topic_length;
  memcpy(packet + at_byte, topic, topic_length);
  at_byte += topic_length;
  c->next_id = c->next_id % 65535 + 1;
  packet[at_byte++] = c->next_id >> 8;
  packet[at_byte++] = c->next_id;
  memcpy(packet + at_byte, payload, length);
  put(c, packet, at_byte + length);
  c->sent_at[c->next_id] = at;
  c->sequence++;
  c->in_flight++;
  sent++;
}

static void fill(struct client *c) {
  if (!c->connected || rate > 0) return;
  double at = now();
  while (c->in_flight < window && sent < messages) publish(c, at);
  flush_out(c);
}

static void read_in(struct client *c) {
  unsigned char bytes[65536];
  for (;;) {
    ssize_t n = read(c->fd, bytes, sizeof bytes);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
      fprintf(stderr, "the broker ended a connection\n");
      exit(1);
    }
    double at = now();
    for (ssize_t i = 0; i < n; i++) {
      c->in[c->in_length++] = bytes[i];
      if (c->in_length < 4) continue;
      c->in_length = 0;
      if (c->in[0] == 0x20) {
        if (c->in[3] != 0) {
          fprintf(stderr, "refused with return code %d\n", c->in[3]);
          exit(1);
        }
        c->connected = 1;
      } else if (c->in[0] == 0x40) {
        latencies[acked++] = at - c->sent_at[c->in[2] << 8 | c->in[3]];
        c->in_flight--;
      } else {
        fprintf(stderr, "unexpected packet %02x\n", c->in[0]);
        exit(1);
      }
    }
  }
}

static void open_client(struct client *c, int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  c->fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(c->fd, (struct sockaddr *)&address, sizeof address)) fail("connect");
  int one = 1;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  fcntl(c->fd, F_SETFL, O_NONBLOCK);
  c->out = malloc(OUT_BYTES);
  c->sent_at = calloc(IDS, sizeof(double));
  char id[32];
  int length = snprintf(id, sizeof id, "load-%d", (int)(c - all));
  unsigned char head[] = {0x10, 12 + length, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, length};
  put(c, head, sizeof head);
  put(c, id, length);
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = c - all};
  epoll_ctl(poll_fd, EPOLL_CTL_ADD, c->fd, &event);
  flush_out(c);
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void wait_events(int timeout_ms) {
  struct epoll_event events[256];
  int n = epoll_wait(poll_fd, events, 256, timeout_ms);
  for (int i = 0; i < n; i++) {
    struct client *c = &all[events[i].data.u32];
    if (events[i].events & EPOLLIN) read_in(c);
    if (events[i].events & EPOLLOUT) flush_out(c);
    fill(c);
  }
}

int main(int argc, char **argv) {
  if (argc != 7 && argc != 8) {
    fprintf(stderr, "mqtt-load port clients window payload_bytes messages rate [site]\n");
    return 2;
  }
  clients = atoi(argv[2]), window = atoi(argv[3]), payload_bytes = atoi(argv[4]), messages = atol(argv[5]), rate = atof(argv[6]);
  if (argc == 8) site = argv[7];
  latencies = malloc(messages * sizeof(double));
  all = calloc(clients, sizeof *all);
  poll_fd = epoll_create1(0);
  double paced = rate;
  long total = messages;
  messages = 0; /* Nobody publishes before all are connected. */
  for (int i = 0; i < clients; i++) open_client(&all[i], atoi(argv[1]));
  for (int connected = 0; connected < clients;) {
    wait_events(1000);
    connected = 0;
    for (int i = 0; i < clients; i++) connected += all[i].connected;
  }
  messages = total;
  double started = now();
  for (int i = 0; i < clients && !paced; i++) fill(&all[i]);
  int next = 0;
  while (acked < messages) {
    wait_events(paced ? 1 : 1000);
    if (!paced) continue;
    double at = now();
    for (int tried = 0; sent < messages && sent < (at - started) * paced && tried < clients; next = (next + 1) % clients) {
      struct client *c = &all[next];
      if (c->in_flight >= window) {
        tried++;
        continue;
      }
      publish(c, at);
      flush_out(c);
    }
  }
  double seconds = now() - started;
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  double cpu = usage.ru_utime.tv_sec + usage.ru_utime.tv_usec / 1e6 + usage.ru_stime.tv_sec + usage.ru_stime.tv_usec / 1e6;
  qsort(latencies, acked, sizeof(double), ascending);
  printf("{\"acked\":%ld,\"seconds\":%.4f,\"msg_s\":%.0f,\"p50_ms\":%.3f,\"p95_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,\"cpu_seconds\":%.3f}\n",
         acked, seconds, acked / seconds, latencies[acked / 2] * 1e3, latencies[acked * 95 / 100] * 1e3, latencies[acked * 99 / 100] * 1e3,
         latencies[acked - 1] * 1e3, cpu);
  return 0;
}
