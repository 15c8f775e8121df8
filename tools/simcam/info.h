/* info.h - answering the Get...Info functions: a type, a value, and the size dance.
 *
 * The standard's dance: without a buffer the needed size is answered; with one that is too
 * small GC_ERR_BUFFER_TOO_SMALL.
 */
#ifndef SIMCAM_INFO_H
#define SIMCAM_INFO_H

#include "gentl.h"

/* The three output parameters that every Get...Info function has. */
struct info {
    INFO_DATATYPE *type;
    void *buffer;
    size_t *size;
};

GC_ERROR info_string(struct info out, const char *value);
GC_ERROR info_i32(struct info out, int32_t value);
GC_ERROR info_u32(struct info out, uint32_t value);
GC_ERROR info_u64(struct info out, uint64_t value);
GC_ERROR info_size(struct info out, size_t value);
GC_ERROR info_bool(struct info out, int value);
GC_ERROR info_pointer(struct info out, void *value);

/* "<what> does not know command <command>", GC_ERR_NOT_IMPLEMENTED. */
GC_ERROR info_unknown(const char *what, int32_t command);

#endif
