/* feature.h - a table of features is the only description of a node map.
 *
 * From one table come the GenApi XML that the application reads and the checks of every register
 * access: length, access, range, enumeration entries. A feature is added by adding a row.
 */
#ifndef SIMCAM_FEATURE_H
#define SIMCAM_FEATURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gentl.h"

enum feature_kind {
    FEATURE_END, /* closes a table */
    CATEGORY,    /* the rows that follow belong to it */
    INTEGER,     /* uint32, or uint64 when `wide` */
    FLOAT,       /* IEEE double */
    ENUMERATION, /* uint32, one of `entries` */
    BOOLEAN,     /* uint32, 0 or 1 */
    COMMAND,     /* uint32, write 1 */
    STRING,      /* FEATURE_STRING_SIZE bytes, closed by NUL */
};

enum feature_access { RO, RW, WO };

#define FEATURE_STRING_SIZE 64

struct entry {
    const char *name; /* NULL closes the list */
    uint32_t value;
};

struct feature {
    const char *name;
    enum feature_kind kind;
    uint32_t address;
    enum feature_access access;
    bool wide;               /* INTEGER of 8 bytes */
    bool locked;             /* read-only while TLParamsLocked is 1 */
    bool invisible;          /* not for people */
    double min, max;         /* INTEGER and FLOAT; max 0: as large as the register holds */
    double initial;          /* INTEGER, FLOAT, ENUMERATION, BOOLEAN: value at power-on */
    const char *max_feature; /* INTEGER feature that holds the maximum instead of `max` */
    const char *unit;
    const struct entry *entries;
    const char *selects;     /* ENUMERATION: the feature it selects */
    uint32_t chunk_id;       /* not 0: lives in the chunk data of a frame, not in a register */
    const char *tip;
};

/* A node map: the table, and what the XML says about its owner. */
struct feature_map {
    const struct feature *features;
    const char *port_name; /* the port node in the XML */
    const char *file_name; /* of the XML, as the URL names it */
    uint32_t size;         /* bytes of register space */
};

/* Bytes of the feature's register. */
uint32_t feature_length(const struct feature *feature);

/* The row with this name or register address, or NULL. */
const struct feature *feature_by_name(const struct feature_map *map, const char *name);
const struct feature *feature_by_address(const struct feature_map *map, uint64_t address);

/* Put every feature's power-on value into `registers` (map->size bytes). */
void feature_power_on(const struct feature_map *map, uint8_t *registers);

/* Whether `value` (feature_length() bytes) may be written; else an error that names the limits. */
GC_ERROR feature_check(const struct feature_map *map, const uint8_t *registers,
                       const struct feature *feature, const void *value);

/* Set a feature from text ("640", "Mono8", "12.5"), as device.conf gives it. */
GC_ERROR feature_set_text(const struct feature_map *map, uint8_t *registers,
                          const struct feature *feature, const char *text);

/* The GenApi XML of a table: allocated, the caller frees it; NULL when memory is short. */
char *feature_xml(const struct feature_map *map);

/* Typed access to a register space. */
uint32_t register_u32(const uint8_t *registers, uint32_t address);
uint64_t register_u64(const uint8_t *registers, uint32_t address);
double register_f64(const uint8_t *registers, uint32_t address);
void register_set_u32(uint8_t *registers, uint32_t address, uint32_t value);
void register_set_u64(uint8_t *registers, uint32_t address, uint64_t value);
void register_set_f64(uint8_t *registers, uint32_t address, double value);
void register_set_string(uint8_t *registers, uint32_t address, const char *value);

#endif
