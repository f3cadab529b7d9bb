/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A FUSE file system that does nothing but answer from memory: what a server can reach on a machine, whatever it does.
 *
 *     memory-server MOUNTPOINT      stays in the foreground until it is unmounted
 *
 * One thread, which polls for a moment before it sleeps, as fast as the plain /dev/fuse is on a small machine. All is
 * cached by the kernel for as long as it likes. There is just enough of a file system for scripts/bench.
 */
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <glib.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FOREVER_S 3600.0
#define POLL_NS   50000
#define NS_PER_S  1000000000LL

struct node {
    struct stat st;
    GHashTable *children; /* of a directory: name to node */
    GByteArray *bytes;    /* of a file */
    struct node *parent;
};

static struct node *make_node(struct node *parent, mode_t mode)
{
    struct node *node = g_new0(struct node, 1);
    node->parent = parent;
    node->st = (struct stat){.st_mode = mode, .st_nlink = 1, .st_blksize = 4096};
    node->st.st_ino = parent ? (ino_t)(uintptr_t)node : FUSE_ROOT_ID;
    clock_gettime(CLOCK_REALTIME, &node->st.st_mtim);
    node->st.st_ctim = node->st.st_atim = node->st.st_mtim;
    if (S_ISDIR(mode))
        node->children = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    else
        node->bytes = g_byte_array_new();
    return node;
}

static struct node *node_of(fuse_req_t req, fuse_ino_t ino)
{
    return ino == FUSE_ROOT_ID ? fuse_req_userdata(req) : (struct node *)(uintptr_t)ino;
}

static void fill_entry(struct node *node, struct fuse_entry_param *ret_entry)
{
    *ret_entry = (struct fuse_entry_param){.attr_timeout = FOREVER_S, .entry_timeout = FOREVER_S};
    if (node) {
        ret_entry->ino = node->st.st_ino;
        ret_entry->attr = node->st;
    }
}

static void op_init(void *data, struct fuse_conn_info *conn)
{
    conn->want |= conn->capable & (FUSE_CAP_READDIRPLUS | FUSE_CAP_NO_OPENDIR_SUPPORT | FUSE_CAP_CACHE_SYMLINKS |
                                   FUSE_CAP_PARALLEL_DIROPS);
    conn->want &= ~(unsigned)FUSE_CAP_READDIRPLUS_AUTO;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct fuse_entry_param entry;
    fill_entry(g_hash_table_lookup(node_of(req, parent)->children, name), &entry);
    fuse_reply_entry(req, &entry); /* without a node: known to be absent */
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    fuse_reply_attr(req, &node_of(req, ino)->st, FOREVER_S);
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *wanted, int to_set, struct fuse_file_info *fi)
{
    struct node *node = node_of(req, ino);
    if (to_set & FUSE_SET_ATTR_SIZE) {
        g_byte_array_set_size(node->bytes, (guint)wanted->st_size);
        node->st.st_size = wanted->st_size;
    }
    if (to_set & FUSE_SET_ATTR_MODE)
        node->st.st_mode = (node->st.st_mode & S_IFMT) | (wanted->st_mode & 07777);
    if (to_set & FUSE_SET_ATTR_MTIME)
        node->st.st_mtim = wanted->st_mtim;
    fuse_reply_attr(req, &node->st, FOREVER_S);
}

static struct node *add(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    struct node *dir = node_of(req, parent), *node = make_node(dir, mode);
    g_hash_table_replace(dir->children, g_strdup(name), node);
    return node;
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    struct fuse_entry_param entry;
    fill_entry(add(req, parent, name, S_IFDIR | mode), &entry);
    fuse_reply_entry(req, &entry);
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
    struct fuse_entry_param entry;
    fill_entry(add(req, parent, name, S_IFREG | mode), &entry);
    fi->keep_cache = 1;
    fi->noflush = 1;
    fuse_reply_create(req, &entry, fi);
}

/* Nodes are never freed: the kernel may still know them, and the benchmark is short. */
static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    g_hash_table_remove(node_of(req, parent)->children, name);
    fuse_reply_err(req, 0);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent, const char *newname,
                      unsigned int flags)
{
    struct node *from = node_of(req, parent), *to = node_of(req, newparent);
    struct node *node = g_hash_table_lookup(from->children, name);
    if (!node || flags) {
        fuse_reply_err(req, node ? EINVAL : ENOENT);
        return;
    }
    g_hash_table_remove(from->children, name);
    g_hash_table_replace(to->children, g_strdup(newname), node);
    node->parent = to;
    fuse_reply_err(req, 0);
}

/* Directories need no open: the kernel asks once and then no more. */
static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    fuse_reply_err(req, ENOSYS);
}

/* Files could do without too, but not with a server that hands their data to the kernel: that is asked at each open. */
static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    fi->keep_cache = 1;
    fi->noflush = 1;
    fuse_reply_open(req, fi);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    const GByteArray *bytes = node_of(req, ino)->bytes;
    size_t start = MIN((size_t)offset, bytes->len);
    fuse_reply_buf(req, (const char *)bytes->data + start, MIN(size, bytes->len - start));
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
                     struct fuse_file_info *fi)
{
    struct node *node = node_of(req, ino);
    size_t end = (size_t)offset + size;
    if (end > node->bytes->len)
        g_byte_array_set_size(node->bytes, (guint)end);
    memcpy(node->bytes->data + offset, data, size);
    node->st.st_size = node->bytes->len;
    fuse_reply_write(req, size);
}

/* A directory's names in the order of the table; offsets are positions in it. */
static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    GHashTableIter iter;
    gpointer name, child;
    g_autofree char *buffer = g_malloc(size);
    size_t used = 0;
    off_t at = 0;
    g_hash_table_iter_init(&iter, node_of(req, ino)->children);
    while (g_hash_table_iter_next(&iter, &name, &child)) {
        if (at++ < offset)
            continue;
        struct fuse_entry_param entry;
        fill_entry(child, &entry);
        size_t n = fuse_add_direntry_plus(req, buffer + used, size - used, name, &entry, at);
        if (n > size - used)
            break;
        used += n;
    }
    fuse_reply_buf(req, buffer, used);
}

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    fuse_reply_err(req, ENOSYS);
}

static const struct fuse_lowlevel_ops operations = {
    .init = op_init,
    .lookup = op_lookup,
    .getattr = op_getattr,
    .setattr = op_setattr,
    .mkdir = op_mkdir,
    .create = op_create,
    .unlink = op_unlink,
    .rmdir = op_unlink,
    .rename = op_rename,
    .open = op_open,
    .opendir = op_opendir,
    .read = op_read,
    .write = op_write,
    .readdirplus = op_readdirplus,
    .getxattr = op_getxattr,
};

static long long now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* Reads requests without waiting for a moment, then sleeps until there is one. */
static void serve(struct fuse_session *se)
{
    struct fuse_buf buf = {.mem = NULL};
    struct pollfd waiting = {.fd = fuse_session_fd(se), .events = POLLIN};
    long long last_ns = 0;
    fcntl(waiting.fd, F_SETFL, fcntl(waiting.fd, F_GETFL) | O_NONBLOCK);
    while (!fuse_session_exited(se)) {
        int n = fuse_session_receive_buf(se, &buf);
        if (n > 0) {
            fuse_session_process_buf(se, &buf);
            last_ns = now_ns();
        } else if (n == -EAGAIN || n == -EINTR) {
            if (now_ns() - last_ns > POLL_NS)
                poll(&waiting, 1, -1);
        } else {
            break;
        }
    }
    free(buf.mem);
}

int main(int argc, char **argv)
{
    char *words[] = {argv[0], "-oallow_other,default_permissions,fsname=memory"};
    struct fuse_args args = FUSE_ARGS_INIT(2, words);
    struct fuse_session *se =
        argc == 2 ? fuse_session_new(&args, &operations, sizeof(operations), make_node(NULL, S_IFDIR | 0777)) : NULL;
    if (!se || fuse_session_mount(se, argv[1]) < 0)
        return 1;
    serve(se);
    fuse_session_unmount(se);
    fuse_session_destroy(se);
    return 0;
}
