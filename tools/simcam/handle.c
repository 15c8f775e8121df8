/* handle.c - the registry of live handles.
 *
 * One small lock guards the table; it is the innermost lock and is never held across a call.
 */
#include "handle.h"

#include <pthread.h>
#include <stdint.h>

#include "error.h"

#define SLOT_BITS 13
#define SLOT_COUNT (1u << SLOT_BITS)

struct slot {
    enum handle_kind kind; /* HANDLE_FREE: unused */
    bool retiring;         /* no new users; the slot is freed when the last one has left */
    unsigned users;
    uintptr_t generation;
    void *object;
};

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t user_left = PTHREAD_COND_INITIALIZER;
static struct slot table[SLOT_COUNT];
static unsigned next_slot;
static bool table_enabled;

void handle_enable(bool enabled)
{
    pthread_mutex_lock(&table_lock);
    table_enabled = enabled;
    pthread_mutex_unlock(&table_lock);
}

static void *encode(unsigned index)
{
    /* The 1 keeps slot 0 of generation 0 away from NULL. */
    return (void *)(((table[index].generation << SLOT_BITS | index) << 1) | 1u);
}

/* The slot that a live handle names, or NULL; table_lock held. */
static struct slot *decode(void *handle)
{
    unsigned index = (unsigned)((uintptr_t)handle >> 1) & (SLOT_COUNT - 1);
    struct slot *slot = &table[index];
    return slot->kind != HANDLE_FREE && encode(index) == handle ? slot : NULL;
}

void *handle_create(enum handle_kind kind, void *object)
{
    void *handle = NULL;
    pthread_mutex_lock(&table_lock);
    for (unsigned tried = 0; tried < SLOT_COUNT && !handle; tried++) {
        unsigned index = next_slot++ % SLOT_COUNT;
        if (table[index].kind != HANDLE_FREE)
            continue;
        table[index] = (struct slot){
            .kind = kind, .generation = table[index].generation + 1, .object = object};
        handle = encode(index);
    }
    pthread_mutex_unlock(&table_lock);
    if (!handle)
        fail(GC_ERR_RESOURCE_EXHAUSTED, "more than %u handles are open", SLOT_COUNT);
    return handle;
}

void *handle_acquire_any(void *handle, enum handle_kind *kind)
{
    void *object = NULL;
    pthread_mutex_lock(&table_lock);
    bool enabled = table_enabled;
    struct slot *slot = enabled ? decode(handle) : NULL;
    if (slot && !slot->retiring && (*kind == HANDLE_FREE || *kind == slot->kind)) {
        slot->users++;
        *kind = slot->kind;
        object = slot->object;
    }
    pthread_mutex_unlock(&table_lock);
    if (!enabled)
        fail(GC_ERR_NOT_INITIALIZED, "GCInitLib has not been called");
    else if (!object)
        fail(GC_ERR_INVALID_HANDLE, "%p is not an open handle of the kind needed here", handle);
    return object;
}

void *handle_acquire(void *handle, enum handle_kind kind)
{
    return handle_acquire_any(handle, &kind);
}

void handle_release(void *handle)
{
    pthread_mutex_lock(&table_lock);
    struct slot *slot = decode(handle);
    if (slot && --slot->users == 0 && slot->retiring)
        pthread_cond_broadcast(&user_left);
    pthread_mutex_unlock(&table_lock);
}

void *handle_retire(void *handle, enum handle_kind kind)
{
    void *object = NULL;
    pthread_mutex_lock(&table_lock);
    bool enabled = table_enabled;
    struct slot *slot = enabled ? decode(handle) : NULL;
    if (slot && slot->kind == kind && !slot->retiring) {
        slot->retiring = true;
        while (slot->users)
            pthread_cond_wait(&user_left, &table_lock);
        object = slot->object;
        slot->kind = HANDLE_FREE;
    }
    pthread_mutex_unlock(&table_lock);
    if (!enabled)
        fail(GC_ERR_NOT_INITIALIZED, "GCInitLib has not been called");
    else if (!object)
        fail(GC_ERR_INVALID_HANDLE, "%p is not an open handle of the kind needed here", handle);
    return object;
}
