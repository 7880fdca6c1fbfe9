#!/usr/bin/env bash
# Builds the cases under fixtures/lab/ for real, before and after dfmigrate, and
# asks both images the same question.
#
#   tests/lab.sh [CASE...]                cases are folders of fixtures/lab; default all
#   tests/lab.sh --fast                   those that CI has time for (`fast = true`)
#   tests/lab.sh --force DIR [CASE...]    with DIR/CASE/after.Dockerfile in place of
#                                         dfmigrate's: a forced rewrite of a case that
#                                         is to be refused must break it
#
# A case is a build context and a case.toml:
#   about     what it is about
#   expect    split, slim or refuse, or several with | between; refuse also allows a
#             tag that is merely pinned
#   port      where it listens, and path (default /); without port its output and
#             exit code are compared
#   contains  what the answer must hold, so that two broken images are not "the same"
#   health    true: the after image must become healthy, too
#   fast      true: part of --fast
#
# DFMIGRATE: the program (default target/release/dfmigrate); DFMIGRATE_FLAGS: how it
# is called (default --apply). LAB: the laboratory (default ../shared/lab/lab).
# What was built, and the logs, stay in target/lab/CASE/.
set -euo pipefail

cd "$(dirname "$(readlink -f "$0")")/.."
root=$PWD
lab=${LAB:-../shared/lab/lab}
dfmigrate=${DFMIGRATE:-target/release/dfmigrate}
read -ra flags <<< "${DFMIGRATE_FLAGS---apply}"

usage() { sed -n '2,/^set /p' "$0" | sed '$d; s/^# \{0,1\}//' >&2; exit 2; }
die() { echo "lab.sh: $*" >&2; exit 2; }

force=
fast=
cases=()
while [ $# -gt 0 ]; do
  case $1 in
    --force) [ $# -gt 1 ] || usage; force=$(readlink -f "$2"); shift ;;
    --fast) fast=1 ;;
    -*) usage ;;
    *) cases+=("$1") ;;
  esac
  shift
done

# key CASE KEY: a value of its case.toml, which has a string, a number or true on a line.
key() { sed -n "s/^$2 = //p" "fixtures/lab/$1/case.toml" | sed -E "s/^\"(.*)\"\$/\1/; s/^'(.*)'\$/\1/"; }

if [ ${#cases[@]} -eq 0 ]; then
  for d in fixtures/lab/*/; do
    name=$(basename "$d")
    [ -z "$fast" ] || [ "$(key "$name" fast)" = true ] || continue
    cases+=("$name")
  done
fi
for name in "${cases[@]}"; do [ -f "fixtures/lab/$name/case.toml" ] || die "no such case: $name"; done

why=
[ -x "$lab" ] || why="there is no laboratory at $lab"
[ "$(id -u)" = 0 ] || why="the laboratory needs root"
if [ -n "$why" ]; then
  echo "lab.sh: SKIPPED, NOTHING WAS BUILT OR COMPARED: $why" >&2
  [ "${CI-}" != true ] || exit 1
  exit 0
fi
lab=$(readlink -f "$lab")
if [ -z "$force" ]; then
  [ -x "$dfmigrate" ] || die "no program at $dfmigrate: cargo build --release"
  dfmigrate=$(readlink -f "$dfmigrate")
fi

"$lab" up node python
eval "$("$lab" env)"
state=$(dirname "${DOCKER_HOST#unix://}")

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# rewrite CASE DIR: what dfmigrate makes of DIR/Dockerfile, in a repository of its own
# since it may well refuse to write over files that are not committed.
rewrite() {
  (
    cd "$2"
    git init -q .
    git add -A
    git -c user.name=lab -c user.email=lab@localhost -c commit.gpgsign=false commit -q -m "$1"
    "$dfmigrate" "${flags[@]}" Dockerfile
  )
}

froms() { grep -iE '^[[:space:]]*FROM[[:space:]]' "$1" || true; }
count() { froms "$1" | wc -l; }
slims() { froms "$1" | grep -cE -- '-(slim|alpine|jre)|:(slim|alpine)' || true; }

# verdict BEFORE AFTER: split, slim, pin or none.
verdict() {
  if cmp -s "$1" "$2"; then echo none
  elif [ "$(count "$2")" -gt "$(count "$1")" ]; then echo split
  elif [ "$(slims "$2")" -gt "$(slims "$1")" ]; then echo slim
  else echo pin; fi
}

# expected CASE VERDICT: whether that is one of those the case wants.
expected() {
  local v=$2
  case $v in pin | none) v=refuse ;; esac
  case "|$(key "$1" expect)|" in *"|$v|"*) return 0 ;; esac
  return 1
}

# bare FILE: without the "# syntax=" directive, which names an image that is not held.
bare() { awk 'BEGIN {top = 1} !/^[ \t]*#/ {top = 0} !(top && tolower($0) ~ /^[ \t]*#[ \t]*syntax[ \t]*=/)' "$1"; }

# healthy DOCKERFILE CONTEXT: whether its HEALTHCHECK comes to pass.
healthy() {
  local c h=
  "$lab" build "$1" "$2" lab-health:case > /dev/null || return 1
  c=$(docker run -d --network none lab-health:case)
  for _ in $(seq 60); do
    h=$(docker inspect -f '{{if .State.Health}}{{.State.Health.Status}}{{end}}' "$c")
    case $h in healthy | unhealthy) break ;; esac
    sleep 0.5
  done
  docker rm -f "$c" > /dev/null
  docker rmi -f lab-health:case > /dev/null
  [ "$h" = healthy ]
}

passed=0
failed=0
skipped=0
row='%-28s %-13s %-7s %9s %9s %-5s %6s  %s\n'
# shellcheck disable=SC2059
{
  printf "$row" CASE EXPECT VERDICT 'BEFORE MB' 'AFTER MB' SAME SECONDS RESULT
  for name in "${cases[@]}"; do
    start=$SECONDS
    out=$root/target/lab/$name
    context=$tmp/$name/context
    work=$tmp/$name/work
    rm -rf "$out"
    mkdir -p "$out" "$tmp/$name"
    cp -a "fixtures/lab/$name" "$context"
    rm -f "$context/case.toml" "$context/forced.Dockerfile"
    cp -a "$context" "$work"
    cp "$context/Dockerfile" "$out/before.Dockerfile"

    problems=()
    if [ -n "$force" ]; then
      if [ ! -f "$force/$name/after.Dockerfile" ]; then
        printf "$row" "$name" "$(key "$name" expect)" - - - - - 'skipped: no forced file'
        skipped=$((skipped + 1))
        continue
      fi
      cp "$force/$name/after.Dockerfile" "$work/Dockerfile"
    elif ! rewrite "$name" "$work" > "$out/dfmigrate.log" 2>&1; then
      problems+=("dfmigrate failed: $(tail -n 1 "$out/dfmigrate.log")")
    fi
    cp "$work/Dockerfile" "$out/after.Dockerfile"
    verdict=$(verdict "$out/before.Dockerfile" "$out/after.Dockerfile")
    breaks=
    if ! expected "$name" "$verdict"; then
      if [ -n "$force" ]; then breaks=1; else problems+=("expected $(key "$name" expect)"); fi
    fi

    bare "$out/before.Dockerfile" > "$tmp/$name/before"
    bare "$out/after.Dockerfile" > "$tmp/$name/after"
    port=$(key "$name" port)
    path=$(key "$name" path)
    question=()
    [ -z "$port" ] || question=("$port" "${path:-/}")
    rm -f "$state/log/answer-before" "$state/log/answer-after"
    same=no
    ! "$lab" compare "$context" "$tmp/$name/before" "$tmp/$name/after" ${question[@]+"${question[@]}"} \
      > "$out/compare.log" 2>&1 || same=yes
    before=$(awk '$1 == "before" && $5 == "MB" {print $4}' "$out/compare.log")
    after=$(awk '$1 == "after" && $5 == "MB" {print $4}' "$out/compare.log")
    for x in before after; do
      [ ! -f "$state/log/answer-$x" ] || cp "$state/log/answer-$x" "$out/answer-$x"
    done

    wanted=$(key "$name" contains)
    if [ -n "$breaks" ] && grep -q 'after: build failed' "$out/compare.log"; then
      :
    elif [ -z "$before" ] || [ ! -f "$out/answer-before" ]; then
      problems+=("no before or no after image")
    elif ! grep -qF -- "$wanted" "$out/answer-before"; then
      problems+=("the case itself is broken")
    elif [ -n "$breaks" ]; then
      [ $same = no ] || problems+=("the forced rewrite works: why refuse?")
    elif [ $same = no ]; then
      problems+=("answers differ")
    elif [ "$(key "$name" health)" = true ] && ! healthy "$tmp/$name/after" "$context"; then
      problems+=("never healthy")
    elif [ "$verdict" = split ] || [ "$verdict" = slim ]; then
      awk "BEGIN {exit !($after < $before)}" || problems+=("not smaller")
    fi

    result=ok
    [ -z "$breaks" ] || result='ok, breaks as it must'
    if [ ${#problems[@]} -gt 0 ]; then
      result=$(printf '; %s' "${problems[@]}")
      result="FAILED: ${result#; }"
      failed=$((failed + 1))
    else
      passed=$((passed + 1))
    fi
    printf "$row" "$name" "$(key "$name" expect)" "$verdict" "${before:--}" "${after:--}" $same $((SECONDS - start)) "$result"
    if [ ${#problems[@]} -gt 0 ]; then
      tail -n 15 "$out/compare.log" | sed 's/^/    | /'
      echo "    see target/lab/$name/"
    fi
    rm -rf "${tmp:?}/$name"
  done
}

[ $skipped = 0 ] || echo "$skipped skipped"
echo "$passed passed, $failed failed"
[ $failed = 0 ]
