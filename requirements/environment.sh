# Sourced by ./run, ./aiq and ./test, with $root set to the checkout: one private Python, .venv, installed from a lock.
# Everything is said on stderr, so that what ./aiq prints can go into a pipe.

python=$root/.venv/bin/python

# Without bytecode on disk every start compiles everything anew, which costs a second.
unset PYTHONDONTWRITEBYTECODE

# Make .venv hold what requirements/$1.lock names ($1: run or test). When it does already, this costs one comparison.
prepare_environment() {
    is_prepared "$1" && return
    find_python
    {
        # Two first starts at once queue up here. The kernel drops the lock when the last process that has the file
        # open ends, so an interrupted set-up leaves nothing to clean away.
        "$base" -P -c 'import fcntl; fcntl.flock(0, fcntl.LOCK_EX)' <&9
        is_prepared "$1" || set_up "$1"
    } 9<>"$root/requirements/run.lock"
}

# Run one of our modules from wherever the caller stands: our packages come first, and the caller's own folder is not
# searched at all, so neither a config/ nor an http.py lying there can take the place of the real one.
run_module() {
    export PYTHONSAFEPATH=1 PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
    exec "$python" -m "$@"
}

# A lock that was installed completely has left a copy of itself in .venv.
is_prepared() {
    [ -x "$python" ] && cmp -s "$root/requirements/$1.lock" "$root/.venv/$1.lock"
}

set_up() {
    say "setting up .venv from requirements/$1.lock (once; it may take a minute)"
    # The test lock contains the run lock and may be added to it. Anything else starts empty: nothing old stays behind.
    is_prepared run || create_venv
    install_packages "$root/requirements/$1.lock"
    for name in run "$1"; do
        cp "$root/requirements/$name.lock" "$root/.venv/"
    done
}

create_venv() {
    if has_uv; then
        uv venv --quiet --clear --python "$base" "$root/.venv" >&2
    else
        "$base" -P -m venv --clear "$root/.venv" >&2
    fi || fail 1 "no virtual environment could be made in $root/.venv; the reason stands above."
}

install_packages() {
    if has_uv; then
        uv pip install --quiet --compile-bytecode --python "$python" --no-build --no-deps --require-hashes -r "$1" >&2
    else
        # A .venv made by uv has no pip of its own.
        "$python" -P -c 'import pip' 2>/dev/null || "$python" -P -m ensurepip >/dev/null
        "$python" -P -m pip install --quiet --disable-pip-version-check --only-binary :all: --no-deps --require-hashes -r "$1" >&2
    fi || fail 1 "the packages could not be installed; the reason stands above. Start again once it is mended."
}

# Set $base to the first Python that can make our environment, or explain what is missing.
find_python() {
    without_venv=
    set -- python3 python3.13 python3.12 python3.11 python3.14 python
    [ -z "${PYTHON:-}" ] || set -- "$PYTHON"
    for base in "$@"; do
        "$base" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null || continue
        # Debian packs venv and ensurepip apart from Python itself; uv needs neither.
        if has_uv || "$base" -P -c 'import ensurepip, venv' 2>/dev/null; then
            return
        fi
        without_venv=${without_venv:-$base}
    done
    if [ -n "$without_venv" ]; then
        package=$("$without_venv" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
        fail 3 "$without_venv has no venv module. On Debian or Ubuntu: apt install $package"
    fi
    [ -z "${PYTHON:-}" ] || fail 3 "PYTHON=$PYTHON is not a Python from 3.11 to 3.14."
    fail 3 "no Python from 3.11 to 3.14 was found. Install one, or name it: PYTHON=/path/to/python3 $0"
}

has_uv() {
    command -v uv >/dev/null 2>&1
}

say() {
    printf '%s: %s\n' "${0##*/}" "$1" >&2
}

fail() {
    say "$2"
    exit "$1"
}
