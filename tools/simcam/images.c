/* images.c - listing and mapping the image files of a device.
 *
 * Files are mapped, not read: thousands of images cost address space only. They must not be
 * shortened while a device shows them; replacing a file by renaming another over it is safe.
 */
#include "images.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"

#define MAX_SIDE 32768u
#define MAX_DEPTH 32

struct file {
    char *path;        /* under the folder, with extension */
    size_t stem;       /* length without extension */
    void *map;         /* whole file, or NULL */
    size_t map_size;
    struct image image;
};

struct images {
    char *folder;
    struct file *files;
    size_t count, room;
};

static bool add_file(struct images *images, const char *path)
{
    if (images->count == images->room) {
        size_t room = images->room ? images->room * 2 : 64;
        struct file *files = realloc(images->files, room * sizeof *files);
        if (!files)
            return false;
        images->files = files;
        images->room = room;
    }
    char *copy = strdup(path);
    if (!copy)
        return false;
    images->files[images->count++] = (struct file){.path = copy, .stem = strlen(path) - 4};
    return true;
}

static bool is_image(const char *name)
{
    size_t length = strlen(name);
    return length > 4 &&
           (strcmp(name + length - 4, ".pgm") == 0 || strcmp(name + length - 4, ".ppm") == 0);
}

/* Add the images of folder/below and its sub-folders; false when memory or a path is short. */
static bool scan(struct images *images, const char *below, int depth)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", images->folder, below) >= (int)sizeof path)
        return false;
    DIR *directory = opendir(path);
    if (!directory)
        return errno == ENOENT || errno == EACCES;
    bool good = true;
    for (struct dirent *entry; good && (entry = readdir(directory));) {
        char name[PATH_MAX];
        if (entry->d_name[0] == '.')
            continue;
        const char *slash = *below ? "/" : "";
        if (snprintf(name, sizeof name, "%s%s%s", below, slash, entry->d_name) >= (int)sizeof name)
            good = false;
        else if (entry->d_type == DT_DIR)
            good = depth == MAX_DEPTH || scan(images, name, depth + 1);
        else if (is_image(entry->d_name))
            good = add_file(images, name);
    }
    closedir(directory);
    return good;
}

static int compare_stems(const char *left, size_t left_size, const char *right, size_t right_size)
{
    int order = memcmp(left, right, left_size < right_size ? left_size : right_size);
    return order ? order : (left_size > right_size) - (left_size < right_size);
}

static int compare_files(const void *left, const void *right)
{
    const struct file *a = left, *b = right;
    return compare_stems(a->path, a->stem, b->path, b->stem);
}

GC_ERROR images_open(const char *folder, struct images **result)
{
    struct images *images = calloc(1, sizeof *images);
    if (images)
        images->folder = strdup(folder);
    if (!images || !images->folder || (*folder && !scan(images, "", 0))) {
        images_close(images);
        return fail(GC_ERR_IO, "cannot list the images of '%s'", folder);
    }
    if (images->count)
        qsort(images->files, images->count, sizeof *images->files, compare_files);
    *result = images;
    return GC_ERR_SUCCESS;
}

void images_close(struct images *images)
{
    if (!images)
        return;
    for (size_t i = 0; i < images->count; i++) {
        if (images->files[i].map)
            munmap(images->files[i].map, images->files[i].map_size);
        free(images->files[i].path);
    }
    free(images->files);
    free(images->folder);
    free(images);
}

int images_count(const struct images *images)
{
    return (int)images->count;
}

int images_find(const struct images *images, const char *name)
{
    size_t low = 0, high = images->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct file *file = &images->files[middle];
        int order = compare_stems(name, strlen(name), file->path, file->stem);
        if (order == 0)
            return (int)middle;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return -1;
}

/* Read one number of a PNM header, after white space and comments; false at anything else. */
static bool header_number(const uint8_t **at, const uint8_t *end, uint32_t max, uint32_t *number)
{
    const uint8_t *p = *at;
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r' || *p == '#'))
        if (*p++ == '#')
            while (p < end && *p != '\n')
                p++;
    const uint8_t *first = p;
    uint32_t value = 0;
    for (; p < end && *p >= '0' && *p <= '9'; p++) {
        value = value * 10 + (uint32_t)(*p - '0');
        if (value > max)
            return false;
    }
    *at = p;
    *number = value;
    return p > first && value > 0;
}

static bool parse(struct file *file)
{
    const uint8_t *at = file->map, *end = at + file->map_size;
    if (file->map_size < 2 || at[0] != 'P' || (at[1] != '5' && at[1] != '6'))
        return false;
    struct image image = {.channels = at[1] == '5' ? 1 : 3};
    uint32_t maximum;
    at += 2;
    if (!header_number(&at, end, MAX_SIDE, &image.width) ||
        !header_number(&at, end, MAX_SIDE, &image.height) ||
        !header_number(&at, end, 255, &maximum) || maximum != 255 || at == end)
        return false;
    image.pixels = at + 1; /* one white space ends the header */
    file->image = image;
    return (size_t)(end - image.pixels) >= (size_t)image.width * image.height * image.channels;
}

static bool map_file(const char *folder, struct file *file)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", folder, file->path) >= (int)sizeof path)
        return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    struct stat status;
    void *map = MAP_FAILED;
    if (fstat(fd, &status) == 0 && status.st_size > 0)
        map = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    close(fd);
    if (map == MAP_FAILED)
        return false;
    file->map = map;
    file->map_size = (size_t)status.st_size;
    if (parse(file))
        return true;
    munmap(map, file->map_size);
    file->map = NULL;
    return false;
}

bool images_get(struct images *images, int index, struct image *image)
{
    struct file *file = &images->files[index];
    if (!file->map && !map_file(images->folder, file))
        return false;
    *image = file->image;
    return true;
}
