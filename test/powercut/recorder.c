/*
 * Records, in order, what a process does to the files directly in one folder. For LD_PRELOAD.
 *
 *   RECORDER_FOLDER  the folder, an absolute path without links
 *   RECORDER_TRACE   the file that the entries are appended to
 *
 * An entry is a header of 24 bytes in the machine's byte order (see struct header), the name, the data.
 * `inode` tells files apart: a name may come to mean another file.
 *
 * One lock is held over a call and its entry, so the trace has the order in which things happened, whatever
 * the thread. Calls do what they always do; those that fail leave no entry. A process that cannot be
 * recorded is aborted.
 *
 * Covered are the calls that SQLite's unix VFS and Node.js make on such files. Not covered: writing through
 * mmap, writev, fallocate, duplicated descriptors. Whoever uses the trace has to check that it leads to the
 * files that are really there (record.ts does). WAL indexes (*-shm) are rebuilt at every start and left out.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { CREATE = 1, WRITE, TRUNCATE, SYNC, SYNC_FOLDER, UNLINK, RENAME };

struct header {
  uint8_t kind;
  uint8_t name_bytes;
  uint16_t unused;
  uint32_t data_bytes;
  uint64_t inode;
  uint64_t offset; /* WRITE: where; TRUNCATE: the new size. */
};

#define FDS_MAX 65536
#define FOLDER_ITSELF 1 /* No file has this inode number. */
#define REAL(call) ((__typeof__(&call))real(#call))

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t inodes[FDS_MAX]; /* By descriptor; 0: not of the folder. */
static const char *folder;
static size_t folder_bytes;
static int trace = -1;

static void *real(const char *call) { return dlsym(RTLD_NEXT, call); }

__attribute__((constructor)) static void start(void) {
  const char *path = getenv("RECORDER_TRACE");
  folder = getenv("RECORDER_FOLDER");
  if (!folder || !path) return;
  folder_bytes = strlen(folder);
  trace = REAL(open)(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (trace < 0) abort();
}

/* The name of a file directly in the folder, "" for the folder, NULL for all else. */
static const char *name_of(const char *path) {
  if (trace < 0 || !path || strncmp(path, folder, folder_bytes) != 0) return NULL;
  const char *rest = path + folder_bytes;
  if (*rest == '\0') return rest;
  if (*rest != '/' || strchr(rest + 1, '/')) return NULL;
  size_t length = strlen(rest);
  if (length > 255 || (length > 4 && strcmp(rest + length - 4, "-shm") == 0)) return NULL;
  return rest + 1;
}

static uint64_t inode_of(int fd) { return fd >= 0 && fd < FDS_MAX ? inodes[fd] : 0; }

static void record(enum kind kind, uint64_t inode, uint64_t offset, const char *name, const void *data,
                   size_t bytes) {
  int saved = errno;
  struct header header = {kind, (uint8_t)strlen(name), 0, (uint32_t)bytes, inode, offset};
  struct iovec parts[3] = {
      {&header, sizeof header}, {(void *)name, header.name_bytes}, {(void *)data, bytes}};
  ssize_t whole = (ssize_t)(sizeof header + header.name_bytes + bytes);
  if (syscall(SYS_writev, trace, parts, 3) != whole) abort();
  errno = saved;
}

/* After an open: remembers the descriptor, and records that the file is new or was cut. */
static int opened(int fd, const char *name, int existed, int flags) {
  struct stat status;
  if (fd < 0) return fd;
  if (fd >= FDS_MAX || fstat(fd, &status) != 0) abort();
  inodes[fd] = *name == '\0' ? FOLDER_ITSELF : status.st_ino;
  if (*name == '\0') return fd;
  if (!existed) record(CREATE, status.st_ino, 0, name, NULL, 0);
  else if (flags & O_TRUNC) record(TRUNCATE, status.st_ino, 0, "", NULL, 0);
  return fd;
}

#define OPEN(CALL, ...)                                        \
  va_list more;                                                \
  va_start(more, flags);                                       \
  mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;    \
  va_end(more);                                                \
  const char *name = name_of(path);                            \
  if (!name) return REAL(CALL)(__VA_ARGS__, flags, mode);      \
  pthread_mutex_lock(&lock);                                   \
  int existed = access(path, F_OK) == 0;                       \
  int fd = opened(REAL(CALL)(__VA_ARGS__, flags, mode), name, existed, flags); \
  pthread_mutex_unlock(&lock);                                 \
  return fd;

int open(const char *path, int flags, ...) { OPEN(open, path) }
int open64(const char *path, int flags, ...) { OPEN(open64, path) }
int openat(int at, const char *path, int flags, ...) { OPEN(openat, at, path) }
int openat64(int at, const char *path, int flags, ...) { OPEN(openat64, at, path) }

int close(int fd) {
  if (inode_of(fd) == 0) return REAL(close)(fd);
  pthread_mutex_lock(&lock);
  inodes[fd] = 0;
  int result = REAL(close)(fd);
  pthread_mutex_unlock(&lock);
  return result;
}

/* A call on a descriptor of the folder, with what to record when it succeeded. */
#define RECORDED(type, call, entry)  \
  if (inode_of(fd) == 0) return call; \
  pthread_mutex_lock(&lock);         \
  type result = call;                \
  if (result >= 0) entry;            \
  pthread_mutex_unlock(&lock);       \
  return result;

#define WROTE(at) record(WRITE, inode_of(fd), (uint64_t)(at), "", data, (size_t)result)
#define SYNCED record(inode_of(fd) == FOLDER_ITSELF ? SYNC_FOLDER : SYNC, inode_of(fd), 0, "", NULL, 0)
#define CUT record(TRUNCATE, inode_of(fd), (uint64_t)size, "", NULL, 0)

ssize_t write(int fd, const void *data, size_t bytes) {
  RECORDED(ssize_t, REAL(write)(fd, data, bytes), WROTE(lseek(fd, 0, SEEK_CUR) - result))
}
ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset) {
  RECORDED(ssize_t, REAL(pwrite)(fd, data, bytes, offset), WROTE(offset))
}
ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t offset) {
  RECORDED(ssize_t, REAL(pwrite64)(fd, data, bytes, offset), WROTE(offset))
}
int fsync(int fd) { RECORDED(int, REAL(fsync)(fd), SYNCED) }
int fdatasync(int fd) { RECORDED(int, REAL(fdatasync)(fd), SYNCED) }
int ftruncate(int fd, off_t size) { RECORDED(int, REAL(ftruncate)(fd, size), CUT) }
int ftruncate64(int fd, off64_t size) { RECORDED(int, REAL(ftruncate64)(fd, size), CUT) }

int unlink(const char *path) {
  const char *name = name_of(path);
  if (!name) return REAL(unlink)(path);
  pthread_mutex_lock(&lock);
  int result = REAL(unlink)(path);
  if (result == 0) record(UNLINK, 0, 0, name, NULL, 0);
  pthread_mutex_unlock(&lock);
  return result;
}

int rename(const char *from, const char *to) {
  const char *name = name_of(from), *target = name_of(to);
  if (!name && !target) return REAL(rename)(from, to);
  if (!name || !target) abort(); /* Across the folder's border: not a thing a replay could follow. */
  pthread_mutex_lock(&lock);
  int result = REAL(rename)(from, to);
  if (result == 0) record(RENAME, 0, 0, name, target, strlen(target));
  pthread_mutex_unlock(&lock);
  return result;
}
