#!/bin/bash
# What is open in docs/performance.md for want of a GPU, measured in 12 minutes on a machine with one NVIDIA card and no network.
#
#   FER2013_ROOT=data bash benchmarks/gpu_day.sh OUT [WHEELS]       on the day; WHEELS: a folder of wheels to install from, if any
#   SMALL=1 bash benchmarks/gpu_day.sh OUT                          the same commands on next to nothing, on a CPU
#
# Wheels, beforehand, on a machine with the same Python and a network:   pip download -d WHEELS '.[test]'
# Each step writes OUT/STEP.log and ends after its own limit; a step that fails does not stop the next. OUT/summary.txt has one line each.
set -u
OUT=$(mkdir -p "$1" && cd "$1" && pwd)
WHEELS=${2:+$(cd "$2" && pwd)}
HERE=$(cd "$(dirname "$0")/.." && pwd)
PYTHON=${PYTHON:-python3}
export WANDB_MODE=offline PYTHONPATH="$HERE${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
[ "${SMALL:-}" ] || export FER2013_ROOT=$(cd "${FER2013_ROOT:-data}" && pwd)
: > "$OUT/summary.txt"

if [ -n "$WHEELS" ]; then
    "$PYTHON" -m venv "$OUT/venv" && "$OUT/venv/bin/pip" install -q --no-index --find-links "$WHEELS" "$HERE[test]" || exit 1
    PYTHON="$OUT/venv/bin/python"
fi

step() {  # NAME SECONDS COMMAND...; a small net on a CPU spends them on imports
    local name=$1 limit=$(($2 * SLOWER)) begun=$SECONDS rc
    shift 2
    (cd "$OUT" && timeout --signal=INT --kill-after=20 "$limit" "$@") > "$OUT/$name.log" 2>&1
    rc=$?
    echo "$name: exit code $rc after $((SECONDS - begun)) s of $limit; $(tail -n 1 "$OUT/$name.log")" | tee -a "$OUT/summary.txt"
}

B="$HERE/benchmarks"
NET=()
DATA=()
LOOP=()
PACK=(--processes 1,2,4,8 data=fer2013 epochs=2)
FEW=()
SLOWER=1
if [ "${SMALL:-}" ]; then
    NET=("backbone.widths=[4,4,8]")
    DATA=(data=synthetic data.train=64 data.val=32 data.test=32 batch_size=32)
    LOOP=(--images 64 --rounds 1)
    PACK=(--jobs 2 --processes 1,2 data=synthetic data.train=64 epochs=1)
    FEW=(epochs=1)
    SLOWER=10
fi

step machine 30 bash -c "nvidia-smi || true; '$PYTHON' -c 'import torch; print(torch.__version__, torch.cuda.is_available())'"
# 70 % in 30 s, 72 % with ten crops in 2 minutes, 73 % in 5: two seeds each, and what two nets say together.
step fast 120 "$PYTHON" "$B/fast_recipe.py" --seeds 2 "${DATA[@]}" "${NET[@]}" "${FEW[@]}"
step fast_75 240 "$PYTHON" "$B/fast_recipe.py" --seeds 2 "${DATA[@]}" "${NET[@]}" "${FEW[@]:-epochs=75}"
# The training loop by a bare one, at least 0.90; compiled as well.
step loop 60 "$PYTHON" "$B/training_loop.py" --batch 64 "${LOOP[@]}" logger=csv "${NET[@]}"
step loop_compiled 80 "$PYTHON" "$B/training_loop.py" --batch 64 "${LOOP[@]}" logger=csv compile=true "${NET[@]}"
step packing 120 "$PYTHON" "$B/packing.py" "${PACK[@]}" "${NET[@]}"
# The mission's command on one card.
step grid 90 "$PYTHON" -m fer_lightning -m head.act=relu,gelu,swish,mish head.norm=none,bn logger=csv hydra.sweep.dir="$OUT/grid" \
    "${DATA[@]}" "${NET[@]}" "${FEW[@]:-epochs=5}"
