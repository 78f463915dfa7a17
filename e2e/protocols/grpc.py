"""Runs grpc-go's interoperability cases with Komainu between its client and its server."""

import atexit
import concurrent.futures
import pathlib
import subprocess
import sys
import tempfile

import proxies

CASES = [
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "timeout_on_sleeping_server",
    "cancel_after_begin",
    "cancel_after_first_response",
    "status_code_and_message",
    "special_status_message",
    "custom_metadata",
    "unimplemented_method",
    "unimplemented_service",
    "orca_per_rpc",
    "orca_oob",
]

# The client takes load reports in only with this balancer, which it has for the test.
ORCA = '-service_config_json={"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}'

# Of https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md, what can't be run here, and why.
EXCEPTIONS = {
    "pick_first_unary": "grpc-go's server doesn't say its id, so that the case fails without anything between, too",
    "cacheable_unary": "grpc-go's client doesn't have it: it needs calls by GET, which only gRPC's C core could make",
    "client_compressed_unary": "grpc-go's client doesn't have it; messages are opaque to a proxy",
    "server_compressed_unary": "as client_compressed_unary",
    "client_compressed_streaming": "as client_compressed_unary",
    "server_compressed_streaming": "as client_compressed_unary",
    "compute_engine_creds": "needs credentials of Google's cloud, as the next five",
    "service_account_creds": "as compute_engine_creds",
    "jwt_token_creds": "as compute_engine_creds",
    "per_rpc_creds": "as compute_engine_creds",
    "oauth2_auth_token": "as compute_engine_creds",
    "google_default_credentials": "as compute_engine_creds",
    "compute_engine_channel_credentials": "as compute_engine_creds",
    "rpc_soak": "a load test for name resolution and channels of the client, not of what is between",
    "channel_soak": "as rpc_soak",
    "concurrent_large_unary": "described as not implemented by any client",
}


def main(program, tools):
    tools = pathlib.Path(tools)
    passed = [passes("gRPC", program, tools, encrypted=False), passes("gRPC over TLS", program, tools, encrypted=True)]
    for case, why in EXCEPTIONS.items():
        print(f"  {case}: {why}")
    return not all(passed)


def passes(name, program, tools, encrypted):
    """Whether all cases pass, with TLS to Komainu and from there to the server if `encrypted`."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        pair = proxies.certificate(folder) if encrypted else None
        port = start(folder, program, tools, pair)
        secure = ["-use_tls", "-use_test_ca", f"-ca_file={pair[0]}"] if pair else []
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            results = list(pool.map(lambda case: run(tools, [f"-server_port={port}", *secure], case), CASES))
    failed = [(case, output) for case, output in zip(CASES, results) if output is not None]
    for case, output in failed:
        print(f"{name}: {case}: {output}")
    print(f"{name}: {len(CASES) - len(failed)} cases passed, {len(failed)} failed, {len(EXCEPTIONS)} exceptions:")
    return not failed


def start(folder, program, tools, pair):
    """The server, and Komainu before it, whose port is the answer."""
    port = proxies.free_port()
    secure = ["-use_tls", f"-tls_cert_file={pair[0]}", f"-tls_key_file={pair[1]}"] if pair else []
    log = open(folder / "server.log", "wb")
    server = subprocess.Popen([tools / "server", f"-port={port}", *secure], stdout=log, stderr=log)
    atexit.register(server.kill)
    # Cases that come before it listens fail, and open its circuit breaker for those that follow.
    proxies.listens("the server", server, port, log.name)
    trusting = ", tls: true, tlsConfig: {enabled: true, trustedCerts: [own]}" if pair else ""
    target = f"{{hostname: 127.0.0.1, port: {port}, protocol: HTTP/2.0{trusting}}}"
    return proxies.komainu_alone(folder, program, target, pair)


def run(tools, arguments, case):
    """`None` if it passed."""
    command = [tools / "client", "-server_host=127.0.0.1", *arguments, f"-test_case={case}"]
    if case.startswith("orca_"):
        command.append(ORCA)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        return "no end within a minute"
    return None if done.returncode == 0 else done.stdout + done.stderr


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
