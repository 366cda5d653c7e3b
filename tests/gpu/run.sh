#!/usr/bin/env bash
# Tests zoo on one GPU and measures its speed. See CONTRIBUTING.md.
#
#     tests/gpu/run.sh [--device cuda|cpu] [--quick] [--minutes 5] [--output DIR] [--page FILE] [--python PYTHON]
#
# Needs a Python with torch, torchvision, timm and the test dependencies, but no internet access. If tests/gpu/packed
# contains wheels from tests/gpu/pack.sh, they are installed into a temporary folder and take precedence.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(cd "$here/../.." && pwd)"

python=""
arguments=()
while [ $# -gt 0 ]; do
    case "$1" in
        --python) python="${2:?--python needs a path}"; shift 2 ;;
        *) arguments+=("$1"); shift ;;
    esac
done
if [ -z "$python" ]; then
    python=python3
    if [ -x "$root/.venv/bin/python" ]; then python="$root/.venv/bin/python"; fi
fi

scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
if compgen -G "$here/packed/*.whl" >/dev/null; then
    packed_digest="$(cat "$here/packed/source.sha256")"
    digest="$("$here/digest.sh")"
    if [ "$packed_digest" != "$digest" ]; then
        echo "the wheels in tests/gpu/packed were built from different sources; run tests/gpu/pack.sh again" >&2
        exit 2
    fi
    # The wheels go into a folder that comes first in the path, so the installed packages do not change.
    "$python" -m pip install --quiet --no-index --no-deps --no-compile --target "$scratch/site" "$here"/packed/*.whl
    export PYTHONPATH="$scratch/site${PYTHONPATH:+:$PYTHONPATH}"
elif ! (cd "$scratch" && "$python" -c 'import zoo, zoo_torchvision, zoo_timm, zoo_tiny') 2>/dev/null; then
    echo "zoo and its plugins are not installed in $python; run tests/gpu/pack.sh on a machine with internet access, or pass a different --python" >&2
    exit 2
fi
# The stages import the benchmarks, the peers and the shared code of the tests.
export PYTHONPATH="$here:$root/tests/benchmarks:$root/tests/benchmarks/peers:$root/tests/props${PYTHONPATH:+:$PYTHONPATH}"
# This line does not use exec, so that the trap above removes the temporary folder.
"$python" "$here/check.py" ${arguments[@]+"${arguments[@]}"}
