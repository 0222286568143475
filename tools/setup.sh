#!/usr/bin/env bash
# Make .venv: an environment with the five wheels (editable) and every tool of the workspace. Called by `make setup`.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=.venv/bin

# A name on PATH may be a shim that refuses to run, or a Python without the parts that make environments.
usable() { "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

if ! { [ -x $bin/python ] && usable $bin/python; }; then
  python=""
  for name in ${PYTHON:-python3.11 python3.12 python3.13 python3.14 python3}; do
    if usable "$name"; then
      python=$name
      break
    fi
  done
  if [ -z "$python" ]; then
    echo "make setup: expected a Python of 3.11 or newer with venv and ensurepip, found none of:" \
      "${PYTHON:-python3.11 python3.12 python3.13 python3.14 python3}. Install one, or name it: make setup PYTHON=…" >&2
    exit 1
  fi
  echo "setup: making .venv with $("$python" --version)"
  "$python" -m venv --clear .venv
fi

uv=$bin/uv
if [ ! -x "$uv" ]; then
  uv=$(command -v uv || true)
  if [ -z "$uv" ] || ! "$uv" --version >/dev/null 2>&1; then
    echo "setup: fetching uv"
    $bin/python -m pip install --quiet --disable-pip-version-check uv
    uv=$bin/uv
  fi
fi
echo "setup: installing the workspace"
# uv keeps to the environment made above, whatever environment is active and whatever other Pythons are about.
env -u VIRTUAL_ENV UV_PROJECT_ENVIRONMENT="$PWD/.venv" UV_PYTHON_DOWNLOADS=never \
  "$uv" sync --quiet --python $bin/python --all-packages --all-groups --extra embedded
