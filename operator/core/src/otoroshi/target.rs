use std::net::Ipv6Addr;

use crds::{Condition, Predicate, PredicateType, Protocol, ServiceReference, Target, TlsConfig};
use serde_json::{Value, json};

use super::reader::{Reader, problem, whole_object};

/// `targets`; one that is the same as an earlier one is left out, as in Otoroshi.
pub(super) fn read_all(reader: &mut Reader<'_>) -> Vec<Target> {
    let path = reader.field("targets");
    let mut targets: Vec<Target> = Vec::new();
    for (index, item) in reader.list("targets").into_iter().enumerate() {
        let target = whole_object(&format!("{path}[{index}]"), item, reader.problems(), read);
        targets.extend(target.filter(|target| !targets.contains(target)));
    }
    targets
}

fn read(reader: &mut Reader<'_>) -> Target {
    if !reader.has("service") {
        need_server(reader);
    }
    let service = reader.take("service").and_then(|service| read_service(reader, service));
    let hostname = reader.string("hostname").map(|host| without_brackets(&host).to_owned());
    if hostname.as_deref().is_some_and(|host| host.trim().is_empty()) {
        reader.problem("hostname", "is empty: give the target's host name or IP address");
    }
    let port = reader.port("port");
    let mut target = Target {
        hostname,
        port,
        service,
        tls: reader.bool("tls", false),
        weight: reader.u32("weight", 1, crds::bounds::MAX_WEIGHT),
        protocol: read_protocol(reader),
        predicate: reader.object("predicate", read_predicate).unwrap_or_default(),
        ip_address: reader.text("ip_address"),
        tls_config: read_tls_config(reader),
        backup: reader.bool("backup", false),
        id: reader.text("id"),
    };
    // Otoroshi always writes an id; the one that a target has anyway isn't kept.
    let default_id = target.default_id();
    target.id = target.id.filter(|id| *id != default_id);
    target
}

fn need_server(reader: &mut Reader<'_>) {
    if !reader.has("hostname") {
        reader.problem("hostname", "is missing: give the target's host name or IP address");
    }
    if !reader.has("port") {
        reader.problem("port", "is missing: give the target's port, 1 to 65535");
    }
}

/// The extension for what Otoroshi has no word for: the custom resource's spelling.
fn read_service(reader: &mut Reader<'_>, service: Value) -> Option<ServiceReference> {
    let field = reader.field("service");
    serde_json::from_value(service)
        .map_err(|error| reader.problems().push(problem(&field, error.to_string())))
        .ok()
}

fn read_protocol(reader: &mut Reader<'_>) -> Protocol {
    let Some(name) = reader.text("protocol") else { return Protocol::default() };
    let protocols = [Protocol::Http10, Protocol::Http11, Protocol::Http2, Protocol::Http3];
    let found = protocols.into_iter().find(|protocol| protocol_name(*protocol).eq_ignore_ascii_case(&name));
    found.unwrap_or_else(|| {
        reader.problem("protocol", format!("{name:?} should be HTTP/1.0, HTTP/1.1, HTTP/2.0 or HTTP/3.0"));
        Protocol::default()
    })
}

const fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Http10 => "HTTP/1.0",
        Protocol::Http11 => "HTTP/1.1",
        Protocol::Http2 => "HTTP/2.0",
        Protocol::Http3 => "HTTP/3.0",
    }
}

fn read_predicate(reader: &mut Reader<'_>) -> Predicate {
    let type_ = match reader.text("type").as_deref() {
        None | Some("AlwaysMatch") => PredicateType::AlwaysMatch,
        Some("NetworkLocationMatch") => PredicateType::NetworkLocationMatch,
        Some("RequestMatch") => PredicateType::RequestMatch,
        Some(other) => {
            let message = format!(
                "{other:?} is not supported yet: write AlwaysMatch, NetworkLocationMatch or RequestMatch"
            );
            reader.problem("type", message);
            PredicateType::AlwaysMatch
        }
    };
    // What is of another type is left, and refused as unknown.
    match type_ {
        PredicateType::AlwaysMatch => Predicate::default(),
        PredicateType::NetworkLocationMatch => Predicate {
            type_,
            provider: reader.text("provider"),
            region: reader.text("region"),
            zone: reader.text("zone"),
            data_center: reader.text("dc"),
            rack: reader.text("rack"),
            ..Predicate::default()
        },
        PredicateType::RequestMatch => Predicate {
            type_,
            methods: reader.strings("methods"),
            headers: read_conditions(reader, "headers"),
            query: read_conditions(reader, "query"),
            cookies: read_conditions(reader, "cookies"),
            client_cidrs: reader.strings("client_cidrs"),
            ..Predicate::default()
        },
    }
}

/// Ours, as a whole: the custom resource's spelling.
fn read_conditions(reader: &mut Reader<'_>, name: &str) -> Vec<Condition> {
    let field = reader.field(name);
    let mut conditions = Vec::new();
    for (index, item) in reader.list(name).into_iter().enumerate() {
        match serde_json::from_value(item) {
            Ok(condition) => conditions.push(condition),
            Err(error) => {
                reader.problems().push(problem(&format!("{field}[{index}]"), error.to_string()));
            }
        }
    }
    conditions
}

/// Also by the names of Otoroshi's older entities.
fn read_tls_config(reader: &mut Reader<'_>) -> TlsConfig {
    let given = ["tls_config", "tlsConfig", "mtls_config", "mtlsConfig"];
    let given: Vec<_> = given.into_iter().filter(|name| reader.has(name)).collect();
    if let [_, second, ..] = given.as_slice() {
        reader.problem(second, "says the same as tls_config: keep one of the two");
    }
    let read: Vec<_> = given.into_iter().filter_map(|name| reader.object(name, read_tls)).collect();
    read.into_iter().next().unwrap_or_default()
}

fn read_tls(reader: &mut Reader<'_>) -> TlsConfig {
    let mut certs = reader.strings("certs");
    for name in ["certId", "cert_id"] {
        certs.extend(reader.text(name).filter(|id| !certs.contains(id)));
    }
    let older = |reader: &Reader<'_>, older: &'static str, name| if reader.has(older) { older } else { name };
    let (enabled, trust_all) = (older(reader, "mtls", "enabled"), older(reader, "trustAll", "trust_all"));
    let trusted_certs = older(reader, "trustedCerts", "trusted_certs");
    TlsConfig {
        enabled: reader.bool(enabled, false),
        loose: reader.bool("loose", false),
        trust_all: reader.bool(trust_all, false),
        certs,
        trusted_certs: reader.strings(trusted_certs),
    }
}

pub(super) fn write(target: &Target) -> Value {
    let mut json = json!({
        "id": target.id.clone().unwrap_or_else(|| target.default_id()),
        "hostname": target.hostname.as_deref().map(with_brackets),
        "port": target.port,
        "tls": target.tls,
        "weight": target.weight,
        "protocol": protocol_name(target.protocol),
        "predicate": write_predicate(&target.predicate),
        "ip_address": target.ip_address,
        "tls_config": {
            "enabled": target.tls_config.enabled,
            "loose": target.tls_config.loose,
            "trust_all": target.tls_config.trust_all,
            "certs": target.tls_config.certs,
            "trusted_certs": target.tls_config.trusted_certs,
        },
        "backup": target.backup,
    });
    if let (Some(service), Some(fields)) = (&target.service, json.as_object_mut()) {
        fields.insert("service".to_owned(), json!(service));
    }
    json
}

fn write_predicate(predicate: &Predicate) -> Value {
    match predicate.type_ {
        PredicateType::AlwaysMatch => json!({ "type": "AlwaysMatch" }),
        PredicateType::NetworkLocationMatch => {
            let mut json = json!({ "type": "NetworkLocationMatch" });
            let fields = [
                ("provider", &predicate.provider),
                ("region", &predicate.region),
                ("zone", &predicate.zone),
                ("dc", &predicate.data_center),
                ("rack", &predicate.rack),
            ];
            for (name, value) in fields {
                if let (Some(value), Some(fields)) = (value, json.as_object_mut()) {
                    fields.insert(name.to_owned(), json!(value));
                }
            }
            json
        }
        PredicateType::RequestMatch => json!({
            "type": "RequestMatch",
            "methods": predicate.methods,
            "headers": predicate.headers,
            "query": predicate.query,
            "cookies": predicate.cookies,
            "client_cidrs": predicate.client_cidrs,
        }),
    }
}

/// `::1` for the `[::1]` of URLs.
pub(super) fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn with_brackets(host: &str) -> String {
    if host.parse::<Ipv6Addr>().is_ok() { format!("[{host}]") } else { host.to_owned() }
}
