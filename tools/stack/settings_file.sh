#!/usr/bin/env bash
# Checks that deploy/prepare.sh reports exactly those values of settings.env that the real Docker Compose changes. check.sh calls it.
# shellcheck disable=SC2016 # Unexpanded $ are the subject.
set -uo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/alertmanager"
cp "$repository/deploy/settings.env.example" "$scratch/"
echo 'services: {api: {image: none, env_file: [settings.env]}}' >"$scratch/compose.yaml"
failures=0

# container VALUE: prints the value that a container gets, or `REFUSED`.
container() {
    printf 'SOCIALIZE_VALUE=%s\n' "$1" >"$scratch/settings.env"
    # `docker compose config` doubles `$`, so that its output can be read again.
    docker-compose --file "$scratch/compose.yaml" config --format json 2>/dev/null |
        jq --raw-output '.services.api.environment.SOCIALIZE_VALUE | gsub("[$][$]"; "$")' 2>/dev/null || echo REFUSED
}

# expect WRITTEN MEANT: prepare.sh must report the written value if the container's value differs
# from the meant one.
expect() {
    local written=$1 meant=$2 got said noticed=no changed=no
    got=$(container "$written")
    [[ $got == "$meant" ]] || changed=yes
    said=$("$repository/deploy/prepare.sh" "$scratch" 2>&1 >/dev/null) || failures=$((failures + 1))
    [[ $said != 'settings.env, line 1: SOCIALIZE_VALUE '* ]] || noticed=yes
    if [[ $noticed != "$changed" ]]; then
        echo "settings.env: $(printf '%q' "$written") is $(printf '%q' "$got") in the container; noticed by prepare.sh: $noticed"
        failures=$((failures + 1))
    fi
}

# Written and meant text are equal.
for value in 'plain' 'a$b' 'a${b}' 'a${b:-c}' '$b' 'a$$b' 'a$' 'a$1b' 'a$-b' 'a$ b' 'a\$b' 'a${' 'a#b' '#b' 'a #b' 'a # b' "a'b" 'a"b' 'a\b' \
    'Socialize <socialize@example.com>' 'https://example.com/#/path?a=b&c=d' 'p%40ss;word' 'ü'; do
    expect "$value" "$value"
done
# Quotes are not part of the value, nor are blanks and line ends after it.
expect "'a\$b'" 'a$b'
expect "'a #b'" 'a #b'
expect "'a\$b' # and why" 'a$b'
expect '"a$b"' 'a$b'
expect '"a #b"' 'a #b'
expect "'a'b'" "a'b"
expect '"a"b"' 'a"b'
expect "'a" "'a"
expect '"a' '"a'
expect '  a  ' 'a'
expect $'a\r' 'a'
expect $'a$b\r' 'a$b'

((failures == 0))
