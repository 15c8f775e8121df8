/* error.h - the last error of each thread, as GCGetLastError reports it. */
#ifndef SIMCAM_ERROR_H
#define SIMCAM_ERROR_H

#include "gentl.h"

/* Remember `code` and a message for the calling thread; returns `code`. */
GC_ERROR fail(GC_ERROR code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The code that the latest fail() of the calling thread remembered. */
GC_ERROR last_error(void);

#endif
