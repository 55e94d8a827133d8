#!/usr/bin/env bash
# Starts what build.sh built, with etcd, on the loopback, with three fake nodes in two zones, and prints KUBECONFIG=path.
# It begins empty, keeps its files in RUN, and `down` stops it.   k8s/control-plane/up.sh DIR RUN [down]
set -euo pipefail
dir=$(cd "$1" && pwd)
mkdir -p "$2" && run=$(cd "$2" && pwd)
bin=$dir/bin

stop() {
  for name in kwok scheduler controllers api etcd; do
    [ -f "$run/$name.pid" ] || continue
    pid=$(cat "$run/$name.pid")
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 1 50); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    kill -9 "$pid" 2>/dev/null || true
    rm -f "$run/$name.pid"
  done
}
if [ "${3:-}" = down ]; then stop; exit 0; fi

for port in 12379 12380 16443 16444 16445 10247; do
  if (exec 3<> "/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
    echo "Port $port is taken: another control plane runs. Stop it first." >&2
    exit 1
  fi
done
cd "$run"
rm -rf "$run/etcd" "$run/certs"
umask 077
openssl genrsa -out accounts.key 2048 2>/dev/null
openssl rsa -in accounts.key -pubout -out accounts.pub 2>/dev/null
token=$(openssl rand -hex 16)
echo "$token,admin,1,\"system:masters\"" > tokens.csv
start() {
  local name=$1
  shift
  setsid "$@" > "$name.log" 2>&1 < /dev/null &
  echo $! > "$name.pid"
}
trap 'code=$?; if [ $code -ne 0 ]; then tail -n 5 -- "$run"/*.log >&2; stop; fi' EXIT

etcd=http://127.0.0.1:12379
start etcd etcd --data-dir "$run/etcd" --listen-client-urls $etcd --advertise-client-urls $etcd \
  --listen-peer-urls http://127.0.0.1:12380 --initial-advertise-peer-urls http://127.0.0.1:12380 \
  --initial-cluster default=http://127.0.0.1:12380 --unsafe-no-fsync
# WatchList wants an etcd that tells how far a watch is, which Debian's can't: clients would wait half a minute for it.
start api "$bin/kube-apiserver" --etcd-servers=$etcd --bind-address=127.0.0.1 --secure-port=16443 \
  --cert-dir="$run/certs" --service-account-key-file=accounts.pub --service-account-signing-key-file=accounts.key \
  --service-account-issuer=https://kubernetes.default.svc --service-cluster-ip-range=10.0.0.0/24 \
  --token-auth-file=tokens.csv --authorization-mode=RBAC --endpoint-reconciler-type=none \
  --feature-gates=WatchList=false
cat > kubeconfig << END
apiVersion: v1
kind: Config
clusters: [{ name: local, cluster: { server: "https://127.0.0.1:16443", insecure-skip-tls-verify: true } }]
users: [{ name: admin, user: { token: $token } }]
contexts: [{ name: local, context: { cluster: local, user: admin } }]
current-context: local
END
export KUBECONFIG=$run/kubeconfig
for attempt in $(seq 1 180); do
  kubectl get --raw /readyz > /dev/null 2>&1 && break
  kill -0 "$(cat api.pid)"
  [ "$attempt" -lt 180 ]
  sleep 1
done
start controllers "$bin/kube-controller-manager" --kubeconfig=kubeconfig --leader-elect=false \
  --service-account-private-key-file=accounts.key --bind-address=127.0.0.1 --secure-port=16444 \
  --cert-dir="$run/certs" --allocate-node-cidrs=false --horizontal-pod-autoscaler-sync-period=3s
start scheduler "$bin/kube-scheduler" --kubeconfig=kubeconfig --leader-elect=false --bind-address=127.0.0.1 \
  --secure-port=16445
for node in a-1 a-2 b-1; do
  kubectl create --filename - << END > /dev/null
apiVersion: v1
kind: Node
metadata:
  name: node-$node
  annotations: { kwok.x-k8s.io/node: fake }
  labels: { kubernetes.io/hostname: node-$node, topology.kubernetes.io/zone: zone-${node%-*} }
status:
  allocatable: { cpu: "16", memory: 64Gi, pods: "110", ephemeral-storage: 100Gi }
  capacity: { cpu: "16", memory: 64Gi, pods: "110", ephemeral-storage: 100Gi }
END
done
# Without leases the machines would be taken for lost after 50 s.
start kwok "$bin/kwok" --node-lease-duration-seconds=40 --config "$dir/kwok-stages.yaml" --kubeconfig=kubeconfig \
  --manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake --server-address=127.0.0.1:10247
echo "KUBECONFIG=$KUBECONFIG"
