/* handle.h - the registry of live handles.
 *
 * A handle is a slot number and a generation, never an address: a stale or invented handle is
 * recognised and answered with GC_ERR_INVALID_HANDLE, and memory is never touched through it.
 */
#ifndef SIMCAM_HANDLE_H
#define SIMCAM_HANDLE_H

#include <stdbool.h>

enum handle_kind {
    HANDLE_FREE,
    HANDLE_SYSTEM,
    HANDLE_INTERFACE,
    HANDLE_DEVICE,
    HANDLE_REMOTE, /* the camera behind a device: its feature port */
    HANDLE_STREAM,
    HANDLE_BUFFER,
    HANDLE_EVENT,
};

/* Allow or refuse acquiring; refused, every look-up answers GC_ERR_NOT_INITIALIZED. */
void handle_enable(bool enabled);

/* A new handle for `object`; NULL and an error when the table is full. */
void *handle_create(enum handle_kind kind, void *object);

/* The object behind a handle of this kind, held until handle_release(); NULL and an error
 * when there is none. */
void *handle_acquire(void *handle, enum handle_kind kind);

/* The same for a handle of any kind, which is told. */
void *handle_acquire_any(void *handle, enum handle_kind *kind);

void handle_release(void *handle);

/* Make the handle invalid, wait until nobody holds it, and return its object for the caller
 * to free; NULL and an error when it is not a live handle of this kind. */
void *handle_retire(void *handle, enum handle_kind kind);

#endif
