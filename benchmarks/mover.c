/* Moves pages with the calls that numamig makes, and nothing else around them: what numamig is measured against.
 *
 *   mover batches PID START PAGES BATCH NODE THREADS   move_pages(2), BATCH pages a call, in THREADS threads
 *   mover process PID FROM TO                          migrate_pages(2), what migratepages(8) calls
 *
 * Prints the duration of the calls in ns. Build: cc -O2 -pthread -o mover mover.c
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct part {
	long pid, batch, count;
	uint64_t start;
	int node, number, bound;
	long left;
};

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void *move_part(void *argument)
{
	struct part *part = argument;
	cpu_set_t cpus;

	/* Each thread on a CPU of its own, as numamig's are. */
	CPU_ZERO(&cpus);
	CPU_SET(part->number % sysconf(_SC_NPROCESSORS_ONLN), &cpus);
	if (part->bound)
		sched_setaffinity(0, sizeof cpus, &cpus);
	void **pages = malloc(part->batch * sizeof *pages);
	int *nodes = malloc(part->batch * sizeof *nodes);
	int *status = malloc(part->batch * sizeof *status);

	for (long first = 0; first < part->count; first += part->batch) {
		long n = part->count - first < part->batch ? part->count - first : part->batch;
		for (long i = 0; i < n; i++) {
			pages[i] = (void *)(part->start + (first + i) * 4096);
			nodes[i] = part->node;
			status[i] = -99;
		}
		syscall(SYS_move_pages, part->pid, n, pages, nodes, status, 2);
		for (long i = 0; i < n; i++)
			part->left += status[i] != part->node;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	uint64_t began;
	long left = 0;

	if (argc == 8 && !strcmp(argv[1], "batches")) {
		long pages = atol(argv[4]), threads = atol(argv[7]);
		struct part parts[threads];
		pthread_t ids[threads];
		began = now_ns();
		for (long t = 0; t < threads; t++) {
			long first = pages * t / threads, end = pages * (t + 1) / threads;
			parts[t] = (struct part){atol(argv[2]), atol(argv[5]), end - first,
				strtoull(argv[3], NULL, 0) + first * 4096, atoi(argv[6]), (int)t, threads > 1, 0};
			pthread_create(&ids[t], NULL, move_part, &parts[t]);
		}
		for (long t = 0; t < threads; t++) {
			pthread_join(ids[t], NULL);
			left += parts[t].left;
		}
	} else if (argc == 5 && !strcmp(argv[1], "process")) {
		unsigned long from = 1ul << atoi(argv[3]), to = 1ul << atoi(argv[4]);
		began = now_ns();
		left = syscall(SYS_migrate_pages, atol(argv[2]), 65ul, &from, &to);
	} else {
		return 2;
	}
	printf("%llu\n", (unsigned long long)(now_ns() - began));
	if (left)
		fprintf(stderr, "%ld pages did not move\n", left);
	return left != 0;
}
