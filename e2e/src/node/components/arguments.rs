//! The command line of each component. Pure.

use super::Component;
use crate::node::facts::{NODE, NODE_IP, REGISTRY, SERVICE_CIDR};
use crate::paths;

/// The component of that name, one of [`super::NAMES`].
pub fn component(name: &'static str) -> Component {
    let state = paths::state("node").to_string_lossy().into_owned();
    let (text, health) = match name {
        "registry" => (REGISTRY_FLAGS, Some((5000, "/v2/"))),
        "containerd" => (CONTAINERD, None),
        "etcd" => (ETCD, Some((2381, "/health"))),
        "kube-apiserver" => (API_SERVER, None),
        "kube-controller-manager" => (CONTROLLER_MANAGER, None),
        "kube-scheduler" => (SCHEDULER, None),
        "kube-proxy" => (PROXY, Some((10256, "/livez"))),
        "kubelet" => (KUBELET, Some((10248, "/healthz"))),
        other => unreachable!("no component is called {other}"),
    };
    let arguments = text.split_whitespace().map(|word| {
        word.replace("@STATE@", &state)
            .replace("@LOGS@", &paths::state("logs").to_string_lossy())
            .replace("@NODE_IP@", NODE_IP)
            .replace("@NODE@", NODE)
            .replace("@REGISTRY@", REGISTRY)
            .replace("@SERVICE_CIDR@", SERVICE_CIDR)
    });
    let program = match name {
        "containerd" => "containerd".to_owned(),
        "registry" => paths::tool("crane").to_string_lossy().into_owned(),
        other => paths::tool(other).to_string_lossy().into_owned(),
    };
    Component {
        name,
        program,
        arguments: arguments.collect(),
        health,
    }
}

const REGISTRY_FLAGS: &str = "registry serve --address @REGISTRY@ --disk @STATE@/registry";

const CONTAINERD: &str = "--config @STATE@/config/containerd.toml";

// Nothing here has to survive a power cut, and without fsync a write takes a tenth of the time.
const ETCD: &str = "--data-dir @STATE@/etcd --unsafe-no-fsync --log-level warn
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379
    --listen-peer-urls http://127.0.0.1:2380 --listen-metrics-urls http://@NODE_IP@:2381";

// Preferred address types: by default the node's name would be asked of a DNS server that is not there.
const API_SERVER: &str = "--advertise-address @NODE_IP@ --secure-port 6443 --etcd-servers http://127.0.0.1:2379
    --service-cluster-ip-range @SERVICE_CIDR@ --allow-privileged --authorization-mode Node,RBAC
    --enable-admission-plugins NodeRestriction --kubelet-preferred-address-types InternalIP --profiling=false
    --client-ca-file @STATE@/pki/ca.crt
    --tls-cert-file @STATE@/pki/apiserver.crt --tls-private-key-file @STATE@/pki/apiserver.key
    --kubelet-client-certificate @STATE@/pki/apiserver-kubelet-client.crt
    --kubelet-client-key @STATE@/pki/apiserver-kubelet-client.key
    --service-account-issuer https://kubernetes.default.svc.cluster.local
    --service-account-key-file @STATE@/pki/sa.pub --service-account-signing-key-file @STATE@/pki/sa.key
    --requestheader-client-ca-file @STATE@/pki/front-proxy-ca.crt --requestheader-allowed-names front-proxy-client
    --requestheader-extra-headers-prefix X-Remote-Extra- --requestheader-group-headers X-Remote-Group
    --requestheader-username-headers X-Remote-User
    --proxy-client-cert-file @STATE@/pki/front-proxy-client.crt --proxy-client-key-file @STATE@/pki/front-proxy-client.key
    --audit-policy-file @STATE@/config/audit-policy.yaml --audit-log-path @LOGS@/audit.log --audit-log-maxsize 500";

// No leader election: with one of each, a lease would only delay the start after a crash.
const CONTROLLER_MANAGER: &str = "--kubeconfig @STATE@/kubeconfigs/controller-manager.conf
    --authentication-kubeconfig @STATE@/kubeconfigs/controller-manager.conf
    --authorization-kubeconfig @STATE@/kubeconfigs/controller-manager.conf
    --bind-address 127.0.0.1 --leader-elect=false --profiling=false --use-service-account-credentials
    --flex-volume-plugin-dir @STATE@/volume-plugins
    --client-ca-file @STATE@/pki/ca.crt --root-ca-file @STATE@/pki/ca.crt
    --cluster-signing-cert-file @STATE@/pki/ca.crt --cluster-signing-key-file @STATE@/pki/ca.key
    --service-account-private-key-file @STATE@/pki/sa.key
    --requestheader-client-ca-file @STATE@/pki/front-proxy-ca.crt
    --kube-api-qps 300 --kube-api-burst 600 --pvclaimbinder-sync-period 1s
    --concurrent-job-syncs 20 --concurrent-deployment-syncs 20 --concurrent-namespace-syncs 20";

const SCHEDULER: &str = "--kubeconfig @STATE@/kubeconfigs/scheduler.conf
    --authentication-kubeconfig @STATE@/kubeconfigs/scheduler.conf
    --authorization-kubeconfig @STATE@/kubeconfigs/scheduler.conf
    --bind-address 127.0.0.1 --leader-elect=false --profiling=false --kube-api-qps 300 --kube-api-burst 600";

const PROXY: &str = "--config @STATE@/config/kube-proxy.yaml --hostname-override @NODE@";

const KUBELET: &str = "--config @STATE@/config/kubelet.yaml --kubeconfig @STATE@/kubeconfigs/kubelet.conf
    --root-dir @STATE@/kubelet --cert-dir @STATE@/kubelet/pki --hostname-override @NODE@ --node-ip @NODE_IP@";
