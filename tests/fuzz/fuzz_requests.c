/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FUSE requests straight into a gid view or a layered one, without a kernel: the connection is one end of a socket
 * pair, the source a fresh directory. All requests of an input are sent before the view is served; it ends when they
 * are answered.
 *
 * Input: one byte of settings, then requests of an opcode (1), a nodeid (1), the size of the body (2, little-endian)
 * and the body. Nodeids count from 1, in bodies too, in the order in which the view gives them out. If the settings say
 * so the second half is served by a successor, as after a crash.
 *
 * Whatever is asked, the process must not end, no descriptor may be lost, and nothing outside the source may change.
 */
#include "fuzz.h"
#include "sys/creds.h"
#include "sys/inode_fd.h"
#include "view/gid/gid_view.h"
#include "view/layers/layers_view.h"
#include "view/layers/places.h"

#include <cap-ng.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/xattr.h>
#include <unistd.h>

#define N_INODES         256
#define N_REQUESTS_MAX   64
#define N_BODY_BYTES_MAX 4096
#define FILE_BYTES_MAX   (1 << 20)
#define CANARY           "the canary sings\n"

enum setting {
    SETTING_IDENTITY = 1 << 0,
    SETTING_SUCCESSOR = 1 << 1,
    SETTING_FSGROUP = 1 << 2,
    SETTING_NO_CACHE = 1 << 3,
    SETTING_LAYERS = 1 << 4,
};
#define NODE_MASK   0x1f
#define NODE_ROOT   0x20 /* the caller is root, not user 1000 */
#define NODE_RESENT 0x40
#define NODE_REUSED 0x80 /* the second that has this number */

struct fuzzed {
    char directory[32]; /* holds canary, source, upper and work */
    int root_fd;
    struct view_options *options;
    struct transport_state *state;
    struct source_state *source;
    struct inode_state *inodes;
    struct places_state *places;
    char *buffers;
    uint64_t n_sent;
};

static void *zeroed(size_t n_bytes)
{
    void *memory = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    FUZZ_CHECK(memory != MAP_FAILED);
    return memory;
}

/* Once: no more than can be cleared away again, and files that stay small. */
static void limit_process(void)
{
    static bool done;
    if (done)
        return;
    done = true;
    const struct rlimit limit = {FILE_BYTES_MAX, FILE_BYTES_MAX};
    setrlimit(RLIMIT_FSIZE, &limit);
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    capng_clear(CAPNG_SELECT_CAPS);
    capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH,
                  CAP_FOWNER, CAP_FSETID, CAP_SETUID, CAP_SETGID, CAP_SETPCAP, -1);
    if (geteuid() == 0)
        FUZZ_CHECK(capng_apply(CAPNG_SELECT_CAPS) == 0);
    creds_keep_caps_over_setfsuid();
    inode_fd_init();
}

static void write_file(const char *directory, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);
    FUZZ_CHECK(g_file_set_contents(path, text, -1, NULL));
}

static void check_canary(const struct fuzzed *f)
{
    g_autofree char *path = g_build_filename(f->directory, "canary", NULL);
    g_autofree char *text = NULL;
    FUZZ_CHECK(g_file_get_contents(path, &text, NULL, NULL));
    FUZZ_CHECK(strcmp(text, CANARY) == 0);
    g_autoptr(GDir) dir = g_dir_open(f->directory, 0, NULL);
    unsigned n_entries = 0;
    while (dir && g_dir_read_name(dir))
        n_entries++;
    FUZZ_CHECK(n_entries == 4);
}

static void make_directory(const char *directory, const char *name)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);
    FUZZ_CHECK(g_mkdir_with_parents(path, 0755) == 0);
}

/* canary, source/{file,dir/{inside},link → ../canary}, and empty directories for an upper layer */
static void make_source(struct fuzzed *f)
{
    strcpy(f->directory, "/tmp/gidfs-fuzz-XXXXXX");
    FUZZ_CHECK(mkdtemp(f->directory));
    g_autofree char *source = g_build_filename(f->directory, "source", NULL);
    g_autofree char *dir = g_build_filename(source, "dir", NULL);
    g_autofree char *link = g_build_filename(source, "link", NULL);
    write_file(f->directory, "canary", CANARY);
    make_directory(source, "dir");
    make_directory(f->directory, "upper");
    make_directory(f->directory, "work");
    FUZZ_CHECK(symlink("../canary", link) == 0);
    write_file(source, "file", "some text\n");
    write_file(dir, "inside", "more text\n");
    f->root_fd = open(source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    FUZZ_CHECK(f->root_fd >= 0);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *where)
{
    return remove(path);
}

static int open_up(const char *path, const struct stat *st, int type, struct FTW *where)
{
    return type == FTW_D || type == FTW_DNR ? chmod(path, 0700) : 0;
}

static void remove_source(struct fuzzed *f)
{
    close(f->root_fd);
    nftw(f->directory, open_up, 16, FTW_PHYS);
    FUZZ_CHECK(nftw(f->directory, remove_entry, 16, FTW_PHYS | FTW_DEPTH) == 0);
}

static unsigned n_open_fds(void)
{
    unsigned n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* Says what is open, for whoever has to find out where it was opened. */
static void print_fds(void)
{
    for (int fd = 0; fd < 1024; fd++) {
        g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
        g_autofree char *target = g_file_read_link(link, NULL);
        if (target)
            fprintf(stderr, "%d: %s\n", fd, target);
    }
}

static int open_gid_key(void *data, const struct inode *inode)
{
    struct view *view = data;
    return source_open_key(view->source, &inode->key);
}

static void thread_start(void *data)
{
    creds_own_umask();
}

static void send_init(int socket)
{
    struct {
        struct fuse_in_header header;
        struct fuse_init_in init;
    } request = {
        .header = {.len = sizeof(request), .opcode = FUSE_INIT, .unique = 2},
        .init = {.major = FUSE_KERNEL_VERSION, .minor = 44, .max_readahead = 65536, .flags = ~0U, .flags2 = ~0U}};
    FUZZ_CHECK(send(socket, &request, sizeof(request), 0) == sizeof(request));
}

static uint64_t to_nodeid(uint64_t number, bool reused)
{
    return number <= 1 ? number : INODE_ID_MADE | (uint64_t)reused << 32 | number;
}

static void translate(uint8_t *at)
{
    uint64_t number;
    memcpy(&number, at, sizeof(number));
    if (number <= NODE_MASK)
        number = to_nodeid(number, false);
    memcpy(at, &number, sizeof(number));
}

/* Numbers of inodes within bodies. */
static void translate_body(uint8_t opcode, uint8_t *body, size_t n_body)
{
    if ((opcode == FUSE_RENAME || opcode == FUSE_RENAME2 || opcode == FUSE_LINK) && n_body >= 8)
        translate(body);
    if (opcode == FUSE_COPY_FILE_RANGE && n_body >= sizeof(struct fuse_copy_file_range_in))
        translate(body + offsetof(struct fuse_copy_file_range_in, nodeid_out));
    size_t at = sizeof(struct fuse_batch_forget_in);
    for (; opcode == FUSE_BATCH_FORGET && at + sizeof(struct fuse_forget_one) <= n_body; at += 16)
        translate(body + at);
}

/* An allocation reaches as far as it is told, whatever the size of files: stay small. */
static void tame(uint8_t opcode, uint8_t *body, size_t n_body)
{
    struct fuse_fallocate_in in;
    if (opcode != FUSE_FALLOCATE || n_body < sizeof(in))
        return;
    memcpy(&in, body, sizeof(in));
    in.offset &= FILE_BYTES_MAX - 1;
    in.length &= FILE_BYTES_MAX - 1;
    memcpy(body, &in, sizeof(in));
}

/* Sends the request at data. Returns its size, or 0 if there is none or no room for it. */
static size_t send_request(struct fuzzed *f, int socket, const uint8_t *data, size_t size)
{
    struct {
        struct fuse_in_header header;
        uint8_t body[N_BODY_BYTES_MAX];
    } request;
    if (size < 4)
        return 0;
    size_t n_body = MIN(MIN((size_t)data[2] | (size_t)data[3] << 8, size - 4), N_BODY_BYTES_MAX);
    uint32_t id = data[1] & NODE_ROOT ? 0 : 1000;
    request.header = (struct fuse_in_header){
        .len = (uint32_t)(sizeof(request.header) + n_body),
        .opcode = data[0],
        .unique = (f->n_sent * 2 + 4) | (data[1] & NODE_RESENT ? ABI_UNIQUE_RESEND : 0),
        .nodeid = to_nodeid(data[1] & NODE_MASK, data[1] & NODE_REUSED),
        .uid = id,
        .gid = id,
    };
    memcpy(request.body, data + 4, n_body);
    translate_body(data[0], request.body, n_body);
    tame(data[0], request.body, n_body);
    if (send(socket, &request, request.header.len, MSG_DONTWAIT) < 0)
        return 0;
    f->n_sent++;
    return 4 + n_body;
}

static void serve(struct view *view, struct fuzzed *f, int dev_fd)
{
    struct fuse_lowlevel_ops ops = {0};
    view_ops(view, &ops);
    struct transport_config config = {
        .dev_fd = dev_fd,
        .state = f->state,
        .buffers = f->buffers,
        .wants = {.passthrough = true, .max_stack_depth = 1, .cache = true, .posix_acl = true},
        .ops = &ops,
        .raw = view_raw,
        .forget = view_forget_one,
        .thread_start = thread_start,
        .userdata = view,
        .n_threads_max = 1, /* the same input takes the same way every time */
    };
    FUZZ_CHECK(transport_new(&config, &view->transport) == 0);
    transport_serve(view->transport);
    transport_free(view->transport);
}

static void start(struct view *view, struct layers *layers, const struct fuzzed *f)
{
    FUZZ_CHECK(view_init(view) == 0);
    if (!layers) {
        FUZZ_CHECK(gid_view_root(view, f->root_fd) == 0);
        return;
    }
    FUZZ_CHECK(layers_start(layers, view, f->places) == 0);
    FUZZ_CHECK(layers_view_root(view) == 0);
}

/* One worker's life: it gets the requests of data, answers and is gone. Returns how much of data it took. */
static size_t run_worker(struct fuzzed *f, const uint8_t *data, size_t size, bool first)
{
    int ends[2];
    FUZZ_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    size_t taken = 0, n;
    if (first)
        send_init(ends[1]);
    for (unsigned i = 0; i < N_REQUESTS_MAX && (n = send_request(f, ends[1], data + taken, size - taken)) > 0; i++)
        taken += n;
    shutdown(ends[1], SHUT_WR);

    struct layers *layers = NULL; /* no directory is removed behind a view: opening must succeed */
    FUZZ_CHECK(f->options->n_lower_dirs == 0 || layers_open(f->options, &layers, NULL) == 0);
    struct view view = {.options = f->options, .source = f->source, .dev_fd = ends[0]};
    struct inode_table_config config = {.state = f->inodes,
                                        .n_fds_max = 16,
                                        .n_pinned_max = 64,
                                        .open_key = layers ? layers_view_open_key : open_gid_key,
                                        .data = &view};
    FUZZ_CHECK(inode_table_new(&config, &view.inodes) == 0);
    start(&view, layers, f);
    serve(&view, f, ends[0]);
    view_finish(&view);
    inode_table_free(view.inodes);
    layers_free(layers);
    close(ends[0]);
    close(ends[1]);
    return taken;
}

static void close_records(struct fuzzed *f)
{
    for (uint32_t i = 0; i < f->inodes->n_records_used; i++)
        if (f->inodes->records[i].nodeid != 0 && f->inodes->records[i].fd >= 0)
            close(f->inodes->records[i].fd);
    for (uint32_t i = 0; i < f->source->n_mounts; i++)
        if (f->source->mounts[i].fd >= 0)
            close(f->source->mounts[i].fd);
}

static char *choose_options(const struct fuzzed *f, uint8_t settings)
{
    const char *view = settings & SETTING_IDENTITY  ? "suid"
                       : settings & SETTING_FSGROUP ? "gid=5001,policy=fsgroup"
                                                    : "gid=5001";
    const char *cache = settings & SETTING_NO_CACHE ? ",cache=none" : "";
    if (!(settings & SETTING_LAYERS))
        return g_strconcat(view, cache, NULL);
    return g_strdup_printf("%s%s,userxattr,lowerdir=%s/source,upperdir=%s/upper,workdir=%s/work", view, cache,
                           f->directory, f->directory, f->directory);
}

static void begin(struct fuzzed *f, uint8_t settings)
{
    make_source(f);
    g_autofree char *text = choose_options(f, settings);
    FUZZ_CHECK(view_options_parse(text, &f->options, NULL) == 0);
    f->state = zeroed(sizeof(*f->state));
    f->source = zeroed(sizeof(*f->source));
    f->inodes = zeroed(inode_state_size(N_INODES));
    f->inodes->n_records_max = N_INODES;
    f->places = zeroed(places_state_size(N_INODES));
    places_state_init(f->places, N_INODES);
    f->buffers = zeroed((size_t)REQUEST_MAX_THREADS * TRANSPORT_BUFFER_BYTES);
    FUZZ_CHECK(source_state_init(f->source, f->root_fd) == 0);
}

static void end(struct fuzzed *f)
{
    close_records(f);
    check_canary(f);
    remove_source(f);
    munmap(f->state, sizeof(*f->state));
    munmap(f->source, sizeof(*f->source));
    munmap(f->inodes, inode_state_size(N_INODES));
    munmap(f->places, places_state_size(N_INODES));
    munmap(f->buffers, (size_t)REQUEST_MAX_THREADS * TRANSPORT_BUFFER_BYTES);
    view_options_free(f->options);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzzed f = {0};
    if (size < 1)
        return 0;
    limit_process();
    unsigned n_fds = n_open_fds();
    begin(&f, data[0]);
    size_t n_first = data[0] & SETTING_SUCCESSOR ? MAX(size / 2, 1) : size;
    size_t taken = 1 + run_worker(&f, data + 1, n_first - 1, true);
    if (data[0] & SETTING_SUCCESSOR)
        run_worker(&f, data + taken, size - taken, false);
    end(&f);
    if (n_open_fds() != n_fds)
        print_fds();
    FUZZ_CHECK(n_open_fds() == n_fds);
    return 0;
}
