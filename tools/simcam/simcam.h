/* simcam.h - the modules of the producer and how they hang together.
 *
 * Ownership
 *   system -> interface -> device -> { camera, stream -> { buffers, event } }
 * There is one system with one interface, both static. A device is allocated when it is opened
 * and freed when it is closed, with all it owns; closing a module closes what it owns first.
 * The camera is "powered" while its device is open: it starts with its power-on settings.
 *
 * Threads
 *   - the application's, in the exported functions;
 *   - the sensor thread of each camera (sensor.c): exposes, and puts frames into buffers;
 *   - the control thread of each camera (control.c): reads the control socket.
 *
 * Locks, in the order in which they may be taken
 *   1. structure_lock: opening and closing of modules, registering of events, announcing and
 *      revoking of buffers. Taken before handles are acquired, never by a thread that holds one.
 *   2. a handle (handle.h): keeps its module from being freed. Closing a module retires its
 *      handle, which waits for the holders; so a holder never waits for structure_lock.
 *   3. camera.lock: one for each device; guards the camera, its stream, buffers and event. It is
 *      not held while pixels are copied: the buffer is then FILLING and the sensor thread's own.
 */
#ifndef SIMCAM_SIMCAM_H
#define SIMCAM_SIMCAM_H

#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "gentl.h"
#include "images.h"
#include "port.h"

#define SIMCAM_VENDOR "Inspector"
#define SIMCAM_MODEL "simcam"
#define SIMCAM_VERSION "1.0.0"
#define SIMCAM_TLTYPE "Custom"
#define SIMCAM_GENTL_MAJOR 1
#define SIMCAM_GENTL_MINOR 6
#define SIMCAM_INTERFACE_ID "simcam_interface"
#define SIMCAM_NAME_MAX 64

struct camera;
struct device;

/* ---- what is known of a device before it is opened (identity.c) ---- */

struct identity {
    char name[SIMCAM_NAME_MAX]; /* device id and user-defined name: the folder's name */
    char serial[SIMCAM_NAME_MAX];
    char model[SIMCAM_NAME_MAX];
    char folder[PATH_MAX];      /* of its images; empty: built-in test pattern */
    char socket_path[PATH_MAX]; /* of its control socket; empty: none */
};

/* All devices in name order: an array of *count for the caller to free. */
struct identity *identity_list(size_t *count);

/* Apply the feature defaults of the device's device.conf, if it has one. */
GC_ERROR identity_apply_defaults(const struct identity *identity, const struct feature_map *map,
                                 uint8_t *registers);

/* ---- frames ---- */

/* One exposure on its way from the sensor to a buffer. */
struct frame {
    uint64_t id;           /* 1 for the first exposure after AcquisitionStart */
    uint64_t timestamp_ns; /* start of the exposure, CLOCK_MONOTONIC */
    uint64_t due_ns;       /* when the wire has carried it */
    double exposure_us;
    uint32_t width, height, offset_x, offset_y;
    uint32_t pixel_format;
    uint32_t chunks;       /* bit n: chunk n of CHUNKS (frame.c) follows the pixels */
    int image;             /* index, or IMAGE_PATTERN */
    bool incomplete;       /* half of it gets lost */
    unsigned copies;       /* how often the wire delivers it; 0: never */
    bool swapped;          /* to be overtaken by the next one */
};

enum { CHUNK_FRAME_ID, CHUNK_TIMESTAMP, CHUNK_EXPOSURE_TIME, CHUNK_COUNT };
enum { CHUNK_SIZE = 8 };

/* Bytes of pixels, and of pixels with chunks. */
size_t frame_image_size(const struct frame *frame);
size_t frame_payload_size(const struct frame *frame);

/* Write pixels and chunks to `target`; at most `size` bytes. Returns the bytes written. */
size_t frame_render(const struct frame *frame, struct images *images, uint8_t *target, size_t size);

/* Describe the chunks that frame_render() wrote; returns their number. */
size_t frame_chunks(const struct frame *frame, SINGLE_CHUNK_DATA chunks[CHUNK_COUNT]);

/* ---- the camera: remote device (camera.c, camera_features.c) and sensor (sensor.c) ---- */

enum { TRIGGER_QUEUE = 16, WIRE_QUEUE = 64 };

struct trigger {
    uint64_t time_ns;
    int image; /* or IMAGE_NEXT: whatever is next */
};

/* Faults still to come: how many of the next frames they hit. */
struct faults {
    unsigned lose, incomplete, late, twice, swap;
    uint64_t late_ns;
    bool silent; /* exposes and counts, sends nothing */
    bool lost;   /* the device is off the bus */
};

struct camera_counters {
    uint64_t exposures, sent, withheld, triggers, missed, overlapped;
};

struct camera {
    pthread_mutex_t lock;
    pthread_cond_t wake; /* something for the sensor thread to do */
    pthread_t sensor;
    bool quit;

    PORT_HANDLE handle; /* HANDLE_REMOTE */
    struct port port;
    const struct identity *identity;
    struct images *images;
    struct stream *stream; /* that gets the frames; NULL: none is open */

    bool acquiring;
    uint64_t frames_left; /* of this acquisition; UINT64_MAX: without end */
    uint64_t frame_id;
    uint64_t free_run_ns; /* when the next exposure is due without trigger */
    int next_image;       /* asked for by name, or IMAGE_NEXT */
    int playing;          /* the image that comes by itself */
    bool exposing;
    uint64_t exposure_end_ns;
    struct frame exposure;
    struct trigger triggers[TRIGGER_QUEUE];
    unsigned trigger_count;
    struct frame wire[WIRE_QUEUE];
    unsigned wire_count;

    uint32_t chunk_enabled; /* bit n: ChunkEnable[n] */
    uint64_t opened_ns;
    struct faults faults;
    struct camera_counters counters;
};

GC_ERROR camera_open(struct camera *camera, const struct identity *identity);
void camera_close(struct camera *camera);

/* An edge on Line0, or TriggerSoftware; lock held. Counted as missed if nothing waits for it. */
void camera_trigger(struct camera *camera, uint32_t source, int image);

/* The device disappears from the bus, or comes back idle; lock held. */
void camera_set_lost(struct camera *camera, bool lost);

/* Change Width as a camera does whose settings somebody else changes; lock held. */
GC_ERROR camera_force_width(struct camera *camera, uint32_t width);

/* The bytes that a frame of the present settings has; lock held. */
size_t camera_payload_size(const struct camera *camera);

/* GC_ERR_IO while the device is lost; lock held. */
GC_ERROR camera_check_present(const struct camera *camera);

/* A 4-byte register; lock held. */
uint32_t camera_setting(const struct camera *camera, uint32_t address);

/* A frame of the present settings, not yet exposed; lock held. */
struct frame camera_describe_frame(const struct camera *camera);

/* The sensor thread of `camera`: runs until camera->quit. */
void *sensor_main(void *camera);

/* ---- the control socket (control.c) ---- */

struct control {
    struct camera *camera;
    pthread_t thread;
    int socket; /* -1: none */
    int quit;   /* eventfd that ends the thread */
};

GC_ERROR control_open(struct control *control, struct camera *camera);
void control_close(struct control *control);

/* Whether another process answers on this device's socket. */
bool control_is_taken(const struct identity *identity);

/* ---- the data stream (stream.c, buffer.c) ---- */

enum buffer_state {
    BUFFER_IDLE,      /* announced, the application's */
    BUFFER_QUEUED,    /* in the input pool */
    BUFFER_FILLING,   /* the sensor thread's */
    BUFFER_READY,     /* in the output queue */
    BUFFER_DELIVERED, /* the application's, with a frame in it */
    BUFFER_REVOKED,
};

struct buffer {
    BUFFER_HANDLE handle;
    struct buffer *next;      /* in the queue it is in */
    struct buffer *announced; /* next in the stream's list */
    struct stream *stream;
    uint8_t *memory;
    size_t size;
    void *private;
    bool owned; /* memory allocated by us */
    enum buffer_state state;
    struct frame frame;
    size_t filled;
};

struct queue {
    struct buffer *head, *tail;
    size_t count;
};

enum { HANDLING_OLDEST_FIRST, HANDLING_OLDEST_FIRST_OVERWRITE, HANDLING_NEWEST_ONLY };

struct stream {
    DS_HANDLE handle;
    struct port port;
    struct device *device;
    struct camera *camera;
    struct event *event; /* NEW_BUFFER, or NULL */
    struct buffer *announced;
    size_t announced_count;
    struct queue input, output;
    struct buffer *filling;
    pthread_cond_t ready;  /* the output queue has grown, or the event was killed */
    pthread_cond_t filled; /* no buffer is FILLING any more */
    bool grabbing;
    uint64_t to_acquire; /* frames until the stream stops taking any */
    uint64_t started, delivered, underrun, fired;
};

GC_ERROR stream_open(struct device *device, struct stream **stream);

/* Close it with its event and buffers; structure_lock held. */
void stream_close(struct stream *stream);

/* Put a frame into a buffer; sensor thread, camera lock held, released while pixels are copied. */
void stream_receive(struct stream *stream, const struct frame *frame);

/* The next frame for the application; NULL when none waits. camera lock held. */
struct buffer *stream_deliver(struct stream *stream);

/* Drop what waits for delivery; the buffers become the application's. camera lock held. */
void stream_discard_output(struct stream *stream);

void queue_push(struct queue *queue, struct buffer *buffer, enum buffer_state state);
struct buffer *queue_pop(struct queue *queue);

/* ---- events (event.c) ---- */

struct event {
    EVENT_HANDLE handle;
    struct stream *stream;
    unsigned kills; /* waits still to be ended with GC_ERR_ABORT */
    bool closed;
};

/* Unregister and free the stream's event, if any; structure_lock held. */
void event_close(struct stream *stream);

/* ---- device, interface, system ---- */

struct device {
    DEV_HANDLE handle;
    struct device *next; /* open device of the interface */
    struct identity identity;
    struct port port; /* of the local device */
    struct camera camera;
    struct control control;
    struct stream *stream; /* open data stream, or NULL */
};

GC_ERROR device_open(const struct identity *identity, struct device **device);
void device_close(struct device *device); /* structure_lock held */
GC_ERROR device_info(const struct identity *identity, DEVICE_INFO_CMD command, bool is_open,
                     INFO_DATATYPE *piType, void *pBuffer, size_t *piSize);

struct interface {
    IF_HANDLE handle;
    pthread_mutex_t lock; /* of the port's registers and the list of known devices */
    struct port port;
    struct identity *known; /* devices as of the latest update */
    size_t known_count;
    struct device *open;
};

GC_ERROR interface_open(void);
void interface_close(void); /* structure_lock held */
GC_ERROR interface_info(INTERFACE_INFO_CMD command, INFO_DATATYPE *piType, void *pBuffer,
                        size_t *piSize);
extern struct interface the_interface;

struct system {
    TL_HANDLE handle;
    pthread_mutex_t lock;
    struct port port;
};

extern pthread_mutex_t structure_lock;
extern struct system the_system;

#endif
