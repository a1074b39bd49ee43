#!/bin/bash
# weir-test: timeout=120
#
# Proves that what is installed can be used: a simulation finds the client through pkg-config and through find_package, builds and runs;
# an operator of one's own builds against the installed headers; the installed command runs.
set -eu
work=$(mktemp -d "${TMPDIR:-/tmp}/weir-install.XXXXXX")
trap 'rm -rf "$work"' EXIT
cmake --install "$WEIR_BUILD" --prefix "$work/prefix" > "$work/log" 2>&1 || { cat "$work/log"; exit 1; }
libdir=$(dirname "$(find "$work/prefix" -name weir-client.pc)")/..
export PKG_CONFIG_PATH=$libdir/pkgconfig LD_LIBRARY_PATH=$libdir
flags=$(grep -o 'WEIR_SANITIZE:STRING=.*' "$WEIR_BUILD/CMakeCache.txt" | cut -d= -f2)
sanitize=${flags:+-fsanitize=$flags}

cat > "$work/simulation.c" <<'END'
#include <stdio.h>
#include <weir/client.h>
int main(void) {
  weir_stream *s = NULL;
  double       x[4] = {1, 2, 3, 4};
  if (weir_stream_open("s", 0, 1, NULL, &s) < 0) return 1;
  weir_array array = {.data = x, .dtype = WEIR_F64, .rank = 1, .extent = {4}};
  (void)!weir_step_begin(s, 0, 0.0);
  (void)!weir_put(s, "x", &array);
  (void)!weir_step_end(s);
  (void)!weir_stream_close(&s);
  puts("ran");
  return 0;
}
END
cd "$work"
cc $sanitize -o by_pkg_config simulation.c $(pkg-config --cflags --libs weir-client)
[ "$(env -u WEIR_RUN ./by_pkg_config)" = ran ]

mkdir project
cp simulation.c project
cat > project/CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.25)
project(simulation LANGUAGES C)
find_package(weir REQUIRED)
add_executable(by_find_package simulation.c)
target_link_libraries(by_find_package weir::weir-client)
END
cmake -S project -B project/build -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_C_FLAGS="$sanitize" > log 2>&1 || { cat log; exit 1; }
cmake --build project/build > log 2>&1 || { cat log; exit 1; }
[ "$(env -u WEIR_RUN project/build/by_find_package)" = ran ]

cc $sanitize -shared -fPIC -o my_operators.so "$WEIR_SOURCE/examples/my_operators.c" $(pkg-config --cflags weir) 2> log || { cat log; exit 1; }
"$work/prefix/bin/weir" version > log
grep -q weir log
