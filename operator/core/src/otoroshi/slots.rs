//! Otoroshi's plugins that are filters here, each with its configuration.

use crds::{Cors, Duration, HeaderModifier, HeaderValue, IpAccess, RequestRedirect, RouteFilters};
use serde_json::{Map, Value, json};

use super::reader::Reader;

pub(super) const PREFIX: &str = "cp:otoroshi.next.plugins.";
pub(super) const OVERRIDE_HOST: &str = "OverrideHost";

/// All that are read.
pub(super) const NAMES: [&str; 11] = [
    OVERRIDE_HOST,
    "AdditionalHeadersIn",
    "MissingHeadersIn",
    "RemoveHeadersIn",
    "AdditionalHeadersOut",
    "MissingHeadersOut",
    "RemoveHeadersOut",
    "IpAddressAllowedList",
    "IpAddressBlockList",
    "Cors",
    "Redirection",
];

pub(super) fn is_known(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Adds what the plugin `name` does to `filters`; `false`: it is done there already.
pub(super) fn read(name: &str, config: &mut Reader<'_>, filters: &mut RouteFilters) -> bool {
    let (request, response) = (&mut filters.request_header_modifier, &mut filters.response_header_modifier);
    match name {
        "AdditionalHeadersIn" => modify(request, |it| &mut it.set, values(config)),
        "MissingHeadersIn" => modify(request, |it| &mut it.set_if_missing, values(config)),
        "RemoveHeadersIn" => modify(request, |it| &mut it.remove, config.strings("header_names")),
        "AdditionalHeadersOut" => modify(response, |it| &mut it.set, values(config)),
        "MissingHeadersOut" => modify(response, |it| &mut it.set_if_missing, values(config)),
        "RemoveHeadersOut" => modify(response, |it| &mut it.remove, config.strings("header_names")),
        "IpAddressAllowedList" => {
            modify(&mut filters.ip_access, |it: &mut IpAccess| &mut it.allow, config.strings("addresses"))
        }
        "IpAddressBlockList" => {
            modify(&mut filters.ip_access, |it: &mut IpAccess| &mut it.deny, config.strings("addresses"))
        }
        "Cors" => filters.cors.replace(read_cors(config)).is_none(),
        _ => filters.request_redirect.replace(read_redirection(config)).is_none(),
    }
}

/// Fills one list of a filter; `false`: it isn't empty. An empty list makes no filter.
fn modify<F: Default, T>(
    filter: &mut Option<F>,
    list: impl FnOnce(&mut F) -> &mut Vec<T>,
    values: Vec<T>,
) -> bool {
    if values.is_empty() {
        return true;
    }
    let list = list(filter.get_or_insert_default());
    let is_new = list.is_empty();
    *list = values;
    is_new
}

fn values(config: &mut Reader<'_>) -> Vec<HeaderValue> {
    config.string_map("headers").into_iter().map(|(name, value)| HeaderValue { name, value }).collect()
}

fn read_cors(config: &mut Reader<'_>) -> Cors {
    config.only("excluded_patterns", &[json!([])]);
    let seconds = config.number("max_age", 0, Duration::MAX.as_millis() / 1000);
    Cors {
        allow_origins: vec![config.text("allow_origin").unwrap_or_else(|| "*".to_owned())],
        allow_methods: config.strings("allow_methods"),
        allow_headers: config.strings("allow_headers"),
        expose_headers: config.strings("expose_headers"),
        max_age: seconds.map(|seconds| Duration::from_millis(seconds.saturating_mul(1000))),
        allow_credentials: config.bool("allow_credentials", true),
    }
}

fn read_redirection(config: &mut Reader<'_>) -> RequestRedirect {
    let to = config.text("to");
    if to.is_none() {
        config.problem("to", "is missing: write the URL to redirect to");
    }
    let code = config.number("code", 300, 399).and_then(|code| u16::try_from(code).ok());
    RequestRedirect { location: to, status_code: code.unwrap_or(303), ..RequestRedirect::default() }
}

/// The plugins that come nearest to `filters`, with their configurations.
pub(super) fn write(filters: &RouteFilters) -> Vec<(&'static str, Value)> {
    let mut slots = Vec::new();
    let addresses = |list: &[String]| json!({ "addresses": list });
    if let Some(IpAccess { allow, deny }) = &filters.ip_access {
        slots.extend((!allow.is_empty()).then(|| ("IpAddressAllowedList", addresses(allow))));
        slots.extend((!deny.is_empty()).then(|| ("IpAddressBlockList", addresses(deny))));
    }
    slots.extend(filters.cors.as_ref().map(|cors| ("Cors", write_cors(cors))));
    if let Some(RequestRedirect { location: Some(to), status_code, .. }) = &filters.request_redirect {
        slots.push(("Redirection", json!({ "code": status_code, "to": to })));
    }
    if let Some(modifier) = &filters.request_header_modifier {
        let names = ["AdditionalHeadersIn", "MissingHeadersIn", "RemoveHeadersIn"];
        slots.extend(write_headers(modifier, names));
    }
    if let Some(modifier) = &filters.response_header_modifier {
        let names = ["AdditionalHeadersOut", "MissingHeadersOut", "RemoveHeadersOut"];
        slots.extend(write_headers(modifier, names));
    }
    slots
}

fn write_headers(
    modifier: &HeaderModifier,
    [additional, missing, remove]: [&'static str; 3],
) -> impl Iterator<Item = (&'static str, Value)> {
    let HeaderModifier { set, set_if_missing, remove: removed, .. } = modifier;
    let values = |list: &[HeaderValue]| {
        let pairs = list.iter().map(|header| (header.name.clone(), Value::String(header.value.clone())));
        json!({ "headers": pairs.collect::<Map<_, _>>() })
    };
    let slots = [
        (!set.is_empty()).then(|| (additional, values(set))),
        (!set_if_missing.is_empty()).then(|| (missing, values(set_if_missing))),
        (!removed.is_empty()).then(|| (remove, json!({ "header_names": removed }))),
    ];
    slots.into_iter().flatten()
}

fn write_cors(cors: &Cors) -> Value {
    json!({
        "allow_origin": cors.allow_origins.first().map_or("*", |origin| origin),
        "expose_headers": cors.expose_headers,
        "allow_headers": cors.allow_headers,
        "allow_methods": cors.allow_methods,
        "excluded_patterns": [],
        "max_age": cors.max_age.map(|age| age.as_millis() / 1000),
        "allow_credentials": cors.allow_credentials,
    })
}
