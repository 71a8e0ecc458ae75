/*
 * A wire with weather: carries Ethernet frames between two interfaces, late, thinned or not at all. It does in
 * user space what tc's netem does in kernels that have it.
 *
 *   wire LEFT RIGHT
 *
 * Commands on stdin, one per line: `delay4 MS`, `delay6 MS` (one way), `drop4 0|1`, `drop6 0|1` (TCP and UDP of
 * that family), `mtu BYTES` (larger packets vanish without a word; 0: none do), `rate BYTES` (per second and
 * direction; 0: as fast as it goes). Ends when stdin does.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FRAME_MAX 2048
/* As much as waits on a slow link before it drops, as a modem's buffer does. */
#define QUEUE_MAX 2048

struct frame {
  double at_ms;
  int length;
  unsigned char bytes[FRAME_MAX];
};

struct direction {
  int from, to;
  struct frame *queue;
  int first, count;
  double free_ms;
};

static double delay_ms[2];
static int drop[2], mtu;
static double rate;

static double now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

static int open_interface(const char *name) {
  int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ETH_P_ALL));
  struct sockaddr_ll address = {
      .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = if_nametoindex(name)};
  int one = 1;
  struct packet_mreq all = {.mr_ifindex = address.sll_ifindex, .mr_type = PACKET_MR_PROMISC};
  if (fd < 0 || address.sll_ifindex == 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
      setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) < 0 ||
      setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof all) < 0) {
    perror(name);
    exit(1);
  }
  return fd;
}

/* 0 for IPv4, 1 for IPv6, -1 for what is neither (ARP). */
static int family_of(const unsigned char *bytes) {
  int type = bytes[12] << 8 | bytes[13];
  return type == ETH_P_IP ? 0 : type == ETH_P_IPV6 ? 1 : -1;
}

static int vanishes(const struct frame *frame, int family) {
  if (family < 0) return 0;
  int protocol = family == 0 ? frame->bytes[23] : frame->bytes[20];
  int length = family == 0 ? frame->bytes[16] << 8 | frame->bytes[17]
                           : (frame->bytes[18] << 8 | frame->bytes[19]) + 40;
  /* Neighbour discovery goes on: nobody says that there is no way. */
  if (drop[family] && (protocol == 6 || protocol == 17)) return 1;
  return mtu > 0 && length > mtu;
}

static void take(struct direction *d) {
  for (;;) {
    struct frame *frame = &d->queue[(d->first + d->count) % QUEUE_MAX];
    if (d->count == QUEUE_MAX) frame = &(struct frame){0};
    int length = recv(d->from, frame->bytes, FRAME_MAX, 0);
    if (length < 0) return;
    int family = family_of(frame->bytes);
    if (length < 34 || d->count == QUEUE_MAX || vanishes(frame, family)) continue;
    double now = now_ms();
    if (rate > 0) d->free_ms = (d->free_ms > now ? d->free_ms : now) + length * 1e3 / rate;
    frame->length = length;
    frame->at_ms = (rate > 0 ? d->free_ms : now) + (family < 0 ? 0 : delay_ms[family]);
    d->count += 1;
  }
}

/* In order: frames of the quicker family wait behind those of the slower one, as little as that matters. */
static void give(struct direction *d) {
  while (d->count > 0 && d->queue[d->first].at_ms <= now_ms()) {
    struct frame *frame = &d->queue[d->first];
    if (send(d->to, frame->bytes, frame->length, 0) < 0 && errno == EAGAIN) return;
    d->first = (d->first + 1) % QUEUE_MAX;
    d->count -= 1;
  }
}

static void command(const char *line) {
  char name[16];
  double value;
  if (sscanf(line, "%15s %lf", name, &value) != 2) return;
  if (strcmp(name, "delay4") == 0) delay_ms[0] = value;
  if (strcmp(name, "delay6") == 0) delay_ms[1] = value;
  if (strcmp(name, "drop4") == 0) drop[0] = (int)value;
  if (strcmp(name, "drop6") == 0) drop[1] = (int)value;
  if (strcmp(name, "mtu") == 0) mtu = (int)value;
  if (strcmp(name, "rate") == 0) rate = value;
}

int main(int count, char **arguments) {
  if (count != 3) return 2;
  int left = open_interface(arguments[1]), right = open_interface(arguments[2]);
  struct direction ways[2] = {{.from = left, .to = right}, {.from = right, .to = left}};
  for (int i = 0; i < 2; i++) ways[i].queue = calloc(QUEUE_MAX, sizeof(struct frame));
  puts("ready");
  fflush(stdout);
  struct pollfd polled[3] = {{left, POLLIN, 0}, {right, POLLIN, 0}, {0, POLLIN, 0}};
  for (;;) {
    poll(polled, 3, 1);
    for (int i = 0; i < 2; i++) {
      take(&ways[i]);
      give(&ways[i]);
    }
    if (polled[2].revents == 0) continue;
    char lines[1024];
    ssize_t length = read(0, lines, sizeof lines - 1);
    if (length <= 0) return 0;
    lines[length] = 0;
    for (char *line = strtok(lines, "\n"); line; line = strtok(NULL, "\n")) command(line);
  }
}
