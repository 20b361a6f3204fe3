#!/usr/bin/env bash
# Check the bundles that a pull request adds below submissions/, and write what to say about them.
#
#     tools/check_submissions.sh HEAD_COMMIT OUT_FOLDER
#
# Runs in a checkout of the branch that the request goes to. The request's commit has been fetched
# and is never checked out: its bundles are copied out of git as plain files, and nothing else of it
# is read. Exit status 0: all are accepted, 1: one is refused, 2: there is none.
set -euo pipefail

head=$1
out=$2
mkdir -p "$out/bundles"
: >"$out/comment.md"
found=0
refused=0

while IFS= read -r -d '' name; do
    # Names are the stranger's: only plain ones are used, as one file each.
    if ! [[ $name =~ ^submissions/[a-z0-9][a-z0-9_+.@-]{0,150}\.zip$ ]]; then
        printf 'A file below submissions/ is not named like METHOD-VERSION.PROTOCOL.zip; it is left aside.\n\n' >>"$out/comment.md"
        refused=1
        continue
    fi
    if git cat-file -e "HEAD:$name" 2>/dev/null &&
        [ "$(git rev-parse "HEAD:$name")" = "$(git rev-parse "$head:$name")" ]; then
        continue # it was there before
    fi
    found=$((found + 1))
    bundle="$out/bundles/${name#submissions/}"
    git cat-file blob "$head:$name" >"$bundle"
    spared-bench submit check "$bundle" --leaderboards leaderboards --comment "$out/one.md" || refused=1
    if [ -s "$out/one.md" ]; then
        cat "$out/one.md" >>"$out/comment.md"
        rm "$out/one.md"
    fi
done < <(git ls-tree -r -z --name-only "$head" -- submissions/)

if [ "$found" = 0 ] && [ "$refused" = 0 ]; then
    echo "The request adds no bundle below submissions/." >>"$out/comment.md"
    exit 2
fi
exit "$refused"
