#!/usr/bin/env bash
# Builds a real control plane out of Go's modules, without a container: kube-apiserver, kube-controller-manager,
# kube-scheduler, and kwok, whose nodes only pretend to run pods. Some 16 minutes of CPU once, seconds when Go's cache is
# warm.   k8s/control-plane/build.sh DIR
set -euo pipefail
dir=$(mkdir -p "$1" && cd "$1" && pwd)
minor=37.2
mkdir -p "$dir/bin" "$dir/src" "$dir/crds" && cd "$dir/src"
export GOFLAGS="-buildvcs=false -p=2"
if [ ! -f go.mod ]; then
  go mod init taskwire/control-plane
  # Kubernetes' own modules have no versions for others, so each is named.
  {
    echo '//go:build tools'
    echo 'package tools'
    for program in kube-apiserver kube-controller-manager kube-scheduler; do
      echo "import _ \"k8s.io/kubernetes/cmd/$program/app\""
    done
  } > tools.go
  go mod edit -require=k8s.io/kubernetes@v1.$minor
  for module in api apiextensions-apiserver apimachinery apiserver cli-runtime client-go cloud-provider \
    cluster-bootstrap code-generator component-base component-helpers controller-manager cri-api cri-client \
    csi-translation-lib dynamic-resource-allocation endpointslice externaljwt kms kube-aggregator \
    kube-controller-manager kube-proxy kube-scheduler kubectl kubelet metrics mount-utils pod-security-admission \
    sample-apiserver; do
    go mod edit -replace=k8s.io/$module=k8s.io/$module@v0.$minor
  done
  go mod tidy
fi
version=k8s.io/component-base/version
flags="-s -w -X $version.gitVersion=v1.$minor -X $version.gitMajor=1 -X $version.gitMinor=${minor%%.*}"
for program in kube-apiserver kube-controller-manager kube-scheduler; do
  [ -x "$dir/bin/$program" ] ||
    go build -trimpath -ldflags "$flags" -o "$dir/bin/$program" "k8s.io/kubernetes/cmd/$program"
done
[ -x "$dir/bin/kwok" ] || GOBIN="$dir/bin" go install sigs.k8s.io/kwok/cmd/kwok@v0.8.0

# The stages of a node and of a pod that kwok goes through.
stages=$(go env GOMODCACHE)/sigs.k8s.io/kwok@v0.8.0/kustomize/stage
: > "$dir/kwok-stages.yaml"
for stage in node/fast/node-initialize node/heartbeat-with-lease/node-heartbeat-with-lease \
  pod/fast/pod-ready pod/fast/pod-complete pod/fast/pod-delete; do
  { cat "$stages/$stage.yaml"; printf '\n---\n'; } >> "$dir/kwok-stages.yaml"
done

# Kinds of operators that k8s/ uses, as their projects publish them.
crd() {
  go mod download "$1"
  cp "$(go env GOMODCACHE)/$1/$2" "$dir/crds/"
  chmod u+w "$dir/crds/"*
}
crd github.com/prometheus-operator/prometheus-operator@v0.85.0 \
  example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml
crd github.com/cloudnative-pg/cloudnative-pg@v1.28.0 config/crd/bases/postgresql.cnpg.io_clusters.yaml
crd github.com/external-secrets/external-secrets@v1.3.2 config/crds/bases/external-secrets.io_externalsecrets.yaml
crd github.com/external-secrets/external-secrets@v1.3.2 config/crds/bases/external-secrets.io_secretstores.yaml
ls "$dir/bin" "$dir/crds"
