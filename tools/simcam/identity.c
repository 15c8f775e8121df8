/* identity.c - which devices there are, and what their device.conf says.
 *
 * Every folder in SIMCAM_ROOT is a device. Without SIMCAM_ROOT there are three devices with a
 * built-in picture; they have control sockets only if SIMCAM_SOCKET_DIR says where.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "error.h"
#include "simcam.h"

static const char *const BUILT_IN[] = {"simcam_a", "simcam_b", "simcam_c"};

static char *trim(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    char *end = text + strlen(text);
    while (end > text && isspace((unsigned char)end[-1]))
        *--end = '\0';
    return text;
}

/* Call `visit` for each "key = value" of the device's device.conf until it fails; no file, no
 * keys. */
static GC_ERROR visit_settings(const struct identity *identity,
                               GC_ERROR (*visit)(void *context, const char *key, const char *value),
                               void *context)
{
    char path[PATH_MAX], line[512];
    if (!*identity->folder ||
        snprintf(path, sizeof path, "%s/device.conf", identity->folder) >= (int)sizeof path)
        return GC_ERR_SUCCESS;
    FILE *file = fopen(path, "re");
    if (!file)
        return errno == ENOENT ? GC_ERR_SUCCESS
                               : fail(GC_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
    GC_ERROR error = GC_ERR_SUCCESS;
    for (int number = 1; !error && fgets(line, sizeof line, file); number++) {
        char *key = trim(line), *equals = strchr(key, '=');
        if (!*key || *key == '#')
            continue;
        if (!equals) {
            error = fail(GC_ERR_INVALID_VALUE, "%s:%d: expected key=value", path, number);
            break;
        }
        *equals = '\0';
        error = visit(context, trim(key), trim(equals + 1));
    }
    fclose(file);
    return error;
}

static GC_ERROR visit_identity(void *context, const char *key, const char *value)
{
    struct identity *identity = context;
    char *target = strcmp(key, "serial") == 0  ? identity->serial
                   : strcmp(key, "model") == 0 ? identity->model
                                               : NULL;
    if (target)
        snprintf(target, SIMCAM_NAME_MAX, "%s", value);
    return GC_ERR_SUCCESS;
}

struct defaults {
    const struct feature_map *map;
    uint8_t *registers;
    const char *device;
};

/* device.conf may use these short names beside the names of the features. */
static const char *feature_name(const char *key)
{
    static const struct {
        const char *key, *feature;
    } SHORT[] = {{"width", "Width"}, {"height", "Height"}, {"pixel_format", "PixelFormat"}};
    for (size_t i = 0; i < sizeof SHORT / sizeof *SHORT; i++)
        if (strcmp(SHORT[i].key, key) == 0)
            return SHORT[i].feature;
    return key;
}

static GC_ERROR visit_default(void *context, const char *key, const char *value)
{
    struct defaults *defaults = context;
    if (strcmp(key, "serial") == 0 || strcmp(key, "model") == 0)
        return GC_ERR_SUCCESS;
    const struct feature *feature = feature_by_name(defaults->map, feature_name(key));
    if (!feature || feature->access != RW)
        return fail(GC_ERR_INVALID_VALUE,
                    "device.conf of %s: '%s' is neither serial, model, width, height, "
                    "pixel_format nor a writable feature",
                    defaults->device, key);
    return feature_set_text(defaults->map, defaults->registers, feature, value);
}

GC_ERROR identity_apply_defaults(const struct identity *identity, const struct feature_map *map,
                                 uint8_t *registers)
{
    struct defaults defaults = {map, registers, identity->name};
    return visit_settings(identity, visit_default, &defaults);
}

/* Fill in a device; false when a path or the name is too long. */
static bool describe(struct identity *identity, const char *root, const char *sockets,
                     const char *name)
{
    *identity = (struct identity){.model = SIMCAM_MODEL};
    if (strlen(name) >= SIMCAM_NAME_MAX - 4)
        return false;
    snprintf(identity->name, sizeof identity->name, "%s", name);
    snprintf(identity->serial, sizeof identity->serial, "SIM-%.59s", name);
    if (root && snprintf(identity->folder, PATH_MAX, "%s/%s", root, name) >= PATH_MAX)
        return false;
    if (sockets &&
        snprintf(identity->socket_path, PATH_MAX, "%s/%s.sock", sockets, name) >= PATH_MAX)
        return false;
    visit_settings(identity, visit_identity, identity);
    return true;
}

static int visible_folder(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static struct identity *list_folders(const char *root, size_t *count)
{
    struct dirent **entries = NULL;
    const char *sockets = getenv("SIMCAM_SOCKET_DIR");
    int found = scandir(root, &entries, visible_folder, alphasort);
    struct identity *list = calloc(found > 0 ? (size_t)found : 1, sizeof *list);
    for (int i = 0; i < found; i++) {
        char path[PATH_MAX];
        struct stat status;
        bool fits = snprintf(path, sizeof path, "%s/%s", root, entries[i]->d_name) < PATH_MAX;
        if (list && fits && stat(path, &status) == 0 && S_ISDIR(status.st_mode))
            *count += describe(&list[*count], root, sockets ? sockets : root, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return list;
}

struct identity *identity_list(size_t *count)
{
    const char *root = getenv("SIMCAM_ROOT");
    *count = 0;
    if (root && *root)
        return list_folders(root, count);
    const size_t built_in = sizeof BUILT_IN / sizeof *BUILT_IN;
    struct identity *list = calloc(built_in, sizeof *list);
    for (size_t i = 0; list && i < built_in; i++)
        *count += describe(&list[*count], NULL, getenv("SIMCAM_SOCKET_DIR"), BUILT_IN[i]);
    return list;
}
