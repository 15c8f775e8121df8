/* stress.c - a stress test of simcam, meant to be built with sanitizers together with its sources.
 *
 *     stress SECONDS
 *
 * needs SIMCAM_ROOT with the devices "left" and "right", which have images. For as long as asked,
 * one application thread for each device opens it, streams, and closes it again, over and over,
 * while other threads pull the control socket, read features, end waits, and call everything
 * with stale, foreign and invented handles. What it checks itself: complete frames have pixels and
 * their chunks, stale handles are recognised, EventKill ends a wait, and the library can be closed
 * and opened again. The rest is the sanitizers' part.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "camera_features.h"
#include "clock.h"
#include "gentl.h"

enum { BUFFERS = 4, DEVICES = 2, MEMORY_SIZE = 65536 };

static const char *const NAMES[DEVICES] = {"left", "right"};
static IF_HANDLE interface_handle;
static atomic_bool done;
static atomic_ulong frames_seen, cycles_done, refusals_seen;
static _Atomic(void *) live_streams[DEVICES], live_buffers[DEVICES];
static _Atomic(void *) stale_handles[64];
static atomic_uint stale_count;

#define CHECK(condition)                                                                    \
    do {                                                                                    \
        if (!(condition)) {                                                                 \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);         \
            abort();                                                                        \
        }                                                                                   \
    } while (0)
#define GOOD(call) CHECK((call) == GC_ERR_SUCCESS)

static void remember(void *handle)
{
    stale_handles[stale_count++ % 64] = handle;
}

static void set_u32(PORT_HANDLE port, uint64_t address, uint32_t value)
{
    size_t size = sizeof value;
    GC_ERROR error = GCWritePort(port, address, &value, &size);
    CHECK(error == GC_ERR_SUCCESS || error == GC_ERR_IO); /* IO: "device lost" is in force */
}

static void set_f64(PORT_HANDLE port, uint64_t address, double value)
{
    size_t size = sizeof value;
    GC_ERROR error = GCWritePort(port, address, &value, &size);
    CHECK(error == GC_ERR_SUCCESS || error == GC_ERR_IO);
}

/* ---- the application ---- */

struct application {
    DEV_HANDLE device;
    PORT_HANDLE port;
    DS_HANDLE stream;
    EVENT_HANDLE event;
    BUFFER_HANDLE buffers[BUFFERS];
    uint8_t *memory[BUFFERS];
    unsigned seed;
};

static void check_frame(struct application *app, BUFFER_HANDLE buffer)
{
    bool8_t incomplete;
    size_t size = sizeof incomplete, filled;
    GOOD(DSGetBufferInfo(app->stream, buffer, BUFFER_INFO_IS_INCOMPLETE, NULL, &incomplete, &size));
    size = sizeof filled;
    GOOD(DSGetBufferInfo(app->stream, buffer, BUFFER_INFO_SIZE_FILLED, NULL, &filled, &size));
    CHECK(incomplete || filled > 0);
    SINGLE_CHUNK_DATA chunks[8];
    size_t count = 8;
    GOOD(DSGetBufferChunkData(app->stream, buffer, chunks, &count));
    for (size_t i = 0; i < count; i++)
        CHECK((size_t)chunks[i].ChunkOffset + chunks[i].ChunkLength <= filled);
    frames_seen++;
}

static void stream_some(struct application *app)
{
    for (int i = 0; i < 40; i++) {
        EVENT_NEW_BUFFER_DATA data;
        size_t size = sizeof data;
        GC_ERROR error = EventGetData(app->event, &data, &size, 5);
        CHECK(error == GC_ERR_SUCCESS || error == GC_ERR_TIMEOUT || error == GC_ERR_ABORT);
        if (error)
            continue;
        check_frame(app, data.BufferHandle);
        if (rand_r(&app->seed) % 8 == 0) { /* swap a buffer for a new one while streaming */
            void *memory;
            GOOD(DSRevokeBuffer(app->stream, data.BufferHandle, &memory, NULL));
            remember(data.BufferHandle);
            int slot = 0;
            while (app->buffers[slot] != data.BufferHandle)
                slot++;
            GOOD(DSAnnounceBuffer(app->stream, memory, MEMORY_SIZE, NULL, &app->buffers[slot]));
            data.BufferHandle = app->buffers[slot];
        }
        GOOD(DSQueueBuffer(app->stream, data.BufferHandle));
    }
}

static void configure(struct application *app)
{
    unsigned *seed = &app->seed;
    static const uint32_t FORMATS[] = {PFNC_MONO8, PFNC_BAYER_RG8, PFNC_RGB8, PFNC_MONO12P};
    set_u32(app->port, REG_WIDTH, 1 + (uint32_t)rand_r(seed) % 300);
    set_u32(app->port, REG_HEIGHT, 1 + (uint32_t)rand_r(seed) % 300);
    set_u32(app->port, REG_OFFSET_X, (uint32_t)rand_r(seed) % 64);
    set_u32(app->port, REG_PIXEL_FORMAT, FORMATS[(size_t)rand_r(seed) % (sizeof FORMATS / sizeof *FORMATS)]);
    set_u32(app->port, REG_CHUNK_MODE_ACTIVE, (uint32_t)rand_r(seed) % 2);
    set_u32(app->port, REG_TRIGGER_MODE, (uint32_t)rand_r(seed) % 2);
    set_u32(app->port, REG_TRIGGER_SOURCE, TRIGGER_SOURCE_LINE0);
    set_f64(app->port, REG_ACQUISITION_FRAME_RATE, 2000);
    set_f64(app->port, REG_EXPOSURE_TIME, 50);
}

static void open_stream(struct application *app)
{
    GOOD(DevGetPort(app->device, &app->port));
    GOOD(DevOpenDataStream(app->device, "stream0", &app->stream));
    GOOD(GCRegisterEvent(app->stream, EVENT_NEW_BUFFER, &app->event));
    for (int i = 0; i < BUFFERS; i++) {
        /* Some buffers are too small for some frames, on purpose. */
        app->memory[i] = malloc(MEMORY_SIZE);
        GOOD(DSAnnounceBuffer(app->stream, app->memory[i], MEMORY_SIZE, NULL, &app->buffers[i]));
        GOOD(DSQueueBuffer(app->stream, app->buffers[i]));
    }
}

/* Sometimes in good order, sometimes by closing the device over everything. */
static void close_stream(struct application *app)
{
    if (rand_r(&app->seed) % 2) {
        GOOD(DSStopAcquisition(app->stream, 0));
        GOOD(DSFlushQueue(app->stream, ACQ_QUEUE_ALL_DISCARD));
        for (int i = 0; i < BUFFERS; i++)
            GOOD(DSRevokeBuffer(app->stream, app->buffers[i], NULL, NULL));
        GOOD(GCUnregisterEvent(app->stream, EVENT_NEW_BUFFER));
        GOOD(DSClose(app->stream));
    }
    GOOD(DevClose(app->device));
    remember(app->device);
    remember(app->port);
    remember(app->stream);
    remember(app->event);
    for (int i = 0; i < BUFFERS; i++) {
        remember(app->buffers[i]);
        free(app->memory[i]);
    }
}

static void *application_main(void *argument)
{
    struct application app = {.seed = (unsigned)(uintptr_t)argument + 1};
    const char *name = NAMES[(uintptr_t)argument];
    while (!done) {
        GOOD(IFOpenDevice(interface_handle, name, DEVICE_ACCESS_EXCLUSIVE, &app.device));
        open_stream(&app);
        live_streams[(uintptr_t)argument] = app.stream;
        live_buffers[(uintptr_t)argument] = app.buffers[0];
        configure(&app);
        GC_ERROR error = DSStartAcquisition(app.stream, 0, GENTL_INFINITE);
        CHECK(error == GC_ERR_SUCCESS || error == GC_ERR_IO);
        set_u32(app.port, REG_ACQUISITION_START, 1);
        stream_some(&app);
        if (error) /* lost when it was to be started: nothing to stop */
            GOOD(DevClose(app.device));
        else
            close_stream(&app);
        for (int i = 0; i < BUFFERS && error; i++)
            free(app.memory[i]);
        cycles_done++;
    }
    return NULL;
}

/* ---- those who disturb it ---- */

static void *control_main(void *argument)
{
    /* Named more often: sent more often. */
    static const char *const LINES[] = {
        "pulse",      "pulse",       "pulse",       "pulse",       "pulse image=0001",
        "pulse",      "pulse",       "pulse",       "pulse",       "pulse image=0009",
        "pulse",      "pulse",       "pulse",       "pulse",       "image 0002",
        "lose",       "lose 0",      "lose x",      "incomplete",  "twice 2",
        "swap",       "late 1",      "late",        "late 1 1 1",  "width 7",
        "width x",    "width 99999", "silent on",   "silent off",  "silent off",
        "status",     "device lost", "device back", "device back", "device back",
        "image none", "nonsense",    "",            "pulse image=", "pulse x",
    };
    unsigned seed = 77;
    int sender = socket(AF_UNIX, SOCK_DGRAM, 0);
    const char *root = getenv("SIMCAM_ROOT");
    (void)argument;
    while (!done) {
        struct sockaddr_un target = {.sun_family = AF_UNIX};
        const char *line = LINES[(size_t)rand_r(&seed) % (sizeof LINES / sizeof *LINES)];
        snprintf(target.sun_path, sizeof target.sun_path, "%s/%s.sock", root,
                 NAMES[rand_r(&seed) % DEVICES]);
        /* The socket comes and goes with the device. */
        sendto(sender, line, strlen(line), MSG_DONTWAIT, (struct sockaddr *)&target,
               sizeof target);
        usleep(50);
    }
    close(sender);
    return NULL;
}

/* Calls with handles that are stale or of another kind: all must be recognised. */
static void try_stale(void *handle, void *live_stream)
{
    uint8_t bytes[64];
    size_t size = sizeof bytes;
    uint32_t count;
    CHECK(GCReadPort(handle, REG_WIDTH, bytes, &size) == GC_ERR_INVALID_HANDLE);
    CHECK(DSGetInfo(handle, STREAM_INFO_NUM_DELIVERED, NULL, bytes, &size) ==
          GC_ERR_INVALID_HANDLE);
    CHECK(DSGetBufferInfo(live_stream, handle, BUFFER_INFO_BASE, NULL, bytes, &size) ==
          GC_ERR_INVALID_HANDLE);
    CHECK(DSQueueBuffer(live_stream, handle) == GC_ERR_INVALID_HANDLE);
    CHECK(EventKill(handle) == GC_ERR_INVALID_HANDLE);
    CHECK(DevGetInfo(handle, DEVICE_INFO_ID, NULL, bytes, &size) == GC_ERR_INVALID_HANDLE);
    CHECK(IFGetNumDevices(handle, &count) == GC_ERR_INVALID_HANDLE);
    CHECK(IFGetNumDevices(live_stream, &count) == GC_ERR_INVALID_HANDLE);
    GC_ERROR code;
    char text[128];
    size = sizeof text;
    GOOD(GCGetLastError(&code, text, &size));
    CHECK(code == GC_ERR_INVALID_HANDLE && size > 1);
    refusals_seen += 8;
}

/* Harmless calls on handles that may be in use by another thread, or about to be closed. */
static void try_live(void *handle)
{
    uint8_t bytes[64];
    size_t size = sizeof bytes;
    DSGetInfo(handle, STREAM_INFO_NUM_DELIVERED, NULL, bytes, &size);
    size = 4;
    GCReadPort(handle, 0x70, bytes, &size);
    size = 2; /* too small */
    IFGetDeviceInfo(interface_handle, NAMES[0], DEVICE_INFO_ID, NULL, bytes, &size);
    size = sizeof bytes;
    IFGetDeviceInfo(interface_handle, NAMES[1], DEVICE_INFO_ACCESS_STATUS, NULL, bytes, &size);
}

static void *rogue_main(void *argument)
{
    unsigned seed = 99;
    (void)argument;
    while (!done) {
        void *live_stream = live_streams[rand_r(&seed) % DEVICES];
        try_stale(stale_handles[rand_r(&seed) % 64], live_stream);
        try_live(live_stream);
        CHECK(DSQueueBuffer(live_streams[0], live_buffers[1]) == GC_ERR_INVALID_HANDLE);
        try_live((void *)(uintptr_t)rand_r(&seed));
        usleep(20);
    }
    return NULL;
}

/* EventKill ends one wait, also one that begins later. */
static void check_kill(EVENT_HANDLE event)
{
    EVENT_NEW_BUFFER_DATA data;
    size_t size = sizeof data;
    GOOD(EventKill(event));
    CHECK(EventGetData(event, &data, &size, GENTL_INFINITE) == GC_ERR_ABORT);
    CHECK(EventGetData(event, &data, &size, 1) == GC_ERR_TIMEOUT);
}

/* A frame fills its buffer to the end, and after DSStopAcquisition nobody writes into one: it can
 * be revoked and freed at once. */
static void check_stop(DS_HANDLE stream, PORT_HANDLE port, EVENT_HANDLE event)
{
    enum { SIDE = 1000, STOPS = 20 };
    set_u32(port, REG_WIDTH, SIDE);
    set_u32(port, REG_HEIGHT, SIDE);
    set_f64(port, REG_ACQUISITION_FRAME_RATE, 10000);
    set_f64(port, REG_EXPOSURE_TIME, 1);
    for (int i = 0; i < STOPS; i++) {
        BUFFER_HANDLE buffers[BUFFERS];
        void *memory[BUFFERS];
        for (int k = 0; k < BUFFERS; k++) {
            memory[k] = memset(malloc(SIDE * SIDE), 255, SIDE * SIDE);
            GOOD(DSAnnounceBuffer(stream, memory[k], SIDE * SIDE, NULL, &buffers[k]));
            GOOD(DSQueueBuffer(stream, buffers[k]));
        }
        GOOD(DSStartAcquisition(stream, 0, GENTL_INFINITE));
        set_u32(port, REG_ACQUISITION_START, 1);
        EVENT_NEW_BUFFER_DATA data;
        size_t size = sizeof data;
        GOOD(EventGetData(event, &data, &size, GENTL_INFINITE));
        uint8_t *pixels;
        size = sizeof pixels;
        GOOD(DSGetBufferInfo(stream, data.BufferHandle, BUFFER_INFO_BASE, NULL, &pixels, &size));
        CHECK(pixels[SIDE - 1] == 0 && pixels[SIDE * SIDE - 1] == 0); /* beyond the image */
        GOOD(DSStopAcquisition(stream, 0));
        GOOD(DSFlushQueue(stream, ACQ_QUEUE_ALL_DISCARD));
        for (int k = 0; k < BUFFERS; k++) {
            GOOD(DSRevokeBuffer(stream, buffers[k], NULL, NULL));
            free(memory[k]);
        }
    }
}

static void check_stream(DEV_HANDLE device)
{
    DS_HANDLE stream;
    PORT_HANDLE port;
    EVENT_HANDLE event;
    GOOD(DevGetPort(device, &port));
    GOOD(DevOpenDataStream(device, "stream0", &stream));
    GOOD(GCRegisterEvent(stream, EVENT_NEW_BUFFER, &event));
    check_kill(event);
    check_stop(stream, port, event);
}

/* ---- one round: open the library, let them loose, close it ---- */

static void run_round(double seconds)
{
    TL_HANDLE system;
    pthread_t threads[DEVICES + 2];
    GOOD(GCInitLib());
    GOOD(TLOpen(&system));
    GOOD(TLOpenInterface(system, "simcam_interface", &interface_handle));
    bool8_t changed;
    GOOD(IFUpdateDeviceList(interface_handle, &changed, 100));
    done = false;
    for (uintptr_t i = 0; i < DEVICES; i++)
        CHECK(pthread_create(&threads[i], NULL, application_main, (void *)i) == 0);
    CHECK(pthread_create(&threads[DEVICES], NULL, control_main, NULL) == 0);
    CHECK(pthread_create(&threads[DEVICES + 1], NULL, rogue_main, NULL) == 0);
    usleep((useconds_t)(seconds * 1e6));
    done = true;
    for (int i = 0; i < DEVICES + 2; i++)
        pthread_join(threads[i], NULL);
    /* Left open on purpose: closing the system closes a device that is open. */
    DEV_HANDLE device;
    GOOD(IFOpenDevice(interface_handle, NAMES[0], DEVICE_ACCESS_CONTROL, &device));
    check_stream(device);
    GOOD(TLClose(system));
    CHECK(DevClose(device) == GC_ERR_INVALID_HANDLE);
    GOOD(GCCloseLib());
    CHECK(DevClose(device) == GC_ERR_NOT_INITIALIZED);
}

int main(int count, char **arguments)
{
    double seconds = count > 1 ? atof(arguments[1]) : 2;
    enum { ROUNDS = 4 };
    for (int i = 0; i < ROUNDS; i++)
        run_round(seconds / ROUNDS);
    printf("cycles=%lu frames=%lu refusals=%lu\n", cycles_done, frames_seen, refusals_seen);
    return 0;
}
