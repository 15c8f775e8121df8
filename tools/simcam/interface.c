/* interface.c - the one interface, and the devices on it. */
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "handle.h"
#include "info.h"
#include "module_features.h"
#include "simcam.h"

struct interface the_interface = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Look for devices; tells whether the list has changed. interface lock held. */
static GC_ERROR update_list(struct interface *interface, bool *changed)
{
    size_t count;
    struct identity *list = identity_list(&count);
    if (!list)
        return fail(GC_ERR_OUT_OF_MEMORY, "no memory for the list of devices");
    *changed = count != interface->known_count ||
               (count && memcmp(list, interface->known, count * sizeof *list) != 0);
    free(interface->known);
    interface->known = list;
    interface->known_count = count;
    register_set_u32(interface->port.registers, REG_DEVICE_COUNT, (uint32_t)count);
    return GC_ERR_SUCCESS;
}

static GC_ERROR after_write(void *owner, const struct feature *feature)
{
    bool changed;
    return feature->address == REG_DEVICE_UPDATE_LIST ? update_list(owner, &changed)
                                                      : GC_ERR_SUCCESS;
}

GC_ERROR interface_open(void)
{
    the_interface.port = (struct port){.map = &interface_map,
                                       .module = "TLInterface",
                                       .id = SIMCAM_INTERFACE_ID,
                                       .lock = &the_interface.lock,
                                       .owner = &the_interface,
                                       .after_write = after_write};
    GC_ERROR error = port_open(&the_interface.port);
    if (error)
        return error;
    register_set_string(the_interface.port.registers, REG_INTERFACE_ID, SIMCAM_INTERFACE_ID);
    bool changed;
    error = update_list(&the_interface, &changed);
    if (!error && !(the_interface.handle = handle_create(HANDLE_INTERFACE, &the_interface)))
        error = last_error();
    if (error)
        port_close(&the_interface.port);
    return error;
}

void interface_close(void)
{
    while (the_interface.open)
        device_close(the_interface.open);
    handle_retire(the_interface.handle, HANDLE_INTERFACE);
    the_interface.handle = NULL;
    port_close(&the_interface.port);
    free(the_interface.known);
    the_interface.known = NULL;
    the_interface.known_count = 0;
}

GC_ERROR interface_info(INTERFACE_INFO_CMD command, INFO_DATATYPE *piType, void *pBuffer,
                        size_t *piSize)
{
    struct info out = {piType, pBuffer, piSize};
    switch (command) {
    case INTERFACE_INFO_ID:
    case INTERFACE_INFO_DISPLAYNAME:
        return info_string(out, SIMCAM_INTERFACE_ID);
    case INTERFACE_INFO_TLTYPE:
        return info_string(out, SIMCAM_TLTYPE);
    default:
        return info_unknown("the interface", command);
    }
}

GC_API IFClose(IF_HANDLE hIface)
{
    GC_ERROR error = GC_ERR_SUCCESS;
    pthread_mutex_lock(&structure_lock);
    if (handle_acquire(hIface, HANDLE_INTERFACE)) {
        handle_release(hIface);
        interface_close();
    } else {
        error = last_error();
    }
    pthread_mutex_unlock(&structure_lock);
    return error;
}

GC_API IFGetInfo(IF_HANDLE hIface, INTERFACE_INFO_CMD iInfoCmd, INFO_DATATYPE *piType,
                 void *pBuffer, size_t *piSize)
{
    if (!handle_acquire(hIface, HANDLE_INTERFACE))
        return last_error();
    handle_release(hIface);
    return interface_info(iInfoCmd, piType, pBuffer, piSize);
}

GC_API IFGetNumDevices(IF_HANDLE hIface, uint32_t *piNumDevices)
{
    if (!piNumDevices)
        return fail(GC_ERR_INVALID_PARAMETER, "piNumDevices must not be NULL");
    struct interface *interface = handle_acquire(hIface, HANDLE_INTERFACE);
    if (!interface)
        return last_error();
    pthread_mutex_lock(&interface->lock);
    *piNumDevices = (uint32_t)interface->known_count;
    pthread_mutex_unlock(&interface->lock);
    handle_release(hIface);
    return GC_ERR_SUCCESS;
}

GC_API IFGetDeviceID(IF_HANDLE hIface, uint32_t iIndex, char *sID, size_t *piSize)
{
    struct interface *interface = handle_acquire(hIface, HANDLE_INTERFACE);
    if (!interface)
        return last_error();
    pthread_mutex_lock(&interface->lock);
    GC_ERROR error =
        iIndex < interface->known_count
            ? info_string((struct info){NULL, sID, piSize}, interface->known[iIndex].name)
            : fail(GC_ERR_INVALID_INDEX, "there are %zu devices", interface->known_count);
    pthread_mutex_unlock(&interface->lock);
    handle_release(hIface);
    return error;
}

GC_API IFUpdateDeviceList(IF_HANDLE hIface, bool8_t *pbChanged, uint64_t iTimeout)
{
    (void)iTimeout; /* listing folders takes no time worth a timeout */
    struct interface *interface = handle_acquire(hIface, HANDLE_INTERFACE);
    if (!interface)
        return last_error();
    bool changed = false;
    pthread_mutex_lock(&interface->lock);
    GC_ERROR error = update_list(interface, &changed);
    pthread_mutex_unlock(&interface->lock);
    handle_release(hIface);
    if (pbChanged)
        *pbChanged = changed;
    return error;
}

/* A copy of what is known of a device. */
static GC_ERROR find_known(struct interface *interface, const char *id, struct identity *identity)
{
    GC_ERROR error = GC_ERR_INVALID_ID;
    pthread_mutex_lock(&interface->lock);
    for (size_t i = 0; i < interface->known_count && error; i++)
        if (strcmp(interface->known[i].name, id) == 0) {
            *identity = interface->known[i];
            error = GC_ERR_SUCCESS;
        }
    pthread_mutex_unlock(&interface->lock);
    return error ? fail(error, "there is no device '%s'", id) : error;
}

static bool is_open(const struct interface *interface, const char *id)
{
    for (const struct device *device = interface->open; device; device = device->next)
        if (strcmp(device->identity.name, id) == 0)
            return true;
    return false;
}

GC_API IFGetDeviceInfo(IF_HANDLE hIface, const char *sDeviceID, DEVICE_INFO_CMD iInfoCmd,
                       INFO_DATATYPE *piType, void *pBuffer, size_t *piSize)
{
    if (!sDeviceID)
        return fail(GC_ERR_INVALID_PARAMETER, "sDeviceID must not be NULL");
    pthread_mutex_lock(&structure_lock);
    struct interface *interface = handle_acquire(hIface, HANDLE_INTERFACE);
    GC_ERROR error = interface ? GC_ERR_SUCCESS : last_error();
    if (interface) {
        struct identity identity;
        error = find_known(interface, sDeviceID, &identity);
        if (!error)
            error = device_info(&identity, iInfoCmd, is_open(interface, sDeviceID), piType,
                                pBuffer, piSize);
        handle_release(hIface);
    }
    pthread_mutex_unlock(&structure_lock);
    return error;
}

/* Open a device of a held interface; structure_lock held. */
static GC_ERROR open_device(struct interface *interface, const char *id, DEV_HANDLE *result)
{
    struct identity identity;
    GC_ERROR error = find_known(interface, id, &identity);
    if (error)
        return error;
    if (is_open(interface, id) || control_is_taken(&identity))
        return fail(GC_ERR_RESOURCE_IN_USE, "device '%s' is open already%s", id,
                    is_open(interface, id) ? "" : ", in another process");
    struct device *device;
    error = device_open(&identity, &device);
    if (error)
        return error;
    device->next = interface->open;
    interface->open = device;
    *result = device->handle;
    return GC_ERR_SUCCESS;
}

GC_API IFOpenDevice(IF_HANDLE hIface, const char *sDeviceID, DEVICE_ACCESS_FLAGS iOpenFlags,
                    DEV_HANDLE *phDevice)
{
    if (!sDeviceID || !phDevice)
        return fail(GC_ERR_INVALID_PARAMETER, "sDeviceID and phDevice must not be NULL");
    if (iOpenFlags < DEVICE_ACCESS_READONLY || iOpenFlags > DEVICE_ACCESS_EXCLUSIVE)
        return fail(GC_ERR_INVALID_PARAMETER, "there are no open flags %d", (int)iOpenFlags);
    pthread_mutex_lock(&structure_lock);
    struct interface *interface = handle_acquire(hIface, HANDLE_INTERFACE);
    GC_ERROR error = interface ? open_device(interface, sDeviceID, phDevice) : last_error();
    if (interface)
        handle_release(hIface);
    pthread_mutex_unlock(&structure_lock);
    return error;
}

GC_API IFGetParentTL(IF_HANDLE hIface, TL_HANDLE *phSystem)
{
    if (!phSystem)
        return fail(GC_ERR_INVALID_PARAMETER, "phSystem must not be NULL");
    if (!handle_acquire(hIface, HANDLE_INTERFACE))
        return last_error();
    *phSystem = the_system.handle;
    handle_release(hIface);
    return GC_ERR_SUCCESS;
}
