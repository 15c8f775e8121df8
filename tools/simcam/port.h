/* port.h - a register space that applications read and write: XML plus feature registers. */
#ifndef SIMCAM_PORT_H
#define SIMCAM_PORT_H

#include <pthread.h>

#include "feature.h"

/* Every module embeds one. `lock` guards the registers; the hooks run with it held. */
struct port {
    const struct feature_map *map;
    const char *module; /* as PORT_INFO_MODULE names it: "TLSystem", "Device", ... */
    const char *id;     /* of the owner; lives as long as the port */
    uint8_t *registers;
    char *xml;
    size_t xml_size;
    pthread_mutex_t *lock;
    void *owner;
    /* Bring a register up to date before it is read. May be NULL. */
    GC_ERROR (*before_read)(void *owner, uint64_t address);
    /* Accept or refuse a checked value before it is stored. May be NULL. */
    GC_ERROR (*before_write)(void *owner, const struct feature *feature, const void *value);
    /* Act on a stored value. May be NULL. */
    GC_ERROR (*after_write)(void *owner, const struct feature *feature);
};

/* Fill in a port whose map, module, id, lock, owner and hooks are set; registers at power-on. */
GC_ERROR port_open(struct port *port);
void port_close(struct port *port);

#endif
