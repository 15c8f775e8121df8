/* stream.c - the data stream: from the camera's wire into the application's buffers.
 *
 * Every frame that the camera sends to a grabbing stream is accounted for:
 *     started = delivered + ready (output queue) + discarded by the application + underrun
 * where `underrun` counts frames that found no buffer, and frames that StreamBufferHandlingMode
 * gave up for a newer one.
 */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "error.h"
#include "handle.h"
#include "info.h"
#include "simcam.h"
#include "stream_features.h"

void queue_push(struct queue *queue, struct buffer *buffer, enum buffer_state state)
{
    buffer->next = NULL;
    buffer->state = state;
    if (queue->tail)
        queue->tail->next = buffer;
    else
        queue->head = buffer;
    queue->tail = buffer;
    queue->count++;
}

struct buffer *queue_pop(struct queue *queue)
{
    struct buffer *buffer = queue->head;
    if (!buffer)
        return NULL;
    queue->head = buffer->next;
    if (!queue->head)
        queue->tail = NULL;
    queue->count--;
    return buffer;
}

/* ---- the camera's side ---- */

static uint32_t handling_mode(const struct stream *stream)
{
    return register_u32(stream->port.registers, REG_STREAM_BUFFER_HANDLING_MODE);
}

/* A buffer to fill, or NULL: the frame is lost. */
static struct buffer *take_buffer(struct stream *stream)
{
    struct buffer *buffer = queue_pop(&stream->input);
    if (buffer)
        return buffer;
    stream->underrun++;
    return handling_mode(stream) == HANDLING_OLDEST_FIRST ? NULL : queue_pop(&stream->output);
}

static void put_into_output(struct stream *stream, struct buffer *buffer)
{
    queue_push(&stream->output, buffer, BUFFER_READY);
    stream->fired++;
    pthread_cond_broadcast(&stream->ready);
}

/* NewestOnly: what waits for delivery gives way to the frame that comes. */
static void give_up_older(struct stream *stream)
{
    for (struct buffer *older; (older = queue_pop(&stream->output));) {
        stream->underrun++;
        queue_push(&stream->input, older, BUFFER_QUEUED);
    }
}

void stream_receive(struct stream *stream, const struct frame *frame)
{
    if (!stream->grabbing || stream->to_acquire == 0)
        return;
    stream->started++;
    struct buffer *buffer = take_buffer(stream);
    if (!buffer)
        return;
    buffer->state = BUFFER_FILLING;
    buffer->frame = *frame;
    stream->filling = buffer;
    pthread_mutex_unlock(&stream->camera->lock);
    buffer->filled =
        frame_render(frame, stream->camera->images, buffer->memory, buffer->size);
    pthread_mutex_lock(&stream->camera->lock);
    stream->filling = NULL;
    if (stream->to_acquire != GENTL_INFINITE)
        stream->to_acquire--;
    if (handling_mode(stream) == HANDLING_NEWEST_ONLY)
        give_up_older(stream);
    put_into_output(stream, buffer);
    pthread_cond_broadcast(&stream->filled);
}

/* ---- the application's side ---- */

struct buffer *stream_deliver(struct stream *stream)
{
    struct buffer *buffer = queue_pop(&stream->output);
    if (!buffer)
        return NULL;
    buffer->state = BUFFER_DELIVERED;
    stream->delivered++;
    return buffer;
}

void stream_discard_output(struct stream *stream)
{
    for (struct buffer *buffer; (buffer = queue_pop(&stream->output));)
        buffer->state = BUFFER_IDLE;
}

static GC_ERROR start(struct stream *stream, uint64_t to_acquire)
{
    GC_ERROR error = camera_check_present(stream->camera);
    if (error)
        return error;
    if (stream->grabbing)
        return fail(GC_ERR_RESOURCE_IN_USE, "acquisition has been started before");
    stream->grabbing = true;
    stream->to_acquire = to_acquire;
    stream->started = stream->delivered = stream->underrun = 0;
    return GC_ERR_SUCCESS;
}

static void stop(struct stream *stream)
{
    stream->grabbing = false;
    while (stream->filling)
        clock_cond_wait(&stream->filled, &stream->camera->lock, CLOCK_NEVER);
}

static void input_to_output(struct stream *stream)
{
    for (struct buffer *buffer; (buffer = queue_pop(&stream->input));) {
        buffer->frame = (struct frame){.incomplete = true};
        buffer->filled = 0;
        put_into_output(stream, buffer);
    }
}

/* Queue every buffer that is with the application. */
static void queue_unqueued(struct stream *stream)
{
    for (struct buffer *buffer = stream->announced; buffer; buffer = buffer->announced)
        if (buffer->state == BUFFER_IDLE || buffer->state == BUFFER_DELIVERED)
            queue_push(&stream->input, buffer, BUFFER_QUEUED);
}

static GC_ERROR flush(struct stream *stream, ACQ_QUEUE_TYPE operation)
{
    switch (operation) {
    case ACQ_QUEUE_INPUT_TO_OUTPUT:
        input_to_output(stream);
        return GC_ERR_SUCCESS;
    case ACQ_QUEUE_OUTPUT_DISCARD:
        stream_discard_output(stream);
        return GC_ERR_SUCCESS;
    case ACQ_QUEUE_ALL_TO_INPUT:
        stream_discard_output(stream);
        queue_unqueued(stream);
        return GC_ERR_SUCCESS;
    case ACQ_QUEUE_UNQUEUED_TO_INPUT:
        queue_unqueued(stream);
        return GC_ERR_SUCCESS;
    case ACQ_QUEUE_ALL_DISCARD:
        stream_discard_output(stream);
        for (struct buffer *buffer; (buffer = queue_pop(&stream->input));)
            buffer->state = BUFFER_IDLE;
        return GC_ERR_SUCCESS;
    default:
        return fail(GC_ERR_INVALID_PARAMETER, "there is no queue operation %d", (int)operation);
    }
}

/* ---- opening and closing ---- */

static GC_ERROR before_read(void *owner, uint64_t address)
{
    (void)address;
    struct stream *stream = owner;
    uint8_t *registers = stream->port.registers;
    register_set_u64(registers, REG_STREAM_ANNOUNCED_BUFFER_COUNT, stream->announced_count);
    register_set_u64(registers, REG_STREAM_DELIVERED_FRAME_COUNT, stream->delivered);
    register_set_u64(registers, REG_STREAM_LOST_FRAME_COUNT, stream->underrun);
    register_set_u64(registers, REG_STREAM_INPUT_BUFFER_COUNT, stream->input.count);
    register_set_u64(registers, REG_STREAM_OUTPUT_BUFFER_COUNT, stream->output.count);
    register_set_u64(registers, REG_STREAM_STARTED_FRAME_COUNT, stream->started);
    register_set_u32(registers, REG_STREAM_IS_GRABBING, stream->grabbing);
    return GC_ERR_SUCCESS;
}

GC_ERROR stream_open(struct device *device, struct stream **result)
{
    struct stream *stream = calloc(1, sizeof *stream);
    if (!stream)
        return fail(GC_ERR_OUT_OF_MEMORY, "no memory for a data stream");
    stream->device = device;
    stream->camera = &device->camera;
    stream->port = (struct port){.map = &stream_map,
                                 .module = "TLDataStream",
                                 .id = STREAM_ID,
                                 .lock = &device->camera.lock,
                                 .owner = stream,
                                 .before_read = before_read};
    GC_ERROR error = port_open(&stream->port);
    if (!error && !(stream->handle = handle_create(HANDLE_STREAM, stream)))
        error = last_error();
    if (error) {
        port_close(&stream->port);
        free(stream);
        return error;
    }
    register_set_string(stream->port.registers, REG_STREAM_ID, STREAM_ID);
    clock_cond_init(&stream->ready);
    clock_cond_init(&stream->filled);
    pthread_mutex_lock(&device->camera.lock);
    device->camera.stream = stream;
    pthread_mutex_unlock(&device->camera.lock);
    device->stream = *result = stream;
    return GC_ERR_SUCCESS;
}

void stream_close(struct stream *stream)
{
    struct camera *camera = stream->camera;
    pthread_mutex_lock(&camera->lock);
    stop(stream);
    camera->stream = NULL;
    pthread_mutex_unlock(&camera->lock);
    event_close(stream);
    handle_retire(stream->handle, HANDLE_STREAM);
    while (stream->announced) {
        struct buffer *buffer = stream->announced;
        stream->announced = buffer->announced;
        handle_retire(buffer->handle, HANDLE_BUFFER);
        if (buffer->owned)
            free(buffer->memory);
        free(buffer);
    }
    pthread_cond_destroy(&stream->ready);
    pthread_cond_destroy(&stream->filled);
    port_close(&stream->port);
    stream->device->stream = NULL;
    free(stream);
}

GC_API DSClose(DS_HANDLE hDataStream)
{
    GC_ERROR error = GC_ERR_SUCCESS;
    pthread_mutex_lock(&structure_lock);
    struct stream *stream = handle_acquire(hDataStream, HANDLE_STREAM);
    if (stream) {
        handle_release(hDataStream);
        stream_close(stream);
    } else {
        error = last_error();
    }
    pthread_mutex_unlock(&structure_lock);
    return error;
}

/* ---- acquisition ---- */

GC_API DSStartAcquisition(DS_HANDLE hDataStream, ACQ_START_FLAGS iStartFlags,
                          uint64_t iNumToAcquire)
{
    (void)iStartFlags;
    struct stream *stream = handle_acquire(hDataStream, HANDLE_STREAM);
    if (!stream)
        return last_error();
    pthread_mutex_lock(&stream->camera->lock);
    GC_ERROR error = start(stream, iNumToAcquire);
    pthread_mutex_unlock(&stream->camera->lock);
    handle_release(hDataStream);
    return error;
}

GC_API DSStopAcquisition(DS_HANDLE hDataStream, ACQ_STOP_FLAGS iStopFlags)
{
    (void)iStopFlags;
    struct stream *stream = handle_acquire(hDataStream, HANDLE_STREAM);
    if (!stream)
        return last_error();
    pthread_mutex_lock(&stream->camera->lock);
    GC_ERROR error = GC_ERR_SUCCESS;
    if (stream->grabbing)
        stop(stream);
    else
        error = fail(GC_ERR_RESOURCE_IN_USE, "acquisition has not been started");
    pthread_mutex_unlock(&stream->camera->lock);
    handle_release(hDataStream);
    return error;
}

GC_API DSFlushQueue(DS_HANDLE hDataStream, ACQ_QUEUE_TYPE iOperation)
{
    struct stream *stream = handle_acquire(hDataStream, HANDLE_STREAM);
    if (!stream)
        return last_error();
    pthread_mutex_lock(&stream->camera->lock);
    GC_ERROR error = flush(stream, iOperation);
    pthread_mutex_unlock(&stream->camera->lock);
    handle_release(hDataStream);
    return error;
}

/* ---- information ---- */

static GC_ERROR stream_info(struct stream *stream, STREAM_INFO_CMD command, struct info out)
{
    switch (command) {
    case STREAM_INFO_ID:
        return info_string(out, STREAM_ID);
    case STREAM_INFO_NUM_DELIVERED:
        return info_u64(out, stream->delivered);
    case STREAM_INFO_NUM_UNDERRUN:
        return info_u64(out, stream->underrun);
    case STREAM_INFO_NUM_ANNOUNCED:
        return info_size(out, stream->announced_count);
    case STREAM_INFO_NUM_QUEUED:
        return info_size(out, stream->input.count);
    case STREAM_INFO_NUM_AWAIT_DELIVERY:
        return info_size(out, stream->output.count);
    case STREAM_INFO_NUM_STARTED:
        return info_u64(out, stream->started);
    case STREAM_INFO_PAYLOAD_SIZE:
        return info_size(out, camera_payload_size(stream->camera));
    case STREAM_INFO_IS_GRABBING:
        return info_bool(out, stream->grabbing);
    case STREAM_INFO_DEFINES_PAYLOADSIZE:
        return info_bool(out, 1);
    case STREAM_INFO_TLTYPE:
        return info_string(out, SIMCAM_TLTYPE);
    case STREAM_INFO_NUM_CHUNKS_MAX:
        return info_size(out, CHUNK_COUNT);
    case STREAM_INFO_BUF_ANNOUNCE_MIN:
    case STREAM_INFO_BUF_ALIGNMENT:
        return info_size(out, 1);
    default:
        return info_unknown("the data stream", command);
    }
}

GC_API DSGetInfo(DS_HANDLE hDataStream, STREAM_INFO_CMD iInfoCmd, INFO_DATATYPE *piType,
                 void *pBuffer, size_t *piSize)
{
    struct stream *stream = handle_acquire(hDataStream, HANDLE_STREAM);
    if (!stream)
        return last_error();
    pthread_mutex_lock(&stream->camera->lock);
    GC_ERROR error = stream_info(stream, iInfoCmd, (struct info){piType, pBuffer, piSize});
    pthread_mutex_unlock(&stream->camera->lock);
    handle_release(hDataStream);
    return error;
}

GC_API DSGetParentDev(DS_HANDLE hDataStream, DEV_HANDLE *phDevice)
{
    if (!phDevice)
        return fail(GC_ERR_INVALID_PARAMETER, "phDevice must not be NULL");
    struct stream *stream = handle_acquire(hDataStream, HANDLE_STREAM);
    if (!stream)
        return last_error();
    *phDevice = stream->device->handle;
    handle_release(hDataStream);
    return GC_ERR_SUCCESS;
}

/* ---- flows came with GenTL 1.7 and do not exist here ---- */

GC_API DSGetNumFlows(DS_HANDLE hDataStream, uint32_t *piNumFlows)
{
    (void)hDataStream, (void)piNumFlows;
    return fail(GC_ERR_NOT_IMPLEMENTED, "simcam has no flows");
}

GC_API DSGetFlowInfo(DS_HANDLE hDataStream, uint32_t iFlowIndex, FLOW_INFO_CMD iInfoCmd,
                     INFO_DATATYPE *piType, void *pBuffer, size_t *piSize)
{
    (void)hDataStream, (void)iFlowIndex, (void)iInfoCmd, (void)piType, (void)pBuffer;
    (void)piSize;
    return fail(GC_ERR_NOT_IMPLEMENTED, "simcam has no flows");
}
