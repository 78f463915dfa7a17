"""etcd and kube-apiserver on loopback, as the tests start them (e2e/src/kube), with Komainu's definitions."""

import json
import pathlib
import ssl
import subprocess
import urllib.request

from ports import free_port
from processes import Failed, Process

ROOT = pathlib.Path(__file__).parents[2]
USERS = {"admin": "system:masters", "leader": "leaders"}
BINDING = """---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: komainu-leader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: komainu-leader}
subjects: [{kind: User, apiGroup: rbac.authorization.k8s.io, name: leader}]
"""


def run(*command, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)
    if done.returncode:
        raise Failed(f"{pathlib.Path(command[0]).name} {command[1]}: {done.stderr.strip()}")
    return done.stdout


def write_certificates(folder):
    """ca.crt, server.crt and server.key for 127.0.0.1, and accounts.key for the tokens of service accounts."""
    for name in ("ca", "server", "accounts"):
        run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", folder / f"{name}.key")
    run("openssl", "req", "-x509", "-key", folder / "ca.key", "-days", 30, "-subj", "/CN=authority of the benchmark",
        "-out", folder / "ca.crt")
    run("openssl", "req", "-new", "-key", folder / "server.key", "-subj", "/CN=kube-apiserver", "-out", folder / "server.csr")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost")
    run("openssl", "x509", "-req", "-in", folder / "server.csr", "-CA", folder / "ca.crt", "-CAkey", folder / "ca.key", "-CAcreateserial",
        "-days", 30, "-extfile", folder / "names", "-out", folder / "server.crt")


class ApiServer:
    """What it starts is stopped by the stack."""

    def __init__(self, stack, folder, tools, program):
        self.folder, self.tools = folder, pathlib.Path(tools)
        write_certificates(folder)
        (folder / "tokens.csv").write_text("".join(f"{user}-token,{user},{user},{group}\n" for user, group in USERS.items()))
        self.url = f"https://127.0.0.1:{free_port()}"
        self.etcd, store = self.start_etcd(stack)
        self.process = self.start_server(stack, store)
        for user in USERS:
            self.write_kubeconfig(user)
        self.process.until("ready", self.is_ready)
        self.apply(run(program, "crds"))
        self.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd/backends.komainu.dev", "crd/routes.komainu.dev")
        # The leader may do what the documentation says, and no more.
        rules = (ROOT / "docs/kubernetes.md").read_text().split("```yaml\n")[1].split("```")[0]
        self.apply(rules + BINDING)

    def start_etcd(self, stack):
        client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        arguments = {
            "data-dir": self.folder / "etcd", "listen-client-urls": client, "advertise-client-urls": client,
            "listen-peer-urls": peer, "initial-advertise-peer-urls": peer, "initial-cluster": f"default={peer}",
        }
        # Its data is thrown away, and it is Komainu that is measured, not a disk.
        options = [f"--{key}={value}" for key, value in arguments.items()] + ["--unsafe-no-fsync"]
        process = Process("etcd", self.folder, self.tools / "etcd", *options)
        stack.callback(process.stop)
        process.until("ready", lambda: "ready to serve client requests" in process.log.read_text())
        return process, client

    def start_server(self, stack, store):
        arguments = {
            "etcd-servers": store, "bind-address": "127.0.0.1", "secure-port": self.url.rpartition(":")[2],
            # There is no other API server, and a loopback address can't be advertised.
            "advertise-address": "127.0.0.1", "endpoint-reconciler-type": "none",
            "cert-dir": self.folder, "tls-cert-file": self.folder / "server.crt", "tls-private-key-file": self.folder / "server.key",
            "token-auth-file": self.folder / "tokens.csv", "authorization-mode": "RBAC",
            "service-account-issuer": "https://kubernetes.default.svc", "service-account-key-file": self.folder / "accounts.key",
            "service-account-signing-key-file": self.folder / "accounts.key", "service-cluster-ip-range": "10.96.0.0/16",
        }
        options = [f"--{key}={value}" for key, value in arguments.items()]
        process = Process("kube-apiserver", self.folder, self.tools / "kube-apiserver", *options)
        stack.callback(process.stop)
        return process

    def kubeconfig(self, user):
        return self.folder / f"{user}.kubeconfig"

    def write_kubeconfig(self, user):
        # JSON is YAML.
        self.kubeconfig(user).write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "bench",
            "clusters": [{"name": "bench", "cluster": {"server": self.url, "certificate-authority": str(self.folder / "ca.crt")}}],
            "users": [{"name": user, "user": {"token": f"{user}-token"}}],
            "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": user}}],
        }))

    def is_ready(self):
        """And with the namespaces that it makes for itself shortly afterwards."""
        trusted = ssl.create_default_context(cafile=self.folder / "ca.crt")
        for path in ("/readyz", "/api/v1/namespaces/default", "/api/v1/namespaces/kube-system"):
            request = urllib.request.Request(self.url + path, headers={"Authorization": "Bearer admin-token"})
            with urllib.request.urlopen(request, timeout=2, context=trusted):
                pass
        return True

    def kubectl(self, *arguments, **options):
        common = ["--kubeconfig", self.kubeconfig("admin"), "--cache-dir", self.folder / "kubectl"]
        return run(self.tools / "kubectl", *arguments, *common, **options)

    def apply(self, yaml):
        self.kubectl("apply", "--server-side", "-f", "-", input=yaml)

    def load_flags(self):
        """For benches/load."""
        return ["-server", self.url, "-authority", self.folder / "ca.crt", "-token", "admin-token"]
