#!/usr/bin/env bash
# Packs local images with the tags of deploy/'s Compose files, because the public ones are not
# available. tools/stack/overlay.sh calls it with its engine in DOCKER_HOST.
#
# usage: tools/stack/overlay/images.sh DIRECTORY POSTGRES_PROGRAMS
#
# The images contain the programs of tools/stack and of this machine, and imitate what the Compose
# files rely on: entrypoint, user, owners and modes of volume directories, working directory,
# declared volumes, and only the programs that health checks need. Each function describes its
# image.
set -euo pipefail

repository=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../../..")
# shellcheck source=scripts/machine.sh
source "$repository/scripts/machine.sh"
directory=$1
postgres_programs=$2

# tag SERVICE: the image in the Compose files.
tag() {
    jq --exit-status --raw-output --arg service "$1" '.services[$service].image' "$directory/compose.json"
}

# An empty root in Debian's layout, in $root.
new_root() {
    root=$directory/$1
    mkdir -p "$root"/{etc,proc,sys,dev,run,var,usr/{bin,sbin,lib,lib64}}
    install --directory --mode=1777 "$root/tmp"
    ln -s usr/bin usr/sbin usr/lib usr/lib64 "$root/"
    ln -s /run "$root/var/run"
    printf 'root:x:0:0:root:/root:/bin/sh\n' >"$root/etc/passwd"
    printf 'root:x:0:\n' >"$root/etc/group"
}

# user NAME UID GID
user() {
    printf '%s:x:%s:%s::/nonexistent:/bin/sh\n' "$1" "$2" "$3" >>"$root/etc/passwd"
    printf '%s:x:%s:\n' "$1" "$3" >>"$root/etc/group"
}

# pack FILE…: files of this machine at their paths here, with their libraries.
pack() {
    local file
    {
        printf '%s\n' "$@"
        # Static programs and scripts need no libraries.
        for file in "$@"; do
            ldd "$file" 2>/dev/null | grep --only-matching '/[^ ]*' || true
        done
    } | sort -u | while read -r file; do
        mkdir -p "$root$(dirname "$file")"
        cp --dereference "$file" "$root$file"
    done
}

# place NAME TARGET: a static program of the PATH, at its path in the image.
place() {
    install -D --mode=0755 "$(type -P "$1")" "$root$2"
}

# save SERVICE CHANGE…: turns the root into the service's image. Changes are Dockerfile
# instructions.
save() {
    local service=$1 change changes=()
    shift
    for change in "$@"; do
        changes+=(--change "$change")
    done
    tar --create --directory="$root" . | docker import "${changes[@]}" - "$(tag "$service")" >/dev/null
    rm -rf "$root"
    echo "image of $service: $(tag "$service")"
}

# Prometheus's image is busybox with both programs, runs as nobody, and declares its data a volume.
prometheus() {
    new_root prometheus
    user nobody 65534 65534
    place prometheus /bin/prometheus
    place promtool /bin/promtool
    install --directory --owner=65534 --group=65534 "$root/prometheus"
    save prometheus 'USER nobody' 'WORKDIR /prometheus' 'VOLUME ["/prometheus"]' 'ENTRYPOINT ["/bin/prometheus"]'
}

# Alertmanager's image is busybox as well; its health check uses wget.
alertmanager() {
    new_root alertmanager
    user nobody 65534 65534
    place alertmanager /bin/alertmanager
    pack "$(type -P wget)"
    install --directory --owner=65534 --group=65534 "$root/alertmanager"
    save alertmanager 'USER nobody' 'WORKDIR /alertmanager' 'VOLUME ["/alertmanager"]' 'ENTRYPOINT ["/bin/alertmanager"]'
}

# Loki's image has no shell.
loki() {
    new_root loki
    user loki 10001 10001
    place loki /usr/bin/loki
    install --directory --owner=10001 --group=10001 "$root"/loki{,/rules,/rules-temp}
    save loki 'USER 10001' 'ENTRYPOINT ["/usr/bin/loki"]'
}

# Tempo's image has no shell either.
tempo() {
    new_root tempo
    user tempo 10001 10001
    place tempo /tempo
    install --directory --owner=10001 --group=10001 "$root/var/tempo"
    save tempo 'USER 10001:10001' 'ENTRYPOINT ["/tempo"]'
}

# Alloy's image is Ubuntu, with bash and grep for its health check. Only a user that the image does
# not set can enter its data directory. The Collector replaces Alloy, and keeps its data in another
# directory with the same owner and mode.
alloy() {
    new_root alloy
    user alloy 473 473
    pack /bin/bash /bin/sh /bin/grep
    place otelcol /bin/otelcol
    install --directory --mode=0770 --owner=473 --group=473 "$root"/var/lib/alloy{,/data} "$root/var/lib/otelcol"
    save alloy 'ENTRYPOINT ["/bin/otelcol"]'
}

# Postgres's image is Debian with an entrypoint that creates the first database. This one has the
# version of this machine, so its data directory has another number. It omits JIT, whose library is
# as large as everything else.
postgres() {
    local major home
    home=$(dirname "$postgres_programs")
    major=$(basename "$home")
    new_root postgres
    printf 'postgres:x:999:999::/var/lib/postgresql:/bin/bash\n' >>"$root/etc/passwd"
    printf 'postgres:x:999:\n' >>"$root/etc/group"
    mkdir -p "$root$home" "$root/usr/share/postgresql"
    cp --archive "$home/lib" "$home/bin" "$root$home/"
    rm -rf "$root$home"/lib/{llvmjit*,bitcode}
    cp --archive --dereference "/usr/share/postgresql/$major" "$root/usr/share/postgresql/"
    mkdir -p "$root/usr/lib/locale"
    cp --archive --dereference /usr/share/zoneinfo "$root/usr/share/"
    # The image has more locales. Every Debian has this one.
    cp --archive --dereference /usr/lib/locale/C.utf8 "$root/usr/lib/locale/"
    pack /bin/bash /bin/sh /bin/mkdir /bin/chmod /bin/cat "$postgres_programs"/* "$root$home"/lib/*.so
    # Listens beyond its loopback, like the image.
    echo "listen_addresses = '*'" >>"$root/usr/share/postgresql/$major/postgresql.conf.sample"
    install --mode=0755 "$repository/tools/stack/overlay/postgres_entrypoint.sh" "$root/usr/bin/docker-entrypoint.sh"
    install --directory --mode=1777 --owner=999 --group=999 "$root/var/lib/postgresql"
    install --directory --mode=3777 --owner=999 --group=999 "$root/run/postgresql"
    save postgres "ENV PATH=$postgres_programs:/usr/bin LANG=C.UTF-8 PGDATA=/var/lib/postgresql/$major/docker" \
        'VOLUME ["/var/lib/postgresql"]' 'ENTRYPOINT ["docker-entrypoint.sh"]' 'CMD ["postgres"]'
}

# The application's image is built from its own Dockerfile. Only cargo's step ran outside, where
# crates are available; the build image contains what the other instructions need.
socialize() {
    local context=$directory/context base
    base=$(sed -n 's/^FROM \(.*\) AS build$/\1/p' "$repository/deploy/Dockerfile")
    new_root base
    mkdir -p "$root/root"
    pack /bin/bash /bin/sh /bin/cat /bin/grep /usr/bin/env /usr/bin/install /usr/bin/ldd /usr/sbin/chroot /etc/ssl/certs/ca-certificates.crt
    # Libraries that come with a toolchain. The Dockerfile finds out which of them the program
    # needs.
    pack "$SOCIALIZE_APPLICATION"
    rm "$root$SOCIALIZE_APPLICATION"
    tar --create --directory="$root" . | docker import --change 'ENV PATH=/usr/sbin:/usr/bin' - "$base" >/dev/null
    rm -rf "$root"

    mkdir -p "$context/crates"
    cp "$repository"/Cargo.{toml,lock} "$context/"
    cp "$SOCIALIZE_APPLICATION" "$context/socialize"
    awk '
        /^# syntax=/ { next }
        /^RUN --mount=type=cache/ { cargo = 1; print "COPY socialize /image/usr/local/bin/socialize"; replaced++ }
        !cargo { print }
        cargo && !/\\$/ { cargo = 0 }
        END { exit replaced != 1 }
    ' "$repository/deploy/Dockerfile" >"$context/Dockerfile" || fail "deploy/Dockerfile builds the program in another way than is known here."
    docker build --network none --tag "$(tag api)" "$context" >"$directory/build.log" 2>&1 ||
        { tail -n 30 "$directory/build.log" >&2 && fail "deploy/Dockerfile could not be built."; }
    rm -rf "$context"
    echo "image of api, worker and migrate: $(tag api)"
}

mkdir -p "$directory"
"$repository/tools/stack/render.sh" --file "$repository/deploy/compose.yaml" --file "$repository/deploy/compose.observability.yaml" \
    >"$directory/compose.json"
for image in prometheus alertmanager loki tempo alloy postgres socialize; do
    "$image"
done
