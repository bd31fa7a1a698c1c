#!/usr/bin/env bash
# All checks that need a GPU, in under ten minutes: tables to send back.
#
# benchmarks/gpu.sh [PYTHON]     .venv/bin/python if not given
#
# Exit status: 0, all was done; 1, something failed or did not come to its turn; 2, there is no GPU.
set -u
cd "$(dirname "$0")/.." || exit 1
python=${1:-.venv/bin/python}
export PYTHONPATH=. TF_CPP_MIN_LOG_LEVEL=2 TF_FORCE_GPU_ALLOW_GROWTH=true
limit=570 # Seconds in all.
failed=0

if ! "$python" -c 'import sys, tensorflow as tf; sys.exit(not tf.config.list_physical_devices("GPU"))' \
    2>/dev/null; then
    echo "gpu.sh: TensorFlow finds no GPU here (see requirements-gpu.txt); nothing was measured"
    exit 2
fi

# What is printed of a check, or that it failed, with the end of what it said.
check() {
    local left=$((limit - SECONDS)) said
    if ((left < 20)); then
        echo "not done, for the time was over: $*" >&2
        failed=1
        return
    fi
    said=$(mktemp)
    if ! timeout "$((left < 120 ? left : 120))" "$@" 2>"$said"; then
        echo "failed: $*" >&2
        tail -n 3 "$said" >&2
        failed=1
    fi
    rm -f "$said"
}

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv 2>/dev/null
check "$python" launch/preprocess.py --data_dir "$folder/data" --out_dir "$folder/records" >/dev/null
check "$python" launch/measure.py --method kohl_hybrid --preset small --records "$folder/records"
echo
"$python" benchmarks/gpu.py --list 2>/dev/null >"$folder/rows"
echo "| method | minibatch | precision | values | s a step | peak GB | losses of the last step | loss scales |"
echo "|---|---|---|---|---|---|---|---|"
while read -r -a arguments <&3; do
    check "$python" benchmarks/gpu.py "${arguments[@]}"
done 3<"$folder/rows"
echo
check "$python" benchmarks/gpu.py --replicas kohl_hybrid
check "$python" benchmarks/gpu.py --replicas moeskops_dilated_adversarial
echo "$SECONDS s in all"
exit $failed
