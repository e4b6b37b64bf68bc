/* Plays a trace of allocations to whichever malloc it runs with, and prints what that took from the kernel.
 *
 *     player TRACE SLOTS
 *
 * The trace is pairs of 32-bit numbers, a slot and a size: what the slot holds is freed, and so many bytes are
 * allocated and written. Printed: the highest and the last value of each figure, in bytes, -1 for unknown.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* jemalloc's; NULL where another malloc is. */
static int (*mallctl)(const char *, void *, size_t *, void *, size_t);

enum { HELD, ACTIVE, RESIDENT, ANONYMOUS, FIGURES };
static const char *const names[] = {"held", "active", "resident", "anonymous"};
static long long highest[FIGURES], last[FIGURES], before;
static char *text;

static long long told_by_mallctl(const char *name)
{
    uint64_t epoch = 1;
    size_t value = 0, size = sizeof value;
    if (!mallctl)
        return -1;
    mallctl("epoch", NULL, NULL, &epoch, sizeof epoch);
    return mallctl(name, &value, &size, NULL, 0) ? -1 : (long long)value;
}

/* Anonymous pages in memory, without a call that allocates. */
static long long anonymous(void)
{
    long long total, resident = 0, shared = 0;
    int file = open("/proc/self/statm", O_RDONLY);
    ssize_t got = read(file, text, 4095);
    close(file);
    text[got > 0 ? got : 0] = 0;
    sscanf(text, "%lld %lld %lld", &total, &resident, &shared);
    return (resident - shared) * sysconf(_SC_PAGESIZE);
}

static void look(void)
{
    struct mallinfo2 told = mallinfo2();
    last[HELD] = mallctl ? -1 : (long long)(told.arena + told.hblkhd);
    last[ACTIVE] = told_by_mallctl("stats.active");
    last[RESIDENT] = told_by_mallctl("stats.resident");
    last[ANONYMOUS] = anonymous() - before;
    for (int each = 0; each < FIGURES; each++)
        if (last[each] > highest[each])
            highest[each] = last[each];
}

static void *pages(size_t size, int file)
{
    int flags = file < 0 ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE : MAP_SHARED;
    void *place = mmap(NULL, size, file < 0 ? PROT_READ | PROT_WRITE : PROT_READ, flags, file, 0);
    if (place == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return place;
}

int main(int count, char **arguments)
{
    struct stat status;
    int file = count == 3 ? open(arguments[1], O_RDONLY) : -1;
    if (file < 0 || fstat(file, &status)) {
        fprintf(stderr, "player TRACE SLOTS\n");
        return 2;
    }
    size_t slots = strtoull(arguments[2], NULL, 10), steps = status.st_size / 8;
    const uint32_t *trace = pages(status.st_size, file);
    void **held = pages(slots * sizeof *held, -1);
    text = pages(4096, -1);
    mallctl = (int (*)(const char *, void *, size_t *, void *, size_t))dlsym(RTLD_DEFAULT, "mallctl");
    for (int each = 0; each < FIGURES; each++)
        highest[each] = -1;
    /* Whatever the first call sets up is there. */
    free(malloc(1));
    before = anonymous();
    for (size_t step = 0; step < steps; step++) {
        uint32_t slot = trace[2 * step], size = trace[2 * step + 1];
        free(held[slot]);
        held[slot] = malloc(size);
        if (!held[slot])
            return 1;
        memset(held[slot], 1, size);
        if (step % 1000 == 0 || step + 1 == steps)
            look();
    }
    for (int each = 0; each < FIGURES; each++)
        printf("%s %lld %lld\n", names[each], highest[each], last[each]);
    return 0;
}
