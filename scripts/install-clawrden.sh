#!/bin/sh
# Puts Clawrden's shims in the place of commands, inside an image: as a step of a Dockerfile, or (for
# harden-container.sh) below the directory of an unpacked one. docs/hardening.md describes the result.
#
# The names that a command is called by are looked for in every directory of programs. What they
# lead to (a symbolic link is followed, and left as it is) is a file that is locked: it becomes
#   /usr/lib/clawrden/originals/NAME.original     in a directory that only root may enter
#   /usr/lib/clawrden/manifest                    NAME.original<tab>the path it came from
# and a shim stands at its path. Copies and hard links of it, anywhere in the image, go the same way.
# In /usr/local/sbin and /usr/local/bin, which come first, are links to those paths (so that a command
# that is allowed finds the originals there too), or shims for commands that the image lacks.
#
# In a Dockerfile the tools used here may be among those that are locked. So everything is prepared
# first, beside its place, and the last step only renames; `mv` itself goes last. POSIX sh, under
# dash and busybox ash; beside POSIX's tools it needs readlink.
#
# Paths of the image are never used as the host would resolve them: resolve() walks each below the
# root, so that a link in a hostile image leads nowhere else.
set -euf
LC_ALL=C
export LC_ALL
umask 022

me=install-clawrden
usage="usage: install-clawrden.sh --lock-binaries NAME[,NAME...] [--user UID[:GID]|NAME] [option]...
Puts Clawrden's shims in the place of commands. Run it as root in a Dockerfile:
  COPY clawrden-shim install-clawrden.sh /tmp/clawrden/
  RUN sh /tmp/clawrden/install-clawrden.sh --lock-binaries \"pip,python,git\" --user 1000:1000
  USER 1000:1000
  ENV PATH=/usr/local/sbin:\$PATH
options:
  --lock-binaries LIST  commands by name (all their versions and aliases) or absolute path; by
                        name also such as the image lacks: they get a shim
  --user USER           who the prisoner will be (default: 1000:1000)
  --allow-root          let that be uid 0, who can undo all of this
  --shim FILE           the shim (default: clawrden-shim beside this script, or as installed)
  --dry-run             say what would be done
  --root DIR            work on the unpacked image in DIR instead of on /
  --on-this-machine     work on / although this is neither a container nor the build of an image
  --path PATH           the image's PATH (default, without --root: the environment's)
  --changes FILE        with --root: write the paths that were made or changed to FILE
  --help                this text
exit: 0 done, 1 it cannot be done, 2 usage"

say() {
    printf '%s: %s\n' "$me" "$*"
}

die() { # WHY...
    [ -n "$check" ] || printf '%s: ' "$me" >&2
    printf '%s\n' "$*" >&2
    exit 1
}

misused() { # WHY...
    [ -n "$check" ] || set -- "$me: $*
$usage"
    printf '%s\n' "$*" >&2
    exit 2
}

# --check is harden-container.sh's: look at the options alone, and say what is wrong in bare words.
check='' names='' user='' allow_root='' shim='' dry_run='' root='' with_root='' here_too='' search_path=$PATH changes=''
while [ $# -gt 0 ]; do
    option=$1 value=''
    shift
    case $option in
    --allow-root | --dry-run | --on-this-machine | --check | --help) ;;
    --lock-binaries | --user | --shim | --root | --path | --changes)
        [ $# -gt 0 ] || misused "$option needs a value"
        value=$1
        shift
        ;;
    --*=*)
        value=${option#*=} option=${option%%=*}
        case $option in
        --allow-root | --dry-run | --on-this-machine | --check | --help) misused "$option takes no value" ;;
        esac
        ;;
    *) misused "what is $option?" ;;
    esac
    case $option in
    --allow-root) allow_root=1 ;;
    --dry-run) dry_run=1 ;;
    --help)
        printf '%s\n' "$usage"
        exit 0
        ;;
    --lock-binaries) names="$names $value" ;;
    --user) user=$value ;;
    --shim) shim=$value ;;
    --root) root=${value%/} with_root=1 ;;
    --on-this-machine) here_too=1 ;;
    --check) check=1 ;;
    --path) search_path=$value ;;
    --changes) changes=$value ;;
    *) misused "what is $option?" ;;
    esac
done

names=$(printf '%s' "$names" | tr ',\t\n' '   ')
[ -n "$(printf '%s' "$names" | tr -d ' ')" ] || misused "--lock-binaries is missing"
for name in $names; do
    case $name in
    *[!A-Za-z0-9._+/@-]*) misused "\"$name\" is no name of a command" ;;
    clawrden-shim | */clawrden-shim) misused "the shim itself cannot be locked" ;;
    /*/. | /*/.. | */) misused "\"$name\" is no program's path" ;;
    /*) ;;
    */* | -* | .*) misused "\"$name\" is neither a name nor an absolute path" ;;
    esac
done
[ -z "$changes" ] || [ -n "$root" ] || misused "--changes goes with --root"
if [ -n "$with_root" ]; then
    [ -d "$root/" ] || die "there is no directory $root"
    case $(cd "$root/" && pwd -P) in
    / | //) misused "--root is for the directory of an unpacked image, not for /" ;;
    esac
fi

# What is put in the place of commands here would be in everybody's way on a machine. Docker's marker
# is not there while BuildKit builds, nor podman's under every isolation; but then processes have a
# pid namespace of their own: the machine's has had this number since Linux 3.8.
is_container() {
    [ -e /.dockerenv ] || [ -e /run/.containerenv ] || {
        namespace=$(readlink /proc/self/ns/pid) && [ "$namespace" != 'pid:[4026531836]' ]
    }
}
[ -n "$root$dry_run$here_too$check" ] || is_container ||
    die "this is neither a container nor the build of an image, and every user of this machine would" \
        "get shims in the place of these commands; if that is wanted, say --on-this-machine"
for tool in cat chmod cmp cp find grep head id ln ls mkdir mktemp mv readlink rm sort tr wc; do
    command -v "$tool" >/dev/null 2>&1 ||
        die "$tool is missing here; harden-container.sh needs nothing in the image"
done
[ "$(id -u)" = 0 ] || die "this needs root (in a Dockerfile: before any USER line, or after USER root)"

if [ -z "$shim" ]; then
    here=${0%/*}
    [ "$here" != "$0" ] || here=.
    for shim in "$here/clawrden-shim" "$here/../build/bin/clawrden-shim" "$here/../../bin/clawrden-shim" \
        /usr/lib/clawrden-shim/clawrden-shim; do
        [ ! -f "$shim" ] || break
    done
fi
[ -f "$shim" ] || die "there is no shim at $shim: say where with --shim FILE"

is_shim() { # FILE: by its mark (an ELF note, which strip(1) keeps)
    [ "$(wc -c <"$1")" -le 65536 ] && head -c 4 "$1" | grep -q ELF && grep -q 'Clawrden' "$1" &&
        grep -q 'clawrden-shim COMMAND' "$1"
}
is_shim "$shim" || die "$shim is no clawrden-shim"

unsigned() { # DIGITS: an id that there can be (the last one means none) → $unsigned
    unsigned=$1
    while :; do
        case $unsigned in 0?*) unsigned=${unsigned#0} ;; *) break ;; esac
    done
    case $unsigned in
    *[!0-9]* | ???????????*) misused "--user $user: there is no id $1" ;;
    esac
    [ "$unsigned" -lt 4294967295 ] || misused "--user $user: there is no id $1"
}

read_user() { # → $who, $group
    [ -n "$user" ] || user=1000:1000
    who=${user%%:*} group=''
    case $user in *:*) group=${user#*:} ;; esac
    case $who$group in *[!A-Za-z0-9._-]*) misused "--user $user: neither UID[:GID] nor a name" ;; esac
    case $user in :* | *:) misused "--user $user: neither UID[:GID] nor a name" ;; esac
    case $group in '' | *[!0-9]*) ;; *) unsigned "$group" ;; esac
    case $who in *[!0-9]*) ;; *) unsigned "$who" ;; esac
}

read_user
[ -d "${TMPDIR:-/tmp}" ] || die "TMPDIR: there is no directory $TMPDIR"
[ -z "$check" ] || exit 0

work=$(mktemp -d "${TMPDIR:-/tmp}/clawrden.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# PATH of the image → $resolved, with every link followed below the root. Fails on a loop.
resolve() {
    todo=$1 resolved='' links=0
    while [ -n "$todo" ]; do
        case $todo in
        /*)
            todo=${todo#/}
            continue
            ;;
        */*) part=${todo%%/*} todo=${todo#*/} ;;
        *) part=$todo todo='' ;;
        esac
        case $part in
        .) ;;
        ..) resolved=${resolved%/*} ;;
        *)
            if [ -L "$root$resolved/$part" ]; then
                links=$((links + 1))
                [ "$links" -le 40 ] || return 1
                link=$(readlink "$root$resolved/$part") || return 1
                case $link in /*) resolved='' ;; esac
                todo=$link/$todo
            else
                resolved=$resolved/$part
            fi
            ;;
        esac
    done
}

# The directories of programs, each once and by its real path.
find_directories() {
    : >"$work/directories"
    printf '%s\n' "$search_path:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" |
        tr ':' '\n' >"$work/path"
    while read -r directory; do
        case $directory in /*) ;; *) continue ;; esac
        resolve "$directory" || continue
        [ -d "$root$resolved" ] || continue
        grep -qxF -e "$resolved" "$work/directories" || printf '%s\n' "$resolved" >>"$work/directories"
    done <"$work/path"
}

inode() { # FILE
    # shellcheck disable=SC2046
    set -- $(ls -di "$1")
    printf '%s' "$1"
}

# One program may be many commands (busybox). Locking one of its names must not lock the others.
# → $many, the program's own name, unless that was asked for too
is_many() { # FILE
    number=$(inode "$1")
    while read -r many; do
        [ "$(inode "$many")" = "$number" ] || continue
        many=${many##*/}
        case " $names " in *" $many "* | *"/$many "*) return 1 ;; esac
        return 0
    done <"$work/many"
    return 1
}

find_many() {
    : >"$work/many"
    while read -r directory; do
        for many in busybox toybox coreutils gnu-coreutils uutils; do
            [ ! -f "$root$directory/$many" ] || [ -L "$root$directory/$many" ] ||
                printf '%s\n' "$root$directory/$many" >>"$work/many"
        done
    done <"$work/directories"
}

lock() { # PATH HOW(file or part): once
    case $1 in
    /usr/lib/clawrden/* | /usr/lib/clawrden-shim/*) return 0 ;;
    *[![:print:]]*) die "$name: a path with control characters cannot be locked" ;;
    esac
    grep -qxF -e "$2 $1" "$work/locked" || printf '%s %s\n' "$2" "$1" >>"$work/locked"
}

# An entry of a directory (or a path that was asked for) → the file that it leads to.
take() { # PATH ALIAS
    resolve "$1" || return 0
    file=$root$resolved
    [ -f "$file" ] || return 0
    case $(ls -ld "$file") in ???[xs]* | ??????[xs]* | ?????????[xt]*) ;; *) return 0 ;; esac
    printf '%s %s\n' "$2" "$1" >>"$work/aliases"
    found=1
    if is_many "$file"; then
        resolve "${1%/*}" # the link itself gives way to the shim
        lock "$resolved/$2" part
        say "warning: $2 is a part of $many: whoever may run that can still name $2 to it"
    else
        lock "$resolved" file
    fi
}

# Is SUFFIX what makes "python" "python3.11", "gcc" "gcc-12" or "perl" "perl5.36-x86_64-linux-gnu"?
is_version() {
    case $1 in
    *config* | *[!A-Za-z0-9._-]*) return 1 ;;
    [0-9]*-*-linux-* | -[0-9]*-*-linux-*) return 0 ;;
    *[!0-9.-]*) return 1 ;;
    [0-9]* | -[0-9]*) return 0 ;;
    esac
    return 1
}

# What a script does can be done by its interpreter too.
note_script() { # FILE
    [ "$(head -c 2 "$1")" = '#!' ] || return 0
    line=$(head -n 1 "$1")
    for name in $names; do
        case $line in *"/${name##*/}"* | *" ${name##*/}"*) return 0 ;; esac
    done
    say "note: that is a script ($line): whoever may run its interpreter can run its parts"
}

find_name() {
    found=''
    case $name in
    /*)
        take "$name" "${name##*/}"
        ;;
    *)
        while read -r directory; do
            set +f
            for entry in "$root$directory/$name" "$root$directory/$name"[0-9-]*; do
                alias=${entry##*/}
                if [ "$alias" = "$name" ] || is_version "${alias#"$name"}"; then
                    take "$directory/$alias" "$alias"
                fi
            done
            set -f
        done <"$work/directories"
        ;;
    esac
    if [ -z "$found" ]; then
        case $name in /*) die "there is no program $name in this image" ;; esac
        say "$name: not in this image: only a shim"
    fi
    grep -q "^${name##*/} " "$work/aliases" || printf '%s -\n' "${name##*/}" >>"$work/aliases"
}

# Copies and hard links of the locked programs, whatever they are called and wherever they lie.
find_copies() {
    set -- # the sizes, as conditions of find
    while read -r how path; do
        if [ "$how" != file ] || ! head -c 4 "$root$path" | grep -q ELF; then
            continue
        fi
        ! is_shim "$root$path" || continue
        [ $# -eq 0 ] || set -- "$@" -o
        set -- "$@" -size "$(($(wc -c <"$root$path")))c"
    done <"$work/locked"
    [ $# -gt 0 ] || return 0
    cp "$work/locked" "$work/known"
    find "${root:-/}" -xdev \( -path "$root/proc" -o -path "$root/sys" -o -path "$root/dev" \
        -o -path "$root/usr/lib/clawrden" \) -prune -o -type f \( "$@" \) -print >"$work/same-size"
    while IFS= read -r copy; do
        copy=${copy#"$root"}
        case $copy in *[[:space:]]) die "\"$copy\" ends in a blank, and may be a copy of a locked program; rename it" ;; esac
        ! is_many "$root$copy" || continue # a copy of busybox is no reason to lock the system
        while read -r how path; do
            if [ "$how" = file ] && [ "$copy" != "$path" ] && cmp -s "$root$copy" "$root$path"; then
                lock "$copy" file
                break
            fi
        done <"$work/known"
    done <"$work/same-size"
}

# The prisoner.
account() { # FILE FIELD VALUE → the line of passwd or group
    resolve "$1" && [ -f "$root$resolved" ] || return 1
    while IFS= read -r line; do
        rest=$line: field=$2
        while [ "$field" -gt 1 ]; do rest=${rest#*:} field=$((field - 1)); done
        [ "${rest%%:*}" != "$3" ] || {
            printf '%s\n' "$line"
            return 0
        }
    done <"$root$resolved"
    return 1
}

check_user() {
    read_user
    case $who in
    *[!0-9]*)
        line=$(account /etc/passwd 1 "$who") || die "--user $user: the image has no user $who"
        uid=${line#*:*:} uid=${uid%%:*}
        ;;
    *) uid=$who ;;
    esac
    unsigned "$uid"
    uid=$unsigned
    case $uid in
    0)
        [ -n "$allow_root" ] ||
            die "--user $user is root, who can undo all of this: name another, or say --allow-root"
        say "warning: root in the container can read the originals and remove the shims"
        ;;
    esac
}

changed() { # PATH of the image
    [ -z "$changes" ] || printf '.%s\n' "$1" >>"$work/changes"
}

directory() { # MODE PATH: makes it; → $resolved
    resolve "$2" || die "$2 is a loop of links"
    made=$resolved rest=$2
    if [ ! -d "$root$made" ]; then
        [ ! -e "$root$made" ] || die "$2 is not a directory in this image"
        [ -z "${rest%/*}" ] || directory 0755 "${rest%/*}"
        resolve "$2"
        made=$resolved
        mkdir -m "$1" "$root$made"
        changed "$made"
    fi
    resolved=$made
}

own_directory() { # MODE PATH: nobody else's, whatever the image had there
    directory "$1" "$2"
    [ "$resolved" = "$2" ] || die "$2 is a link in this image"
    chown 0:0 "$root$2" 2>/dev/null || [ -n "$root" ] || die "cannot own $2"
    chmod "$1" "$root$2"
    changed "$2"
}

is_staged() { # PATH
    grep -qxF -e "$1" "$work/staged-paths"
}

stage() { # PATH [TARGET]: a shim, or a link to TARGET, beside it, to be renamed over it
    [ ! -d "$root$1" ] || die "$1 is a directory"
    new=$root${1%/*}/.clawrden-$n
    rm -f "$new" # a link of a hostile image, to be written through
    if [ -n "${2-}" ]; then
        ln -s "$2" "$new"
    else
        cp "$shim" "$new"
        chmod 0755 "$new"
    fi
    printf '%s %s\n' "$n" "$1" >>"$work/staged"
    printf '%s\n' "$1" >>"$work/staged-paths"
    n=$((n + 1))
    changed "$1"
}

mode() { # FILE: as ls shows it
    # shellcheck disable=SC2046
    set -- $(ls -ldn "$1")
    printf '%s' "$1"
}

owner() { # FILE: the uid
    # shellcheck disable=SC2046
    set -- $(ls -ldn "$1")
    printf '%s' "$3"
}

# The original of PATH, kept in originals/ (once for files that are the same) and noted.
keep() { # PATH HOW
    base=${1##*/} kept=''
    if [ "$2" = part ]; then
        resolve "$1"
        source=$root$resolved
    else
        source=$root$1
    fi
    while IFS='	' read -r original path; do
        if cmp -s "$originals/$original" "$source" &&
            [ "$(mode "$originals/$original")" = "$(mode "$source")" ]; then
            kept=$original
            break
        fi
    done <"$work/manifest"
    if [ -z "$kept" ] || [ "$2" = part ]; then
        kept=$base.original i=2
        while [ -e "$originals/$kept" ] || [ -L "$originals/$kept" ]; do
            kept=$base.original.$i i=$((i + 1))
        done
        # A link keeps everything of it: owner, set-id bits, capabilities.
        { [ "$2" = file ] && ln "$source" "$originals/$kept" 2>/dev/null; } || cp -p "$source" "$originals/$kept"
        [ "$(owner "$originals/$kept")" = 0 ] || chown 0:0 "$originals/$kept" # the prisoner's, perhaps
        case $(mode "$originals/$kept") in ?????w???? | ????????w?) chmod go-w "$originals/$kept" ;; esac
        changed "/usr/lib/clawrden/originals/$kept"
    fi
    printf '%s\t%s\n' "$kept" "$1" >>"$work/manifest"
}

write_profile() {
    directory 0755 /etc/profile.d
    profile=$resolved/zz-clawrden.sh
    cat >"$work/profile" <<'PROFILE'
# Clawrden's shims come first, whatever the scripts before this one did to PATH.
case $PATH in
/usr/local/sbin:*) ;;
*) PATH=/usr/local/sbin:$PATH && export PATH ;;
esac
PROFILE
    rm -f "$root$profile"
    cp "$work/profile" "$root$profile"
    chmod 0644 "$root$profile"
    changed "$profile"
    resolve /etc/profile || die "/etc/profile is a loop of links"
    [ ! -e "$root$resolved" ] || [ -f "$root$resolved" ] || die "/etc/profile is not a file"
    if [ ! -e "$root$resolved" ] || ! grep -q 'profile\.d' "$root$resolved"; then
        printf '. /etc/profile.d/zz-clawrden.sh\n' >>"$root$resolved"
        chmod 0644 "$root$resolved"
        changed "$resolved"
    fi
}

# Programs like git want to know who runs them. Only where the image has accounts at all.
write_account() {
    case $who in *[!0-9]*) return 0 ;; esac
    if [ "$uid" -eq 0 ] || account /etc/passwd 3 "$uid" >/dev/null; then
        return 0
    fi
    resolve /etc/passwd && [ -f "$root$resolved" ] || return 0
    passwd=$resolved new=prisoner
    ! account /etc/passwd 1 prisoner >/dev/null || new=prisoner$uid
    case $group in '' | *[!0-9]*) group=$uid ;; esac
    printf '%s:x:%s:%s:prisoner:/home/%s:/bin/sh\n' "$new" "$uid" "$group" "$new" >>"$root$passwd"
    changed "$passwd"
    resolve /etc/group
    if [ -f "$root$resolved" ] && ! account /etc/group 3 "$group" >/dev/null &&
        ! account /etc/group 1 "$new" >/dev/null; then
        resolve /etc/group
        printf '%s:x:%s:\n' "$new" "$group" >>"$root$resolved"
        changed "$resolved"
    fi
    directory 0755 "/home/$new"
    chown "$uid:$group" "$root$resolved"
    changed "$resolved"
    say "user $uid is now called $new"
}

# From here on any command may be a shim: nothing but the shell's own and `mv`, which goes last.
swap() {
    last=''
    while read -r number path; do
        if [ -z "$root" ] && { [ "$path" = "$mv_path" ] || [ "$path" = "$mv_entry" ]; }; then
            last=$number last_path=$path
            continue
        fi
        "$mv" -f "$root${path%/*}/.clawrden-$number" "$root$path"
    done <<EOF
$staged
EOF
    [ -z "$last" ] || "$mv" -f "${last_path%/*}/.clawrden-$last" "$last_path"
}

# Each path must answer as a shim does that finds no warden. (Below --root: harden-container.sh.)
prove() {
    proof=/nonexistent/clawrden-proof
    while read -r number path; do
        case $path in /usr/lib/clawrden-shim/*) continue ;; esac
        code=0
        answer=$(CLAWRDEN_SOCKET=$proof "$path" 2>&1 </dev/null) || code=$?
        case $code:$answer in
        125:*"$proof"*) ;;
        *) die "$path is not intercepted: exit $code: $answer" ;;
        esac
    done <<EOF
$staged
EOF
    say "every path answers as a shim"
}

: >"$work/aliases" && : >"$work/locked" && : >"$work/staged" && : >"$work/staged-paths" && : >"$work/manifest" && : >"$work/changes"
n=1
check_user
find_directories
find_many
for name in $names; do find_name; done
find_copies

resolve /usr/lib/clawrden/manifest || die "/usr/lib/clawrden/manifest is a loop of links"
if [ -e "$root$resolved" ]; then
    if [ "$resolved" != /usr/lib/clawrden/manifest ] || [ ! -f "$root$resolved" ]; then
        die "/usr/lib/clawrden/manifest is not a file of ours"
    fi
    cp "$root$resolved" "$work/manifest"
    # An image of somebody else's may have one too: nothing in it may lead elsewhere.
    while IFS='	' read -r original path; do
        case $original in '' | */*) die "the image's manifest is not ours: \"$original\"" ;; esac
        if ! resolve "$path" || [ "$resolved" != "$path" ] || [ ! -f "$root$path" ] ||
            ! resolve "/usr/lib/clawrden/originals/$original" ||
            [ "$resolved" != "/usr/lib/clawrden/originals/$original" ] || [ ! -f "$root$resolved" ]; then
            die "the image's manifest is not ours: $original of $path is not as it should be"
        fi
    done <"$work/manifest"
fi

: >"$work/new"
while read -r how path; do
    if is_shim "$root$path" && [ "$how" = file ]; then
        say "$path: a shim already"
    else
        printf '%s %s\n' "$how" "$path" >>"$work/new"
        say "$path: locked"
        note_script "$root$path"
    fi
done <"$work/locked"

if [ -n "$dry_run" ]; then
    while read -r alias place; do
        say "/usr/local/sbin/$alias, /usr/local/bin/$alias: shims, or links to one"
    done <"$work/aliases"
    say "user $user; nothing was changed (--dry-run)"
    exit 0
fi

own_directory 0755 /usr/lib/clawrden-shim
own_directory 0700 /usr/lib/clawrden
own_directory 0700 /usr/lib/clawrden/originals
originals=$root/usr/lib/clawrden/originals
directory 0755 /run/clawrden
directory 0755 /usr/local/sbin
sbin=$resolved
directory 0755 /usr/local/bin
bin=$resolved

while read -r how path; do keep "$path" "$how"; done <"$work/new"
[ "$(wc -c <"$work/manifest")" -le 65536 ] || die "too many paths: the manifest may take 64 KiB"

stage /usr/lib/clawrden-shim/clawrden-shim
while read -r how path; do stage "$path"; done <"$work/new"
# Shims of an earlier time become today's.
while IFS='	' read -r original path; do
    is_staged "$path" || stage "$path"
done <"$work/manifest"
while read -r alias target; do
    # A link that is locked itself (a part of busybox) is what to link to, wherever it still leads; a
    # shim of an earlier time is nothing to link to.
    if [ "$target" = - ]; then
        target=''
    elif ! is_staged "$target"; then
        if ! resolve "$target" || ! is_staged "$resolved"; then target=''; fi
    fi
    for place in "$sbin" "$bin"; do
        # A name that leads to a locked file, or is one, is intercepted already.
        resolve "$place/$alias" || die "$place/$alias is a loop of links"
        ! is_staged "$resolved" || continue
        [ ! -e "$root$resolved" ] || is_shim "$root$resolved" ||
            die "$place/$alias is there, but is no program"
        stage "$place/$alias" "$target"
    done
done <"$work/aliases"

resolve /bin/sh
[ ! -e "$root$resolved" ] || write_profile
write_account

rm -f "$root/usr/lib/clawrden/.manifest-new"
cp "$work/manifest" "$root/usr/lib/clawrden/.manifest-new"
chmod 0600 "$root/usr/lib/clawrden/.manifest-new"
mv -f "$root/usr/lib/clawrden/.manifest-new" "$root/usr/lib/clawrden/manifest"
changed /usr/lib/clawrden/manifest
[ -z "$changes" ] || sort -u "$work/changes" >"$changes"

staged=$(cat "$work/staged")
mv=$(command -v mv)
resolve "${mv%/*}" && mv_entry=$resolved/mv
resolve "$mv" && mv_path=$resolved
rm -rf "$work"
trap - EXIT
swap
if [ -z "$root" ]; then
    prove
    [ -n "$allow_root" ] || say "now the Dockerfile needs: USER $user"
    case $search_path in
    /usr/local/sbin:*) ;;
    *) say "now the Dockerfile needs: ENV PATH=/usr/local/sbin:$search_path" ;;
    esac
fi
