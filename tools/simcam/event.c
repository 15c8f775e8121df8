/* event.c - events: a data stream tells of new frames. No other event exists here. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "error.h"
#include "handle.h"
#include "info.h"
#include "simcam.h"

/* ---- registering ---- */

static GC_ERROR event_open(struct stream *stream, EVENT_HANDLE *result)
{
    if (stream->event)
        return fail(GC_ERR_RESOURCE_IN_USE, "the event is registered already");
    struct event *event = calloc(1, sizeof *event);
    if (!event)
        return fail(GC_ERR_OUT_OF_MEMORY, "no memory for an event");
    event->stream = stream;
    event->handle = handle_create(HANDLE_EVENT, event);
    if (!event->handle) {
        free(event);
        return last_error();
    }
    stream->event = event;
    *result = event->handle;
    return GC_ERR_SUCCESS;
}

void event_close(struct stream *stream)
{
    struct event *event = stream->event;
    if (!event)
        return;
    pthread_mutex_lock(&stream->camera->lock);
    event->closed = true;
    pthread_cond_broadcast(&stream->ready);
    pthread_mutex_unlock(&stream->camera->lock);
    handle_retire(event->handle, HANDLE_EVENT);
    stream->event = NULL;
    free(event);
}

/* The stream that an event of this type can be registered on; NULL and an error if none. */
static struct stream *acquire_source(EVENTSRC_HANDLE handle, EVENT_TYPE type)
{
    enum handle_kind kind = HANDLE_FREE;
    void *object = handle_acquire_any(handle, &kind);
    if (object && (kind != HANDLE_STREAM || type != EVENT_NEW_BUFFER)) {
        handle_release(handle);
        fail(GC_ERR_NOT_IMPLEMENTED, "this module has no event %d", (int)type);
        return NULL;
    }
    return object;
}

GC_API GCRegisterEvent(EVENTSRC_HANDLE hModule, EVENT_TYPE iEventID, EVENT_HANDLE *phEvent)
{
    if (!phEvent)
        return fail(GC_ERR_INVALID_PARAMETER, "phEvent must not be NULL");
    pthread_mutex_lock(&structure_lock);
    struct stream *stream = acquire_source(hModule, iEventID);
    GC_ERROR error = stream ? event_open(stream, phEvent) : last_error();
    if (stream)
        handle_release(hModule);
    pthread_mutex_unlock(&structure_lock);
    return error;
}

GC_API GCUnregisterEvent(EVENTSRC_HANDLE hModule, EVENT_TYPE iEventID)
{
    pthread_mutex_lock(&structure_lock);
    struct stream *stream = acquire_source(hModule, iEventID);
    GC_ERROR error = GC_ERR_SUCCESS;
    if (!stream)
        error = last_error();
    else if (!stream->event)
        error = fail(GC_ERR_NOT_AVAILABLE, "the event is not registered");
    else
        event_close(stream);
    if (stream)
        handle_release(hModule);
    pthread_mutex_unlock(&structure_lock);
    return error;
}

/* ---- waiting ---- */

/* Wait for the next frame; camera lock held. */
static GC_ERROR wait_for_frame(struct event *event, uint64_t timeout_ms)
{
    struct stream *stream = event->stream;
    uint64_t deadline = timeout_ms == GENTL_INFINITE ? CLOCK_NEVER : clock_after_ms(timeout_ms);
    int waited = 0;
    while (!event->kills && !event->closed && !stream->output.head && waited != ETIMEDOUT)
        waited = clock_cond_wait(&stream->ready, &stream->camera->lock, deadline);
    if (event->closed)
        return fail(GC_ERR_ABORT, "the event was unregistered");
    if (event->kills) {
        event->kills--;
        return fail(GC_ERR_ABORT, "the wait was ended by EventKill");
    }
    if (!stream->output.head)
        return fail(GC_ERR_TIMEOUT, "no frame within %llu ms", (unsigned long long)timeout_ms);
    return GC_ERR_SUCCESS;
}

GC_API EventGetData(EVENT_HANDLE hEvent, void *pBuffer, size_t *piSize, uint64_t iTimeout)
{
    struct event *event = handle_acquire(hEvent, HANDLE_EVENT);
    if (!event)
        return last_error();
    GC_ERROR error = GC_ERR_SUCCESS;
    if (pBuffer && (!piSize || *piSize < sizeof(EVENT_NEW_BUFFER_DATA)))
        error = fail(GC_ERR_BUFFER_TOO_SMALL, "the event has %zu bytes",
                     sizeof(EVENT_NEW_BUFFER_DATA));
    pthread_mutex_lock(&event->stream->camera->lock);
    if (!error)
        error = wait_for_frame(event, iTimeout);
    if (!error) {
        struct buffer *buffer = stream_deliver(event->stream);
        EVENT_NEW_BUFFER_DATA data = {buffer->handle, buffer->private};
        if (pBuffer)
            memcpy(pBuffer, &data, sizeof data);
        if (piSize)
            *piSize = sizeof data;
    }
    pthread_mutex_unlock(&event->stream->camera->lock);
    handle_release(hEvent);
    return error;
}

GC_API EventKill(EVENT_HANDLE hEvent)
{
    struct event *event = handle_acquire(hEvent, HANDLE_EVENT);
    if (!event)
        return last_error();
    pthread_mutex_lock(&event->stream->camera->lock);
    event->kills++;
    pthread_cond_broadcast(&event->stream->ready);
    pthread_mutex_unlock(&event->stream->camera->lock);
    handle_release(hEvent);
    return GC_ERR_SUCCESS;
}

GC_API EventFlush(EVENT_HANDLE hEvent)
{
    struct event *event = handle_acquire(hEvent, HANDLE_EVENT);
    if (!event)
        return last_error();
    pthread_mutex_lock(&event->stream->camera->lock);
    event->kills = 0;
    stream_discard_output(event->stream);
    pthread_mutex_unlock(&event->stream->camera->lock);
    handle_release(hEvent);
    return GC_ERR_SUCCESS;
}

/* ---- information ---- */

GC_API EventGetDataInfo(EVENT_HANDLE hEvent, const void *pInBuffer, size_t iInSize,
                        EVENT_DATA_INFO_CMD iInfoCmd, INFO_DATATYPE *piType, void *pOutBuffer,
                        size_t *piOutSize)
{
    if (!handle_acquire(hEvent, HANDLE_EVENT))
        return last_error();
    handle_release(hEvent);
    EVENT_NEW_BUFFER_DATA data;
    if (!pInBuffer || iInSize < sizeof data)
        return fail(GC_ERR_INVALID_PARAMETER, "the event has %zu bytes", sizeof data);
    memcpy(&data, pInBuffer, sizeof data);
    struct info out = {piType, pOutBuffer, piOutSize};
    switch (iInfoCmd) {
    case EVENT_DATA_ID:
        return info_pointer(out, data.BufferHandle);
    case EVENT_DATA_VALUE:
        return info_pointer(out, data.pUserPointer);
    default:
        return info_unknown("the event's data", iInfoCmd);
    }
}

static GC_ERROR event_info(const struct event *event, EVENT_INFO_CMD command, struct info out)
{
    switch (command) {
    case EVENT_EVENT_TYPE:
        return info_i32(out, EVENT_NEW_BUFFER);
    case EVENT_NUM_IN_QUEUE:
        return info_size(out, event->stream->output.count);
    case EVENT_NUM_FIRED:
        return info_u64(out, event->stream->fired);
    case EVENT_SIZE_MAX:
    case EVENT_INFO_DATA_SIZE_MAX:
        return info_size(out, sizeof(EVENT_NEW_BUFFER_DATA));
    default:
        return info_unknown("the event", command);
    }
}

GC_API EventGetInfo(EVENT_HANDLE hEvent, EVENT_INFO_CMD iInfoCmd, INFO_DATATYPE *piType,
                    void *pBuffer, size_t *piSize)
{
    struct event *event = handle_acquire(hEvent, HANDLE_EVENT);
    if (!event)
        return last_error();
    pthread_mutex_lock(&event->stream->camera->lock);
    GC_ERROR error = event_info(event, iInfoCmd, (struct info){piType, pBuffer, piSize});
    pthread_mutex_unlock(&event->stream->camera->lock);
    handle_release(hEvent);
    return error;
}
