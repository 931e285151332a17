/* Fails or kills at the n-th operation on files below a folder; preloaded by tests/faults.rs.
 *
 * CIGAN_FAULT_UNDER  the folder
 * CIGAN_FAULT_AT     the number of the operation, from 1; 0 for none
 * CIGAN_FAULT_HOW    "once": it fails; "on": it and all later ones fail; "kill": the process dies
 *                    there, a write after half of its bytes
 * CIGAN_FAULT_LOCKS  "none": the file system has no locks; "broken": locking fails
 * CIGAN_FAULT_DENY   a folder or file that may not be opened, also by root
 * CIGAN_FAULT_COUNT  a file that receives the number of operations when the process ends
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_long operations;

static const char *under(void) {
    return getenv("CIGAN_FAULT_UNDER");
}

static int is_below(const char *path) {
    const char *folder = under();
    return folder && strncmp(path, folder, strlen(folder)) == 0;
}

static int is_open_below(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return is_below(path);
}

/* Counts an operation. Returns 1 if it must fail, 2 if the process must die. */
static int fault(void) {
    long number = atomic_fetch_add(&operations, 1) + 1;
    const char *at = getenv("CIGAN_FAULT_AT"), *how = getenv("CIGAN_FAULT_HOW");
    long wanted = at ? atol(at) : 0;
    if (wanted == 0 || !how) return 0;
    if (strcmp(how, "on") == 0) return number >= wanted;
    if (number != wanted) return 0;
    return strcmp(how, "kill") == 0 ? 2 : 1;
}

static void die(void) {
    kill(getpid(), SIGKILL);
    pause();
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *bytes, size_t length) {
    if (is_open_below(fd)) {
        int kind = fault();
        if (kind == 2) {
            REAL(write)(fd, bytes, length / 2);
            die();
        }
        if (kind == 1) {
            errno = ENOSPC;
            return -1;
        }
    }
    return REAL(write)(fd, bytes, length);
}

#define SYNC(name)                                \
    int name(int fd) {                            \
        if (is_open_below(fd)) {                  \
            int kind = fault();                   \
            if (kind == 2) die();                 \
            if (kind == 1) {                      \
                errno = EIO;                      \
                return -1;                        \
            }                                     \
        }                                         \
        return REAL(name)(fd);                    \
    }
SYNC(fsync)
SYNC(fdatasync)

int rename(const char *from, const char *to) {
    if (is_below(to)) {
        int kind = fault();
        if (kind == 2) die();
        if (kind == 1) {
            errno = EIO;
            return -1;
        }
    }
    return REAL(rename)(from, to);
}

int unlink(const char *path) {
    if (is_below(path)) {
        int kind = fault();
        if (kind == 2) die();
        if (kind == 1) {
            errno = EIO;
            return -1;
        }
    }
    return REAL(unlink)(path);
}

static int is_denied(const char *path) {
    const char *denied = getenv("CIGAN_FAULT_DENY");
    return denied && strcmp(path, denied) == 0;
}

DIR *opendir(const char *path) {
    if (is_denied(path)) {
        errno = EACCES;
        return NULL;
    }
    return REAL(opendir)(path);
}

int open64(const char *path, int flags, ...) {
    if (is_denied(path)) {
        errno = EACCES;
        return -1;
    }
    va_list arguments;
    va_start(arguments, flags);
    int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, int) : 0;
    va_end(arguments);
    return REAL(open64)(path, flags, mode);
}

int flock(int fd, int operation) {
    const char *locks = getenv("CIGAN_FAULT_LOCKS");
    if (locks) {
        errno = strcmp(locks, "none") == 0 ? EOPNOTSUPP : EIO;
        return -1;
    }
    return REAL(flock)(fd, operation);
}

__attribute__((destructor)) static void report(void) {
    const char *path = getenv("CIGAN_FAULT_COUNT");
    if (!path) return;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0) return;
    char text[32];
    int length = snprintf(text, sizeof text, "%ld", atomic_load(&operations));
    if (length > 0) REAL(write)(fd, text, length);
    close(fd);
}
