/* clock.h - monotonic time in nanoseconds, and condition variables that wait on it. */
#ifndef SIMCAM_CLOCK_H
#define SIMCAM_CLOCK_H

#include <pthread.h>
#include <stdint.h>

#define CLOCK_NEVER UINT64_MAX
#define NS_PER_S 1000000000ull
#define NS_PER_MS 1000000ull
#define NS_PER_US 1000ull

/* CLOCK_MONOTONIC, the same clock that Python's time.monotonic_ns() reads on Linux. */
uint64_t clock_now_ns(void);

/* `delay` from now in ns; CLOCK_NEVER if that overflows. */
uint64_t clock_after_ms(uint64_t delay_ms);

/* A condition variable whose timed waits follow CLOCK_MONOTONIC. */
void clock_cond_init(pthread_cond_t *cond);

/* Wait until signalled or until `deadline_ns`; 0 when signalled (perhaps spuriously), else
 * ETIMEDOUT. CLOCK_NEVER waits without limit. */
int clock_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t deadline_ns);

/* Make the calling thread as punctual as the machine allows: a camera is hardware of its own and
 * does not wait for a busy PC. Real-time priority is asked for, and done without if refused. */
void clock_make_punctual(void);

#endif
