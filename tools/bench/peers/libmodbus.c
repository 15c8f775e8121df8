/* A Modbus TCP server and client on libmodbus, for tests and benchmarks: a peer that shares no line with Inspector.
 *
 *   libmodbus server UNIT WORDS          says "port N"; on its input: "read ADDRESS COUNT", "write ADDRESS WORD...",
 *                                        "coils ADDRESS COUNT", "inputs ADDRESS BIT..."
 *   libmodbus client HOST PORT UNIT      on its input: "fc1 ADDRESS COUNT" ... "fc16 ADDRESS WORD...", "time3 TIMES ADDRESS COUNT"
 *
 * Each line of input is answered by one line: "ok WORD...", "exception CODE" or "error TEXT". time3 reads so many times and
 * answers with each round trip in nanoseconds. The server holds WORDS registers, coils and inputs, and remembers the unit ids it was asked
 * for ("units"). Both end with their input.
 */
#include <errno.h>
#include <modbus.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 1 << 16, MOST = 2000 };

static char line[LINE];

static void say(const char *result)
{
    puts(result);
    fflush(stdout);
}

static void say_failure(void)
{
    if (errno > MODBUS_ENOBASE && errno < MODBUS_ENOBASE + MODBUS_EXCEPTION_MAX) {
        printf("exception %d\n", errno - MODBUS_ENOBASE);
        fflush(stdout);
    } else {
        printf("error %s\n", modbus_strerror(errno));
        fflush(stdout);
    }
}

static void say_words(const uint16_t *words, int count)
{
    printf("ok");
    for (int i = 0; i < count; i++)
        printf(" %u", words[i]);
    say("");
}

/* Split the line into numbers after its first word; return how many. */
static int numbers(long *values, int most)
{
    int count = 0;
    strtok(line, " \n");
    for (char *word; count < most && (word = strtok(NULL, " \n")) != NULL;)
        values[count++] = strtol(word, NULL, 0);
    return count;
}

/* -- server ------------------------------------------------------------------------------------- */

static int units[256];

static void serve_line(modbus_mapping_t *memory)
{
    static long values[MOST];
    uint16_t *words = memory->tab_registers;
    int count = numbers(values, MOST);
    if (strcmp(line, "read") == 0 && count == 2) {
        say_words(words + values[0], (int)values[1]);
    } else if (strcmp(line, "write") == 0 && count > 1) {
        for (int i = 1; i < count; i++)
            words[values[0] + i - 1] = (uint16_t)values[i];
        say("ok");
    } else if (strcmp(line, "coils") == 0 && count == 2) {
        static uint16_t bits[MOST];
        for (int i = 0; i < values[1]; i++)
            bits[i] = memory->tab_bits[values[0] + i];
        say_words(bits, (int)values[1]);
    } else if (strcmp(line, "inputs") == 0 && count > 1) {
        for (int i = 1; i < count; i++)
            memory->tab_input_bits[values[0] + i - 1] = values[i] != 0;
        say("ok");
    } else if (strcmp(line, "units") == 0) {
        printf("ok");
        for (int unit = 0; unit < 256; unit++)
            if (units[unit])
                printf(" %d", unit);
        say("");
    } else {
        say("error unknown command");
    }
}

static int serve(int words)
{
    modbus_t *context = modbus_new_tcp("127.0.0.1", 0);
    modbus_mapping_t *memory = modbus_mapping_new(words, words, words, 0);
    int listener = modbus_tcp_listen(context, 8);
    if (memory == NULL || listener < 0)
        return 1;
    struct sockaddr_in at;
    socklen_t size = sizeof at;
    getsockname(listener, (struct sockaddr *)&at, &size);
    printf("port %d\n", ntohs(at.sin_port));
    fflush(stdout);
    fd_set known;
    FD_ZERO(&known);
    FD_SET(STDIN_FILENO, &known);
    FD_SET(listener, &known);
    int last = listener;
    for (;;) {
        fd_set ready = known;
        if (select(last + 1, &ready, NULL, NULL, NULL) < 0)
            return 1;
        if (FD_ISSET(STDIN_FILENO, &ready)) {
            if (fgets(line, sizeof line, stdin) == NULL)
                return 0;
            serve_line(memory);
        }
        if (FD_ISSET(listener, &ready)) {
            int peer = accept(listener, NULL, NULL), one = 1;
            setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            FD_SET(peer, &known);
            last = peer > last ? peer : last;
        }
        for (int fd = listener + 1; fd <= last; fd++) {
            if (!FD_ISSET(fd, &ready))
                continue;
            uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
            modbus_set_socket(context, fd);
            int length = modbus_receive(context, query);
            if (length > 0) {
                units[query[6]] = 1;
                modbus_reply(context, query, length, memory);
            } else if (length < 0) {
                close(fd);
                FD_CLR(fd, &known);
            }
        }
    }
}

/* -- client ------------------------------------------------------------------------------------- */

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void time_reads(modbus_t *context, long times, int address, int count)
{
    uint16_t words[MODBUS_MAX_READ_REGISTERS];
    uint64_t *taken = malloc(sizeof *taken * (size_t)times);
    for (long i = 0; i < times; i++) {
        uint64_t t_start = now_ns();
        if (modbus_read_registers(context, address, count, words) < 0) {
            say_failure();
            free(taken);
            return;
        }
        taken[i] = now_ns() - t_start;
    }
    printf("ok");
    for (long i = 0; i < times; i++)
        printf(" %llu", (unsigned long long)taken[i]);
    say("");
    free(taken);
}

static void ask(modbus_t *context)
{
    static long values[MOST];
    static uint16_t words[MOST];
    static uint8_t bits[MOST];
    int count = numbers(values, MOST), done = -1, address = (int)values[0], n = count - 1;
    for (int i = 0; i < n; i++) {
        words[i] = (uint16_t)values[i + 1];
        bits[i] = values[i + 1] != 0;
    }
    if (strcmp(line, "time3") == 0) {
        time_reads(context, values[0], (int)values[1], (int)values[2]);
        return;
    }
    int function = (int)strtol(line + 2, NULL, 10), asked = (int)values[1];
    switch (function) {
    case 1: done = modbus_read_bits(context, address, asked, bits); break;
    case 2: done = modbus_read_input_bits(context, address, asked, bits); break;
    case 3: done = modbus_read_registers(context, address, asked, words); break;
    case 4: done = modbus_read_input_registers(context, address, asked, words); break;
    case 5: done = modbus_write_bit(context, address, asked); break;
    case 6: done = modbus_write_register(context, address, (uint16_t)asked); break;
    case 15: done = modbus_write_bits(context, address, n, bits); break;
    case 16: done = modbus_write_registers(context, address, n, words); break;
    default: errno = EINVAL;
    }
    if (done < 0) {
        say_failure();
        return;
    }
    if (function <= 2)
        for (int i = 0; i < asked; i++)
            words[i] = bits[i];
    say_words(words, function <= 4 ? asked : 0);
}

static int be_client(const char *host, int port, int unit)
{
    modbus_t *context = modbus_new_tcp(host, port);
    modbus_set_slave(context, unit);
    if (modbus_connect(context) < 0)
        return 1;
    say("ok");
    while (fgets(line, sizeof line, stdin) != NULL)
        ask(context);
    modbus_close(context);
    modbus_free(context);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "server") == 0)
        return serve(atoi(argv[3]));
    if (argc == 5 && strcmp(argv[1], "client") == 0)
        return be_client(argv[2], atoi(argv[3]), atoi(argv[4]));
    fputs("usage: libmodbus server UNIT WORDS | client HOST PORT UNIT\n", stderr);
    return 2;
}
