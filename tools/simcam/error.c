/* error.c - the last error of each thread. */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>

#include "info.h"

static _Thread_local GC_ERROR last_code = GC_ERR_SUCCESS;
static _Thread_local char last_text[512] = "no error";

GC_ERROR fail(GC_ERROR code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(last_text, sizeof last_text, format, arguments);
    va_end(arguments);
    last_code = code;
    return code;
}

GC_ERROR last_error(void)
{
    return last_code;
}

GC_API GCGetLastError(GC_ERROR *piErrorCode, char *sErrorText, size_t *piSize)
{
    if (piErrorCode)
        *piErrorCode = last_code;
    if (!piSize)
        return sErrorText ? GC_ERR_INVALID_PARAMETER : GC_ERR_SUCCESS;
    return info_string((struct info){NULL, sErrorText, piSize}, last_text);
}
