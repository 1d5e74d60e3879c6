#!/bin/sh
# Makes a hardened image of any image: install-clawrden.sh says what that is, docs/hardening.md why.
#
# One way for every image, with a shell in it or without: a container of it is made but never
# started, its file system is unpacked, install-clawrden.sh works on that, and what it changed is
# copied into the container, which becomes the new image. So nothing of the image runs, no network
# is used, and whatever the configuration holds (entrypoint, environment, volumes, ports,
# healthcheck, …) stays. At last the new image is run to see that every command is intercepted;
# only then does it get its name.
set -euf
LC_ALL=C
export LC_ALL

me=harden-container
usage="usage: harden-container.sh --base-image IMAGE --lock-binaries NAME[,NAME...]
                           --output-image NAME [--user UID[:GID]|NAME] [option]...
Makes of IMAGE one in which the shims of Clawrden stand in the place of commands.
  --base-image IMAGE    any image that is here, or scratch
  --lock-binaries LIST  commands by name (all their versions and aliases) or absolute path; one
                        by name that the image lacks gets only a shim
  --output-image NAME   what the new image is called
  --user USER           who the prisoner is (default: the image's user; 1000:1000 if that is root)
  --allow-root          let that be uid 0, who can undo all of this
  --shim FILE           the shim (default: as built or installed beside this script)
  --engine, -H URL      the engine's socket (default: DOCKER_HOST, or the client's own)
  --dry-run             say what would be done; makes no image
  --help                this text
example:
  harden-container.sh --base-image python:3.11-slim --lock-binaries \"pip,python,git\" \\
      --output-image clawrden-python
The client is \$DOCKER (default: docker). exit: 0 done and proved, 1 not, 2 usage"

say() {
    printf '%s: %s\n' "$me" "$*"
}

die() { # WHY...
    printf '%s: %s\n' "$me" "$*" >&2
    exit 1
}

misused() { # WHY...
    printf '%s: %s\n%s\n' "$me" "$*" "$usage" >&2
    exit 2
}

base='' names='' output='' user='' allow_root='' shim='' dry_run=''
for argument; do
    case $argument in --help) printf '%s\n' "$usage" && exit 0 ;; esac
done
if [ "$(id -u)" != 0 ] && [ $# -gt 0 ]; then
    command -v fakeroot >/dev/null 2>&1 ||
        die "unpacking an image with its owners needs root, or fakeroot (package fakeroot)"
    exec fakeroot -- "$0" "$@"
fi
while [ $# -gt 0 ]; do
    option=$1 value=''
    shift
    case $option in
    --allow-root | --dry-run) ;;
    --base-image | --lock-binaries | --output-image | --user | --shim | --engine | -H)
        [ $# -gt 0 ] || misused "$option needs a value"
        value=$1
        shift
        ;;
    --*=*)
        value=${option#*=} option=${option%%=*}
        case $option in --allow-root | --dry-run | --help) misused "$option takes no value" ;; esac
        ;;
    *) misused "what is $option?" ;;
    esac
    case $option in
    --base-image) base=$value ;;
    --lock-binaries) names="$names,$value" ;;
    --output-image) output=$value ;;
    --user) user=$value ;;
    --allow-root) allow_root=1 ;;
    --shim) shim=$value ;;
    --engine | -H)
        DOCKER_HOST=$value
        export DOCKER_HOST
        ;;
    --dry-run) dry_run=1 ;;
    *) misused "what is $option?" ;;
    esac
done
names=${names#,}
[ -n "$base" ] || misused "--base-image is missing"
[ -n "$names" ] || misused "--lock-binaries is missing"
[ -n "$output" ] || misused "--output-image is missing"
for name in "$base" "$output"; do
    case $name in *[!A-Za-z0-9._/:@-]* | -*) misused "an image is named by letters, digits and ._/:@-" ;; esac
done

# As the engine would say at the very end (the distribution project's grammar of references).
domain='([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*(:[0-9]+)?'
part='[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*'
printf '%s\n' "$output" | grep -qxE "($domain/)?$part(/$part)*(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?" ||
    misused "--output-image $output: an image is called NAME or NAME:TAG, the name in small letters"
[ "${output%%:*}" != scratch ] || misused "--output-image $output: no image can be called scratch"

docker=${DOCKER:-docker}
command -v "$docker" >/dev/null 2>&1 || die "there is no $docker here (package docker.io)"
command -v tar >/dev/null 2>&1 || die "tar is missing"
problem=$("$docker" version 2>&1 >/dev/null) || die "the engine does not answer: $problem"

case $0 in */*) here=${0%/*} ;; *) here=. ;; esac
install=$here/install-clawrden.sh
[ -r "$install" ] || die "install-clawrden.sh must lie beside this script"
if [ -z "$shim" ]; then
    for shim in "$here/clawrden-shim" "$here/../build/bin/clawrden-shim" "$here/../../bin/clawrden-shim"; do
        [ ! -f "$shim" ] || break
    done
fi
[ -f "$shim" ] || die "there is no shim at $shim: build it (make), or say where with --shim FILE"

[ -d "${TMPDIR:-/var/tmp}" ] || die "TMPDIR: there is no directory $TMPDIR"

set -- --check --lock-binaries "$names" --user "$user" --shim "$shim"
code=0
problem=$(sh "$install" "$@" 2>&1) || code=$?
case $code in
0) ;;
2) misused "$problem" ;;
*) die "$problem" ;;
esac

work=$(mktemp -d "${TMPDIR:-/var/tmp}/clawrden-harden.XXXXXX")
container='' image='' empty=''
clean() {
    [ -z "$container" ] || "$docker" rm -fv "$container" >/dev/null 2>&1 || true
    [ -z "$image" ] || "$docker" rmi "$image" >/dev/null 2>&1 || true
    [ -z "$empty" ] || "$docker" rmi "$empty" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap clean EXIT
trap 'exit 1' HUP INT TERM
mkdir "$work/root"

if [ "$base" = scratch ]; then
    mkdir "$work/empty"
    base=$(tar -cf - -C "$work/empty" . | "$docker" import -) || die "cannot make an empty image"
    empty=$base
fi
"$docker" image inspect "$base" >/dev/null 2>&1 ||
    die "there is no image $base here; fetch or build it first ($docker pull $base)"
show() { # TEMPLATE
    "$docker" image inspect --format "$1" "$base"
}
base_user=$(show '{{.Config.User}}')
base_path=$(show '{{range .Config.Env}}{{println .}}{{end}}' | sed -n 's/^PATH=//p' | tail -n 1)
command_=$(show '{{json .Config.Cmd}}')
entrypoint=$(show '{{json .Config.Entrypoint}}')
triggers=$(show '{{range .Config.OnBuild}}{{println .}}{{end}}')

# Shims come first; the order of the rest means something (virtual environments).
path=${base_path:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}
case $path in /usr/local/sbin:* | /usr/local/sbin) ;; *) path=/usr/local/sbin:$path ;; esac
case :$path: in *:/usr/local/bin:*) ;; *) path=$path:/usr/local/bin ;; esac

if [ -z "$user" ]; then
    user=$base_user
    case ${user%%:*} in
    '' | root | 0)
        user=1000:1000
        [ -z "$allow_root" ] || user=0:0
        ;;
    esac
    say "the prisoner is user $user"
fi

# Made, never started. An image may have nothing to start, which an engine refuses to make a
# container of: then it gets a command, which is in the new image too, and says what to do.
set --
[ "$command_$entrypoint" != nullnull ] || set -- /give-a-command
container=$("$docker" create --network none "$base" "$@") || die "cannot make a container of $base"
"$docker" export "$container" | tar -xpf - -C "$work/root" --numeric-owner --xattrs \
    --xattrs-include='*' --exclude='dev/*' || die "cannot unpack $base"

set -- --root "$work/root" --lock-binaries "$names" --user "$user" --path "$path" --shim "$shim"
[ -z "$allow_root" ] || set -- "$@" --allow-root
if [ -n "$dry_run" ]; then
    sh "$install" "$@" --dry-run
    say "would make $output of $base: USER $user, PATH $path"
    exit 0
fi
sh "$install" "$@" --changes "$work/changes"

# With the directories that were made, and nothing else of those that were there.
tar -cf - -C "$work/root" --no-recursion --numeric-owner --xattrs --xattrs-include='*' \
    --verbatim-files-from -T "$work/changes" | "$docker" cp - "$container:/" ||
    die "cannot copy the changes into the container"

set -- -c "USER $user" -c "ENV PATH=$path"
while IFS= read -r trigger; do
    [ -z "$trigger" ] || set -- "$@" -c "ONBUILD $trigger"
done <<EOF
$triggers
EOF
image=$("$docker" commit "$@" "$container") || die "cannot make the image"

# The proof. The shim is to find no warden, at a place whose name nobody else knows.
proof=/nonexistent/$(basename "$work")
run_() { # ENTRYPOINT ARGUMENT... → $answer, $code
    entry=$1
    shift
    code=0
    answer=$("$docker" run --rm --network none --cap-drop ALL --security-opt no-new-privileges \
        --no-healthcheck -e "CLAWRDEN_SOCKET=$proof" --entrypoint "$entry" "$image" "$@" 2>&1 </dev/null) || code=$?
}

failed=''
not_intercepted() { # WHAT
    say "NOT intercepted: $1 (exit $code): $answer" >&2
    failed=1
}

quoted() {
    printf "'"
    printf '%s' "$1" | sed "s/'/'\\\\''/g"
    printf "'"
}

# What a shell is to run: each program, told apart by what it says.
script='' words='' paths="$work/paths" count=0
sed 's/^[^	]*	//' "$work/root/usr/lib/clawrden/manifest" >"$paths"
for name in $(printf '%s' "$names" | tr ',' ' '); do
    case $name in
    /*) printf '%s\n' "$name" >>"$paths" ;;
    *)
        printf '/usr/local/sbin/%s\n/usr/local/bin/%s\n' "$name" "$name" >>"$paths"
        words="$words $name"
        ;;
    esac
done
sort -u "$paths" >"$paths.sorted"
while IFS= read -r place; do
    script="$script $(quoted "$place")"
    count=$((count + 1))
done <"$paths.sorted"
body=$(
    cat <<'BODY'
do
    code=0
    answer=$("$program" 2>&1 </dev/null) || code=$?
    case $code:$answer in
    125:*"$CLAWRDEN_SOCKET"*) ;;
    *) echo "$program (exit $code): $answer" && bad=1 ;;
    esac
done
[ -z "$bad" ] && echo all is intercepted
BODY
)

shell_proof() { # SHELL FLAG WHAT WORDS
    run_ "$1" "$2" "bad=''; for program in $4; $body"
    case $answer in
    *'all is intercepted') say "intercepted $3" ;;
    *) not_intercepted "$3" ;;
    esac
}

has() { # PATH: a program in the image that is no shim now
    ! grep -qxF -e "$1" "$paths.sorted" && run_ "$1" -c 'exit 0' && [ "$code" = 0 ]
}

if has /bin/sh; then
    shell_proof /bin/sh -c "by $count absolute paths" "$script"
    if [ -n "$words" ]; then
        shell_proof /bin/sh -c "by PATH" "$words"
        shell_proof /bin/sh -lc "by a login shell" "$words"
        ! has /bin/bash || shell_proof /bin/bash -lc "by a login bash" "$words"
    fi
else
    while IFS= read -r place; do
        run_ "$place"
        case $code:$answer in 125:*"$proof"*) ;; *) not_intercepted "$place" ;; esac
    done <"$paths.sorted"
    for name in $words; do
        run_ "$name"
        case $code:$answer in 125:*"$proof"*) ;; *) not_intercepted "$name by PATH" ;; esac
    done
    say "tried $count absolute paths and PATH; there is no shell to try"
fi
[ -z "$failed" ] || die "the image is not what it should be, and got no name"

"$docker" tag "$image" "$output"
image=''
say "$output is ready: user $user; mount a jail's directory at /run/clawrden"
