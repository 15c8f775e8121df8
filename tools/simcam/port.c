/* port.c - GCReadPort, GCWritePort and what describes a port. */
#include "port.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "handle.h"
#include "info.h"
#include "simcam.h"

/* The XML lies above every register space. */
#define XML_ADDRESS 0x100000u
#define URL_SIZE 256

GC_ERROR port_open(struct port *port)
{
    port->registers = malloc(port->map->size);
    port->xml = feature_xml(port->map);
    if (!port->registers || !port->xml) {
        port_close(port);
        return fail(GC_ERR_OUT_OF_MEMORY, "no memory for the %s port", port->module);
    }
    port->xml_size = strlen(port->xml);
    feature_power_on(port->map, port->registers);
    return GC_ERR_SUCCESS;
}

void port_close(struct port *port)
{
    free(port->registers);
    free(port->xml);
    port->registers = NULL;
    port->xml = NULL;
}

/* The port of an open module, whose handle is then held; NULL and an error otherwise. */
static struct port *acquire_port(PORT_HANDLE handle)
{
    enum handle_kind kind = HANDLE_FREE;
    void *object = handle_acquire_any(handle, &kind);
    if (!object)
        return NULL;
    switch (kind) {
    case HANDLE_SYSTEM:
        return &((struct system *)object)->port;
    case HANDLE_INTERFACE:
        return &((struct interface *)object)->port;
    case HANDLE_DEVICE:
        return &((struct device *)object)->port;
    case HANDLE_REMOTE:
        return &((struct camera *)object)->port;
    case HANDLE_STREAM:
        return &((struct stream *)object)->port;
    default:
        handle_release(handle);
        fail(GC_ERR_INVALID_HANDLE, "this module has no port");
        return NULL;
    }
}

static GC_ERROR read_registers(struct port *port, uint64_t address, void *buffer, size_t size)
{
    pthread_mutex_lock(port->lock);
    GC_ERROR error =
        port->before_read ? port->before_read(port->owner, address) : GC_ERR_SUCCESS;
    if (!error)
        memcpy(buffer, port->registers + address, size);
    pthread_mutex_unlock(port->lock);
    return error;
}

static GC_ERROR port_read(struct port *port, uint64_t address, void *buffer, size_t size)
{
    if (address < port->map->size && size <= port->map->size - address)
        return read_registers(port, address, buffer, size);
    if (address >= XML_ADDRESS && address - XML_ADDRESS <= port->xml_size &&
        size <= port->xml_size - (address - XML_ADDRESS)) {
        memcpy(buffer, port->xml + (address - XML_ADDRESS), size);
        return GC_ERR_SUCCESS;
    }
    return fail(GC_ERR_INVALID_ADDRESS, "no register of %zu bytes at 0x%" PRIx64, size, address);
}

static GC_ERROR port_write(struct port *port, uint64_t address, const void *buffer, size_t size)
{
    const struct feature *feature = feature_by_address(port->map, address);
    if (!feature || size != feature_length(feature))
        return fail(GC_ERR_INVALID_ADDRESS, "no register of %zu bytes at 0x%" PRIx64, size,
                    address);
    if (feature->access == RO)
        return fail(GC_ERR_ACCESS_DENIED, "%s is read-only", feature->name);
    pthread_mutex_lock(port->lock);
    GC_ERROR error = feature_check(port->map, port->registers, feature, buffer);
    if (!error && port->before_write)
        error = port->before_write(port->owner, feature, buffer);
    if (!error && feature->kind != COMMAND)
        memcpy(port->registers + address, buffer, size);
    if (!error && feature->kind == STRING)
        port->registers[address + size - 1] = '\0';
    if (!error && port->after_write)
        error = port->after_write(port->owner, feature);
    pthread_mutex_unlock(port->lock);
    return error;
}

GC_API GCReadPort(PORT_HANDLE hPort, uint64_t iAddress, void *pBuffer, size_t *piSize)
{
    if (!pBuffer || !piSize)
        return fail(GC_ERR_INVALID_PARAMETER, "pBuffer and piSize must not be NULL");
    struct port *port = acquire_port(hPort);
    if (!port)
        return last_error();
    GC_ERROR error = port_read(port, iAddress, pBuffer, *piSize);
    handle_release(hPort);
    return error;
}

GC_API GCWritePort(PORT_HANDLE hPort, uint64_t iAddress, const void *pBuffer, size_t *piSize)
{
    if (!pBuffer || !piSize)
        return fail(GC_ERR_INVALID_PARAMETER, "pBuffer and piSize must not be NULL");
    struct port *port = acquire_port(hPort);
    if (!port)
        return last_error();
    GC_ERROR error = port_write(port, iAddress, pBuffer, *piSize);
    handle_release(hPort);
    return error;
}

GC_API GCReadPortStacked(PORT_HANDLE hPort, PORT_REGISTER_STACK_ENTRY *pEntries,
                         size_t *piNumEntries)
{
    if (!pEntries || !piNumEntries)
        return fail(GC_ERR_INVALID_PARAMETER, "pEntries and piNumEntries must not be NULL");
    GC_ERROR error = GC_ERR_SUCCESS;
    size_t done = 0;
    for (; done < *piNumEntries && !error; done += !error) {
        size_t size = pEntries[done].Size;
        error = GCReadPort(hPort, pEntries[done].Address, pEntries[done].pBuffer, &size);
    }
    *piNumEntries = done;
    return error;
}

GC_API GCWritePortStacked(PORT_HANDLE hPort, PORT_REGISTER_STACK_ENTRY *pEntries,
                          size_t *piNumEntries)
{
    if (!pEntries || !piNumEntries)
        return fail(GC_ERR_INVALID_PARAMETER, "pEntries and piNumEntries must not be NULL");
    GC_ERROR error = GC_ERR_SUCCESS;
    size_t done = 0;
    for (; done < *piNumEntries && !error; done += !error) {
        size_t size = pEntries[done].Size;
        error = GCWritePort(hPort, pEntries[done].Address, pEntries[done].pBuffer, &size);
    }
    *piNumEntries = done;
    return error;
}

static GC_ERROR url_info(const struct port *port, URL_INFO_CMD command, struct info out)
{
    char url[URL_SIZE];
    snprintf(url, sizeof url, "local:///%s;%x;%zx?SchemaVersion=1.1.0", port->map->file_name,
             XML_ADDRESS, port->xml_size);
    switch (command) {
    case URL_INFO_URL:
        return info_string(out, url);
    case URL_INFO_SCHEMA_VER_MAJOR:
    case URL_INFO_SCHEMA_VER_MINOR:
    case URL_INFO_FILE_VER_MAJOR:
        return info_i32(out, 1);
    case URL_INFO_FILE_VER_MINOR:
    case URL_INFO_FILE_VER_SUBMINOR:
        return info_i32(out, 0);
    case URL_INFO_FILE_REGISTER_ADDRESS:
        return info_u64(out, XML_ADDRESS);
    case URL_INFO_FILE_SIZE:
        return info_u64(out, port->xml_size);
    case URL_INFO_SCHEME:
        return info_i32(out, URL_SCHEME_LOCAL);
    case URL_INFO_FILENAME:
        return info_string(out, port->map->file_name);
    default:
        return info_unknown("the URL", command);
    }
}

GC_API GCGetNumPortURLs(PORT_HANDLE hPort, uint32_t *piNumURLs)
{
    if (!piNumURLs)
        return fail(GC_ERR_INVALID_PARAMETER, "piNumURLs must not be NULL");
    if (!acquire_port(hPort))
        return last_error();
    *piNumURLs = 1;
    handle_release(hPort);
    return GC_ERR_SUCCESS;
}

GC_API GCGetPortURLInfo(PORT_HANDLE hPort, uint32_t iURLIndex, URL_INFO_CMD iInfoCmd,
                        INFO_DATATYPE *piType, void *pBuffer, size_t *piSize)
{
    struct port *port = acquire_port(hPort);
    if (!port)
        return last_error();
    GC_ERROR error = iURLIndex == 0
                         ? url_info(port, iInfoCmd, (struct info){piType, pBuffer, piSize})
                         : fail(GC_ERR_INVALID_INDEX, "the port has one URL, of index 0");
    handle_release(hPort);
    return error;
}

GC_API GCGetPortURL(PORT_HANDLE hPort, char *sURL, size_t *piSize)
{
    return GCGetPortURLInfo(hPort, 0, URL_INFO_URL, NULL, sURL, piSize);
}

static GC_ERROR port_info(const struct port *port, PORT_INFO_CMD command, struct info out)
{
    switch (command) {
    case PORT_INFO_ID:
        return info_string(out, port->id);
    case PORT_INFO_VENDOR:
        return info_string(out, SIMCAM_VENDOR);
    case PORT_INFO_MODEL:
        return info_string(out, SIMCAM_MODEL);
    case PORT_INFO_TLTYPE:
        return info_string(out, SIMCAM_TLTYPE);
    case PORT_INFO_MODULE:
        return info_string(out, port->module);
    case PORT_INFO_LITTLE_ENDIAN:
    case PORT_INFO_ACCESS_READ:
    case PORT_INFO_ACCESS_WRITE:
        return info_bool(out, 1);
    case PORT_INFO_BIG_ENDIAN:
    case PORT_INFO_ACCESS_NA:
    case PORT_INFO_ACCESS_NI:
        return info_bool(out, 0);
    case PORT_INFO_VERSION:
        return info_string(out, SIMCAM_VERSION);
    case PORT_INFO_PORTNAME:
        return info_string(out, port->map->port_name);
    default:
        return info_unknown("the port", command);
    }
}

GC_API GCGetPortInfo(PORT_HANDLE hPort, PORT_INFO_CMD iInfoCmd, INFO_DATATYPE *piType,
                     void *pBuffer, size_t *piSize)
{
    struct port *port = acquire_port(hPort);
    if (!port)
        return last_error();
    GC_ERROR error = port_info(port, iInfoCmd, (struct info){piType, pBuffer, piSize});
    handle_release(hPort);
    return error;
}
