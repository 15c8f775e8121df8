/* camera.c - the camera: registers, triggers, the sensor thread, and faults on demand.
 *
 * The life of a frame: a trigger (or the free-running clock) starts an exposure, which ends
 * ExposureTime later; the frame then goes onto the wire, a first-in first-out queue, and from
 * there into a buffer. Faults act where they would act in reality: on the wire. Frame id and
 * counters advance with the exposures whatever happens to the frames.
 *
 * Triggers that come during an exposure wait, up to TRIGGER_QUEUE, and start their exposure
 * when the one before ends: no pulse of a burst is lost. Further ones are counted as overlapped.
 */
#include "camera_features.h"
#include "simcam.h"

#include <math.h>
#include <string.h>
#include <sys/prctl.h>

#include "clock.h"
#include "error.h"
#include "handle.h"

static uint32_t setting(const struct camera *camera, uint32_t address)
{
    return register_u32(camera->port.registers, address);
}

static uint64_t exposure_ns(const struct camera *camera)
{
    return (uint64_t)(register_f64(camera->port.registers, REG_EXPOSURE_TIME) * 1e3);
}

/* ---- sensor ---- */

static int next_image(struct camera *camera, int wanted)
{
    int count = images_count(camera->images);
    if (wanted == IMAGE_NEXT)
        wanted = camera->next_image;
    camera->next_image = IMAGE_NEXT;
    if (count == 0)
        return IMAGE_PATTERN;
    if (wanted == IMAGE_NEXT) {
        wanted = camera->playing;
        camera->playing = (camera->playing + 1) % count;
    }
    return wanted;
}

static struct frame describe_frame(const struct camera *camera)
{
    const uint8_t *registers = camera->port.registers;
    return (struct frame){
        .exposure_us = register_f64(registers, REG_EXPOSURE_TIME),
        .width = setting(camera, REG_WIDTH),
        .height = setting(camera, REG_HEIGHT),
        .offset_x = setting(camera, REG_OFFSET_X),
        .offset_y = setting(camera, REG_OFFSET_Y),
        .pixel_format = setting(camera, REG_PIXEL_FORMAT),
        .chunks = setting(camera, REG_CHUNK_MODE_ACTIVE) ? camera->chunk_enabled : 0,
        .image = IMAGE_PATTERN,
    };
}

static void start_exposure(struct camera *camera, uint64_t start_ns, int image)
{
    camera->exposure = describe_frame(camera);
    camera->exposure.id = ++camera->frame_id;
    camera->exposure.timestamp_ns = start_ns;
    camera->exposure.image = next_image(camera, image);
    camera->exposure_end_ns = start_ns + exposure_ns(camera);
    camera->exposing = true;
    camera->counters.exposures++;
    if (camera->frames_left != UINT64_MAX && --camera->frames_left == 0)
        camera->acquiring = false;
}

/* Start the exposure that is due, if one is. */
static void start_due_exposure(struct camera *camera, uint64_t now)
{
    if (camera->trigger_count) {
        struct trigger trigger = camera->triggers[0];
        camera->trigger_count--;
        memmove(camera->triggers, camera->triggers + 1,
                camera->trigger_count * sizeof *camera->triggers);
        /* One that waited for the exposure before it starts when that one ended. */
        uint64_t start = trigger.time_ns > camera->exposure_end_ns ? trigger.time_ns
                                                                   : camera->exposure_end_ns;
        start_exposure(camera, start, trigger.image);
    } else if (!setting(camera, REG_TRIGGER_MODE) && now >= camera->free_run_ns) {
        double rate = register_f64(camera->port.registers, REG_ACQUISITION_FRAME_RATE);
        uint64_t period = (uint64_t)(1e9 / rate), start = camera->free_run_ns;
        if (period < exposure_ns(camera))
            period = exposure_ns(camera);
        /* A camera that was stopped or starved does not catch up. */
        if (now - start > period + NS_PER_S / 10)
            start = now;
        camera->free_run_ns = start + period;
        start_exposure(camera, start, IMAGE_NEXT);
    }
}

/* ---- wire ---- */

static bool take(unsigned *fault)
{
    if (*fault == 0)
        return false;
    --*fault;
    return true;
}

/* The exposure has ended: put its frame onto the wire, with the faults that are due. */
static void finish_exposure(struct camera *camera)
{
    struct frame frame = camera->exposure;
    camera->exposing = false;
    frame.due_ns = camera->exposure_end_ns;
    if (camera->faults.silent || take(&camera->faults.lose) || camera->wire_count == WIRE_QUEUE) {
        camera->counters.withheld++;
        return;
    }
    frame.copies = take(&camera->faults.twice) ? 2 : 1;
    frame.incomplete = take(&camera->faults.incomplete);
    if (take(&camera->faults.late))
        frame.due_ns += camera->faults.late_ns;
    unsigned at = camera->wire_count++;
    camera->wire[at] = frame;
    if (at > 0 && camera->wire[at - 1].swapped) {
        /* This one overtakes the frame before it. */
        camera->wire[at] = camera->wire[at - 1];
        camera->wire[at].swapped = false;
        camera->wire[at - 1] = frame;
    } else {
        camera->wire[at].swapped = take(&camera->faults.swap);
    }
}

/* When the frame at the head of the wire has arrived; a swapped one waits for its successor. */
static uint64_t wire_due(const struct camera *camera)
{
    if (camera->wire_count == 0 || camera->wire[0].swapped)
        return CLOCK_NEVER;
    return camera->wire[0].due_ns;
}

static void send_frame(struct camera *camera)
{
    struct frame frame = camera->wire[0];
    camera->wire_count--;
    memmove(camera->wire, camera->wire + 1, camera->wire_count * sizeof *camera->wire);
    /* The stream may be closed while the lock is released for copying. */
    for (unsigned copy = 0; copy < frame.copies && camera->stream; copy++) {
        camera->counters.sent++;
        stream_receive(camera->stream, &frame);
    }
}

/* ---- sensor thread ---- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Do what is due now; returns when to look again. */
static uint64_t sensor_step(struct camera *camera)
{
    uint64_t now = clock_now_ns();
    if (camera->exposing && now >= camera->exposure_end_ns)
        finish_exposure(camera);
    if (!camera->exposing && camera->acquiring)
        start_due_exposure(camera, now);
    if (wire_due(camera) <= now) {
        send_frame(camera);
        return now;
    }
    uint64_t next = wire_due(camera);
    if (camera->exposing)
        next = earlier(next, camera->exposure_end_ns);
    else if (camera->acquiring && !setting(camera, REG_TRIGGER_MODE))
        next = earlier(next, camera->free_run_ns);
    return next;
}

static void *sensor_main(void *argument)
{
    struct camera *camera = argument;
    /* Timers of an ordinary thread may be 50 us late; ask for the least. */
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    pthread_mutex_lock(&camera->lock);
    while (!camera->quit) {
        uint64_t next = sensor_step(camera);
        if (!camera->quit && next > clock_now_ns())
            clock_cond_wait(&camera->wake, &camera->lock, next);
    }
    pthread_mutex_unlock(&camera->lock);
    return NULL;
}

/* ---- acquisition and triggers ---- */

/* Forget what is exposed or on its way. */
static void clear_pipeline(struct camera *camera)
{
    camera->exposing = false;
    camera->exposure_end_ns = 0;
    camera->trigger_count = 0;
    camera->wire_count = 0;
}

static void start_acquisition(struct camera *camera)
{
    clear_pipeline(camera);
    camera->acquiring = true;
    camera->frame_id = 0;
    camera->free_run_ns = clock_now_ns();
    switch (setting(camera, REG_ACQUISITION_MODE)) {
    case ACQUISITION_SINGLE_FRAME:
        camera->frames_left = 1;
        break;
    case ACQUISITION_MULTI_FRAME:
        camera->frames_left = setting(camera, REG_ACQUISITION_FRAME_COUNT);
        break;
    default:
        camera->frames_left = UINT64_MAX;
    }
}

static void stop_acquisition(struct camera *camera)
{
    camera->acquiring = false;
    clear_pipeline(camera);
}

void camera_trigger(struct camera *camera, uint32_t source, int image)
{
    camera->counters.triggers++;
    if (!camera->acquiring || camera->faults.lost || !setting(camera, REG_TRIGGER_MODE) ||
        setting(camera, REG_TRIGGER_SOURCE) != source) {
        camera->counters.missed++;
        return;
    }
    if (camera->trigger_count == TRIGGER_QUEUE) {
        camera->counters.overlapped++;
        return;
    }
    camera->triggers[camera->trigger_count++] =
        (struct trigger){.time_ns = clock_now_ns(), .image = image};
    pthread_cond_signal(&camera->wake);
}

void camera_set_lost(struct camera *camera, bool lost)
{
    if (lost)
        stop_acquisition(camera);
    camera->faults.lost = lost;
}

GC_ERROR camera_force_width(struct camera *camera, uint32_t width)
{
    const struct feature *feature = feature_by_address(&camera_map, REG_WIDTH);
    GC_ERROR error = feature_check(&camera_map, camera->port.registers, feature, &width);
    if (!error)
        register_set_u32(camera->port.registers, REG_WIDTH, width);
    return error;
}

size_t camera_payload_size(const struct camera *camera)
{
    struct frame frame = describe_frame(camera);
    return frame_payload_size(&frame);
}

GC_ERROR camera_check_present(const struct camera *camera)
{
    if (camera->faults.lost)
        return fail(GC_ERR_IO, "device %s is lost", camera->identity->name);
    return GC_ERR_SUCCESS;
}

/* ---- port ---- */

/* A sensor warms up from 30 to 42 degrees with a time constant of five minutes. */
static double temperature(const struct camera *camera)
{
    double seconds = (double)(clock_now_ns() - camera->opened_ns) / 1e9;
    return 42.0 - 12.0 * exp(-seconds / 300.0);
}

static GC_ERROR before_read(void *owner, uint64_t address)
{
    struct camera *camera = owner;
    uint8_t *registers = camera->port.registers;
    GC_ERROR error = camera_check_present(camera);
    if (error)
        return error;
    switch (address) {
    case REG_PAYLOAD_SIZE:
        register_set_u64(registers, REG_PAYLOAD_SIZE, camera_payload_size(camera));
        break;
    case REG_DEVICE_TEMPERATURE:
        register_set_f64(registers, REG_DEVICE_TEMPERATURE, temperature(camera));
        break;
    case REG_CHUNK_ENABLE:
        register_set_u32(registers, REG_CHUNK_ENABLE,
                         camera->chunk_enabled >> setting(camera, REG_CHUNK_SELECTOR) & 1);
        break;
    }
    return GC_ERR_SUCCESS;
}

static GC_ERROR before_write(void *owner, const struct feature *feature, const void *value)
{
    (void)value;
    struct camera *camera = owner;
    GC_ERROR error = camera_check_present(camera);
    if (!error && feature->locked && setting(camera, REG_TL_PARAMS_LOCKED))
        return fail(GC_ERR_ACCESS_DENIED, "%s is locked while streaming", feature->name);
    return error;
}

static GC_ERROR after_write(void *owner, const struct feature *feature)
{
    struct camera *camera = owner;
    switch (feature->address) {
    case REG_ACQUISITION_START:
        start_acquisition(camera);
        break;
    case REG_ACQUISITION_STOP:
        stop_acquisition(camera);
        break;
    case REG_TRIGGER_SOFTWARE:
        camera_trigger(camera, TRIGGER_SOURCE_SOFTWARE, IMAGE_NEXT);
        break;
    case REG_TRIGGER_MODE:
        camera->trigger_count = 0;
        camera->free_run_ns = clock_now_ns();
        break;
    case REG_TIMESTAMP_LATCH:
        register_set_u64(camera->port.registers, REG_TIMESTAMP_LATCH_VALUE, clock_now_ns());
        break;
    case REG_CHUNK_ENABLE: {
        uint32_t bit = 1u << setting(camera, REG_CHUNK_SELECTOR);
        camera->chunk_enabled &= ~bit;
        if (setting(camera, REG_CHUNK_ENABLE))
            camera->chunk_enabled |= bit;
        break;
    }
    }
    pthread_cond_signal(&camera->wake);
    return GC_ERR_SUCCESS;
}

/* ---- power ---- */

/* Width, Height and the sensor follow the first image; device.conf has the last word. */
static GC_ERROR set_defaults(struct camera *camera)
{
    uint8_t *registers = camera->port.registers;
    const struct identity *identity = camera->identity;
    register_set_string(registers, REG_DEVICE_VENDOR_NAME, SIMCAM_VENDOR);
    register_set_string(registers, REG_DEVICE_MODEL_NAME, identity->model);
    register_set_string(registers, REG_DEVICE_VERSION, SIMCAM_VERSION);
    register_set_string(registers, REG_DEVICE_SERIAL_NUMBER, identity->serial);
    register_set_string(registers, REG_DEVICE_USER_ID, identity->name);
    if (images_count(camera->images)) {
        struct image first;
        if (!images_get(camera->images, 0, &first))
            return fail(GC_ERR_IO, "the first image of '%s' is not an 8-bit PGM (P5) or PPM (P6)",
                        identity->folder);
        register_set_u32(registers, REG_SENSOR_WIDTH, first.width);
        register_set_u32(registers, REG_SENSOR_HEIGHT, first.height);
        register_set_u32(registers, REG_WIDTH, first.width);
        register_set_u32(registers, REG_HEIGHT, first.height);
    }
    camera->chunk_enabled = (1u << CHUNK_COUNT) - 1;
    return identity_apply_defaults(identity, &camera_map, registers);
}

GC_ERROR camera_open(struct camera *camera, const struct identity *identity)
{
    *camera = (struct camera){
        .identity = identity,
        .next_image = IMAGE_NEXT,
        .opened_ns = clock_now_ns(),
        .port = {.map = &camera_map,
                 .module = "Device",
                 .id = identity->name,
                 .lock = &camera->lock,
                 .owner = camera,
                 .before_read = before_read,
                 .before_write = before_write,
                 .after_write = after_write},
    };
    GC_ERROR error = images_open(identity->folder, &camera->images);
    if (!error)
        error = port_open(&camera->port);
    if (!error)
        error = set_defaults(camera);
    if (!error && !(camera->handle = handle_create(HANDLE_REMOTE, camera)))
        error = last_error();
    if (error) {
        port_close(&camera->port);
        images_close(camera->images);
        return error;
    }
    pthread_mutex_init(&camera->lock, NULL);
    clock_cond_init(&camera->wake);
    if (pthread_create(&camera->sensor, NULL, sensor_main, camera) == 0)
        return GC_ERR_SUCCESS;
    camera->quit = true;
    camera_close(camera);
    return fail(GC_ERR_RESOURCE_EXHAUSTED, "cannot start the sensor thread");
}

void camera_close(struct camera *camera)
{
    pthread_mutex_lock(&camera->lock);
    bool running = !camera->quit;
    camera->quit = true;
    pthread_cond_signal(&camera->wake);
    pthread_mutex_unlock(&camera->lock);
    if (running)
        pthread_join(camera->sensor, NULL);
    handle_retire(camera->handle, HANDLE_REMOTE);
    pthread_cond_destroy(&camera->wake);
    pthread_mutex_destroy(&camera->lock);
    port_close(&camera->port);
    images_close(camera->images);
}
