/* buffer.c - announcing, queueing and describing the buffers of a data stream. */
#include <stdlib.h>

#include "error.h"
#include "handle.h"
#include "info.h"
#include "simcam.h"

/* ---- announcing and revoking ---- */

static GC_ERROR announce(DS_HANDLE handle, void *memory, size_t size, void *private, bool owned,
                         BUFFER_HANDLE *result)
{
    struct stream *stream = handle_acquire(handle, HANDLE_STREAM);
    struct buffer *buffer = stream ? calloc(1, sizeof *buffer) : NULL;
    if (!stream)
        return last_error();
    GC_ERROR error = GC_ERR_SUCCESS;
    if (!buffer)
        error = fail(GC_ERR_OUT_OF_MEMORY, "no memory for a buffer");
    else if (!(buffer->handle = handle_create(HANDLE_BUFFER, buffer)))
        error = last_error();
    if (error) {
        free(buffer);
    } else {
        buffer->stream = stream;
        buffer->memory = memory;
        buffer->size = size;
        buffer->private = private;
        buffer->owned = owned;
        pthread_mutex_lock(&stream->camera->lock);
        /* At the end, so that DSGetBufferID counts in the order of announcing. */
        struct buffer **end = &stream->announced;
        while (*end)
            end = &(*end)->announced;
        *end = buffer;
        stream->announced_count++;
        pthread_mutex_unlock(&stream->camera->lock);
        *result = buffer->handle;
    }
    handle_release(handle);
    return error;
}

GC_API DSAnnounceBuffer(DS_HANDLE hDataStream, void *pBuffer, size_t iSize, void *pPrivate,
                        BUFFER_HANDLE *phBuffer)
{
    if (!pBuffer || !iSize || !phBuffer)
        return fail(GC_ERR_INVALID_PARAMETER, "a buffer needs memory, a size and phBuffer");
    pthread_mutex_lock(&structure_lock);
    GC_ERROR error = announce(hDataStream, pBuffer, iSize, pPrivate, false, phBuffer);
    pthread_mutex_unlock(&structure_lock);
    return error;
}

GC_API DSAllocAndAnnounceBuffer(DS_HANDLE hDataStream, size_t iSize, void *pPrivate,
                                BUFFER_HANDLE *phBuffer)
{
    if (!iSize || !phBuffer)
        return fail(GC_ERR_INVALID_PARAMETER, "a buffer needs a size and phBuffer");
    void *memory = malloc(iSize);
    if (!memory)
        return fail(GC_ERR_OUT_OF_MEMORY, "no memory for a buffer of %zu bytes", iSize);
    pthread_mutex_lock(&structure_lock);
    GC_ERROR error = announce(hDataStream, memory, iSize, pPrivate, true, phBuffer);
    pthread_mutex_unlock(&structure_lock);
    if (error)
        free(memory);
    return error;
}

GC_API DSAnnounceCompositeBuffer(DS_HANDLE hDataStream, size_t iNumSegments, void **ppSegments,
                                 size_t *piSizes, void *pPrivate, BUFFER_HANDLE *phBuffer)
{
    (void)hDataStream, (void)iNumSegments, (void)ppSegments, (void)piSizes, (void)pPrivate;
    (void)phBuffer;
    return fail(GC_ERR_NOT_IMPLEMENTED, "simcam has no composite buffers");
}

/* Take the buffer off the stream's list, unless it is in use; camera lock held. */
static GC_ERROR unlink_buffer(struct stream *stream, BUFFER_HANDLE handle, struct buffer **result)
{
    struct buffer **at = &stream->announced;
    while (*at && (*at)->handle != handle)
        at = &(*at)->announced;
    struct buffer *buffer = *at;
    if (!buffer)
        return fail(GC_ERR_INVALID_HANDLE, "this is not a buffer of this stream");
    if (buffer->state != BUFFER_IDLE && buffer->state != BUFFER_DELIVERED)
        return fail(GC_ERR_BUSY, "the buffer is queued; flush the queues first");
    *at = buffer->announced;
    stream->announced_count--;
    buffer->state = BUFFER_REVOKED;
    *result = buffer;
    return GC_ERR_SUCCESS;
}

static GC_ERROR revoke(DS_HANDLE stream_handle, BUFFER_HANDLE handle, void **memory, void **private)
{
    struct stream *stream = handle_acquire(stream_handle, HANDLE_STREAM);
    if (!stream)
        return last_error();
    struct buffer *buffer = NULL;
    pthread_mutex_lock(&stream->camera->lock);
    GC_ERROR error = unlink_buffer(stream, handle, &buffer);
    pthread_mutex_unlock(&stream->camera->lock);
    handle_release(stream_handle);
    if (error)
        return error;
    handle_retire(handle, HANDLE_BUFFER);
    if (memory)
        *memory = buffer->owned ? NULL : buffer->memory;
    if (private)
        *private = buffer->private;
    if (buffer->owned)
        free(buffer->memory);
    free(buffer);
    return GC_ERR_SUCCESS;
}

GC_API DSRevokeBuffer(DS_HANDLE hDataStream, BUFFER_HANDLE hBuffer, void **ppBuffer,
                      void **ppPrivate)
{
    pthread_mutex_lock(&structure_lock);
    GC_ERROR error = revoke(hDataStream, hBuffer, ppBuffer, ppPrivate);
    pthread_mutex_unlock(&structure_lock);
    return error;
}

/* ---- the two handles that most functions of a buffer take ---- */

struct pair {
    struct stream *stream;
    struct buffer *buffer;
};

/* Hold both and lock the camera; false and an error if one is not valid. */
static bool acquire_pair(DS_HANDLE stream, BUFFER_HANDLE buffer, struct pair *pair)
{
    if (!(pair->stream = handle_acquire(stream, HANDLE_STREAM)))
        return false;
    if (!(pair->buffer = handle_acquire(buffer, HANDLE_BUFFER))) {
        handle_release(stream);
        return false;
    }
    if (pair->buffer->stream != pair->stream) {
        handle_release(buffer);
        handle_release(stream);
        fail(GC_ERR_INVALID_HANDLE, "the buffer belongs to another data stream");
        return false;
    }
    pthread_mutex_lock(&pair->stream->camera->lock);
    return true;
}

static void release_pair(DS_HANDLE stream, BUFFER_HANDLE buffer, struct pair *pair)
{
    pthread_mutex_unlock(&pair->stream->camera->lock);
    handle_release(buffer);
    handle_release(stream);
}

GC_API DSQueueBuffer(DS_HANDLE hDataStream, BUFFER_HANDLE hBuffer)
{
    struct pair pair;
    if (!acquire_pair(hDataStream, hBuffer, &pair))
        return last_error();
    GC_ERROR error = GC_ERR_SUCCESS;
    if (pair.buffer->state == BUFFER_IDLE || pair.buffer->state == BUFFER_DELIVERED)
        queue_push(&pair.stream->input, pair.buffer, BUFFER_QUEUED);
    else
        error = fail(GC_ERR_RESOURCE_IN_USE, "the buffer is queued already");
    release_pair(hDataStream, hBuffer, &pair);
    return error;
}

GC_API DSGetBufferID(DS_HANDLE hDataStream, uint32_t iIndex, BUFFER_HANDLE *phBuffer)
{
    if (!phBuffer)
        return fail(GC_ERR_INVALID_PARAMETER, "phBuffer must not be NULL");
    struct stream *stream = handle_acquire(hDataStream, HANDLE_STREAM);
    if (!stream)
        return last_error();
    pthread_mutex_lock(&stream->camera->lock);
    GC_ERROR error = GC_ERR_SUCCESS;
    struct buffer *buffer = stream->announced;
    for (uint32_t i = 0; buffer && i < iIndex; i++)
        buffer = buffer->announced;
    if (buffer)
        *phBuffer = buffer->handle;
    else
        error = fail(GC_ERR_INVALID_INDEX, "there are %zu buffers", stream->announced_count);
    pthread_mutex_unlock(&stream->camera->lock);
    handle_release(hDataStream);
    return error;
}

/* ---- information ---- */

/* What is known of a buffer in every state. */
static GC_ERROR memory_info(const struct buffer *buffer, BUFFER_INFO_CMD command, struct info out)
{
    switch (command) {
    case BUFFER_INFO_BASE:
        return info_pointer(out, buffer->memory);
    case BUFFER_INFO_SIZE:
        return info_size(out, buffer->size);
    case BUFFER_INFO_USER_PTR:
        return info_pointer(out, buffer->private);
    case BUFFER_INFO_TLTYPE:
        return info_string(out, SIMCAM_TLTYPE);
    case BUFFER_INFO_NEW_DATA:
        return info_bool(out, buffer->state == BUFFER_DELIVERED);
    case BUFFER_INFO_IS_QUEUED:
        return info_bool(out, buffer->state == BUFFER_QUEUED || buffer->state == BUFFER_READY);
    case BUFFER_INFO_IS_ACQUIRING:
        return info_bool(out, buffer->state == BUFFER_FILLING);
    default:
        return GC_ERR_NOT_AVAILABLE;
    }
}

/* What is known of the frame in it. */
static GC_ERROR frame_info(const struct buffer *buffer, BUFFER_INFO_CMD command, struct info out)
{
    const struct frame *frame = &buffer->frame;
    size_t payload = frame_payload_size(frame);
    switch (command) {
    case BUFFER_INFO_TIMESTAMP:
    case BUFFER_INFO_TIMESTAMP_NS:
        return info_u64(out, frame->timestamp_ns);
    case BUFFER_INFO_IS_INCOMPLETE:
        return info_bool(out, frame->incomplete || payload > buffer->size);
    case BUFFER_INFO_DATA_LARGER_THAN_BUFFER:
        return info_bool(out, payload > buffer->size);
    case BUFFER_INFO_SIZE_FILLED:
    case BUFFER_INFO_DATA_SIZE:
        return info_size(out, buffer->filled);
    case BUFFER_INFO_WIDTH:
        return info_size(out, frame->width);
    case BUFFER_INFO_HEIGHT:
    case BUFFER_INFO_DELIVERED_IMAGEHEIGHT:
        return info_size(out, frame->height);
    case BUFFER_INFO_XOFFSET:
        return info_size(out, frame->offset_x);
    case BUFFER_INFO_YOFFSET:
        return info_size(out, frame->offset_y);
    case BUFFER_INFO_XPADDING:
    case BUFFER_INFO_YPADDING:
    case BUFFER_INFO_IMAGEOFFSET:
        return info_size(out, 0);
    case BUFFER_INFO_FRAMEID:
        return info_u64(out, frame->id);
    case BUFFER_INFO_IMAGEPRESENT:
        return info_bool(out, buffer->filled > 0);
    case BUFFER_INFO_PAYLOADTYPE:
        return info_size(out, PAYLOAD_TYPE_IMAGE);
    case BUFFER_INFO_PIXELFORMAT:
        return info_u64(out, frame->pixel_format);
    case BUFFER_INFO_PIXELFORMAT_NAMESPACE:
        return info_u64(out, PIXELFORMAT_NAMESPACE_PFNC_32BIT);
    case BUFFER_INFO_PIXEL_ENDIANNESS:
        return info_i32(out, PIXELENDIANNESS_LITTLE);
    case BUFFER_INFO_CONTAINS_CHUNKDATA:
        return info_bool(out, frame->chunks && buffer->filled == payload);
    case BUFFER_INFO_DELIVERED_CHUNKPAYLOADSIZE:
        return info_size(out, payload - frame_image_size(frame));
    case BUFFER_INFO_IS_COMPOSITE:
        return info_bool(out, 0);
    default:
        return info_unknown("the buffer", command);
    }
}

static GC_ERROR buffer_info(const struct buffer *buffer, BUFFER_INFO_CMD command, struct info out)
{
    GC_ERROR error = memory_info(buffer, command, out);
    if (error != GC_ERR_NOT_AVAILABLE)
        return error;
    if (buffer->state != BUFFER_DELIVERED)
        return fail(GC_ERR_NOT_AVAILABLE, "the buffer holds no delivered frame");
    return frame_info(buffer, command, out);
}

GC_API DSGetBufferInfo(DS_HANDLE hDataStream, BUFFER_HANDLE hBuffer, BUFFER_INFO_CMD iInfoCmd,
                       INFO_DATATYPE *piType, void *pBuffer, size_t *piSize)
{
    struct pair pair;
    if (!acquire_pair(hDataStream, hBuffer, &pair))
        return last_error();
    GC_ERROR error = buffer_info(pair.buffer, iInfoCmd, (struct info){piType, pBuffer, piSize});
    release_pair(hDataStream, hBuffer, &pair);
    return error;
}

GC_API DSGetBufferInfoStacked(DS_HANDLE hDataStream, BUFFER_HANDLE hBuffer,
                              DS_BUFFER_INFO_STACKED *pInfoStacked, size_t iNumInfos)
{
    if (!pInfoStacked || !iNumInfos)
        return fail(GC_ERR_INVALID_PARAMETER, "pInfoStacked must not be empty");
    struct pair pair;
    if (!acquire_pair(hDataStream, hBuffer, &pair))
        return last_error();
    for (size_t i = 0; i < iNumInfos; i++) {
        /* The entries are packed: work on aligned copies. */
        INFO_DATATYPE type = pInfoStacked[i].iType;
        size_t size = pInfoStacked[i].iSize;
        pInfoStacked[i].iResult = buffer_info(pair.buffer, pInfoStacked[i].iInfoCmd,
                                              (struct info){&type, pInfoStacked[i].pBuffer, &size});
        pInfoStacked[i].iType = type;
        pInfoStacked[i].iSize = size;
    }
    release_pair(hDataStream, hBuffer, &pair);
    return GC_ERR_SUCCESS;
}

/* ---- chunks ---- */

static GC_ERROR buffer_chunks(const struct buffer *buffer, SINGLE_CHUNK_DATA *target, size_t *count)
{
    if (buffer->state != BUFFER_DELIVERED)
        return fail(GC_ERR_NOT_AVAILABLE, "the buffer holds no delivered frame");
    SINGLE_CHUNK_DATA chunks[CHUNK_COUNT];
    size_t present = frame_chunks(&buffer->frame, chunks);
    if (buffer->filled < frame_payload_size(&buffer->frame))
        present = 0; /* they come last, so they are what an incomplete frame lacks */
    if (target && *count < present)
        return fail(GC_ERR_BUFFER_TOO_SMALL, "there are %zu chunks", present);
    for (size_t i = 0; target && i < present; i++)
        target[i] = chunks[i];
    *count = present;
    return GC_ERR_SUCCESS;
}

GC_API DSGetBufferChunkData(DS_HANDLE hDataStream, BUFFER_HANDLE hBuffer,
                            SINGLE_CHUNK_DATA *pChunkData, size_t *piNumChunks)
{
    if (!piNumChunks)
        return fail(GC_ERR_INVALID_PARAMETER, "piNumChunks must not be NULL");
    struct pair pair;
    if (!acquire_pair(hDataStream, hBuffer, &pair))
        return last_error();
    GC_ERROR error = buffer_chunks(pair.buffer, pChunkData, piNumChunks);
    release_pair(hDataStream, hBuffer, &pair);
    return error;
}

/* ---- multi-part and composite buffers do not exist here ---- */

static GC_ERROR no_parts(DS_HANDLE hDataStream, BUFFER_HANDLE hBuffer)
{
    struct pair pair;
    if (!acquire_pair(hDataStream, hBuffer, &pair))
        return last_error();
    release_pair(hDataStream, hBuffer, &pair);
    return fail(GC_ERR_NO_DATA, "simcam delivers plain images, without parts or segments");
}

GC_API DSGetNumBufferParts(DS_HANDLE hDataStream, BUFFER_HANDLE hBuffer, uint32_t *piNumParts)
{
    (void)piNumParts;
    return no_parts(hDataStream, hBuffer);
}

GC_API DSGetBufferPartInfo(DS_HANDLE hDataStream, BUFFER_HANDLE hBuffer, uint32_t iPartIndex,
                           BUFFER_PART_INFO_CMD iInfoCmd, INFO_DATATYPE *piType, void *pBuffer,
                           size_t *piSize)
{
    (void)iPartIndex, (void)iInfoCmd, (void)piType, (void)pBuffer, (void)piSize;
    return no_parts(hDataStream, hBuffer);
}

GC_API DSGetBufferPartInfoStacked(DS_HANDLE hDataStream, BUFFER_HANDLE hBuffer,
                                  DS_BUFFER_PART_INFO_STACKED *pInfoStacked, size_t iNumInfos)
{
    (void)pInfoStacked, (void)iNumInfos;
    return no_parts(hDataStream, hBuffer);
}

GC_API DSGetNumBufferSegments(DS_HANDLE hDataStream, BUFFER_HANDLE hBuffer,
                              uint32_t *piNumSegments)
{
    (void)piNumSegments;
    return no_parts(hDataStream, hBuffer);
}

GC_API DSGetBufferSegmentInfo(DS_HANDLE hDataStream, BUFFER_HANDLE hBuffer,
                              uint32_t iSegmentIndex, SEGMENT_INFO_CMD iInfoCmd,
                              INFO_DATATYPE *piType, void *pBuffer, size_t *piSize)
{
    (void)iSegmentIndex, (void)iInfoCmd, (void)piType, (void)pBuffer, (void)piSize;
    return no_parts(hDataStream, hBuffer);
}
