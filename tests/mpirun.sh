#!/bin/sh
# tests/mpirun.sh N PROGRAM...: run a test on N oversubscribed processes, with any MPI's mpirun, as any user.
n=$1; shift
# MPI libraries keep memory at exit; leaks are looked for in the tests without mpirun.
ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0}; export ASAN_OPTIONS
if mpirun --version 2>/dev/null | grep -q 'Open MPI'; then
  if [ "$(id -u)" = 0 ]; then OMPI_ALLOW_RUN_AS_ROOT=1; OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi
  export OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM
  exec mpirun --oversubscribe --bind-to none --mca mpi_yield_when_idle 1 --mca btl_base_warn_component_unused 0 -n "$n" "$@"
fi
exec mpirun -n "$n" "$@"
