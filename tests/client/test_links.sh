#!/bin/bash
# What a simulation links: the client library needs libc and libm alone, starts no thread, ends no process and exports nothing but
# weir_*; its headers compile as C99 and as C++.
set -eu
library=$WEIR_BUILD/libweir-client.so
test -e "$library" || { echo "no $library: skipped"; exit 77; }
fail() { echo "$1"; exit 1; }

needed=$(readelf -d "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\].*/\1/p' | grep -v -e '^libc\.' -e '^libm\.' -e '^ld-linux' || true)
case $needed in
  *libasan* | *libubsan* | *libtsan*) echo "sanitized: skipped"; exit 77 ;;
  ?*) fail "the client needs more than libc: $needed" ;;
esac
forbidden=$(nm -D --undefined-only "$library" | grep -wE 'abort|exit|_exit|pthread_create|fork|printf|puts|signal|sigaction|atexit' || true)
[ -z "$forbidden" ] || fail "the client calls: $forbidden"
exported=$(nm -D --defined-only "$library" | awk '$3 !~ /^weir_[a-z]/ && $2 != "A" {print $3}')
[ -z "$exported" ] || fail "the client exports: $exported"

printf '#include <weir/client.h>\nint main(void) { weir_stream *s = 0; return (int)weir_stream_close(&s); }\n' >"${TMPDIR:-/tmp}/weir-$$.c"
trap 'rm -f "${TMPDIR:-/tmp}/weir-$$.c"' EXIT
gcc -std=c99 -Wall -Wextra -Werror -I"$WEIR_SOURCE/include" -fsyntax-only "${TMPDIR:-/tmp}/weir-$$.c"
if command -v g++ >/dev/null; then
  g++ -x c++ -std=c++11 -Wall -Wextra -Werror -I"$WEIR_SOURCE/include" -fsyntax-only "${TMPDIR:-/tmp}/weir-$$.c"
fi
