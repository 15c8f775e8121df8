/* images.h - the images of a device, played in name order or by name. */
#ifndef SIMCAM_IMAGES_H
#define SIMCAM_IMAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "gentl.h"

enum { IMAGE_PATTERN = -1, IMAGE_NEXT = -2 };

struct images;

/* Pixels of one image, rows without padding: grey (1 channel) or RGB (3). */
struct image {
    uint32_t width, height, channels;
    const uint8_t *pixels;
};

/* List the images (PGM P5, PPM P6, 8 bit) under `folder`; a folder without any is fine. */
GC_ERROR images_open(const char *folder, struct images **images);
void images_close(struct images *images);

int images_count(const struct images *images);

/* Index of "name", as its path under the folder without extension; -1 when there is none. */
int images_find(const struct images *images, const char *name);

/* The pixels, mapped at first use and kept; false when the file is not what it should be.
 * One thread at a time, apart from images_find(), which any thread may call. */
bool images_get(struct images *images, int index, struct image *image);

#endif
