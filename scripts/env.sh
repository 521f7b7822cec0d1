# Shared by the scripts: make .venv when there is none, install when the requirements changed.
# Sourced from the repository's root. Needs Python >= 3.11; the second start needs no network.
set -eu

find_python() {
    for p in "${PYTHON:-}" python3.13 python3.12 python3.11 python3; do
        [ -n "$p" ] && command -v "$p" >/dev/null 2>&1 || continue
        "$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$p"; return; }
    done
    echo "Steward needs Python 3.11 or newer (set PYTHON=/path/to/python)" >&2
    exit 1
}

make_venv() {
    [ -x .venv/bin/python ] && return
    python=$(find_python)
    if ! "$python" -m venv .venv 2>/dev/null; then
        rm -rf .venv
        "$python" -m virtualenv -q .venv 2>/dev/null || {
            echo "This Python cannot make a virtual environment. One line helps:" >&2
            echo "    $python -m pip install --user virtualenv     (or: apt-get install python3-venv)" >&2
            exit 1
        }
    fi
}

# install EXTRAS: into .venv, with the pins of constraints.txt; skipped when nothing changed.
install() {
    make_venv
    mark=".venv/installed-$(echo "$1" | tr ',' '-')"
    sum=$(cat pyproject.toml constraints.txt | cksum)
    if [ "$(cat "$mark" 2>/dev/null || true)" != "$sum" ]; then
        echo "Installing (once) ..." >&2
        .venv/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[$1]"
        echo "$sum" >"$mark"
    fi
}
