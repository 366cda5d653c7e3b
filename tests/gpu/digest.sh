#!/usr/bin/env bash
# Prints a SHA-256 of the source of zoo and its plugins. It does not depend on the location of the checkout.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
find zoo plugins registry.toml -type f \( -name '*.py' -o -name '*.toml' -o -name '*.jinja' \) -print0 |
    LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1
