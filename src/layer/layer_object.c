/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lookup down the layers.
 *
 * A name starts in the members of its directory. Once a layer answers with a redirect, the layers below it are asked
 * for another path: one beside the name in the remaining members, or one from the roots of all layers further down.
 * A path of several components is walked component by component in each layer, where each of them can end the search
 * (a whiteout, something that is no directory, an opaque directory) or change the path again for the layers below.
 */
#include "layer/layer_object.h"

#include "base/fd.h"
#include "core/whiteout.h"
#include "layer/layer_probe.h"
#include "sys/dirent.h"
#include "sys/inode_fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

void layer_object_clear(struct layer_object *object)
{
    for (unsigned i = 0; i < object->n_members; i++)
        fd_close(object->members[i].fd);
    g_free(object->members);
    *object = (struct layer_object){0};
}

/* Appends a member; takes fd over. */
static void add_member(struct layer_object *object, unsigned layer, int fd)
{
    object->members = g_renew(struct layer_member, object->members, object->n_members + 1);
    object->members[object->n_members++] = (struct layer_member){.fd = fd, .layer = layer};
}

static int read_attributes(struct layer_object *object)
{
    int r = inode_fd_statx(object->members[0].fd, &object->stx);
    if (r == 0)
        statx_to_stat(&object->stx, &object->st);
    return r;
}

int layer_object_copy(const struct layer_object *object, struct layer_object *ret_copy)
{
    g_auto(layer_object) copy = {.stx = object->stx, .st = object->st, .is_metacopy = object->is_metacopy};
    for (unsigned i = 0; i < object->n_members; i++) {
        int fd = fcntl(object->members[i].fd, F_DUPFD_CLOEXEC, 3);
        if (fd < 0)
            return -errno;
        add_member(&copy, object->members[i].layer, fd);
    }
    *ret_copy = copy;
    copy = (struct layer_object){0};
    return 0;
}

int layer_object_push(struct layer_object *object, unsigned layer, int fd)
{
    add_member(object, layer, fd);
    memmove(object->members + 1, object->members, (object->n_members - 1) * sizeof(*object->members));
    object->members[0] = (struct layer_member){.fd = fd, .layer = layer};
    return read_attributes(object);
}

int layer_object_root(const struct layer_set *set, struct layer_object *ret_object)
{
    g_auto(layer_object) object = {0};
    for (unsigned i = 0; i < set->n_layers; i++) {
        int fd = openat(set->layers[i].root_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
            return -errno;
        add_member(&object, i, fd);
    }
    int r = read_attributes(&object);
    if (r < 0)
        return r;
    *ret_object = object;
    object = (struct layer_object){0};
    return 0;
}

/* A lookup under way. */
struct search {
    const struct layer_set *set;
    const struct layer_member *bases; /* directories of the layers to ask next: of their roots once from_root is set */
    unsigned n_bases;
    bool from_root;
    unsigned next_layer;                 /* from_root: the next layer to ask */
    char *path;                          /* what to ask for, from the base; owned */
    bool stopped;                        /* an inner component said that nothing below counts */
    const struct layer_names *names;     /* of the bases, or NULL */
    const struct layer_holders *holders; /* of path among these */
};

/* Takes a redirect of the component of search->path that begins and ends there, found in the given layer. */
static int redirect_search(struct search *search, size_t begin, size_t end, const char *redirect, unsigned layer)
{
    bool from_root;
    char *path = layer_redirect_apply(search->path, begin, end, redirect, &from_root);
    if (!path)
        return -EIO;
    g_free(search->path);
    search->path = path;
    if (from_root && !search->from_root) {
        search->from_root = true;
        search->next_layer = layer + 1;
        search->names = NULL;
    }
    if (search->names)
        search->holders = layer_names_find(search->names, path);
    return 0;
}

/* What is to be found out about a component of the path in a layer which has `has` of it. */
static struct layer_question question_of(const struct search *search, unsigned layer, const char *name, unsigned has)
{
    bool is_last = layer + 1 >= search->set->n_layers;
    return (struct layer_question){
        .name = name, .has = has, .is_last = is_last, .is_final = search->from_root ? is_last : search->n_bases == 0};
}

/*
 * Walks search->path from dir_fd in one layer, which has `has` of its first component. *ret_probe is the answer about
 * its last component; where an earlier one ends the walk, it is a whiteout or nothing.
 */
static int walk_layer(struct search *search, unsigned layer, int dir_fd, unsigned has, struct layer_probe *ret_probe)
{
    auto_fd int current = -1;
    g_autofree char *path = g_strdup(search->path);
    ptrdiff_t moved = 0; /* how much longer search->path has become, before the component in work */
    for (size_t begin = 0;;) {
        size_t end = begin + strcspn(path + begin, "/");
        bool is_final = path[end] == '\0';
        g_autofree char *name = g_strndup(path + begin, end - begin);
        g_auto(layer_probe) probe = {.fd = -1};
        int base = current >= 0 ? current : dir_fd;
        struct layer_question question = question_of(search, layer, name, current >= 0 ? LAYER_HAS_ANY : has);
        int r = layer_probe_name(search->set, base, &question, &probe);
        if (r < 0)
            return r;
        if (probe.redirect) {
            r = redirect_search(search, begin + moved, end + moved, probe.redirect, layer);
            if (r < 0)
                return r;
            moved = (ptrdiff_t)strlen(search->path) - (ptrdiff_t)strlen(path);
        }
        if (is_final) {
            *ret_probe = probe;
            probe = (struct layer_probe){.fd = -1};
            return 0;
        }
        search->stopped |= probe.answer.opaque || probe.answer.hides || probe.answer.found == LAYER_FOUND_WHITEOUT ||
                           probe.answer.found == LAYER_FOUND_OTHER;
        if (probe.answer.found != LAYER_FOUND_DIR)
            return 0;
        fd_close(current);
        current = fd_steal(&probe.fd);
        begin = end + 1;
    }
}

/* The next layer to ask and its directory to start from; false at the end. */
static bool next_base(struct search *search, unsigned *ret_layer, int *ret_fd)
{
    if (search->from_root) {
        if (search->next_layer >= search->set->n_layers)
            return false;
        *ret_layer = search->next_layer++;
        *ret_fd = search->set->layers[*ret_layer].root_fd;
        return true;
    }
    if (search->n_bases == 0)
        return false;
    *ret_layer = search->bases->layer;
    *ret_fd = search->bases->fd;
    search->bases++;
    search->n_bases--;
    return true;
}

/* Makes what a layer has a member of the object. */
static void take(struct layer_object *object, unsigned layer, struct layer_probe *probe)
{
    if (object->n_members == 0) {
        object->st = probe->st;
        object->stx = probe->stx;
        object->is_metacopy = probe->answer.metacopy;
        object->no_origin = probe->no_origin;
    }
    add_member(object, layer, fd_steal(&probe->fd));
}

static int run_search(struct search *search, struct layer_object *ret_object)
{
    g_auto(layer_object) object = {0};
    struct layer_merge merge = {0};
    unsigned layer;
    int base_fd;
    while (!search->stopped && next_base(search, &layer, &base_fd)) {
        g_auto(layer_probe) probe = {.fd = -1};
        unsigned has = search->names ? layer_names_ask(search->names, search->holders, layer) : LAYER_HAS_ANY;
        if (has == 0)
            continue;
        int r = walk_layer(search, layer, base_fd, has, &probe);
        if (r < 0)
            return r;
        unsigned step = layer_merge_add(&merge, &probe.answer);
        if (step & LAYER_STEP_TAKE)
            take(&object, layer, &probe);
        if (step & LAYER_STEP_STOP)
            break;
    }
    if (object.n_members == 0)
        return -ENOENT;
    if (merge.wants_data)
        return -EIO;
    *ret_object = object;
    object = (struct layer_object){0};
    return 0;
}

int layer_object_lookup(const struct layer_set *set, const struct layer_object *dir, const struct layer_names *names,
                        const char *name, struct layer_object *ret_object)
{
    if (whiteout_is_mark(name))
        return -ENOENT;
    struct search search = {
        .set = set,
        .bases = dir->members,
        .n_bases = dir->n_members,
        .path = g_strdup(name),
        .names = names,
        .holders = names ? layer_names_find(names, name) : NULL,
    };
    int r = run_search(&search, ret_object);
    g_free(search.path);
    return r;
}

static bool is_same_inode(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* The name of the directory child in the directory parent_fd (open for reading); -ESTALE if it isn't there. */
static int name_in_parent(int parent_fd, const struct stat *child, char ret_name[NAME_MAX + 1])
{
    union {
        struct dirent_record align;
        char bytes[32768];
    } buffer;
    ssize_t n;
    while ((n = dirent_read(parent_fd, buffer.bytes, sizeof(buffer))) > 0) {
        for (ssize_t at = 0; at < n;) {
            const struct dirent_record *record = (const void *)(buffer.bytes + at);
            at += record->record_size_bytes;
            struct stat st;
            if (strcmp(record->name, ".") == 0 || strcmp(record->name, "..") == 0 ||
                (record->type != DT_DIR && record->type != DT_UNKNOWN) || record->ino != child->st_ino)
                continue;
            if (fstatat(parent_fd, record->name, &st, AT_SYMLINK_NOFOLLOW) == 0 && is_same_inode(&st, child)) {
                g_strlcpy(ret_name, record->name, NAME_MAX + 1);
                return 0;
            }
        }
    }
    return n < 0 ? (int)n : -ESTALE;
}

/* The path of the directory fd from the root of its layer, without a leading slash; "" for the root. */
static int path_in_layer(const struct layer *layer, int fd, char **ret_path)
{
    struct stat root, st;
    auto_fd int current = openat(fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (current < 0 || fstatat(layer->root_fd, "", &root, AT_EMPTY_PATH) < 0 || fstat(current, &st) < 0)
        return -errno;
    g_autoptr(GString) path = g_string_new(NULL);
    while (!is_same_inode(&st, &root)) {
        struct stat parent_st;
        char name[NAME_MAX + 1];
        auto_fd int parent = openat(current, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (parent < 0 || fstat(parent, &parent_st) < 0)
            return -errno;
        if (is_same_inode(&parent_st, &st))
            return -ESTALE; /* the root of the file system: outside the layer */
        int r = name_in_parent(parent, &st, name);
        if (r < 0)
            return r;
        if (path->len > 0)
            g_string_prepend_c(path, '/');
        g_string_prepend(path, name);
        fd_close(current);
        current = fd_steal(&parent);
        st = parent_st;
    }
    *ret_path = g_string_free(g_steal_pointer(&path), FALSE);
    return 0;
}

int layer_object_from_member(const struct layer_set *set, unsigned layer, int fd, struct layer_object *ret_object)
{
    auto_fd int owned = fd;
    struct stat st;
    if (fstatat(owned, "", &st, AT_EMPTY_PATH) < 0)
        return -errno;
    if (!S_ISDIR(st.st_mode)) {
        g_auto(layer_object) object = {0};
        add_member(&object, layer, fd_steal(&owned));
        int r = read_attributes(&object);
        if (r < 0)
            return r;
        *ret_object = object;
        object = (struct layer_object){0};
        return 0;
    }
    struct search search = {.set = set, .from_root = true, .next_layer = layer};
    int r = path_in_layer(&set->layers[layer], owned, &search.path);
    if (r < 0)
        return r;
    if (search.path[0] == '\0') {
        g_free(search.path);
        return layer_object_root(set, ret_object);
    }
    g_auto(layer_object) object = {0};
    r = run_search(&search, &object);
    g_free(search.path);
    if (r == -ENOENT || (r == 0 && !is_same_inode(&object.st, &st)))
        return -ESTALE;
    if (r < 0)
        return r;
    *ret_object = object;
    object = (struct layer_object){0};
    return 0;
}
