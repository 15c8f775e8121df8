/* clock.c - monotonic time. */
#include "clock.h"

#include <sched.h>
#include <sys/prctl.h>
#include <time.h>

/* Above the station's own threads, below the kernel's. */
#define REAL_TIME_PRIORITY 60

uint64_t clock_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t clock_after_ms(uint64_t delay_ms)
{
    uint64_t now = clock_now_ns();
    return delay_ms > (CLOCK_NEVER - now) / NS_PER_MS ? CLOCK_NEVER : now + delay_ms * NS_PER_MS;
}

void clock_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attributes);
    pthread_condattr_destroy(&attributes);
}

void clock_make_punctual(void)
{
    /* Timers of an ordinary thread may be 50 us late; ask for the least. */
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    struct sched_param priority = {.sched_priority = REAL_TIME_PRIORITY};
    pthread_setschedparam(pthread_self(), SCHED_FIFO, &priority);
}

int clock_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t deadline_ns)
{
    if (deadline_ns == CLOCK_NEVER)
        return pthread_cond_wait(cond, lock);
    struct timespec deadline = {
        .tv_sec = (time_t)(deadline_ns / NS_PER_S),
        .tv_nsec = (long)(deadline_ns % NS_PER_S),
    };
    return pthread_cond_timedwait(cond, lock, &deadline);
}
