#!/usr/bin/env bash
# Prints a SHA-256 over the source of zoo and its plugins, whatever folder it lies in.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
find zoo plugins registry.toml -type f \( -name '*.py' -o -name '*.toml' -o -name '*.jinja' \) -print0 |
    LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1
