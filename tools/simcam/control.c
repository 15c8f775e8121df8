/* control.c - the control socket: one ASCII line per datagram, see README.md for the commands.
 *
 * A sender whose own socket is bound gets an answer: "ok", "error WHY", or the status line.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "camera_features.h"
#include "clock.h"
#include "error.h"
#include "simcam.h"

enum { LINE_SIZE = 4096, ANSWER_SIZE = 1024 };

/* A command's words after its name, and the answer it gives. */
struct command {
    struct camera *camera; /* locked */
    char *arguments;
    char answer[ANSWER_SIZE];
};

static void refuse(struct command *command, const char *why, const char *what)
{
    snprintf(command->answer, sizeof command->answer, "error %s '%s'", why, what);
}

/* The next word of the arguments as a number of at least `least`; false and a refusal if it is
 * none. Without a word `number` keeps its value. */
static bool next_number(struct command *command, unsigned long least, unsigned long *number)
{
    char *word = strtok_r(NULL, " \t", &command->arguments);
    if (!word)
        return true;
    char *end;
    errno = 0;
    unsigned long value = strtoul(word, &end, 10);
    if (!isdigit((unsigned char)*word) || *end || errno || value < least || value > UINT32_MAX) {
        refuse(command, "expected a number, came", word);
        return false;
    }
    *number = value;
    return true;
}

/* The rest of the line as the name of an image; false and a refusal if there is none. */
static bool find_image(struct command *command, const char *name, int *image)
{
    *image = images_find(command->camera->images, name);
    if (*image >= 0)
        return true;
    refuse(command, "no image of this name (path under the folder, without extension):", name);
    return false;
}

static void run_pulse(struct command *command)
{
    static const char PREFIX[] = "image=";
    char *words = command->arguments;
    int image = IMAGE_NEXT;
    if (*words && strncmp(words, PREFIX, sizeof PREFIX - 1) != 0)
        refuse(command, "expected 'pulse' or 'pulse image=NAME', came", words);
    else if (!*words || find_image(command, words + sizeof PREFIX - 1, &image))
        camera_trigger(command->camera, TRIGGER_SOURCE_LINE0, image);
}

static void run_image(struct command *command)
{
    int image;
    if (find_image(command, command->arguments, &image))
        command->camera->next_image = image;
}

static void set_fault(struct command *command, unsigned *fault)
{
    unsigned long count = 1;
    if (next_number(command, 0, &count))
        *fault = (unsigned)count;
}

static void run_lose(struct command *command)
{
    set_fault(command, &command->camera->faults.lose);
}

static void run_incomplete(struct command *command)
{
    set_fault(command, &command->camera->faults.incomplete);
}

static void run_twice(struct command *command)
{
    set_fault(command, &command->camera->faults.twice);
}

static void run_swap(struct command *command)
{
    set_fault(command, &command->camera->faults.swap);
}

static void run_late(struct command *command)
{
    unsigned long ms = 0;
    if (!*command->arguments)
        refuse(command, "expected 'late MS [N]', came", "late");
    else if (next_number(command, 1, &ms)) {
        command->camera->faults.late_ns = ms * NS_PER_MS;
        set_fault(command, &command->camera->faults.late);
    }
}

static void run_silent(struct command *command)
{
    bool on = strcmp(command->arguments, "on") == 0;
    if (on || strcmp(command->arguments, "off") == 0)
        command->camera->faults.silent = on;
    else
        refuse(command, "expected 'silent on' or 'silent off', came", command->arguments);
}

static void run_device(struct command *command)
{
    bool lost = strcmp(command->arguments, "lost") == 0;
    if (lost || strcmp(command->arguments, "back") == 0)
        camera_set_lost(command->camera, lost);
    else
        refuse(command, "expected 'device lost' or 'device back', came", command->arguments);
}

static void run_width(struct command *command)
{
    unsigned long width = 0;
    if (next_number(command, 1, &width) && camera_force_width(command->camera, (uint32_t)width))
        refuse(command, "Width is out of range:", "width");
}

static void run_status(struct command *command)
{
    const struct camera *camera = command->camera;
    const struct camera_counters *counters = &camera->counters;
    const struct stream *stream = camera->stream;
    snprintf(command->answer, sizeof command->answer,
             "device=%s acquiring=%d streaming=%d frame_id=%" PRIu64 " exposures=%" PRIu64
             " sent=%" PRIu64 " withheld=%" PRIu64 " delivered=%" PRIu64 " underrun=%" PRIu64
             " queued=%zu ready=%zu triggers=%" PRIu64 " missed=%" PRIu64 " overlapped=%" PRIu64
             " pending=%u silent=%d",
             camera->faults.lost ? "lost" : "present", camera->acquiring,
             stream && stream->grabbing, camera->frame_id, counters->exposures, counters->sent,
             counters->withheld, stream ? stream->delivered : 0, stream ? stream->underrun : 0,
             stream ? stream->input.count : 0, stream ? stream->output.count : 0,
             counters->triggers, counters->missed, counters->overlapped, camera->trigger_count,
             camera->faults.silent);
}

static const struct {
    const char *name;
    void (*run)(struct command *command);
} COMMANDS[] = {
    {"pulse", run_pulse},   {"image", run_image}, {"lose", run_lose},     {"late", run_late},
    {"twice", run_twice},   {"swap", run_swap},   {"silent", run_silent}, {"device", run_device},
    {"width", run_width},   {"status", run_status}, {"incomplete", run_incomplete},
};

/* Split off the command's name and run it. */
static void run_line(struct command *command, char *line)
{
    line[strcspn(line, "\r\n")] = '\0';
    char *name = line + strspn(line, " \t");
    char *end = name + strcspn(name, " \t");
    command->arguments = end + strspn(end, " \t");
    *end = '\0';
    snprintf(command->answer, sizeof command->answer, "ok");
    for (size_t i = 0; i < sizeof COMMANDS / sizeof *COMMANDS; i++)
        if (strcmp(COMMANDS[i].name, name) == 0) {
            pthread_mutex_lock(&command->camera->lock);
            COMMANDS[i].run(command);
            pthread_mutex_unlock(&command->camera->lock);
            return;
        }
    refuse(command, "there is no command", name);
}

static void handle_datagram(struct control *control)
{
    char line[LINE_SIZE];
    struct sockaddr_un sender;
    socklen_t sender_size = sizeof sender;
    ssize_t size = recvfrom(control->socket, line, sizeof line - 1, MSG_DONTWAIT,
                            (struct sockaddr *)&sender, &sender_size);
    if (size < 0)
        return;
    line[size] = '\0';
    struct command command = {.camera = control->camera};
    run_line(&command, line);
    /* An answer that nobody takes is the sender's loss; the camera never waits for it. */
    if (sender_size > sizeof(sa_family_t))
        sendto(control->socket, command.answer, strlen(command.answer),
               MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&sender, sender_size);
}

static void *control_main(void *argument)
{
    struct control *control = argument;
    struct pollfd watched[] = {{.fd = control->socket, .events = POLLIN},
                               {.fd = control->quit, .events = POLLIN}};
    clock_make_punctual();
    for (;;) {
        if (poll(watched, 2, -1) < 0 && errno != EINTR)
            return NULL;
        if (watched[1].revents)
            return NULL;
        if (watched[0].revents & POLLIN)
            handle_datagram(control);
    }
}

static bool make_address(const struct identity *identity, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    size_t length = strlen(identity->socket_path);
    if (length == 0 || length >= sizeof address->sun_path)
        return false;
    memcpy(address->sun_path, identity->socket_path, length + 1);
    return true;
}

bool control_is_taken(const struct identity *identity)
{
    struct sockaddr_un address;
    if (!make_address(identity, &address))
        return false;
    int probe = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (probe < 0)
        return false;
    bool taken = connect(probe, (struct sockaddr *)&address, sizeof address) == 0;
    close(probe);
    return taken;
}

static GC_ERROR bind_socket(struct control *control, const struct identity *identity)
{
    struct sockaddr_un address;
    if (!make_address(identity, &address))
        return fail(GC_ERR_IO, "the path of the control socket is longer than %zu: %s",
                    sizeof address.sun_path - 1, identity->socket_path);
    /* Nobody answers on it, so what lies there is left over from a process that died. */
    unlink(identity->socket_path);
    control->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (control->socket < 0 ||
        bind(control->socket, (struct sockaddr *)&address, sizeof address) != 0)
        return fail(GC_ERR_IO, "cannot bind the control socket %s: %s", identity->socket_path,
                    strerror(errno));
    return GC_ERR_SUCCESS;
}

static void close_descriptors(struct control *control)
{
    if (control->socket >= 0)
        close(control->socket);
    if (control->quit >= 0)
        close(control->quit);
    control->socket = control->quit = -1;
}

GC_ERROR control_open(struct control *control, struct camera *camera)
{
    *control = (struct control){.camera = camera, .socket = -1, .quit = -1};
    if (!*camera->identity->socket_path)
        return GC_ERR_SUCCESS;
    GC_ERROR error = bind_socket(control, camera->identity);
    if (!error) {
        control->quit = eventfd(0, EFD_CLOEXEC);
        if (control->quit < 0 ||
            pthread_create(&control->thread, NULL, control_main, control) != 0) {
            unlink(camera->identity->socket_path);
            error = fail(GC_ERR_RESOURCE_EXHAUSTED, "cannot start the control thread");
        }
    }
    if (error)
        close_descriptors(control);
    return error;
}

void control_close(struct control *control)
{
    if (control->socket < 0)
        return;
    eventfd_write(control->quit, 1);
    pthread_join(control->thread, NULL);
    unlink(control->camera->identity->socket_path);
    close_descriptors(control);
}
