# weir-test: timeout=120
# What a checkpoint holds of chunks that lie beside each other in memory: each once, as many steps of it as are kept; and a
# worker killed in the middle goes on from it with the same bytes.
. "$WEIR_SOURCE/tests/cli/lib.sh"
simulation || { echo "the example heat2d is not built"; exit 77; }

cat >worker <<'END'
#!/bin/sh
for run; do :; done
if [ "$WEIR_RESTART" = 0 ]; then
  "$@" &
  until ls "$run"/checkpoint/[1-9]*.0 >/dev/null 2>&1; do
    kill -0 $! 2>/dev/null || exit 0
    sleep 0.01
  done
  kill -9 $! $$
fi
exec "$@"
END
chmod +x worker
# recipe STORE LAUNCH
recipe() {
  cat >a.yaml <<END
stream:
  simulation: {}
fields:
  change: temperature - lag(temperature, 1)
outputs:
  - zarr: {path: $1, fields: [change], every: 20}
execution: {threads: 0}
checkpoint: {every: 3 steps}
$2
END
}

# ---- 256 x 256 float64 are 16 chunks; two steps are kept: who looked at the one before is waited for ----
recipe whole.zarr ""
"$weir" run a.yaml -- "$heat" 256 256 600 10 >out.txt 2>err.txt || fault "run: $(cat err.txt)"
same "bytes of a checkpoint" "the last of 1.0 MiB" "$(grep -o 'the last of .*' out.txt err.txt | sed 's/^[^:]*://')"

# ---- killed when the first one is there ----
recipe killed.zarr "launch: {workers: \"$PWD/worker {command}\"}
recovery: {backoff: 0.1}"
"$weir" run a.yaml -- "$heat" 256 256 600 10 >out.txt 2>err.txt || fault "killed: $(cat err.txt)"
grep -q 'killed (signal 9).*restarted from step' err.txt || fault "not restarted from a checkpoint: $(cat err.txt)"
diff -r whole.zarr killed.zarr >/dev/null || fault "the stores differ: $(diff -rq whole.zarr killed.zarr | head -3)"
finish
