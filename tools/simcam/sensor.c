/* sensor.c - the sensor thread: exposures, the wire behind them, and faults on demand.
 *
 * The life of a frame: a trigger (or the free-running clock) starts an exposure, which ends
 * ExposureTime later; the frame then goes onto the wire, a first-in first-out queue, and from
 * there into a buffer. Faults act where they would act in reality: on the wire. Frame id and
 * counters advance with the exposures whatever happens to the frames.
 */
#include <string.h>

#include "camera_features.h"
#include "clock.h"
#include "simcam.h"

static uint64_t exposure_ns(const struct camera *camera)
{
    return (uint64_t)(register_f64(camera->port.registers, REG_EXPOSURE_TIME) * 1e3);
}

/* ---- exposures ---- */

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

static void start_exposure(struct camera *camera, uint64_t start_ns, int image)
{
    camera->exposure = camera_describe_frame(camera);
    camera->exposure.id = ++camera->frame_id;
    camera->exposure.timestamp_ns = start_ns;
    camera->exposure.image = next_image(camera, image);
    camera->exposure_end_ns = start_ns + exposure_ns(camera);
    camera->exposing = true;
    camera->counters.exposures++;
    if (camera->frames_left != UINT64_MAX && --camera->frames_left == 0)
        camera->acquiring = false;
}

/* Start the exposure that is due; false if none is. */
static bool start_due_exposure(struct camera *camera, uint64_t now)
{
    if (camera->exposing || !camera->acquiring)
        return false;
    if (camera->trigger_count) {
        struct trigger trigger = camera->triggers[0];
        camera->trigger_count--;
        memmove(camera->triggers, camera->triggers + 1,
                camera->trigger_count * sizeof *camera->triggers);
        /* One that waited for the exposure before it starts when that one ended. */
        uint64_t start = trigger.time_ns > camera->exposure_end_ns ? trigger.time_ns
                                                                   : camera->exposure_end_ns;
        start_exposure(camera, start, trigger.image);
        return true;
    }
    if (!camera_setting(camera, REG_TRIGGER_MODE) && now >= camera->free_run_ns) {
        double rate = register_f64(camera->port.registers, REG_ACQUISITION_FRAME_RATE);
        uint64_t period = (uint64_t)(1e9 / rate), start = camera->free_run_ns;
        if (period < exposure_ns(camera))
            period = exposure_ns(camera);
        /* A camera that was stopped or starved does not catch up. */
        if (now - start > period + NS_PER_S / 10)
            start = now;
        camera->free_run_ns = start + period;
        start_exposure(camera, start, IMAGE_NEXT);
        return true;
    }
    return false;
}

/* Map the image while it is exposed, for the first touch of a file takes time. Releases the lock;
 * the images themselves are the sensor thread's own. */
static void prefetch_image(struct camera *camera)
{
    int image = camera->exposure.image;
    if (image == IMAGE_PATTERN)
        return;
    pthread_mutex_unlock(&camera->lock);
    struct image unused;
    images_get(camera->images, image, &unused);
    pthread_mutex_lock(&camera->lock);
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

/* ---- the thread ---- */

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
    if (start_due_exposure(camera, now)) {
        prefetch_image(camera);
        return now;
    }
    if (wire_due(camera) <= now) {
        send_frame(camera);
        return now;
    }
    uint64_t next = wire_due(camera);
    if (camera->exposing)
        next = earlier(next, camera->exposure_end_ns);
    else if (camera->acquiring && !camera_setting(camera, REG_TRIGGER_MODE))
        next = earlier(next, camera->free_run_ns);
    return next;
}

void *sensor_main(void *argument)
{
    struct camera *camera = argument;
    clock_make_punctual();
    pthread_mutex_lock(&camera->lock);
    while (!camera->quit) {
        uint64_t next = sensor_step(camera);
        if (!camera->quit && next > clock_now_ns())
            clock_cond_wait(&camera->wake, &camera->lock, next);
    }
    pthread_mutex_unlock(&camera->lock);
    return NULL;
}
