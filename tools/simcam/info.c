/* info.c - answering the Get...Info functions. */
#include "info.h"

#include <string.h>

#include "error.h"

static GC_ERROR answer(struct info out, INFO_DATATYPE type, const void *value, size_t size)
{
    if (!out.size)
        return fail(GC_ERR_INVALID_PARAMETER, "piSize must not be NULL");
    if (out.type)
        *out.type = type;
    if (out.buffer && *out.size < size)
        return fail(GC_ERR_BUFFER_TOO_SMALL, "buffer has %zu bytes, needs %zu", *out.size, size);
    if (out.buffer)
        memcpy(out.buffer, value, size);
    *out.size = size;
    return GC_ERR_SUCCESS;
}

GC_ERROR info_string(struct info out, const char *value)
{
    return answer(out, INFO_DATATYPE_STRING, value, strlen(value) + 1);
}

GC_ERROR info_i32(struct info out, int32_t value)
{
    return answer(out, INFO_DATATYPE_INT32, &value, sizeof value);
}

GC_ERROR info_u32(struct info out, uint32_t value)
{
    return answer(out, INFO_DATATYPE_UINT32, &value, sizeof value);
}

GC_ERROR info_u64(struct info out, uint64_t value)
{
    return answer(out, INFO_DATATYPE_UINT64, &value, sizeof value);
}

GC_ERROR info_size(struct info out, size_t value)
{
    return answer(out, INFO_DATATYPE_SIZET, &value, sizeof value);
}

GC_ERROR info_bool(struct info out, int value)
{
    bool8_t byte = value != 0;
    return answer(out, INFO_DATATYPE_BOOL8, &byte, sizeof byte);
}

GC_ERROR info_pointer(struct info out, void *value)
{
    return answer(out, INFO_DATATYPE_PTR, &value, sizeof value);
}

GC_ERROR info_unknown(const char *what, int32_t command)
{
    return fail(GC_ERR_NOT_IMPLEMENTED, "%s does not know the info command %d", what, (int)command);
}
