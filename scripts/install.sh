#!/bin/sh
# Makes .venv and installs the project into it: `sh scripts/install.sh run|test`. Asks nothing and starts nothing.
# run: the service with the bench extra. test: the test extra and the Debian packages that tests and benchmarks use too.
# When something is missing that only an administrator can install, it says so in one line and ends with 1.
set -eu
cd "$(dirname "$0")/.."
kind=${1:-run}
say() { printf '%s\n' "$*" >&2; }
is_root() { [ "$(id -u)" = 0 ]; }

apt_install() {
    # Debian starts services on installation; ours (port 1883) must stay free, so starting is refused meanwhile.
    refuse=/usr/sbin/policy-rc.d
    made=
    if [ ! -e "$refuse" ]; then printf '#!/bin/sh\nexit 101\n' > "$refuse" && chmod +x "$refuse" && made=1; fi
    status=0
    { DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" ||
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; }; } \
        > .apt.log 2>&1 || status=$?
    [ -z "$made" ] || rm -f "$refuse"
    if [ "$status" != 0 ]; then tail -n 3 .apt.log >&2; say "missing: $* (apt-get could not install it; see .apt.log)"; exit 1; fi
    rm -f .apt.log
}

need_package() { # need_package COMMAND PACKAGE: there afterwards, or one line and the end
    PATH="$PATH:/usr/sbin" command -v "$1" > /dev/null 2>&1 && return 0
    if is_root && command -v apt-get > /dev/null 2>&1; then
        say "installing $2 …"
        apt_install "$2"
        if [ "$2" = mosquitto ] && command -v systemctl > /dev/null 2>&1; then systemctl disable mosquitto > /dev/null 2>&1 || true; fi
        return 0
    fi
    if [ "$kind" = test ]; then say "missing: $1; install it with: sudo apt-get install $2"; exit 1; fi
    say "note: $1 is missing, only 'wangge bench' and the tests need it: sudo apt-get install $2"
}

need_renderer() { # libraries that draw the simulated cameras' scenes; without them plainer ones are drawn
    PATH="$PATH:/usr/sbin" ldconfig -p 2> /dev/null | grep -q 'libEGL\.so\.1' && have_gl=1 || have_gl=
    for driver in /usr/lib/*/dri/swrast_dri.so /usr/lib/dri/swrast_dri.so /usr/lib64/dri/swrast_dri.so; do
        [ -n "$have_gl" ] && [ -e "$driver" ] && return 0
    done
    if is_root && command -v apt-get > /dev/null 2>&1; then
        say "installing libegl1 libgl1 libgl1-mesa-dri …"
        apt_install libegl1 libgl1 libgl1-mesa-dri
        return 0
    fi
    say "note: no software renderer, scenes of simulated cameras are drawn plainly: sudo apt-get install libegl1 libgl1 libgl1-mesa-dri"
}

find_python() {
    for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11; do
        [ -n "$candidate" ] || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' > /dev/null 2>&1; then echo "$candidate"; return 0; fi
    done
    if is_root && command -v apt-get > /dev/null 2>&1 && ! command -v python3 > /dev/null 2>&1; then
        say "installing python3 …"
        apt_install python3 python3-venv
        if python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' > /dev/null 2>&1; then echo python3; return 0; fi
    fi
    say "missing: Python 3.11 or newer; install it (Debian 12 and newer: sudo apt-get install python3 python3-venv) or name it: make PYTHON=/path/to/python3.11"
    return 1
}

make_venv() {
    python=$(find_python)
    if ! "$python" -c 'import ensurepip, venv' > /dev/null 2>&1; then
        if is_root && command -v apt-get > /dev/null 2>&1; then
            say "installing python3-venv …"
            apt_install python3-venv
        else
            say "missing: python3-venv; install it with: sudo apt-get install python3-venv"
            exit 1
        fi
    fi
    "$python" -m venv .venv
}

if ! .venv/bin/python -c 'import pip' > /dev/null 2>&1; then rm -rf .venv; make_venv; fi
want="$kind $(cat pyproject.toml constraints.txt | cksum)"
have=$(cat ".venv/installed-$kind" 2> /dev/null || true)
if [ "$want" != "$have" ]; then
    say "installing Python packages into .venv …"
    extras=bench,scenes
    [ "$kind" = test ] && extras=bench,scenes,test
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-warn-script-location -c constraints.txt -e ".[$extras]" ||
        { say "missing: the Python packages could not be installed (see above); a package index must be reachable, then run it again"; exit 1; }
    printf '%s' "$want" > ".venv/installed-$kind"
fi
need_package mosquitto mosquitto
need_package mosquitto_pub mosquitto-clients
need_package ffmpeg ffmpeg
[ "$kind" = test ] && need_package curl curl
[ "$kind" = test ] && need_package chromium chromium
need_renderer
exit 0
