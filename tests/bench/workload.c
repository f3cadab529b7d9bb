/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The workloads of scripts/bench: workload NAME DIRECTORY SECONDS [THREADS], printing operations (or bytes) a second.
 *
 * DIRECTORY was filled by "workload prepare": N_DIRS directories of N_FILES small files, and one big file. A workload
 * runs until its time is over or there is nothing left to do; only its own operations are timed, not what it sets up.
 * "Cold" means that the kernel's dentries and inodes were dropped first, on every file system alike.
 */
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bench/direct_io.h"

#define N_DIRS      20
#define N_FILES     100
#define SMALL_BYTES 2048
#define BIG_BYTES   ((size_t)64 << 20)
#define BLOCK_BYTES 4096
#define CHUNK_BYTES 131072
#define N_MADE_MAX  20000
#define SETTLE_NS   50000000
#define NS_PER_S    1000000000ULL

struct run {
    unsigned int number; /* of this thread */
    uint64_t deadline_ns;
    uint64_t n_done; /* operations or bytes */
    uint64_t spent_ns;
    unsigned int seed;
};

struct workload {
    const char *name;
    void (*function)(struct run *run);
    bool single; /* makes no sense in several threads */
};

static char (*paths)[32];

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static bool is_over(const struct run *run)
{
    return now_ns() >= run->deadline_ns;
}

static const char *path_of(size_t i)
{
    return paths[i % (N_DIRS * N_FILES)];
}

static void name_paths(void)
{
    paths = calloc(N_DIRS * N_FILES, sizeof(*paths));
    for (size_t i = 0; paths && i < N_DIRS * N_FILES; i++)
        snprintf(paths[i], sizeof(*paths), "d%02zu/f%03zu", i / N_FILES, i % N_FILES);
}

static int open_or_die(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0644);
    if (fd < 0)
        err(1, "open %s", path);
    return fd;
}

static void write_file(const char *path, const void *bytes, size_t n_bytes)
{
    int fd = open_or_die(path, O_WRONLY | O_CREAT | O_TRUNC);
    if (write(fd, bytes, n_bytes) != (ssize_t)n_bytes)
        err(1, "write %s", path);
    close(fd);
}

static void prepare(struct run *run)
{
    static char bytes[1 << 20];
    for (size_t i = 0; i < N_DIRS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "d%02zu", i);
        mkdir(name, 0755);
    }
    for (size_t i = 0; i < N_DIRS * N_FILES; i++)
        write_file(path_of(i), bytes, SMALL_BYTES);
    int fd = open_or_die("big", O_WRONLY | O_CREAT);
    for (size_t done = 0; done < BIG_BYTES; done += sizeof(bytes)) {
        if (write(fd, bytes, sizeof(bytes)) < 0)
            err(1, "write big");
    }
    fsync(fd);
    close(fd);
    mkdir("made", 0755);
    run->n_done = 1;
}

/* What was done since before_ns was preparation: time counts from here. */
static void start_clock(struct run *run, uint64_t before_ns)
{
    run->spent_ns = now_ns();
    run->deadline_ns += run->spent_ns - before_ns;
}

/* Clean dentries and inodes of the machine. The pause is for the servers, which are told of all that was forgotten. */
static void drop_caches(struct run *run)
{
    uint64_t before_ns = now_ns();
    int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "2", 1) != 1)
        err(1, "drop_caches");
    close(fd);
    nanosleep(&(struct timespec){.tv_nsec = SETTLE_NS}, NULL);
    start_clock(run, before_ns);
}

/* Data: reads and writes of the big file, which is in the page cache. */

/* Opening for writing may copy a layered file, which is no part of the row. */
static int open_big(struct run *run, bool writes)
{
    uint64_t before_ns = now_ns();
    int fd = open_or_die("big", writes ? O_RDWR : O_RDONLY);
    start_clock(run, before_ns);
    return fd;
}

static void move_data(struct run *run, size_t n_bytes, bool writes, bool at_random)
{
    static __thread char buffer[CHUNK_BYTES];
    int fd = open_big(run, writes);
    size_t n_slots = BIG_BYTES / n_bytes;
    for (size_t i = 0; !is_over(run); i++) {
        off_t offset = (off_t)((at_random ? (size_t)rand_r(&run->seed) : i) % n_slots * n_bytes);
        ssize_t n = writes ? pwrite(fd, buffer, n_bytes, offset) : pread(fd, buffer, n_bytes, offset);
        if (n != (ssize_t)n_bytes)
            err(1, "big");
        run->n_done += n_bytes;
    }
    close(fd);
}

static void sequential_read(struct run *run)
{
    move_data(run, CHUNK_BYTES, false, false);
}

static void sequential_write(struct run *run)
{
    move_data(run, CHUNK_BYTES, true, false);
}

static void random_read(struct run *run)
{
    move_data(run, BLOCK_BYTES, false, true);
}

static void random_write(struct run *run)
{
    move_data(run, BLOCK_BYTES, true, true);
}

static void direct(struct run *run, bool writes)
{
    struct direct_io *io = direct_io_open("big", BLOCK_BYTES, BIG_BYTES / BLOCK_BYTES);
    if (!io)
        err(1, "O_DIRECT");
    while (!is_over(run)) {
        ssize_t n = direct_io_batch(io, writes, &run->seed);
        if (n < 0)
            errx(1, "direct I/O: %s", strerror((int)-n));
        run->n_done += (uint64_t)n;
    }
    direct_io_close(io);
}

static void direct_read(struct run *run)
{
    direct(run, false);
}

static void direct_write(struct run *run)
{
    direct(run, true);
}

/* Maps the file anew each time: what costs is the faults. */
static void touch_mapping(struct run *run, bool writes)
{
    int fd = open_big(run, writes);
    while (!is_over(run)) {
        int protection = writes ? PROT_READ | PROT_WRITE : PROT_READ;
        volatile char *area = mmap(NULL, BIG_BYTES / 4, protection, MAP_SHARED, fd, 0);
        if (area == MAP_FAILED)
            err(1, "mmap");
        for (size_t at = 0; at < BIG_BYTES / 4; at += BLOCK_BYTES) {
            if (writes)
                area[at] = 1;
            else
                (void)area[at];
        }
        munmap((void *)area, BIG_BYTES / 4);
        run->n_done += BIG_BYTES / 4;
    }
    close(fd);
}

static void mapped_read(struct run *run)
{
    touch_mapping(run, false);
}

static void mapped_write(struct run *run)
{
    touch_mapping(run, true);
}

/* Metadata. */

static void stat_all(struct run *run, bool once)
{
    struct stat st;
    for (size_t i = 0; !is_over(run) && !(once && i == N_DIRS * N_FILES); i++) {
        if (fstatat(AT_FDCWD, path_of(i), &st, AT_SYMLINK_NOFOLLOW) < 0)
            err(1, "stat");
        run->n_done++;
    }
}

static void stat_warm(struct run *run)
{
    struct run first = {.deadline_ns = UINT64_MAX};
    uint64_t before_ns = now_ns();
    stat_all(&first, true);
    start_clock(run, before_ns);
    stat_all(run, false);
}

static void stat_cold(struct run *run)
{
    drop_caches(run);
    stat_all(run, true);
}

static void miss_warm(struct run *run)
{
    struct stat st;
    for (size_t i = 0; !is_over(run); i++) {
        char name[32];
        snprintf(name, sizeof(name), "d%02zu/none%zu", i % N_DIRS, i / N_DIRS % 10);
        if (stat(name, &st) == 0 || errno != ENOENT)
            err(1, "%s", name);
        run->n_done++;
    }
}

static void list_once(const char *name, struct run *run)
{
    DIR *dir = opendir(name);
    if (!dir)
        err(1, "opendir %s", name);
    while (readdir(dir))
        run->n_done++;
    closedir(dir);
}

static void list_warm(struct run *run)
{
    char name[16];
    for (size_t i = 0; !is_over(run); i++) {
        snprintf(name, sizeof(name), "d%02zu", i % N_DIRS);
        list_once(name, run);
    }
}

static __thread struct run *walking;

static int walk_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    walking->n_done++;
    return 0;
}

static void walk(struct run *run)
{
    walking = run;
    if (nftw(".", walk_entry, 16, FTW_PHYS) != 0)
        err(1, "walk");
}

static void walk_warm(struct run *run)
{
    struct run first = {0};
    uint64_t before_ns = now_ns();
    walk(&first);
    start_clock(run, before_ns);
    while (!is_over(run))
        walk(run);
}

static void walk_cold(struct run *run)
{
    drop_caches(run);
    walk(run);
}

static void open_read_close(struct run *run)
{
    char buffer[BLOCK_BYTES];
    for (size_t i = 0; !is_over(run); i++) {
        int fd = open_or_die(path_of(i), O_RDONLY);
        if (read(fd, buffer, sizeof(buffer)) != SMALL_BYTES)
            err(1, "read");
        close(fd);
        run->n_done++;
    }
}

static void name_made(char name[32], const struct run *run, size_t i)
{
    snprintf(name, 32, "made/t%u-%zu", run->number, i);
}

static void create(struct run *run)
{
    static const char bytes[1024];
    char name[32];
    for (size_t i = 0; i < N_MADE_MAX && !is_over(run); i++) {
        name_made(name, run, i);
        write_file(name, bytes, sizeof(bytes));
        run->n_done++;
    }
}

static void unlink_made(struct run *run)
{
    char name[32];
    for (size_t i = 0; i < N_MADE_MAX; i++) {
        name_made(name, run, i);
        if (unlink(name) < 0)
            break;
        run->n_done++;
    }
}

static void rename_files(struct run *run)
{
    char from[32], to[32];
    for (size_t i = 0; !is_over(run); i++) {
        size_t file = i / 2 % N_FILES;
        snprintf(from, sizeof(from), "d%02u/f%03zu", run->number % N_DIRS, file);
        snprintf(to, sizeof(to), "d%02u/r%03zu", run->number % N_DIRS, file);
        if (rename(i % 2 ? to : from, i % 2 ? from : to) < 0)
            err(1, "rename");
        run->n_done++;
    }
    rename(to, from);
}

static const struct workload workloads[] = {
    {"prepare", prepare, true},
    {"drop_caches", drop_caches, true},
    {"sequential_read", sequential_read, false},
    {"sequential_write", sequential_write, false},
    {"random_read", random_read, false},
    {"random_write", random_write, false},
    {"direct_read", direct_read, false},
    {"direct_write", direct_write, false},
    {"mapped_read", mapped_read, false},
    {"mapped_write", mapped_write, false},
    {"stat_warm", stat_warm, false},
    {"stat_cold", stat_cold, true},
    {"miss_warm", miss_warm, false},
    {"list_warm", list_warm, false},
    {"walk_warm", walk_warm, false},
    {"walk_cold", walk_cold, true},
    {"open_read_close", open_read_close, false},
    {"create", create, false},
    {"rename", rename_files, false},
    {"unlink", unlink_made, false},
};

static const struct workload *find(const char *name)
{
    for (size_t i = 0; i < sizeof(workloads) / sizeof(workloads[0]); i++) {
        if (strcmp(workloads[i].name, name) == 0)
            return &workloads[i];
    }
    errx(2, "%s: no such workload", name);
}

struct thread {
    pthread_t id;
    const struct workload *workload;
    struct run run;
};

static void *run_thread(void *data)
{
    struct thread *thread = data;
    thread->run.spent_ns = now_ns();
    thread->workload->function(&thread->run);
    thread->run.spent_ns = now_ns() - thread->run.spent_ns;
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        errx(2, "usage: workload NAME DIRECTORY SECONDS [THREADS]");
    const struct workload *workload = find(argv[1]);
    size_t n_threads = argc > 4 && !workload->single ? (size_t)atoi(argv[4]) : 1;
    struct thread *threads = calloc(n_threads, sizeof(*threads));
    name_paths();
    if (!threads || !paths || chdir(argv[2]) < 0)
        err(1, "%s", argv[2]);
    uint64_t deadline_ns = now_ns() + (uint64_t)(atof(argv[3]) * (double)NS_PER_S);
    double rate = 0;
    for (size_t i = 0; i < n_threads; i++) {
        threads[i] =
            (struct thread){.workload = workload,
                            .run = {.number = (unsigned int)i, .deadline_ns = deadline_ns, .seed = (unsigned int)i}};
        if (pthread_create(&threads[i].id, NULL, run_thread, &threads[i]) != 0)
            errx(1, "no thread");
    }
    for (size_t i = 0; i < n_threads; i++) {
        pthread_join(threads[i].id, NULL);
        rate += (double)threads[i].run.n_done * (double)NS_PER_S / (double)(threads[i].run.spent_ns | 1);
    }
    printf("%.3f\n", rate);
    free(threads);
    free(paths);
    return 0;
}
