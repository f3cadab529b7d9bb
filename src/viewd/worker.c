/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker: builds the view over the memory that it was handed, new or left by a predecessor, and serves it.
 */
#include "viewd/worker.h"

#include "base/fd.h"
#include "base/log.h"
#include "sys/creds.h"
#include "sys/fuse_dev.h"
#include "view/common/pressure.h"
#include "view/common/view.h"
#include "view/gid/gid_view.h"
#include "viewd/passthrough_check.h"

#include <errno.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define N_THREADS_MAX 32

/* Descriptors: a share for each use, of what the process may have. */
static void share_out_fds(struct inode_table_config *config)
{
    struct rlimit limit = {.rlim_cur = 1024};
    getrlimit(RLIMIT_NOFILE, &limit);
    rlim_t n = MIN(limit.rlim_cur, 1 << 20);
    config->n_fds_max = (unsigned)MIN(n / 4, 8192);
    config->n_pinned_max = (unsigned)(n / 2);
}

static int open_gid_key(void *data, const struct inode *inode)
{
    struct view *view = data;
    return source_open_key(view->source, &inode->key);
}

static void drop_backing(void *data, int32_t backing_id)
{
    const struct view *view = data;
    fuse_dev_backing_close(view->dev_fd, backing_id);
}

static void thread_start(void *data)
{
    int r = creds_own_umask();
    if (r < 0) /* creating with a client's umask would be wrong in other threads: better no view than that */
        g_error("cannot give a server thread a umask of its own: %s", g_strerror(-r));
}

/* In a user namespace some of this may be refused, and has no effect there anyway. */
static void become_server(void)
{
    int r = creds_keep_caps_over_setfsuid();
    if (r == 0)
        r = creds_drop_server_caps();
    if (r == 0)
        r = creds_set_groups(NULL, 0);
    umask(0);
    if (r < 0)
        log_warning("the server keeps more privileges than it needs: %s", g_strerror(-r));
}

/* A file system that is stacked itself needs a level more, and then no overlay fits on top of the view. */
static uint32_t stack_depth_of(int root_fd)
{
    struct statfs st;
    bool stacked = fstatfs(root_fd, &st) == 0 && (st.f_type == OVERLAYFS_SUPER_MAGIC || st.f_type == FUSE_SUPER_MAGIC);
    return stacked ? 2 : 1;
}

/* With passthrough=on the view is not to come up where data could not go through the kernel. */
static int check_passthrough(struct view *view, int root_fd, GError **error)
{
    bool agreed = transport_agreed(view->transport)->passthrough;
    if (!agreed) {
        atomic_store(&view->passthrough, false);
        atomic_store(&view->source->no_passthrough, 1);
    }
    if (view->options->passthrough != VIEW_PASSTHROUGH_ON)
        return 0;
    int r = agreed ? passthrough_check(view->dev_fd, root_fd) : -EOPNOTSUPP;
    if (r == 0)
        return 0;
    return gidfs_error_errno(error, r,
                             "passthrough=on: not possible with this kernel and source (gidfs check says why; "
                             "passthrough=auto does without)");
}

/*
 * Whether file handles of the view outlive the kernel's memory of their inodes. Not with gid=: who can open handles
 * reaches the whole file system with them, which is what a bind mount gives, and more than a volume should.
 */
static bool handles_last(const struct view *view)
{
    return !view->hook_data && !view->options->has_gid;
}

static void describe(struct view *view, struct memory *memory, const struct fuse_lowlevel_ops *ops,
                     struct transport_config *ret_config)
{
    const struct view_options *options = view->options;
    *ret_config = (struct transport_config){
        .dev_fd = memory->header->dev_fd,
        .state = memory->transport,
        .buffers = memory->buffers,
        .wants = {.passthrough = options->passthrough != VIEW_PASSTHROUGH_OFF,
                  .max_stack_depth = stack_depth_of(memory->header->root_fd),
                  .cache = options->cache != VIEW_CACHE_NONE,
                  .posix_acl = !options->no_acl,
                  .export = handles_last(view)},
#ifdef GIDFS_FAULTS
        .wants.no_resend = getenv("GIDFS_NO_RESEND"), /* for tests on kernels that are too good */
#endif
        .ops = ops,
        .raw = view_raw,
        .forget = view_forget_one,
        .recover = view_recover_opens,
        .undo_open = view_undo_open,
        .thread_start = thread_start,
        .userdata = view,
        .n_threads_max = N_THREADS_MAX,
    };
}

static struct transport *volatile served;
static volatile sig_atomic_t stop_asked;

static void on_sigterm(int number)
{
    stop_asked = 1;
    if (served)
        transport_stop(served);
}

/* Serves until the view is gone (0), or until SIGTERM (-EINTR). */
static int serve_requests(struct view *view, GError **error)
{
    served = view->transport;
    int r = transport_serve(view->transport);
    served = NULL;
    if (r < 0)
        return gidfs_error_errno(error, r, "serve the view");
    return stop_asked ? -EINTR : 0;
}

static int serve(struct view *view, struct memory *memory, int ready_fd, GError **error)
{
    struct fuse_lowlevel_ops ops = {0};
    struct transport_config config;
    view_ops(view, &ops);
    describe(view, memory, &ops, &config);
    int r = transport_new(&config, &view->transport);
    if (r == -ENODEV)
        return 0; /* unmounted already */
    if (r < 0)
        return gidfs_error_errno(error, r, "agree with the kernel on the FUSE protocol");
    r = check_passthrough(view, memory->header->root_fd, error);
    if (r == 0) {
        view_watch(view, &memory->header->watch);
        if (pressure_new(view->inodes, view->transport, &view->pressure) < 0)
            log_debug("the kernel is not asked to forget inodes");
        atomic_store(&memory->header->served, 1);
        if (ready_fd >= 0 && write(ready_fd, "", 1) < 0)
            log_debug("nobody waits for the view to be ready");
        r = serve_requests(view, error);
        pressure_free(view->pressure);
        view_unwatch(view);
    }
    transport_free(view->transport);
    return r;
}

/* What the two views do differently once the common part stands. */
static int prepare_view(struct view *view, struct layers *layers, struct memory *memory)
{
    int r = view_init(view);
    if (r < 0)
        return r;
    if (!layers)
        return gid_view_root(view, memory->header->root_fd);
    r = layers_start(layers, view, memory->places);
    return r < 0 ? r : layers_view_root(view);
}

struct sandbox_needs worker_needs(const struct view_options *options)
{
    return (struct sandbox_needs){
        .device_nodes = !options->has_gid || options->n_lower_dirs > 0, /* copied up, if not made */
    };
}

int worker_run(const struct view_options *options, struct layers *layers, struct memory *memory, int ready_fd,
               GError **error)
{
    struct view view = {.options = options, .source = memory->source, .dev_fd = memory->header->dev_fd};
    struct inode_table_config config = {
        .state = memory->inodes,
        .slots = memory->transport->slots,
        .open_key = layers ? layers_view_open_key : open_gid_key,
        .drop_backing = drop_backing,
        .data = &view,
    };
    if (!layers && !options->has_gid)
        config.lasting_id = source_lasting_id;
    signal(SIGTERM, on_sigterm);
    share_out_fds(&config);
    become_server();

    int r = inode_table_new(&config, &view.inodes);
    if (r < 0)
        return gidfs_error_errno(error, r, "make the inode table");
    struct sandbox_needs needs = worker_needs(options);
    sandbox_worker(&needs);
    r = prepare_view(&view, layers, memory);
    if (r < 0)
        gidfs_error_errno(error, r, "prepare the view");
    else
        r = serve(&view, memory, ready_fd, error);
    view_finish(&view);
    inode_table_free(view.inodes);
    return r;
}
