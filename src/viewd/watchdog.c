/* SPDX-License-Identifier: Apache-2.0 */
#include "viewd/watchdog.h"

#include "viewd/stats.h"

#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define LOOK_MS      10000
#define STOPPED_MS   3000 /* that long somebody may have stopped it for a look */
#define N_STUCK_LAST 3

void watchdog_start(struct watchdog *w)
{
    *w = (struct watchdog){.next_ms = stats_now_ms() + LOOK_MS};
}

void watchdog_note_stop(struct watchdog *w, bool stopped)
{
    uint64_t now_ms = stats_now_ms();
    w->stopped_at_ms = stopped ? now_ms : 0;
    w->next_ms = now_ms + (stopped ? STOPPED_MS : LOOK_MS);
}

/* State and used processor time of one thread. */
static bool read_thread(pid_t worker, const char *tid, char *ret_state, uint64_t *ret_ticks)
{
    char path[64], line[512];
    unsigned long long user, system;
    snprintf(path, sizeof(path), "/proc/%d/task/%.16s/stat", (int)worker, tid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool got = fgets(line, sizeof(line), file);
    fclose(file);
    const char *fields = got ? strrchr(line, ')') : NULL; /* a name may hold anything */
    if (!fields ||
        sscanf(fields, ") %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu %llu", ret_state, &user, &system) != 3)
        return false;
    *ret_ticks = user + system;
    return true;
}

/* Whether any thread waits for a disk, and how much processor time all have used. */
static bool waits_for_disk(pid_t worker, uint64_t *ret_ticks)
{
    char path[32];
    bool found = false;
    *ret_ticks = 0;
    snprintf(path, sizeof(path), "/proc/%d/task", (int)worker);
    DIR *dir = opendir(path);
    if (!dir)
        return true; /* not known: not to be held against it */
    for (struct dirent *entry; (entry = readdir(dir));) {
        char state;
        uint64_t ticks;
        if (entry->d_name[0] == '.' || !read_thread(worker, entry->d_name, &state, &ticks))
            continue;
        found = found || state == 'D';
        *ret_ticks += ticks;
    }
    closedir(dir);
    return found;
}

static uint64_t count_requests(const struct memory *memory)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < TRANSPORT_N_OPCODES; i++)
        n += atomic_load_explicit(&memory->transport->n_requests[i], memory_order_relaxed);
    return n;
}

/* Whether nothing has moved since the last look, though requests wait. */
static bool is_stuck(struct watchdog *w, const struct memory *memory, int dev_fd, pid_t worker)
{
    struct pollfd waiting = {.fd = dev_fd, .events = POLLIN};
    uint64_t n_requests = count_requests(memory), cpu_ticks = w->cpu_ticks;
    bool moved = n_requests != w->n_requests || poll(&waiting, 1, 0) <= 0 || !(waiting.revents & POLLIN) ||
                 waits_for_disk(worker, &cpu_ticks) || cpu_ticks != w->cpu_ticks;
    w->n_requests = n_requests;
    w->cpu_ticks = cpu_ticks;
    return !moved;
}

const char *watchdog_look(struct watchdog *w, const struct memory *memory, int dev_fd, pid_t worker)
{
    uint64_t now_ms = stats_now_ms();
    if (now_ms < w->next_ms)
        return NULL;
    w->next_ms = now_ms + LOOK_MS;
    if (w->stopped_at_ms != 0 && now_ms - w->stopped_at_ms >= STOPPED_MS)
        return "somebody has stopped it";
    w->n_stuck = is_stuck(w, memory, dev_fd, worker) ? w->n_stuck + 1 : 0;
    return w->n_stuck >= N_STUCK_LAST ? "it takes no requests" : NULL;
}
