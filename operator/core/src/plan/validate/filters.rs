//! Filters of a route -> what workers take. The parsers of the data plane have the last word.

use crds::bounds::{
    MAX_CORS_NAMES, MAX_DIRECT_BODY, MAX_HEADER_VALUE, MAX_MODIFIED_HEADERS, MAX_NETWORKS, MAX_ORIGINS,
    MAX_PATTERN,
};
use crds::{
    Cors, DirectResponse, HeaderModifier, HeaderValue, IpAccess, RedirectScheme, RequestLimits,
    RequestRedirect, RouteFilters, RouteSpec,
};
use dataplane_core::FilterError;
use dataplane_core::filter::{self, Access, DirectAnswer, Direction, HeaderEdits, Redirect};
use dataplane_snapshot::wire::{self, Filter, FilterKind, FilterSettings};

use super::bounds::{count, length};
use super::rate_limits::rate_limits;
use crate::plan::findings::{Field, Findings};

/// All of them only if nothing was found.
pub(super) fn filters(spec: &RouteSpec, at: &Field<'_>, findings: &mut Findings) -> Vec<Filter> {
    let flags = [(spec.strip_path, FilterKind::StripPath), (spec.override_host, FilterKind::OverrideHost)];
    let mut filters: Vec<Filter> =
        flags.into_iter().filter(|(on, _)| *on).map(|(_, kind)| Filter::from(kind)).collect();
    let Some(given) = &spec.filters else { return filters };
    let at = at.name("filters");
    if given.request_redirect.is_some() && given.direct_response.is_some() {
        let message = "requestRedirect and directResponse both answer every request: write only one of them";
        findings.invalid(&at, message);
    }
    filters.extend(access(given, &at, findings));
    filters.extend(limits(given, &at, findings));
    filters.extend(cors(given, &at, findings));
    filters.extend(rate_limits(given, &at, findings));
    filters.extend(redirect(given, &at, findings));
    filters.extend(answer(given, &at, findings));
    let request = given.request_header_modifier.as_ref();
    let at_request = at.name("requestHeaderModifier");
    filters.extend(request.and_then(|spec| headers(spec, Direction::Request, &at_request, findings)));
    filters.extend(host(spec, given, &at, findings));
    let response = given.response_header_modifier.as_ref();
    let at_response = at.name("responseHeaderModifier");
    filters.extend(response.and_then(|spec| headers(spec, Direction::Response, &at_response, findings)));
    filters
}

/// `None`, with a problem, if the data plane's parser refuses it.
pub(super) fn good<T>(result: Result<T, FilterError>, at: &Field<'_>, findings: &mut Findings) -> Option<T> {
    result.map_err(|error| findings.invalid(at, error.to_string())).ok()
}

fn access(filters: &RouteFilters, at: &Field<'_>, findings: &mut Findings) -> Option<Filter> {
    let IpAccess { allow, deny } = filters.ip_access.as_ref()?;
    let at = at.name("ipAccess");
    if allow.is_empty() && deny.is_empty() {
        findings.invalid(&at, "write allow or deny with at least one address, for instance 10.0.0.0/8");
    }
    for (name, texts) in [("allow", allow), ("deny", deny)] {
        let at = at.name(name);
        count(texts.len(), MAX_NETWORKS, &at, findings);
        for (index, text) in texts.iter().enumerate() {
            good(Access::network(text), &at.index(index), findings);
        }
    }
    let settings = wire::AddressAccess { allow: allow.clone(), deny: deny.clone() };
    Some(FilterSettings::Access(settings).of(FilterKind::Access))
}

fn limits(filters: &RouteFilters, at: &Field<'_>, findings: &mut Findings) -> Option<Filter> {
    let RequestLimits { max_body_bytes, max_header_bytes, max_headers } = *filters.limits.as_ref()?;
    let at = at.name("limits");
    if max_body_bytes.is_none() && max_header_bytes.is_none() && max_headers.is_none() {
        findings.invalid(&at, "write maxBodyBytes, maxHeaderBytes or maxHeaders");
    }
    for (name, limit) in [("maxHeaderBytes", max_header_bytes), ("maxHeaders", max_headers)] {
        if limit == Some(0) {
            findings.invalid(&at.name(name), "write at least 1, or leave it out");
        }
    }
    let settings = wire::RequestLimits { body: max_body_bytes, head: max_header_bytes, fields: max_headers };
    Some(FilterSettings::Limits(settings).of(FilterKind::Limits))
}

fn cors(filters: &RouteFilters, at: &Field<'_>, findings: &mut Findings) -> Option<Filter> {
    let Cors { allow_origins, allow_methods, allow_headers, expose_headers, max_age, allow_credentials } =
        filters.cors.as_ref()?;
    let at = at.name("cors");
    let lists = [
        ("allowOrigins", allow_origins, MAX_ORIGINS),
        ("allowMethods", allow_methods, MAX_CORS_NAMES),
        ("allowHeaders", allow_headers, MAX_CORS_NAMES),
        ("exposeHeaders", expose_headers, MAX_CORS_NAMES),
    ];
    for (name, texts, most) in lists {
        count(texts.len(), most, &at.name(name), findings);
    }
    let millis = max_age.map(crds::Duration::as_millis);
    if millis.is_some_and(|millis| !millis.is_multiple_of(1000)) {
        findings.invalid(&at.name("maxAge"), "write whole seconds, for instance 10m");
    }
    let settings = wire::Cors {
        allow_origins: allow_origins.clone(),
        allow_methods: allow_methods.clone(),
        allow_headers: allow_headers.clone(),
        expose_headers: expose_headers.clone(),
        max_age: millis.map(|millis| millis / 1000),
        allow_credentials: *allow_credentials,
    };
    good(filter::Cors::parse(&settings), &at, findings)?;
    Some(FilterSettings::Cors(settings).of(FilterKind::Cors))
}

fn redirect(filters: &RouteFilters, at: &Field<'_>, findings: &mut Findings) -> Option<Filter> {
    let RequestRedirect { location, scheme, hostname, port, path, status_code } =
        filters.request_redirect.as_ref()?;
    let at = at.name("requestRedirect");
    let is_edited = scheme.is_some() || hostname.is_some() || port.is_some() || path.is_some();
    let (full, prefix) = match path {
        None => (None, None),
        Some(path) => (path.replace_full_path.clone(), path.replace_prefix_match.clone()),
    };
    match location {
        Some(_) if is_edited => {
            findings.invalid(&at, "location is the whole URL: leave scheme, hostname, port and path out");
        }
        Some(location) if location.is_empty() => findings.invalid(&at.name("location"), "write a URL"),
        None if !is_edited => {
            findings
                .invalid(&at, "write location, scheme, hostname, port or path: otherwise it leads to itself");
        }
        _ => {}
    }
    if path.is_some() && full.is_some() == prefix.is_some() {
        findings.invalid(&at.name("path"), "write either replaceFullPath or replacePrefixMatch");
    }
    if *port == Some(0) {
        findings.invalid(&at.name("port"), "write 1 to 65535");
    }
    for text in [location, hostname, &full, &prefix].into_iter().flatten() {
        length(text, MAX_PATTERN, &at, findings);
    }
    let settings = wire::Redirect {
        location: location.clone().unwrap_or_default(),
        scheme: match scheme {
            None => "",
            Some(RedirectScheme::Http) => "http",
            Some(RedirectScheme::Https) => "https",
        }
        .to_owned(),
        hostname: hostname.clone().unwrap_or_default(),
        port: port.map_or(0, u32::from),
        full_path: full,
        prefix,
        status: u32::from(*status_code),
    };
    let good = good(Redirect::parse(&settings), &at, findings);
    expression(location.as_deref().unwrap_or_default(), &at.name("location"), findings);
    good?;
    Some(FilterSettings::Redirect(settings).of(FilterKind::Redirect))
}

fn answer(filters: &RouteFilters, at: &Field<'_>, findings: &mut Findings) -> Option<Filter> {
    let DirectResponse { status, body, content_type } = filters.direct_response.as_ref()?;
    let at = at.name("directResponse");
    length(body, MAX_DIRECT_BODY, &at.name("body"), findings);
    let settings = wire::DirectAnswer {
        status: u32::from(*status),
        content_type: content_type.clone().unwrap_or_default(),
        body: body.clone(),
    };
    good(DirectAnswer::parse(&settings), &at, findings)?;
    Some(FilterSettings::Answer(settings).of(FilterKind::Answer))
}

fn host(spec: &RouteSpec, filters: &RouteFilters, at: &Field<'_>, findings: &mut Findings) -> Option<Filter> {
    let rewrite = filters.url_rewrite.as_ref()?;
    let at = at.name("urlRewrite");
    let Some(hostname) = &rewrite.hostname else {
        findings.invalid(&at, "write hostname, or leave urlRewrite out");
        return None;
    };
    let at = at.name("hostname");
    if spec.override_host {
        findings
            .invalid(&at, "doesn't go with overrideHost, which sends the target's host name: write only one");
    }
    good(filter::authority(hostname), &at, findings)?;
    Some(FilterSettings::Host(hostname.clone()).of(FilterKind::Host))
}

fn headers(
    spec: &HeaderModifier,
    direction: Direction,
    at: &Field<'_>,
    findings: &mut Findings,
) -> Option<Filter> {
    let HeaderModifier { set, add, set_if_missing, remove } = spec;
    let lists = [("set", set), ("add", add), ("setIfMissing", set_if_missing)];
    let mut all_good = true;
    for (name, list) in lists {
        let at = at.name(name);
        count(list.len(), MAX_MODIFIED_HEADERS, &at, findings);
        for (index, header) in list.iter().enumerate() {
            let at = at.index(index);
            all_good &=
                good(filter::check_name(direction, &header.name), &at.name("name"), findings).is_some();
            let value = filter::check_value(&header.name, &header.value);
            all_good &= good(value, &at.name("value"), findings).is_some();
            length(&header.value, MAX_HEADER_VALUE, &at.name("value"), findings);
            expression(&header.value, &at.name("value"), findings);
        }
    }
    let at_remove = at.name("remove");
    count(remove.len(), MAX_MODIFIED_HEADERS, &at_remove, findings);
    for (index, name) in remove.iter().enumerate() {
        all_good &= good(filter::check_name(direction, name), &at_remove.index(index), findings).is_some();
    }
    let fields = |list: &[HeaderValue]| list.iter().map(field).collect();
    let settings = wire::HeaderEdits {
        remove: remove.clone(),
        set: fields(set),
        add: fields(add),
        set_if_missing: fields(set_if_missing),
    };
    if all_good {
        good(HeaderEdits::parse(direction, &settings), at, findings)?;
    }
    let kind = match direction {
        Direction::Request => FilterKind::RequestHeaders,
        Direction::Response => FilterKind::ResponseHeaders,
    };
    Some(FilterSettings::Headers(settings).of(kind))
}

fn field(header: &HeaderValue) -> wire::HeaderField {
    wire::HeaderField { name: header.name.clone(), value: header.value.clone() }
}

/// Text that will mean something else once expressions are expanded in it.
fn expression(text: &str, at: &Field<'_>, findings: &mut Findings) {
    if text.contains("${") {
        findings.unsupported(at, "write it without ${…}: expressions are only expanded in a backend's root");
    }
}
