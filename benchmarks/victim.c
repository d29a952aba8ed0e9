/* A process whose memory is moved while it uses it.
 *
 *   victim PAGES NODE   PAGES private pages of 4 KiB on NODE; says where: "START\n"
 *
 * Then obeys lines: "go" reads and writes random pages and times each access; "stop" says the accesses made since and
 * their latency in ns at the given shares: "COUNT P50 P99 P99.9 P99.99 MAX\n". Build: cc -O2 -pthread -o victim victim.c
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define CELLS 4096 /* 64 steps for each power of two: latencies within 1.6 % */

static volatile unsigned char *memory;
static long pages;
static atomic_int going, idle = 1;
static uint64_t cells[CELLS], slowest;

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static int cell_of(uint64_t ns)
{
	int power = ns < 128 ? 0 : 63 - __builtin_clzll(ns) - 6;
	return power * 64 + (int)(ns >> power);
}

static uint64_t ns_of(uint64_t cell)
{
	uint64_t power = cell < 128 ? 0 : cell / 64 - 1;
	return (cell - power * 64) << power;
}

static void *access_pages(void *unused)
{
	uint64_t random = 88172645463325252ull;
	for (;;) {
		while (!atomic_load(&going)) {
			atomic_store(&idle, 1);
			usleep(200);
		}
		atomic_store(&idle, 0);
		for (int n = 0; n < 64; n++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			uint64_t began = now_ns();
			memory[(random % pages) * 4096 + 64]++;
			uint64_t took = now_ns() - began;
			cells[cell_of(took)]++;
			if (took > slowest)
				slowest = took;
		}
	}
	return unused;
}

static uint64_t at(double share, uint64_t count)
{
	uint64_t seen = 0;
	for (uint64_t cell = 0; cell < CELLS; cell++)
		if ((seen += cells[cell]) >= share * count)
			return ns_of(cell);
	return slowest;
}

int main(int argc, char **argv)
{
	char line[64];
	pthread_t id;
	unsigned long mask;

	if (argc != 3)
		return 2;
	pages = atol(argv[1]);
	mask = 1ul << atoi(argv[2]);
	void *area = mmap(NULL, pages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED || madvise(area, pages * 4096, MADV_NOHUGEPAGE))
		return 1;
	/* Placed by policy, then left to none, so that only the mover decides. */
	if (syscall(SYS_mbind, area, pages * 4096, 2, &mask, 65ul, 0))
		return 1;
	memset(area, 1, pages * 4096);
	syscall(SYS_mbind, area, pages * 4096, 0, NULL, 0ul, 0);
	memory = area;
	printf("%p\n", area);
	fflush(stdout);
	pthread_create(&id, NULL, access_pages, NULL);
	while (fgets(line, sizeof line, stdin)) {
		if (!strncmp(line, "go", 2)) {
			memset(cells, 0, sizeof cells);
			slowest = 0;
			atomic_store(&idle, 0);
			atomic_store(&going, 1);
			continue;
		}
		atomic_store(&going, 0);
		while (!atomic_load(&idle))
			usleep(100);
		uint64_t count = 0;
		for (int cell = 0; cell < CELLS; cell++)
			count += cells[cell];
		printf("%llu %llu %llu %llu %llu %llu\n", (unsigned long long)count, (unsigned long long)at(0.5, count),
		       (unsigned long long)at(0.99, count), (unsigned long long)at(0.999, count),
		       (unsigned long long)at(0.9999, count), (unsigned long long)slowest);
		fflush(stdout);
	}
	return 0;
}
