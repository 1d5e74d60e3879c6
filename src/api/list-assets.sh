#!/bin/sh
# Writes the list of the dashboard's files for assets.c: list-assets.sh OUTPUT FILE...
# A name is its file's own name: web/ has no folders. index.html is what "/" answers.
set -eu
output=$1
shift

for file; do
    base=${file##*/}
    case $base in
    *.html) type="text/html; charset=utf-8" ;;
    *.css) type="text/css; charset=utf-8" ;;
    *.js) type="text/javascript; charset=utf-8" ;;
    *.svg) type="image/svg+xml; charset=utf-8" ;;
    *)
        echo "list-assets: what type has $file?" >&2
        exit 1
        ;;
    esac
    path=/$base
    [ "$base" != index.html ] || path=/
    name=$(printf %s "$base" | tr -c 'A-Za-z0-9' _)
    tag=$(sha256sum <"$file" | cut -c 1-32)
    size=$(wc -c <"$file" | tr -d ' ')
    printf 'ASSET(%s, "%s", "%s", "\\"%s\\"", %s, "%s")\n' \
        "$name" "$path" "$type" "$tag" "$size" "$file"
done >"$output"
