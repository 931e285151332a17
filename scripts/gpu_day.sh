#!/usr/bin/env bash
# What to run on the first day with a GPU: results against the CPU, speed, memory, a training.
#
#     scripts/gpu_day.sh [DEVICE] [FOLDER]        (default: vulkan gpu-day)
#
# Everything that it prints goes to FOLDER/report.txt as well. Variables:
#
#     OFFICIAL=PATH    a checkout of NVlabs/stylegan2-ada-pytorch, whose speed is measured alternately
#     CIGAN=PATH       a program that is already built, and
#     CHECKS=PATH      its tests/wgpu.rs, for machines without Rust
#     HOURS=0          leaves the training out
#     REHEARSE=1       makes everything tiny, for a software adapter
set -euo pipefail
device="${1:-vulkan}"
folder="${2:-gpu-day}"
hours="${HOURS:-8}"
for name in OFFICIAL CIGAN CHECKS; do
    if [ -n "${!name:-}" ]; then export "$name=$(realpath "${!name}")"; fi
done
cd "$(dirname "$0")/.."
mkdir -p "$folder"
exec > >(tee -a "$folder/report.txt") 2>&1

api="${device%%:*}"
features=(--features vulkan)
case "$api" in
    # SPIR-V crashes Mesa's software Vulkan, so WGSL must be the only choice there.
    wgpu | gl) features=(--no-default-features --features wgpu) ;;
    metal | cuda) features=(--features "$api") ;;
esac
step() {
    echo "== $(date +%T) $*"
    "$@"
}

step date
if command -v nvidia-smi >/dev/null; then step nvidia-smi; fi
cigan="${CIGAN:-}"
if [ -z "$cigan" ]; then
    step git rev-parse HEAD
    step cargo build --release --locked "${features[@]}"
    cigan=target/release/cigan
fi
step "$cigan" devices
step "$cigan" devices --check --device "$device"
tests=(cargo test --release --locked "${features[@]}" --test wgpu)
if [ -n "${CIGAN:-}" ]; then tests=("${CHECKS:-}"); fi
if [ -n "${tests[0]}" ]; then
    step env CIGAN_REQUIRE_GPU=1 CIGAN_TEST_DEVICE="$device" "${tests[@]}"
fi

# The networks of the presets small64, small128 and small256, with batches of one round.
sizes=("64 4096 128 16" "128 16384 512 16" "256 16384 512 16")
rounds=4
memory=125
if [ -n "${REHEARSE:-}" ]; then
    sizes=("16 64 4 4")
    rounds=1
    memory=1
fi
for size in "${sizes[@]}"; do
    read -r side base max batch <<<"$size"
    network=(--resolution "$side" --channel-base "$base" --channel-max "$max" --batch "$batch" --rounds "$rounds")
    if [ -n "${OFFICIAL:-}" ]; then
        compare=(python3 scripts/compare_training_speed.py --repo "$OFFICIAL" --cigan "$cigan" --device "$device" "${network[@]}" --pairs 2)
        step "${compare[@]}"
        # Mixed precision: f16 in the four highest resolutions.
        step "${compare[@]}" --fp16-res 4
        step "${compare[@]}" --fp16-res 4 --aug
    else
        step "$cigan" bench train "${network[@]}" --device "$device"
        step "$cigan" bench train "${network[@]}" --device "$device" --mixed
        step "$cigan" bench train "${network[@]}" --device "$device" --aug
    fi
done

# 125 rounds of 16 iterations: the memory of the device must not grow.
if command -v nvidia-smi >/dev/null; then
    nvidia-smi --query-gpu=timestamp,memory.used,utilization.gpu --format=csv -l 10 \
        >"$folder/memory.csv" &
    watching=$!
    trap 'kill "$watching"' EXIT
fi
read -r side base max batch <<<"${sizes[0]}"
step "$cigan" bench train --resolution "$side" --channel-base "$base" --channel-max "$max" \
    --batch "$batch" --rounds "$memory" --device "$device"

if [ "$hours" != 0 ]; then
    step "$cigan" data synth --out "$folder/birds.zip" --count 20000 --resolution 64
    step "$cigan" train "$folder/birds.zip" --time "${hours}h" --device "$device"
fi
echo "== $(date +%T) done: $folder/report.txt"
