/*
 * A disk that fails on command, for LD_PRELOAD: calls on files whose path holds a text are delayed or fail.
 *
 *   FAULTY_DISK_PATH     the text
 *   FAULTY_DISK_CONTROL  a file that holds the fault, read before each call: empty, or one line of
 *     <call> <errno> [after] [once]   call: write | sync | open | any; errno: 0 or a number; `after` calls are let
 *                                     through first, counted since the line changed; once: only the next one fails
 *     delay <ms>                      each sync takes so much longer
 *
 * Covered are the calls that SQLite's unix VFS and Node.js make.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define REAL(call) ((__typeof__(&call))dlsym(RTLD_NEXT, #call))
#define LINE_MAX_BYTES 128

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char seen[LINE_MAX_BYTES];
static long calls;

static int is_ours(const char *path) {
  const char *text = getenv("FAULTY_DISK_PATH");
  return text && path && strstr(path, text) != NULL;
}

static int is_ours_fd(int fd) {
  char link[64], path[512];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = '\0';
  return is_ours(path);
}

/* The errno that `call` fails with now; 0: it goes on. Delays syncs. */
static int fault(const char *call) {
  char line[LINE_MAX_BYTES] = "", what[16] = "", once[8] = "";
  const char *control = getenv("FAULTY_DISK_CONTROL");
  int error = 0, saved = errno;
  long after = 0;
  int file = control ? REAL(open)(control, O_RDONLY | O_CLOEXEC) : -1;
  if (file >= 0) {
    ssize_t length = REAL(read)(file, line, sizeof line - 1);
    if (length > 0) line[length] = '\0';
    REAL(close)(file);
  }
  errno = saved;
  int found = sscanf(line, "%15s %d %ld %7s", what, &error, &after, once);
  if (found < 2) return 0;
  if (strcmp(what, "delay") == 0) {
    if (strcmp(call, "sync") == 0) {
      struct timespec pause = {error / 1000, (error % 1000) * 1000000L};
      nanosleep(&pause, NULL);
    }
    return 0;
  }
  if (strcmp(what, "any") != 0 && strcmp(what, call) != 0) return 0;
  pthread_mutex_lock(&lock);
  if (strcmp(seen, line) != 0) {
    strcpy(seen, line);
    calls = 0;
  }
  long number = calls++;
  pthread_mutex_unlock(&lock);
  return number < after || (found == 4 && number > after) ? 0 : error;
}

#define FAIL_WHEN_FAULTY(fd, call)                       \
  if (is_ours_fd(fd)) {                                  \
    int error = fault(call);                             \
    if (error) {                                         \
      errno = error;                                     \
      return -1;                                         \
    }                                                    \
  }

ssize_t write(int fd, const void *data, size_t bytes) {
  FAIL_WHEN_FAULTY(fd, "write")
  return REAL(write)(fd, data, bytes);
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t at) {
  FAIL_WHEN_FAULTY(fd, "write")
  return REAL(pwrite)(fd, data, bytes, at);
}

ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t at) {
  FAIL_WHEN_FAULTY(fd, "write")
  return REAL(pwrite64)(fd, data, bytes, at);
}

int ftruncate(int fd, off_t bytes) {
  FAIL_WHEN_FAULTY(fd, "write")
  return REAL(ftruncate)(fd, bytes);
}

int ftruncate64(int fd, off64_t bytes) {
  FAIL_WHEN_FAULTY(fd, "write")
  return REAL(ftruncate64)(fd, bytes);
}

int fsync(int fd) {
  FAIL_WHEN_FAULTY(fd, "sync")
  return REAL(fsync)(fd);
}

int fdatasync(int fd) {
  FAIL_WHEN_FAULTY(fd, "sync")
  return REAL(fdatasync)(fd);
}

#define OPEN(name)                                                    \
  int name(const char *path, int flags, ...) {                        \
    va_list rest;                                                     \
    va_start(rest, flags);                                            \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
    va_end(rest);                                                     \
    if (is_ours(path) && (flags & (O_WRONLY | O_RDWR))) {             \
      int error = fault("open");                                      \
      if (error) {                                                    \
        errno = error;                                                \
        return -1;                                                    \
      }                                                               \
    }                                                                 \
    return REAL(name)(path, flags, mode);                             \
  }

OPEN(open)
OPEN(open64)
