/* system.c - the library and the one system in it. */
#include <dlfcn.h>
#include <string.h>

#include "error.h"
#include "handle.h"
#include "info.h"
#include "module_features.h"
#include "simcam.h"

pthread_mutex_t structure_lock = PTHREAD_MUTEX_INITIALIZER;
struct system the_system = {.lock = PTHREAD_MUTEX_INITIALIZER};
static bool initialised; /* structure_lock */

/* ---- library ---- */

/* structure_lock held */
static void close_system(void)
{
    if (the_interface.handle)
        interface_close();
    handle_retire(the_system.handle, HANDLE_SYSTEM);
    the_system.handle = NULL;
    port_close(&the_system.port);
}

GC_API GCInitLib(void)
{
    pthread_mutex_lock(&structure_lock);
    GC_ERROR error = GC_ERR_SUCCESS;
    if (initialised)
        error = fail(GC_ERR_RESOURCE_IN_USE, "the library is initialised already");
    initialised = true;
    handle_enable(true);
    pthread_mutex_unlock(&structure_lock);
    return error;
}

GC_API GCCloseLib(void)
{
    pthread_mutex_lock(&structure_lock);
    GC_ERROR error = GC_ERR_SUCCESS;
    if (!initialised)
        error = fail(GC_ERR_NOT_INITIALIZED, "GCInitLib has not been called");
    else if (the_system.handle)
        close_system();
    initialised = false;
    handle_enable(false);
    pthread_mutex_unlock(&structure_lock);
    return error;
}

/* The file that this library was loaded from. */
static const char *library_path(void)
{
    Dl_info library;
    return dladdr((void *)&structure_lock, &library) && library.dli_fname ? library.dli_fname
                                                                          : "simcam.cti";
}

static GC_ERROR tl_info(TL_INFO_CMD command, struct info out)
{
    const char *path = library_path();
    const char *slash = strrchr(path, '/');
    switch (command) {
    case TL_INFO_ID:
    case TL_INFO_MODEL:
    case TL_INFO_DISPLAYNAME:
        return info_string(out, SIMCAM_MODEL);
    case TL_INFO_VENDOR:
        return info_string(out, SIMCAM_VENDOR);
    case TL_INFO_VERSION:
        return info_string(out, SIMCAM_VERSION);
    case TL_INFO_TLTYPE:
        return info_string(out, SIMCAM_TLTYPE);
    case TL_INFO_NAME:
        return info_string(out, slash ? slash + 1 : path);
    case TL_INFO_PATHNAME:
        return info_string(out, path);
    case TL_INFO_CHAR_ENCODING:
        return info_i32(out, TL_CHAR_ENCODING_UTF8);
    case TL_INFO_GENTL_VER_MAJOR:
        return info_u32(out, SIMCAM_GENTL_MAJOR);
    case TL_INFO_GENTL_VER_MINOR:
        return info_u32(out, SIMCAM_GENTL_MINOR);
    default:
        return info_unknown("the system", command);
    }
}

GC_API GCGetInfo(TL_INFO_CMD iInfoCmd, INFO_DATATYPE *piType, void *pBuffer, size_t *piSize)
{
    return tl_info(iInfoCmd, (struct info){piType, pBuffer, piSize});
}

/* ---- system ---- */

static GC_ERROR open_system(TL_HANDLE *result)
{
    if (!initialised)
        return fail(GC_ERR_NOT_INITIALIZED, "GCInitLib has not been called");
    if (the_system.handle)
        return fail(GC_ERR_RESOURCE_IN_USE, "the system is open already");
    the_system.port = (struct port){.map = &system_map,
                                    .module = "TLSystem",
                                    .id = SIMCAM_MODEL,
                                    .lock = &the_system.lock,
                                    .owner = &the_system};
    GC_ERROR error = port_open(&the_system.port);
    if (error)
        return error;
    uint8_t *registers = the_system.port.registers;
    register_set_string(registers, REG_TL_ID, SIMCAM_MODEL);
    register_set_string(registers, REG_TL_VENDOR_NAME, SIMCAM_VENDOR);
    register_set_string(registers, REG_TL_MODEL_NAME, SIMCAM_MODEL);
    register_set_string(registers, REG_TL_VERSION, SIMCAM_VERSION);
    the_system.handle = handle_create(HANDLE_SYSTEM, &the_system);
    if (!the_system.handle) {
        port_close(&the_system.port);
        return last_error();
    }
    *result = the_system.handle;
    return GC_ERR_SUCCESS;
}

GC_API TLOpen(TL_HANDLE *phTL)
{
    if (!phTL)
        return fail(GC_ERR_INVALID_PARAMETER, "phTL must not be NULL");
    pthread_mutex_lock(&structure_lock);
    GC_ERROR error = open_system(phTL);
    pthread_mutex_unlock(&structure_lock);
    return error;
}

GC_API TLClose(TL_HANDLE hTL)
{
    GC_ERROR error = GC_ERR_SUCCESS;
    pthread_mutex_lock(&structure_lock);
    if (handle_acquire(hTL, HANDLE_SYSTEM)) {
        handle_release(hTL);
        close_system();
    } else {
        error = last_error();
    }
    pthread_mutex_unlock(&structure_lock);
    return error;
}

/* GC_ERR_SUCCESS if the handle is the open system's. */
static GC_ERROR check_system(TL_HANDLE handle)
{
    if (!handle_acquire(handle, HANDLE_SYSTEM))
        return last_error();
    handle_release(handle);
    return GC_ERR_SUCCESS;
}

GC_API TLGetInfo(TL_HANDLE hTL, TL_INFO_CMD iInfoCmd, INFO_DATATYPE *piType, void *pBuffer,
                 size_t *piSize)
{
    GC_ERROR error = check_system(hTL);
    return error ? error : tl_info(iInfoCmd, (struct info){piType, pBuffer, piSize});
}

/* ---- interfaces ---- */

GC_API TLUpdateInterfaceList(TL_HANDLE hTL, bool8_t *pbChanged, uint64_t iTimeout)
{
    (void)iTimeout;
    if (pbChanged)
        *pbChanged = 0;
    return check_system(hTL);
}

GC_API TLGetNumInterfaces(TL_HANDLE hTL, uint32_t *piNumIfaces)
{
    if (!piNumIfaces)
        return fail(GC_ERR_INVALID_PARAMETER, "piNumIfaces must not be NULL");
    *piNumIfaces = 1;
    return check_system(hTL);
}

GC_API TLGetInterfaceID(TL_HANDLE hTL, uint32_t iIndex, char *sID, size_t *piSize)
{
    GC_ERROR error = check_system(hTL);
    if (error)
        return error;
    if (iIndex != 0)
        return fail(GC_ERR_INVALID_INDEX, "there is one interface, of index 0");
    return info_string((struct info){NULL, sID, piSize}, SIMCAM_INTERFACE_ID);
}

static GC_ERROR check_interface_id(const char *id)
{
    if (!id)
        return fail(GC_ERR_INVALID_PARAMETER, "sIfaceID must not be NULL");
    if (strcmp(id, SIMCAM_INTERFACE_ID) != 0)
        return fail(GC_ERR_INVALID_ID, "there is no interface '%s'", id);
    return GC_ERR_SUCCESS;
}

GC_API TLGetInterfaceInfo(TL_HANDLE hTL, const char *sIfaceID, INTERFACE_INFO_CMD iInfoCmd,
                          INFO_DATATYPE *piType, void *pBuffer, size_t *piSize)
{
    GC_ERROR error = check_system(hTL);
    if (!error)
        error = check_interface_id(sIfaceID);
    return error ? error : interface_info(iInfoCmd, piType, pBuffer, piSize);
}

GC_API TLOpenInterface(TL_HANDLE hTL, const char *sIfaceID, IF_HANDLE *phIface)
{
    if (!phIface)
        return fail(GC_ERR_INVALID_PARAMETER, "phIface must not be NULL");
    pthread_mutex_lock(&structure_lock);
    GC_ERROR error = check_system(hTL);
    if (!error)
        error = check_interface_id(sIfaceID);
    if (!error && the_interface.handle)
        error = fail(GC_ERR_RESOURCE_IN_USE, "the interface is open already");
    if (!error)
        error = interface_open();
    if (!error)
        *phIface = the_interface.handle;
    pthread_mutex_unlock(&structure_lock);
    return error;
}
