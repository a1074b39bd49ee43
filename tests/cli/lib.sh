# Shared by the tests of the command: a folder of their own, `same` for exact output, `refused` for bad input.
set -u
unset ASAN_OPTIONS # leaks are looked for here
weir="$WEIR_BUILD/bin/weir"
[ -x "$weir" ] || { echo "the command is not built"; exit 77; }
grep -q __asan_init "$weir" && sanitized=yes || sanitized= # tests may do less then, where it is time that counts
folder=$(mktemp -d "${TMPDIR:-/tmp}/weir-cli-XXXXXX") || exit 1
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
failures=0

# simulation: the example heat2d as $heat, unless it is not built. MPI libraries keep memory at exit, so the sanitizer must
# not look for leaks in it (it does in weir itself).
simulation() {
  [ -x "$WEIR_BUILD/bin/heat2d" ] || return 1
  printf '#!/bin/sh\nASAN_OPTIONS=detect_leaks=0 exec %s "$@"\n' "$WEIR_BUILD/bin/heat2d" >heat
  chmod +x heat
  heat="$folder/heat"
}

fault() {
  printf 'FAULT: %s\n' "$*"
  failures=$((failures + 1))
}

# same WHAT EXPECTED ACTUAL
same() {
  [ "$2" = "$3" ] || fault "$1
--- expected
$2
--- got
$3"
}

# refused WHAT MESSAGE COMMAND...: exit status 2, this message and no other line, nothing on stdout, no new file
refused() {
  local what=$1 message=$2 before after out status
  shift 2
  before=$(ls -A)
  out=$("$@" 2>&1 >stdout.txt)
  status=$?
  [ ! -s stdout.txt ] || fault "$what: printed $(cat stdout.txt)"
  rm -f stdout.txt
  after=$(ls -A)
  [ "$status" = 2 ] || fault "$what: exit status $status, expected 2"
  same "$what" "weir: $message" "$out"
  same "$what: files" "$before" "$after"
}

finish() {
  [ "$failures" = 0 ] && echo "all as expected"
  exit $((failures > 0))
}
