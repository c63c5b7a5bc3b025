/* A clock that is turned while a program runs, for scripts/network.sh: to be preloaded. The file that CLOCK_AHEAD
   names holds by how many seconds the clock is ahead. Only what tells the time of day is changed. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    const char *path = getenv("CLOCK_AHEAD");
    if (result == 0 && clock == CLOCK_REALTIME && path) {
        long ahead = 0;
        FILE *file = fopen(path, "r");
        if (file) {
            if (fscanf(file, "%ld", &ahead) == 1) now->tv_sec += ahead;
            fclose(file);
        }
    }
    return result;
}
