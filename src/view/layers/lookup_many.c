/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking up many names that a listing has: what costs is asking the layers, which is done for all of them before the
 * first becomes an inode, so that a helper can do a share of it.
 *
 * What a layer that never changes has in a directory that it does not share with others is asked by name alone: no
 * other layer has a say in it, and no descriptor is opened that nobody may want.
 */
#include "base/helper.h"
#include "layer/layer_probe.h"
#include "sys/inode_fd.h"
#include "view/layers/layers.h"

#include <dirent.h>

struct question {
    const struct layer_listing_entry *listed;
    int r;
    struct layer_object object;
    bool has_key; /* instead of a descriptor in the object */
    struct inode_key key;
};

struct questions {
    struct view *view;
    const struct layers_dir *dir;
    struct question *all;
};

/* Whether nothing but the entry itself says what is at a listed name. */
static bool stands_alone(const struct layers *layers, const struct layers_dir *dir,
                         const struct layer_listing_entry *listed)
{
    const struct layer_object *object = &dir->merged->object;
    const struct layer_member *only = &object->members[0];
    if (object->n_members > 1 || !layers->is_fixed || (layers->set->has_upper && only->layer == 0) ||
        listed->type == DT_DIR || listed->type == DT_UNKNOWN)
        return false;
    bool may_be_metacopy = listed->type == DT_REG && only->layer + 1 < layers->set->n_layers;
    return !may_be_metacopy || layer_probe_has_no_marks(only->fd, listed->name);
}

static bool ask_by_name(struct questions *questions, struct question *question)
{
    struct layers *layers = layers_of(questions->view);
    const struct layer_member *member = &questions->dir->merged->object.members[0];
    struct layer_object *object = &question->object;
    if (!stands_alone(layers, questions->dir, question->listed) ||
        !layers_key_of_name(questions->view, member->layer, member->fd, question->listed->name, &object->stx,
                            &question->key))
        return false;
    if (S_ISDIR(object->stx.stx_mode) || index_covers(layers, &object->stx))
        return false;
    statx_to_stat(&object->stx, &object->st);
    object->members = g_new(struct layer_member, 1);
    object->members[0] = (struct layer_member){.fd = -1, .layer = member->layer};
    object->n_members = 1;
    return true;
}

static void ask(void *data, unsigned number)
{
    struct questions *questions = data;
    struct question *question = &questions->all[number];
    question->has_key = ask_by_name(questions, question);
    if (!question->has_key && question->listed->type != DT_DIR)
        question->r = layers_find(questions->view, questions->dir, question->listed->name, &question->object);
}

/* Makes what was found known; looks again where it may have been copied up since, and at directories. */
static int take(struct questions *questions, struct question *question, uint64_t switches,
                struct fuse_entry_param *ret_entry)
{
    struct view *view = questions->view;
    struct layers *layers = layers_of(view);
    const char *name = question->listed->name;
    struct inode *inode;
    if (question->object.n_members == 0 && question->r < 0)
        return question->r;
    if (question->object.n_members > 0 && switches % 2 == 0) {
        int r = layers_make_entry(view, questions->dir, name, &question->object,
                                  question->has_key ? &question->key : NULL, ret_entry, &inode);
        if (r < 0 || atomic_load(&layers->switches) == switches)
            return r;
        inode_table_forget(view->inodes, ret_entry->ino, 1);
    }
    return layers_lookup(view, questions->dir, name, ret_entry, &inode);
}

void layers_lookup_many(struct view *view, const struct layers_dir *dir,
                        const struct layer_listing_entry *const *listed, unsigned n,
                        struct fuse_entry_param *ret_entries)
{
    struct questions questions = {.view = view, .dir = dir, .all = g_new0(struct question, n)};
    for (unsigned i = 0; i < n; i++)
        questions.all[i].listed = listed[i];
    uint64_t switches = atomic_load(&layers_of(view)->switches);
    helper_share(view->helper, n, ask, &questions);
    for (unsigned i = 0; i < n; i++) {
        if (take(&questions, &questions.all[i], switches, &ret_entries[i]) < 0)
            ret_entries[i] =
                (struct fuse_entry_param){.attr = {.st_ino = listed[i]->ino, .st_mode = DTTOIF(listed[i]->type)}};
        layer_object_clear(&questions.all[i].object);
    }
    g_free(questions.all);
}
