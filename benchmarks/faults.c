/* A process that maps, touches and unmaps memory as fast as it can, and counts the pages in a file that others read:
   faults FILE RESIDENT_MIB. Its resident memory is there to be looked at meanwhile. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>

enum { PAGE = 4096, ROUND = 256 };

static char *map(size_t size) {
    char *area = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    madvise(area, size, MADV_NOHUGEPAGE);
    return area;
}

int main(int count, char **arguments) {
    if (count != 3)
        return 2;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int file = open(arguments[1], O_RDWR);
    volatile uint64_t *pages = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (file < 0 || pages == MAP_FAILED)
        return 1;
    size_t resident = (size_t)atol(arguments[2]) << 20;
    char *kept = map(resident + PAGE);
    for (size_t at = 0; at < resident; at += PAGE)
        kept[at] = 1;
    puts("ready");
    fflush(stdout);
    for (;;) {
        char *area = map(ROUND * PAGE);
        for (size_t at = 0; at < ROUND * PAGE; at += PAGE)
            area[at] = 1;
        munmap(area, ROUND * PAGE);
        *pages += ROUND;
    }
}
