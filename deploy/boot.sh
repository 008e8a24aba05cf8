# Sourced by ./run and ./test: makes .venv exactly what a committed lock says, and nothing else.
# Needs a POSIX shell and Python 3.11 or newer; everything after that comes from the locks.
#
# Expects `root` (the repository). Gives `python` (the interpreter of .venv) after `boot run|dev`.

say() { printf '%s\n' "$*" >&2; }

find_python() {
    for candidate in "${SIGNALBOX_PYTHON:-}" python3.11 python3 python3.12 python3.13; do
        [ -n "$candidate" ] || continue
        "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
        printf '%s\n' "$candidate"
        return 0
    done
    say "Signalbox needs Python 3.11 or newer on the PATH (or its path in SIGNALBOX_PYTHON)."
    return 1
}

lock_hash() {
    "$1" -c 'import hashlib, sys
print(hashlib.sha256(b"".join(open(p, "rb").read() for p in sys.argv[1:])).hexdigest())' \
        "$root/requirements-boot.lock" "$2"
}

make_venv() {
    base=$(find_python) || return 1
    if ! "$base" -c 'import venv, ensurepip' 2>/dev/null; then
        say "$base has no venv module with pip. On Debian and Ubuntu: apt-get install python3-venv"
        return 1
    fi
    say "Making a Python environment in .venv ..."
    rm -rf "$venv"
    "$base" -m venv "$venv" || return 1
    "$python" -m pip --disable-pip-version-check install -qq --require-hashes \
        -r "$root/requirements-boot.lock" || return 1
}

# boot run: the environment satisfies requirements.lock (one synced for tests does, too).
# boot dev: the environment is exactly requirements-dev.lock.
boot() {
    venv="$root/.venv"
    python="$venv/bin/python"
    stamp="$venv/signalbox-locks"
    # uv trusts only its own roots unless told; behind a company's certificate authority it fails.
    export UV_SYSTEM_CERTS=true
    if ! { [ -x "$venv/bin/uv" ] && "$python" -c '' 2>/dev/null; }; then
        make_venv || return 1
    fi
    run_hash=$(lock_hash "$python" "$root/requirements.lock") || return 1
    dev_hash=$(lock_hash "$python" "$root/requirements-dev.lock") || return 1
    have_kind= have_run= have_dev=
    if [ -r "$stamp" ]; then read -r have_kind have_run have_dev <"$stamp" || :; fi
    # Going back from dev to run would only thrash: the dev lock holds every pin of the run lock.
    kind=$1
    [ "$have_kind" != dev ] || kind=dev
    case $kind in
        run) [ "$have_run" != "$run_hash" ] || return 0; lock=requirements.lock ;;
        dev) [ "$have_dev" != "$dev_hash" ] || return 0; lock=requirements-dev.lock ;;
    esac
    say "Installing what $lock names ..."
    rm -f "$stamp"
    "$python" -m pip --disable-pip-version-check install -qq --require-hashes \
        -r "$root/requirements-boot.lock" || return 1
    "$venv/bin/uv" pip sync --quiet --python "$python" --require-hashes "$root/$lock" || return 1
    printf '%s %s %s\n' "$kind" "$run_hash" "$dev_hash" >"$stamp"
}
