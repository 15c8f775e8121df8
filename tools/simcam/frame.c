/* frame.c - what a frame looks like in memory: pixels, then chunks.
 *
 * An image that is larger than the frame is cut off, a smaller one is filled up with zeros; both
 * keep the top left corner, moved by OffsetX and OffsetY.
 */
#include <string.h>

#include "camera_features.h"
#include "simcam.h"

/* Bytes of `count` pixels in a row; of an odd count packed in pairs the last half byte is left out. */
static size_t row_bytes(uint32_t pixel_format, uint32_t count)
{
    return (size_t)count * (pixel_format >> 16 & 0xff) / 8; /* bits per pixel are part of a PFNC value */
}

size_t frame_image_size(const struct frame *frame)
{
    return row_bytes(frame->pixel_format, frame->width) * frame->height;
}

size_t frame_payload_size(const struct frame *frame)
{
    return frame_image_size(frame) + (size_t)__builtin_popcount(frame->chunks) * CHUNK_SIZE;
}

/* Grey as OpenCV computes it, to the bit. */
static uint8_t luma(const uint8_t *rgb)
{
    return (uint8_t)((rgb[0] * 9798u + rgb[1] * 19235u + rgb[2] * 3735u + (1u << 14)) >> 15);
}

static uint8_t grey(const uint8_t *in, uint32_t channels, uint32_t i)
{
    return channels == 1 ? in[i] : luma(in + 3 * (size_t)i);
}

/* Twelve bits of a sensor whose upper eight are the image's. */
static void convert_twelve(uint8_t *out, bool packed, const uint8_t *in, uint32_t channels,
                           uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint8_t value = grey(in, channels, i);
        if (!packed) {
            out[2 * i] = (uint8_t)(value << 4);
            out[2 * i + 1] = value >> 4;
        } else if (i & 1) {
            out[i / 2 * 3 + 2] = value;
        } else {
            out[i / 2 * 3] = (uint8_t)(value << 4);
            if (i + 1 < count)
                out[i / 2 * 3 + 1] = value >> 4;
        }
    }
}

/* The colour (0, 1, 2: red, green, blue) of a place in the mosaic. It begins in the frame's corner
 * whatever the offset, as the name of the format promises. */
static uint32_t mosaic_colour(uint32_t format, uint32_t column, uint32_t row)
{
    uint32_t right = format == PFNC_BAYER_GR8 || format == PFNC_BAYER_BG8;
    uint32_t down = format == PFNC_BAYER_GB8 || format == PFNC_BAYER_BG8;
    return ((column + right) & 1) + ((row + down) & 1); /* RG over GB */
}

/* Convert `count` pixels of a row of the frame. */
static void convert_row(uint8_t *out, uint32_t format, const uint8_t *in, uint32_t channels,
                        uint32_t count, uint32_t row)
{
    if (format == PFNC_MONO12 || format == PFNC_MONO12P) {
        convert_twelve(out, format == PFNC_MONO12P, in, channels, count);
    } else if (format == PFNC_RGB8 && channels == 1) {
        for (uint32_t i = 0; i < count; i++)
            out[3 * i] = out[3 * i + 1] = out[3 * i + 2] = in[i];
    } else if (format == PFNC_RGB8 || channels == 1) {
        memcpy(out, in, (size_t)count * channels);
    } else if (format == PFNC_MONO8) {
        for (uint32_t i = 0; i < count; i++)
            out[i] = luma(in + 3 * (size_t)i);
    } else {
        for (uint32_t i = 0; i < count; i++)
            out[i] = in[3 * (size_t)i + mosaic_colour(format, i, row)];
    }
}

/* A diagonal ramp that moves with the frame id: a stand-in where no images are given. */
static void pattern_row(uint8_t *out, size_t bytes, uint32_t phase)
{
    for (size_t i = 0; i < bytes; i++)
        out[i] = (uint8_t)(i + phase);
}

static void render_row(const struct frame *frame, const struct image *image, uint32_t row,
                       uint8_t *out, size_t stride)
{
    uint32_t x = frame->offset_x, y = frame->offset_y + row;
    if (frame->image == IMAGE_PATTERN) {
        pattern_row(out, stride, x + y + (uint32_t)frame->id * 4);
        return;
    }
    uint32_t visible = 0;
    if (y < image->height && x < image->width) {
        visible = image->width - x < frame->width ? image->width - x : frame->width;
        const uint8_t *in = image->pixels + ((size_t)y * image->width + x) * image->channels;
        convert_row(out, frame->pixel_format, in, image->channels, visible, row);
    }
    size_t done = row_bytes(frame->pixel_format, visible);
    memset(out + done, 0, stride - done);
}

size_t frame_chunks(const struct frame *frame, SINGLE_CHUNK_DATA chunks[CHUNK_COUNT])
{
    size_t count = 0;
    for (unsigned chunk = 0; chunk < CHUNK_COUNT; chunk++) {
        if (!(frame->chunks >> chunk & 1))
            continue;
        chunks[count] = (SINGLE_CHUNK_DATA){
            .ChunkID = CHUNK_ID_BASE + chunk,
            .ChunkOffset = (ptrdiff_t)(frame_image_size(frame) + count * CHUNK_SIZE),
            .ChunkLength = CHUNK_SIZE,
        };
        count++;
    }
    return count;
}

static void render_chunks(const struct frame *frame, uint8_t *target)
{
    SINGLE_CHUNK_DATA chunks[CHUNK_COUNT];
    size_t count = frame_chunks(frame, chunks);
    for (size_t i = 0; i < count; i++) {
        const void *value = &frame->id;
        if (chunks[i].ChunkID == CHUNK_ID_BASE + CHUNK_TIMESTAMP)
            value = &frame->timestamp_ns;
        else if (chunks[i].ChunkID == CHUNK_ID_BASE + CHUNK_EXPOSURE_TIME)
            value = &frame->exposure_us;
        memcpy(target + chunks[i].ChunkOffset, value, CHUNK_SIZE);
    }
}

size_t frame_render(const struct frame *frame, struct images *images, uint8_t *target, size_t size)
{
    struct image image = {0}; /* an unreadable file shows black */
    if (frame->image != IMAGE_PATTERN)
        images_get(images, frame->image, &image);
    size_t stride = row_bytes(frame->pixel_format, frame->width);
    uint32_t rows = frame->incomplete ? frame->height / 2 : frame->height;
    if (rows > size / stride)
        rows = (uint32_t)(size / stride);
    for (uint32_t row = 0; row < rows; row++)
        render_row(frame, &image, row, target + row * stride, stride);
    if (rows < frame->height || frame_payload_size(frame) > size)
        return rows * stride;
    render_chunks(frame, target);
    return frame_payload_size(frame);
}
