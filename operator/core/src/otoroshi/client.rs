use crds::{ClientSettings, ConnectionCache, CustomTimeouts, ProxyProtocol, SecretEntry, UpstreamProxy};
use serde_json::{Value, json};

use super::reader::{Reader, whole_object};

pub(super) fn read(reader: &mut Reader<'_>) -> ClientSettings {
    let default = ClientSettings::default();
    ClientSettings {
        retries: reader.u32("retries", default.retries, u32::MAX),
        max_errors: reader.u32("max_errors", default.max_errors, u32::MAX),
        retry_initial_delay: reader.millis("retry_initial_delay", default.retry_initial_delay),
        backoff_factor: reader.u32("backoff_factor", default.backoff_factor, u32::MAX),
        connection_timeout: reader.millis("connection_timeout", default.connection_timeout),
        idle_timeout: reader.millis("idle_timeout", default.idle_timeout),
        call_and_stream_timeout: reader.millis("call_and_stream_timeout", default.call_and_stream_timeout),
        call_timeout: reader.millis("call_timeout", default.call_timeout),
        global_timeout: reader.millis("global_timeout", default.global_timeout),
        sample_interval: reader.millis("sample_interval", default.sample_interval),
        retry_non_idempotent: reader.bool("retry_non_idempotent", default.retry_non_idempotent),
        retry_statuses: if reader.has("retry_statuses") {
            reader.statuses("retry_statuses")
        } else {
            default.retry_statuses
        },
        count_server_errors: reader.bool("count_server_errors", default.count_server_errors),
        custom_timeouts: read_custom_timeouts(reader),
        cache_connection_settings: reader.object("cache_connection_settings", read_cache).unwrap_or_default(),
        proxy: reader.object("proxy", read_proxy).flatten(),
    }
}

fn read_custom_timeouts(reader: &mut Reader<'_>) -> Vec<CustomTimeouts> {
    let path = reader.field("custom_timeouts");
    let items = reader.list("custom_timeouts").into_iter().enumerate();
    let read = |(index, item)| {
        whole_object(&format!("{path}[{index}]"), item, reader.problems(), |item| {
            let default = CustomTimeouts::default();
            CustomTimeouts {
                path: item.text("path").unwrap_or(default.path),
                connection_timeout: item.millis("connection_timeout", default.connection_timeout),
                idle_timeout: item.millis("idle_timeout", default.idle_timeout),
                call_and_stream_timeout: item
                    .millis("call_and_stream_timeout", default.call_and_stream_timeout),
                call_timeout: item.millis("call_timeout", default.call_timeout),
                global_timeout: item.millis("global_timeout", default.global_timeout),
            }
        })
    };
    items.filter_map(read).collect()
}

fn read_cache(reader: &mut Reader<'_>) -> ConnectionCache {
    let default = ConnectionCache::default();
    ConnectionCache {
        enabled: reader.bool("enabled", default.enabled),
        queue_size: reader.u32("queue_size", default.queue_size, u32::MAX),
    }
}

/// `{}` is how Otoroshi writes that there is none.
fn read_proxy(reader: &mut Reader<'_>) -> Option<UpstreamProxy> {
    let (host, port) = (reader.text("host"), reader.port("port"));
    let protocol = read_protocol(reader);
    let principal = reader.text("principal");
    let password = reader.secret("password");
    let password_secret = reader.object("passwordSecret", read_secret_entry);
    let non_proxy_hosts = reader.strings("nonProxyHosts");
    let anything_else = protocol.is_some()
        || principal.is_some()
        || password.is_some()
        || password_secret.is_some()
        || !non_proxy_hosts.is_empty();
    match (host, port) {
        (Some(host), Some(port)) => {
            let proxy =
                UpstreamProxy { host, port, protocol, principal, password, password_secret, non_proxy_hosts };
            Some(proxy)
        }
        (None, None) if !anything_else => None,
        (host, _) => {
            let missing = if host.is_none() { "host" } else { "port" };
            reader.problem(missing, "is missing: a proxy needs host and port");
            None
        }
    }
}

fn read_secret_entry(reader: &mut Reader<'_>) -> SecretEntry {
    let mut required = |name: &str| {
        let text = reader.text(name);
        if text.is_none() {
            reader.problem(name, "is missing: a secret's entry needs name and key");
        }
        text.unwrap_or_default()
    };
    SecretEntry { name: required("name"), key: required("key") }
}

fn read_protocol(reader: &mut Reader<'_>) -> Option<ProxyProtocol> {
    let name = reader.text("protocol")?;
    match name.to_ascii_lowercase().as_str() {
        "http" => Some(ProxyProtocol::Http),
        "https" => Some(ProxyProtocol::Https),
        "socks5" => Some(ProxyProtocol::Socks5),
        _ => {
            reader.problem("protocol", format!("{name:?} should be http, https or socks5"));
            None
        }
    }
}

pub(super) fn write(client: &ClientSettings) -> Value {
    let mut json = json!({
        "retries": client.retries,
        "max_errors": client.max_errors,
        "retry_initial_delay": client.retry_initial_delay.as_millis(),
        "backoff_factor": client.backoff_factor,
        "connection_timeout": client.connection_timeout.as_millis(),
        "idle_timeout": client.idle_timeout.as_millis(),
        "call_and_stream_timeout": client.call_and_stream_timeout.as_millis(),
        "call_timeout": client.call_timeout.as_millis(),
        "global_timeout": client.global_timeout.as_millis(),
        "sample_interval": client.sample_interval.as_millis(),
        "custom_timeouts": client.custom_timeouts.iter().map(write_custom_timeouts).collect::<Vec<_>>(),
        "cache_connection_settings": {
            "enabled": client.cache_connection_settings.enabled,
            "queue_size": client.cache_connection_settings.queue_size,
        },
        "proxy": client.proxy.as_ref().map(write_proxy),
    });
    let default = ClientSettings::default();
    // What Otoroshi doesn't know is written only where it says something.
    let ours = [
        (
            "retry_non_idempotent",
            client.retry_non_idempotent != default.retry_non_idempotent,
            json!(client.retry_non_idempotent),
        ),
        ("retry_statuses", client.retry_statuses != default.retry_statuses, json!(client.retry_statuses)),
        (
            "count_server_errors",
            client.count_server_errors != default.count_server_errors,
            json!(client.count_server_errors),
        ),
    ];
    if let Some(fields) = json.as_object_mut() {
        fields.extend(
            ours.into_iter().filter(|(_, told, _)| *told).map(|(name, _, value)| (name.to_owned(), value)),
        );
    }
    json
}

fn write_custom_timeouts(timeouts: &CustomTimeouts) -> Value {
    json!({
        "path": timeouts.path,
        "connection_timeout": timeouts.connection_timeout.as_millis(),
        "idle_timeout": timeouts.idle_timeout.as_millis(),
        "call_and_stream_timeout": timeouts.call_and_stream_timeout.as_millis(),
        "call_timeout": timeouts.call_timeout.as_millis(),
        "global_timeout": timeouts.global_timeout.as_millis(),
    })
}

fn write_proxy(proxy: &UpstreamProxy) -> Value {
    let mut json = json!({
        "host": proxy.host,
        "port": proxy.port,
        "protocol": proxy.protocol.map(|protocol| match protocol {
            ProxyProtocol::Http => "http",
            ProxyProtocol::Https => "https",
            ProxyProtocol::Socks5 => "socks5",
        }),
        "principal": proxy.principal,
        "password": proxy.password,
        "nonProxyHosts": proxy.non_proxy_hosts,
    });
    // What Otoroshi doesn't know is written only where it says something.
    if let (Some(SecretEntry { name, key }), Some(fields)) = (&proxy.password_secret, json.as_object_mut()) {
        fields.insert("passwordSecret".to_owned(), json!({ "name": name, "key": key }));
    }
    json
}
