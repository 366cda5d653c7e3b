#!/usr/bin/env bash
# Collects in tests/gpu/packed what tests/gpu/run.sh needs on a machine without internet access: zoo's wheels, and
# timm's train.py, which timm's distributions do not contain. Fails if the total is more than 64 MiB.
#
#     tests/gpu/pack.sh [--timm-train FILE] [PACKAGE ...]
#
# PACKAGE is a requirement that is missing on that machine. This script downloads its wheel for Python 3.12 on Linux.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(cd "$here/../.." && pwd)"
packed="$here/packed"
limit_kib=$((64 * 1024))

rm -rf "$packed"
mkdir -p "$packed"
if [ "${1:-}" = --timm-train ]; then
    cp "${2:?--timm-train needs a file}" "$packed/train.py"
    shift 2
fi
python3 -m pip wheel --quiet --no-deps --wheel-dir "$packed" "$root" "$root"/plugins/zoo-torchvision \
    "$root"/plugins/zoo-timm "$root"/plugins/zoo-tiny
if [ $# -gt 0 ]; then
    python3 -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
        --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
        --dest "$packed" "$@"
fi
"$here/digest.sh" >"$packed/source.sha256"  # run.sh refuses wheels that were built from different sources
size_kib="$(du -sk "$packed" | cut -f1)"
ls "$packed"
echo "$size_kib KiB in $packed"
[ "$size_kib" -le "$limit_kib" ] || { echo "the total size exceeds the limit of $limit_kib KiB" >&2; exit 1; }
