/* feature.c - looking up, checking and setting the features of a table. */
#include "feature.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "registers are little endian");

uint32_t register_u32(const uint8_t *registers, uint32_t address)
{
    uint32_t value;
    memcpy(&value, registers + address, sizeof value);
    return value;
}

uint64_t register_u64(const uint8_t *registers, uint32_t address)
{
    uint64_t value;
    memcpy(&value, registers + address, sizeof value);
    return value;
}

double register_f64(const uint8_t *registers, uint32_t address)
{
    double value;
    memcpy(&value, registers + address, sizeof value);
    return value;
}

void register_set_u32(uint8_t *registers, uint32_t address, uint32_t value)
{
    memcpy(registers + address, &value, sizeof value);
}

void register_set_u64(uint8_t *registers, uint32_t address, uint64_t value)
{
    memcpy(registers + address, &value, sizeof value);
}

void register_set_f64(uint8_t *registers, uint32_t address, double value)
{
    memcpy(registers + address, &value, sizeof value);
}

void register_set_string(uint8_t *registers, uint32_t address, const char *value)
{
    char *text = (char *)registers + address;
    memset(text, 0, FEATURE_STRING_SIZE);
    memcpy(text, value, strnlen(value, FEATURE_STRING_SIZE - 1));
}

uint32_t feature_length(const struct feature *feature)
{
    switch (feature->kind) {
    case STRING:
        return FEATURE_STRING_SIZE;
    case FLOAT:
        return 8;
    case INTEGER:
        return feature->wide ? 8 : 4;
    case CATEGORY:
    case FEATURE_END:
        return 0;
    default:
        return 4;
    }
}

const struct feature *feature_by_name(const struct feature_map *map, const char *name)
{
    for (const struct feature *row = map->features; row->kind != FEATURE_END; row++)
        if (row->kind != CATEGORY && strcmp(row->name, name) == 0)
            return row;
    return NULL;
}

const struct feature *feature_by_address(const struct feature_map *map, uint64_t address)
{
    for (const struct feature *row = map->features; row->kind != FEATURE_END; row++)
        if (row->kind != CATEGORY && !row->chunk_id && row->address == address)
            return row;
    return NULL;
}

static void set_number(const struct feature *row, uint8_t *registers, double value)
{
    if (row->kind == FLOAT)
        register_set_f64(registers, row->address, value);
    else if (row->wide)
        register_set_u64(registers, row->address, (uint64_t)value);
    else
        register_set_u32(registers, row->address, (uint32_t)value);
}

static double get_number(const struct feature *row, const uint8_t *at)
{
    if (row->kind == FLOAT)
        return register_f64(at, 0);
    return row->wide ? (double)register_u64(at, 0) : (double)register_u32(at, 0);
}

void feature_power_on(const struct feature_map *map, uint8_t *registers)
{
    memset(registers, 0, map->size);
    for (const struct feature *row = map->features; row->kind != FEATURE_END; row++)
        if (row->kind != CATEGORY && row->kind != STRING && row->kind != COMMAND && !row->chunk_id)
            set_number(row, registers, row->initial);
}

static double highest(const struct feature_map *map, const uint8_t *registers,
                      const struct feature *row)
{
    if (row->max_feature) {
        const struct feature *limit = feature_by_name(map, row->max_feature);
        return get_number(limit, registers + limit->address);
    }
    if (row->max > 0)
        return row->max;
    return row->kind == FLOAT ? 1e300 : row->wide ? 9.2e18 : 4294967295.0;
}

static GC_ERROR check_entry(const struct feature *row, uint32_t value)
{
    for (const struct entry *entry = row->entries; entry->name; entry++)
        if (entry->value == value)
            return GC_ERR_SUCCESS;
    return fail(GC_ERR_INVALID_VALUE, "%s has no entry of value 0x%x", row->name, value);
}

GC_ERROR feature_check(const struct feature_map *map, const uint8_t *registers,
                       const struct feature *row, const void *value)
{
    if (row->kind == ENUMERATION)
        return check_entry(row, register_u32(value, 0));
    if (row->kind != INTEGER && row->kind != FLOAT)
        return GC_ERR_SUCCESS;
    double number = get_number(row, value);
    double max = highest(map, registers, row);
    /* Written so that a NaN is refused, too. */
    if (!(number >= row->min && number <= max))
        return fail(GC_ERR_INVALID_VALUE, "%s must be %g to %g, not %g", row->name, row->min, max,
                    number);
    return GC_ERR_SUCCESS;
}

static GC_ERROR parse(const struct feature *row, const char *text, double *number)
{
    if (row->kind == ENUMERATION) {
        for (const struct entry *entry = row->entries; entry->name; entry++)
            if (strcmp(entry->name, text) == 0) {
                *number = entry->value;
                return GC_ERR_SUCCESS;
            }
        return fail(GC_ERR_INVALID_VALUE, "%s has no entry '%s'", row->name, text);
    }
    char *end;
    errno = 0;
    *number = strtod(text, &end);
    if (end == text || *end || errno)
        return fail(GC_ERR_INVALID_VALUE, "%s must be a number, not '%s'", row->name, text);
    return GC_ERR_SUCCESS;
}

GC_ERROR feature_set_text(const struct feature_map *map, uint8_t *registers,
                          const struct feature *row, const char *text)
{
    if (row->kind == STRING) {
        register_set_string(registers, row->address, text);
        return GC_ERR_SUCCESS;
    }
    double number = 0;
    GC_ERROR error = parse(row, text, &number);
    if (error)
        return error;
    if (!(number >= row->min && number <= highest(map, registers, row))) /* nor NaN */
        return fail(GC_ERR_INVALID_VALUE, "%s must be %g to %g, not %s", row->name, row->min,
                    highest(map, registers, row), text);
    set_number(row, registers, number);
    return GC_ERR_SUCCESS;
}
