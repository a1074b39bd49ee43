/* How near to each other two cores are: of a virtual machine that may change while it runs. */
#ifndef WEIR_BENCH_CORES_H
#define WEIR_BENCH_CORES_H

/* ns until a cache line that one of the first two cores writes has been seen by the other, answered, and come back:
 * about 70 between threads of one core, 100 within a cache that they share, 450 between two such caches. Median of
 * some. Threads are bound for that time. */
double bench_round_trip_ns(void);
#endif
