# Sourced by ./test: the static checks. Each runs even if one before it failed.

check() {
    name=$1
    shift
    if report=$("$@" 2>&1); then
        say "  ok      $name"
    else
        say "  FAILED  $name"
        say "$report"
        lint_failed=1
    fi
}

# A lock that names a host would bind every installation to it, past the company's own mirror.
locks_name_no_host() {
    ! grep -nE '://|^ *--(extra-)?index-url|^ *--find-links|^ *--trusted-host| @ ' \
        requirements.lock requirements-dev.lock requirements-boot.lock tests/clients/*.lock
}

every_pin_has_a_hash() {
    "$python" - requirements.lock requirements-dev.lock requirements-boot.lock \
        tests/clients/*.lock <<'PY'
import pathlib, re, sys
bad = []
for name in sys.argv[1:]:
    text = pathlib.Path(name).read_text().replace("\\\n", " ")
    bad += [line for line in text.splitlines()
            if re.match(r"[A-Za-z0-9]", line) and "--hash=sha256:" not in line]
sys.exit("\n".join(bad) or 0)
PY
}

# ./run accepts an environment made for tests, so the dev lock must hold the very same pins.
locks_agree() {
    "$python" - <<'PY'
import pathlib, re, sys
pins = [set(re.findall(r"^([A-Za-z0-9][^ ]*==[^ ]+)", pathlib.Path(name).read_text(), re.M))
        for name in ("requirements.lock", "requirements-dev.lock")]
sys.exit("\n".join(sorted(pins[0] - pins[1])) or 0)
PY
}

no_secret_is_committed() {
    ! git grep -nIE 'BEGIN [A-Z ]*PRIVATE KEY|AKIA[0-9A-Z]{16}' -- . ':!deploy/lint.sh' ':!tests'
}

# Production settings, checked without a database.
deploy_check() {
    env SIGNALBOX_ENV=production SIGNALBOX_SECRET_KEY="$("$python" -c \
        'import secrets; print(secrets.token_urlsafe(60))')" \
        DATABASE_URL=postgresql://signalbox_app@127.0.0.1:1/signalbox \
        SIGNALBOX_URL=https://signalbox.example SIGNALBOX_HOSTS=signalbox.example \
        "$python" manage.py check --deploy --fail-level WARNING
}

migrations_are_complete() {
    "$python" -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
}

lint() {
    lint_failed=0
    say "Static checks:"
    check "ruff" "$python" -m ruff check --quiet .
    check "ruff format" "$python" -m ruff format --check --quiet .
    check "mypy" "$python" -m mypy
    check "import contracts" env PYTHONPATH=. "$venv/bin/lint-imports" --no-logo
    check "templates" "$venv/bin/djlint" templates --lint --quiet
    check "migrations" migrations_are_complete
    check "production settings" deploy_check
    check "locks name no host" locks_name_no_host
    check "locks pin by hash" every_pin_has_a_hash
    check "locks agree" locks_agree
    check "no secret is committed" no_secret_is_committed
    return "$lint_failed"
}
