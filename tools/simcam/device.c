/* device.c - the local device: a camera, its control socket and its data stream. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "error.h"
#include "handle.h"
#include "info.h"
#include "module_features.h"
#include "simcam.h"
#include "stream_features.h"

static void fill_registers(struct device *device)
{
    uint8_t *registers = device->port.registers;
    register_set_string(registers, REG_LOCAL_DEVICE_ID, device->identity.name);
    register_set_string(registers, REG_LOCAL_DEVICE_VENDOR_NAME, SIMCAM_VENDOR);
    register_set_string(registers, REG_LOCAL_DEVICE_MODEL_NAME, device->identity.model);
    register_set_string(registers, REG_LOCAL_DEVICE_SERIAL_NUMBER, device->identity.serial);
}

static GC_ERROR open_ports(struct device *device)
{
    device->port = (struct port){.map = &local_device_map,
                                 .module = "TLDevice",
                                 .id = device->identity.name,
                                 .lock = &device->camera.lock,
                                 .owner = device};
    GC_ERROR error = port_open(&device->port);
    if (error)
        return error;
    fill_registers(device);
    error = control_open(&device->control, &device->camera);
    if (error) {
        port_close(&device->port);
        return error;
    }
    if ((device->handle = handle_create(HANDLE_DEVICE, device)))
        return GC_ERR_SUCCESS;
    control_close(&device->control);
    port_close(&device->port);
    return last_error();
}

GC_ERROR device_open(const struct identity *identity, struct device **result)
{
    struct device *device = calloc(1, sizeof *device);
    if (!device)
        return fail(GC_ERR_OUT_OF_MEMORY, "no memory for a device");
    device->identity = *identity;
    GC_ERROR error = camera_open(&device->camera, &device->identity);
    if (error) {
        free(device);
        return error;
    }
    error = open_ports(device);
    if (error) {
        camera_close(&device->camera);
        free(device);
        return error;
    }
    *result = device;
    return GC_ERR_SUCCESS;
}

void device_close(struct device *device)
{
    struct device **at = &the_interface.open;
    while (*at != device)
        at = &(*at)->next;
    *at = device->next;
    if (device->stream)
        stream_close(device->stream);
    control_close(&device->control);
    handle_retire(device->handle, HANDLE_DEVICE);
    port_close(&device->port);
    camera_close(&device->camera);
    free(device);
}

GC_ERROR device_info(const struct identity *identity, DEVICE_INFO_CMD command, bool is_open,
                     INFO_DATATYPE *piType, void *pBuffer, size_t *piSize)
{
    struct info out = {piType, pBuffer, piSize};
    switch (command) {
    case DEVICE_INFO_ID:
    case DEVICE_INFO_USER_DEFINED_NAME:
        return info_string(out, identity->name);
    case DEVICE_INFO_DISPLAYNAME: {
        char text[2 * SIMCAM_NAME_MAX + 4];
        snprintf(text, sizeof text, "%s (%s)", identity->model, identity->serial);
        return info_string(out, text);
    }
    case DEVICE_INFO_VENDOR:
        return info_string(out, SIMCAM_VENDOR);
    case DEVICE_INFO_MODEL:
        return info_string(out, identity->model);
    case DEVICE_INFO_TLTYPE:
        return info_string(out, SIMCAM_TLTYPE);
    case DEVICE_INFO_ACCESS_STATUS:
        return info_i32(out, is_open                      ? DEVICE_ACCESS_STATUS_OPEN_READWRITE
                             : control_is_taken(identity) ? DEVICE_ACCESS_STATUS_BUSY
                                                          : DEVICE_ACCESS_STATUS_READWRITE);
    case DEVICE_INFO_SERIAL_NUMBER:
        return info_string(out, identity->serial);
    case DEVICE_INFO_VERSION:
        return info_string(out, SIMCAM_VERSION);
    case DEVICE_INFO_TIMESTAMP_FREQUENCY:
        return info_u64(out, NS_PER_S);
    default:
        return info_unknown("the device", command);
    }
}

GC_API DevClose(DEV_HANDLE hDevice)
{
    GC_ERROR error = GC_ERR_SUCCESS;
    pthread_mutex_lock(&structure_lock);
    struct device *device = handle_acquire(hDevice, HANDLE_DEVICE);
    if (device) {
        handle_release(hDevice);
        device_close(device);
    } else {
        error = last_error();
    }
    pthread_mutex_unlock(&structure_lock);
    return error;
}

GC_API DevGetInfo(DEV_HANDLE hDevice, DEVICE_INFO_CMD iInfoCmd, INFO_DATATYPE *piType,
                  void *pBuffer, size_t *piSize)
{
    struct device *device = handle_acquire(hDevice, HANDLE_DEVICE);
    if (!device)
        return last_error();
    GC_ERROR error = device_info(&device->identity, iInfoCmd, true, piType, pBuffer, piSize);
    handle_release(hDevice);
    return error;
}

GC_API DevGetPort(DEV_HANDLE hDevice, PORT_HANDLE *phRemoteDevice)
{
    if (!phRemoteDevice)
        return fail(GC_ERR_INVALID_PARAMETER, "phRemoteDevice must not be NULL");
    struct device *device = handle_acquire(hDevice, HANDLE_DEVICE);
    if (!device)
        return last_error();
    *phRemoteDevice = device->camera.handle;
    handle_release(hDevice);
    return GC_ERR_SUCCESS;
}

GC_API DevGetNumDataStreams(DEV_HANDLE hDevice, uint32_t *piNumDataStreams)
{
    if (!piNumDataStreams)
        return fail(GC_ERR_INVALID_PARAMETER, "piNumDataStreams must not be NULL");
    if (!handle_acquire(hDevice, HANDLE_DEVICE))
        return last_error();
    *piNumDataStreams = 1;
    handle_release(hDevice);
    return GC_ERR_SUCCESS;
}

GC_API DevGetDataStreamID(DEV_HANDLE hDevice, uint32_t iIndex, char *sDataStreamID, size_t *piSize)
{
    if (!handle_acquire(hDevice, HANDLE_DEVICE))
        return last_error();
    handle_release(hDevice);
    if (iIndex != 0)
        return fail(GC_ERR_INVALID_INDEX, "the device has one data stream, of index 0");
    return info_string((struct info){NULL, sDataStreamID, piSize}, STREAM_ID);
}

/* Open the stream of a held device. */
static GC_ERROR open_stream(struct device *device, const char *id, DS_HANDLE *result)
{
    if (strcmp(id, STREAM_ID) != 0)
        return fail(GC_ERR_INVALID_ID, "there is no data stream '%s'", id);
    if (device->stream)
        return fail(GC_ERR_RESOURCE_IN_USE, "the data stream is open already");
    struct stream *stream;
    GC_ERROR error = stream_open(device, &stream);
    if (!error)
        *result = stream->handle;
    return error;
}

GC_API DevOpenDataStream(DEV_HANDLE hDevice, const char *sDataStreamID, DS_HANDLE *phDataStream)
{
    if (!sDataStreamID || !phDataStream)
        return fail(GC_ERR_INVALID_PARAMETER, "sDataStreamID and phDataStream must not be NULL");
    pthread_mutex_lock(&structure_lock);
    struct device *device = handle_acquire(hDevice, HANDLE_DEVICE);
    GC_ERROR error = device ? open_stream(device, sDataStreamID, phDataStream) : last_error();
    if (device)
        handle_release(hDevice);
    pthread_mutex_unlock(&structure_lock);
    return error;
}

GC_API DevGetParentIF(DEV_HANDLE hDevice, IF_HANDLE *phIface)
{
    if (!phIface)
        return fail(GC_ERR_INVALID_PARAMETER, "phIface must not be NULL");
    if (!handle_acquire(hDevice, HANDLE_DEVICE))
        return last_error();
    *phIface = the_interface.handle;
    handle_release(hDevice);
    return GC_ERR_SUCCESS;
}
