/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection: INIT, reading requests, taking over from a dead worker.
 *
 * libfuse is primed with a synthetic INIT (the one that the kernel sent, saved in shared memory), whose reply the
 * kernel refuses because it awaits none: so libfuse knows the protocol, and what is agreed stays ours.
 */
#include "fuse/transport.h"

#include "base/fault.h"
#include "base/fd.h"
#include "base/log.h"
#include "fuse/opcode.h"
#include "fuse/pool.h"
#include "fuse/request_check.h"
#include "fuse/takeover.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* A request that three workers crashed on is failed instead of tried again. */
#define MAX_ATTEMPTS (3 * TRANSPORT_WEIGHT_CRASHED)

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

struct transport {
    struct transport_config config;
    struct fuse_session *session;
    struct fuse_agreed agreed;
    struct pool *pool;
    struct takeover *takeover; /* NULL for the first worker */
};

static __thread struct request_slot *current_slot;
static __thread const struct fuse_in_header *current_header;
static __thread struct request_slot replayed; /* as a worker that died had left it */
static __thread bool is_replay, is_local_replay;

struct request_slot *request_current_slot(void)
{
    return current_slot;
}

const struct fuse_in_header *request_current_header(void)
{
    return current_header;
}

const struct request_slot *request_replayed(void)
{
    return is_replay ? &replayed : NULL;
}

bool request_answer_is_lost(int sent)
{
    return sent < 0 && !is_local_replay;
}

void request_enter(struct request_slot *slot, const struct fuse_in_header *header)
{
    current_slot = slot;
    current_header = header;
}

bool request_put_lookup(uint64_t nodeid)
{
    if (!current_slot || current_slot->n_lookups >= REQUEST_MAX_LOOKUPS)
        return false;
    request_lookups((char *)current_header)[current_slot->n_lookups] = nodeid;
    return true;
}

uint64_t request_last_lookup(void)
{
    uint32_t n = current_slot ? current_slot->n_lookups : 0;
    return n > 0 ? request_lookups((char *)current_header)[n - 1] : 0;
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static char *slot_buffer(const struct transport *t, unsigned slot)
{
    return t->config.buffers + (size_t)slot * TRANSPORT_BUFFER_BYTES;
}

/* The largest request: the kernel refuses to be read with less room. */
static size_t request_bytes(const struct transport *t)
{
    return t->agreed.max_write_bytes + TRANSPORT_HEAD_BYTES;
}

static int send_reply(int fd, uint64_t unique, int error, const void *body, size_t n_bytes)
{
    struct fuse_out_header out = {
        .len = (uint32_t)(sizeof(out) + (error ? 0 : n_bytes)), .error = error, .unique = unique};
    struct iovec iov[] = {{&out, sizeof(out)}, {(void *)body, error ? 0 : n_bytes}};
    /* ENOENT: the caller was interrupted, or the view is gone */
    return writev(fd, iov, iov[1].iov_len > 0 ? 2 : 1) < 0 ? -errno : 0;
}

int transport_reply_raw(struct transport *t, uint64_t unique, int error, const void *body, size_t n_bytes)
{
    return send_reply(t->config.dev_fd, unique, error, body, n_bytes);
}

const struct fuse_agreed *transport_agreed(const struct transport *t)
{
    return &t->agreed;
}

int transport_notify(struct transport *t, int code, const void *payload, size_t n_bytes, const void *more,
                     size_t n_more_bytes)
{
    struct fuse_out_header out = {.len = (uint32_t)(sizeof(out) + n_bytes + n_more_bytes), .error = code};
    struct iovec iov[] = {{&out, sizeof(out)}, {(void *)payload, n_bytes}, {(void *)more, n_more_bytes}};
    atomic_fetch_add_explicit(&t->config.state->n_notifications, 1, memory_order_relaxed);
    return writev(t->config.dev_fd, iov, 1 + (n_bytes > 0) + (n_more_bytes > 0)) < 0 ? -errno : 0;
}

/* Reads one request into buffer, waiting for it. Returns its size. */
static ssize_t read_request(int fd, char *buffer)
{
    for (;;) {
        ssize_t n = read(fd, buffer, TRANSPORT_BUFFER_BYTES);
        if (n >= (ssize_t)sizeof(struct fuse_in_header))
            return n;
        if (n >= 0)
            return -EPROTO;
        if (errno == EAGAIN) {
            struct pollfd p = {.fd = fd, .events = POLLIN};
            poll(&p, 1, -1);
        } else if (errno != EINTR && errno != ENOENT) {
            return -errno;
        }
    }
}

/* Answers the kernel's INIT, and keeps it for this worker's successors. */
static int answer_init(struct transport *t)
{
    struct transport_state *state = t->config.state;
    char *buffer = slot_buffer(t, 0);
    ssize_t n = read_request(t->config.dev_fd, buffer);
    if (n < 0)
        return (int)n;

    struct fuse_in_header *header = (struct fuse_in_header *)buffer;
    if (header->opcode != FUSE_INIT)
        return -EPROTO;
    size_t n_body = (size_t)n - sizeof(*header);
    memcpy(&state->init, buffer + sizeof(*header), MIN(n_body, sizeof(state->init)));
    state->init_header = *header;

    struct abi_init_out out;
    int r = fuse_negotiate(&state->init, &t->config.wants, &out, &t->agreed);
    send_reply(t->config.dev_fd, header->unique, r, &out, sizeof(out));
    header->len = 0;
    state->max_write_bytes = t->agreed.max_write_bytes;
    if (r == 0)
        state->n_init_bytes = (uint32_t)n;
    return r;
}

static void prime_libfuse(struct transport *t)
{
    struct {
        struct fuse_in_header header;
        struct fuse_init_in init;
    } request = {.header = t->config.state->init_header, .init = t->config.state->init};
    request.header.len = sizeof(request);
    request.header.unique = ~ABI_UNIQUE_RESEND; /* nobody awaits it */
    request.init.flags &= ~(uint32_t)FUSE_INIT_EXT;
    struct fuse_buf buffer = {.size = sizeof(request), .mem = &request};
    fuse_session_process_buf(t->session, &buffer);
}

static int make_session(struct transport *t)
{
    char *argv[] = {"gidfs-view", NULL};
    struct fuse_args args = FUSE_ARGS_INIT(1, argv);
    char device[32];
    t->session = fuse_session_new(&args, t->config.ops, sizeof(*t->config.ops), t->config.userdata);
    fuse_opt_free_args(&args);
    if (!t->session)
        return -ENOMEM;
    /* Of its own, since libfuse closes it at the end, and ours is to stay for the next worker. */
    int fd = fcntl(t->config.dev_fd, F_DUPFD_CLOEXEC, 3);
    if (fd < 0)
        return -errno;
    snprintf(device, sizeof(device), "/dev/fd/%d", fd);
    if (fuse_session_mount(t->session, device) < 0) {
        fd_close(fd);
        return -EIO;
    }
    prime_libfuse(t);
    return 0;
}

int transport_new(const struct transport_config *config, struct transport **ret_transport)
{
    struct transport *t = calloc(1, sizeof(*t));
    if (!t)
        return -ENOMEM;
    t->config = *config;

    int r;
    if (config->state->n_init_bytes != 0) {
        struct abi_init_out ignored;
        r = fuse_negotiate(&config->state->init, &config->wants, &ignored, &t->agreed);
        uint32_t told = config->state->max_write_bytes;
        t->agreed.max_write_bytes = told ? MIN(told, FUSE_MAX_WRITE_BYTES) : FUSE_MAX_WRITE_BYTES;
        t->takeover = r == 0 ? takeover_new(config, t->agreed.resend) : NULL;
        r = r == 0 && !t->takeover ? -ENOMEM : r;
    } else {
        r = answer_init(t);
    }
    if (r == 0)
        r = make_session(t);
    if (r < 0) {
        transport_free(t);
        return r;
    }
    *ret_transport = t;
    return 0;
}

void transport_free(struct transport *t)
{
    if (!t)
        return;
    pool_free(t->pool);
    takeover_free(t->takeover);
    if (t->session)
        fuse_session_destroy(t->session);
    free(t);
}

/* Requests that may take long by their nature: they move data or wait for a disk. */
static bool is_slow(uint32_t opcode)
{
    switch (opcode) {
    case FUSE_READ:
    case FUSE_WRITE:
    case FUSE_FSYNC:
    case FUSE_FSYNCDIR:
    case FUSE_FALLOCATE:
    case FUSE_COPY_FILE_RANGE:
    case FUSE_LSEEK:
    case FUSE_IOCTL:
        return true;
    default:
        return false;
    }
}

/* Notes a request in its slot. True if a worker that died had it before. */
static bool claim(struct transport *t, struct request_slot *slot, struct fuse_in_header *header)
{
    if (t->takeover)
        return takeover_claim(t->takeover, slot, header);
    slot->opcode = header->opcode;
    slot->nodeid = header->nodeid;
    slot->begun_ms = now_ms();
    request_fence();
    slot->unique = header->unique;
    return false;
}

static enum pool_received receive(void *data, unsigned number)
{
    struct transport *t = data;
    char *buffer = slot_buffer(t, number);
    struct request_slot *slot = &t->config.state->slots[number];
    struct fuse_in_header *header = (struct fuse_in_header *)buffer;
    is_local_replay = t->takeover && takeover_next_left(t->takeover, number);
    is_replay = is_local_replay;
    if (is_local_replay) {
        replayed = *slot;
        return POOL_RECEIVED_SLOW;
    }
    ssize_t n = read(t->config.dev_fd, buffer, request_bytes(t));
    FAULT_POINT("request-read");
    if (n < 0)
        return errno == ENODEV || errno == ECONNABORTED || errno == ENOTCONN || errno == EBADF ? POOL_RECEIVED_END
                                                                                               : POOL_RECEIVED_NONE;
    if (n < (ssize_t)sizeof(*header)) {
        header->len = 0;
        return n == 0 ? POOL_RECEIVED_END : POOL_RECEIVED_NONE;
    }
    header->len = (uint32_t)n; /* the kernel's own; of a peer in a test, what it really sent */
    is_replay = claim(t, slot, header);
    if (is_replay)
        replayed = *slot;
    return is_slow(header->opcode) ? POOL_RECEIVED_SLOW : POOL_RECEIVED_QUICK;
}

static void dispatch(struct transport *t, const struct fuse_in_header *header, char *buffer)
{
    size_t n_body = header->len - sizeof(*header);
    int r = request_check(header, header->len, t->agreed.flags & FUSE_EXPORT_SUPPORT);
    if (r < 0) {
        if (request_has_answer(header->opcode))
            transport_reply_raw(t, header->unique, r, NULL, 0);
        return;
    }
    if (header->opcode == FUSE_INTERRUPT) { /* no operation here can be; the kernel then sends no more of them */
        transport_reply_raw(t, header->unique, -ENOSYS, NULL, 0);
        return;
    }
    if (t->config.raw(t->config.userdata, header, header + 1, n_body))
        return;
    struct fuse_buf request = {.size = header->len, .mem = buffer};
    fuse_session_process_buf(t->session, &request);
}

/* Takes back what a worker that died had counted for an answer that it did not send. */
static void undo_counts(struct transport *t, struct request_slot *slot)
{
    if (t->config.undo_open)
        t->config.undo_open(t->config.userdata, slot);
    replayed.open = slot->open;
    for (uint32_t n = slot->n_lookups; n > 0; n--)
        t->config.forget(t->config.userdata, request_last_lookup(), 1); /* which is none of them any more then */
}

static void fail_hopeless(struct transport *t, const struct request_slot *slot, const struct fuse_in_header *header)
{
    const char *name = opcode_name(header->opcode);
    log_error("a request (%s, opcode %u, node %" G_GUINT64_FORMAT ") ended server after server; it fails with EIO",
              name ? name : "unknown", header->opcode, header->nodeid);
    transport_reply_raw(t, header->unique, -EIO, NULL, 0);
}

static void process(void *data, unsigned number)
{
    struct transport *t = data;
    struct request_slot *slot = &t->config.state->slots[number];
    char *buffer = slot_buffer(t, number);
    struct fuse_in_header *header = (struct fuse_in_header *)buffer;
    if (header->opcode < TRANSPORT_N_OPCODES)
        atomic_fetch_add_explicit(&t->config.state->n_requests[header->opcode], 1, memory_order_relaxed);

    request_enter(slot, header);
    if (is_replay && !is_local_replay)
        undo_counts(t, slot);
    FAULT_POINT("request-noted");
    if (slot->attempts >= MAX_ATTEMPTS)
        fail_hopeless(t, slot, header);
    else
        dispatch(t, header, buffer);
    FAULT_POINT("request-answered");

    header->len = 0;
    request_fence();
    slot->unique = 0;
    request_fence();
    memset(slot, 0, sizeof(*slot));
}

/*
 * The kernel must never have to wait for a page of the buffer: a process that is killed at that moment gets none, and
 * the kernel fails the request that it was copying.
 */
static void populate(char *buffer, size_t n_bytes)
{
    if (madvise(buffer, n_bytes, MADV_POPULATE_WRITE) == 0)
        return;
    for (size_t at = 0; at < n_bytes; at += 4096) {
        volatile char *page = buffer + at;
        *page = *page;
    }
}

static void thread_start(void *data, unsigned number)
{
    char name[16];
    snprintf(name, sizeof(name), "fuse-%u", number);
    pthread_setname_np(pthread_self(), name);
    struct transport *t = data;
    populate(slot_buffer(t, number), request_bytes(t));
    t->config.thread_start(t->config.userdata);
}

int transport_serve(struct transport *t)
{
    static const struct pool_ops ops = {.receive = receive, .process = process, .thread_start = thread_start};
    int flags = fcntl(t->config.dev_fd, F_GETFL);
    if (flags < 0 || fcntl(t->config.dev_fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    t->pool = pool_new(t->config.dev_fd, t->config.n_threads_max, &ops, t);
    if (!t->pool)
        return -ENOMEM;
    if (t->takeover && t->agreed.resend)
        transport_notify(t, ABI_NOTIFY_RESEND, NULL, 0, NULL, 0);
    return pool_run(t->pool);
}

void transport_stop(struct transport *t)
{
    if (t->pool)
        pool_stop(t->pool);
}
