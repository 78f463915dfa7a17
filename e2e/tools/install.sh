#!/usr/bin/env bash
# Builds the real servers that the tests talk to: etcd, kube-apiserver and kubectl, from their Go modules.
#
#   e2e/tools/install.sh          builds what is missing; does nothing if all is there (about 5 minutes on 2 cores when cold)
#   e2e/tools/install.sh --where  prints the folder with the programs and builds nothing
#
# They are kept in ${XDG_CACHE_HOME:-~/.cache}/komainu/kube-VERSION/bin, by the versions that kubernetes/go.mod and etcd/go.mod
# name; the go.sum files beside them pin every byte that is built. The test harness (e2e/src/kube/tools.rs) looks in the same folder.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# The version in "MODULE vVERSION" of a go.mod.
version_of() { awk -v module="$2" '$1 == "require" { $1 = ""; $0 = $0 } $1 == module && $2 ~ /^v/ { print substr($2, 2); exit }' "$1/go.mod"; }

kubernetes=$(version_of kubernetes k8s.io/kubernetes)
etcd=$(version_of etcd go.etcd.io/etcd/server/v3)
home=${XDG_CACHE_HOME:-$HOME/.cache}/komainu/kube-$kubernetes
bin=$home/bin
if [[ ${1:-} == --where ]]; then
  echo "$bin"
  exit
fi

# A program counts as present when the stamp beside it names the wanted version.
present() { [[ -x $bin/$1 && $(cat "$bin/.$1.version" 2>/dev/null) == "$2" ]]; }
all_present() { present etcd "$etcd" && present kube-apiserver "$kubernetes" && present kubectl "$kubernetes"; }

require_go() {
  local found
  found=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null) || found=none
  [[ $found =~ ^go1\.([0-9]+) ]] && ((BASH_REMATCH[1] >= 25)) && return
  echo "e2e/tools/install.sh: Go 1.25 or newer is needed to build etcd and kube-apiserver, found ${found}; install it from https://go.dev/dl/ or your distribution." >&2
  exit 1
}

# build NAME VERSION MODULE-FOLDER PACKAGE [LINKER-FLAGS]: to a temporary file first, so that a program is whole or absent.
build() {
  local name=$1 version=$2 folder=$3 package=$4 flags=${5:-}
  present "$name" "$version" && return
  local start=$SECONDS
  echo "building $name $version …"
  nice -n 10 go build -C "$folder" -mod=readonly -trimpath -ldflags "-s -w $flags" -o "$bin/.$name.new" "$package"
  mv "$bin/.$name.new" "$bin/$name"
  echo "$version" > "$bin/.$name.version"
  echo "built $name $version in $((SECONDS - start)) s"
}

all_present && exit
require_go
mkdir -p "$bin"
exec 9> "$home/lock"
if ! flock --nonblock 9; then
  echo "another build of these programs is running; waiting for it"
  flock 9
fi

export GOTOOLCHAIN=local GOFLAGS= GOWORK=off CGO_ENABLED=0
stamp=k8s.io/component-base/version
IFS=. read -r major minor _ <<< "$kubernetes"
kubernetes_flags="-X $stamp.gitVersion=v$kubernetes -X $stamp.gitMajor=$major -X $stamp.gitMinor=$minor"
build etcd "$etcd" etcd go.etcd.io/etcd/server/v3
build kube-apiserver "$kubernetes" kubernetes k8s.io/kubernetes/cmd/kube-apiserver "$kubernetes_flags"
build kubectl "$kubernetes" kubernetes k8s.io/kubernetes/cmd/kubectl "$kubernetes_flags"
echo "all are in $bin"
