/* camera.c - the camera as the application sees it: registers, acquisition, triggers.
 *
 * Triggers that come during an exposure wait, up to TRIGGER_QUEUE, and start their exposure
 * when the one before ends: no pulse of a burst is lost. Further ones are counted as overlapped.
 */
#include <math.h>

#include "camera_features.h"
#include "clock.h"
#include "error.h"
#include "handle.h"
#include "simcam.h"

uint32_t camera_setting(const struct camera *camera, uint32_t address)
{
    return register_u32(camera->port.registers, address);
}

struct frame camera_describe_frame(const struct camera *camera)
{
    const uint8_t *registers = camera->port.registers;
    return (struct frame){
        .exposure_us = register_f64(registers, REG_EXPOSURE_TIME),
        .width = camera_setting(camera, REG_WIDTH),
        .height = camera_setting(camera, REG_HEIGHT),
        .offset_x = camera_setting(camera, REG_OFFSET_X),
        .offset_y = camera_setting(camera, REG_OFFSET_Y),
        .pixel_format = camera_setting(camera, REG_PIXEL_FORMAT),
        .chunks = camera_setting(camera, REG_CHUNK_MODE_ACTIVE) ? camera->chunk_enabled : 0,
        .image = IMAGE_PATTERN,
    };
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
    switch (camera_setting(camera, REG_ACQUISITION_MODE)) {
    case ACQUISITION_SINGLE_FRAME:
        camera->frames_left = 1;
        break;
    case ACQUISITION_MULTI_FRAME:
        camera->frames_left = camera_setting(camera, REG_ACQUISITION_FRAME_COUNT);
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
    if (!camera->acquiring || camera->faults.lost || !camera_setting(camera, REG_TRIGGER_MODE) ||
        camera_setting(camera, REG_TRIGGER_SOURCE) != source) {
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
    struct frame frame = camera_describe_frame(camera);
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
                         camera->chunk_enabled >> camera_setting(camera, REG_CHUNK_SELECTOR) & 1);
        break;
    }
    return GC_ERR_SUCCESS;
}

static GC_ERROR before_write(void *owner, const struct feature *feature, const void *value)
{
    (void)value;
    struct camera *camera = owner;
    GC_ERROR error = camera_check_present(camera);
    if (!error && feature->locked && camera_setting(camera, REG_TL_PARAMS_LOCKED))
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
        uint32_t bit = 1u << camera_setting(camera, REG_CHUNK_SELECTOR);
        camera->chunk_enabled &= ~bit;
        if (camera_setting(camera, REG_CHUNK_ENABLE))
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
