#!/bin/bash
# weir-test: timeout=120
# A Fortran simulation writes, a C worker reads and checks.
set -eu
command -v gfortran >/dev/null || { echo "no gfortran: skipped"; exit 77; }
work=$(mktemp -d "${TMPDIR:-/tmp}/weir-fortran-XXXXXX")
reader=
trap '[ -z "$reader" ] || kill "$reader" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
c_files=("$WEIR_SOURCE"/client/*.c "$WEIR_SOURCE"/src/channel/*.c)
for name in core/error core/futex core/memory core/text field/region field/grid field/view; do
  c_files+=("$WEIR_SOURCE/src/$name.c")
done
flags=(-g -O1 -std=c17 -D_GNU_SOURCE -I"$WEIR_SOURCE/include" -I"$WEIR_SOURCE/src" -I"$WEIR_SOURCE/tests" -DWEIR_ENGINE_FILE=\"libweir.so\")
gcc "${flags[@]}" -c "${c_files[@]}" "$WEIR_SOURCE/tests/client/fortran_reader.c"
ar rc libclient.a $(ls ./*.o | grep -v fortran_reader)
gcc fortran_reader.o libclient.a -o reader -lcmocka -lpthread -lm
gfortran -g -O1 -std=f2008 -fcheck=all "$WEIR_SOURCE/client/fortran/weir.f90" "$WEIR_SOURCE/tests/client/fortran_writer.f90" \
  libclient.a -o writer
mkdir run
./reader run &
reader=$!
WEIR_RUN=run ./writer
wait "$reader"
reader=
test -z "$(ls run/channel)"
