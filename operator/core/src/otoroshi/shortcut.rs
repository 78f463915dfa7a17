use crds::Target;

use super::reader::Reader;

/// One URL instead of `targets` and `root`.
pub(super) struct Shortcut {
    pub(super) target: Target,
    pub(super) root: String,
}

/// Otoroshi reads `url`, `target` or `target_url` as the only target, with the URL's path as root.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<Shortcut> {
    let names = ["url", "target", "target_url"];
    let given: Vec<_> = names.into_iter().filter(|name| reader.has(name)).collect();
    let name = *given.first()?;
    for other in given.iter().skip(1) {
        reader.take(other);
        reader.problem(other, format!("repeats {name}: give one of them"));
    }
    let url = reader.text(name)?;
    if reader.has("targets") || reader.has("root") {
        reader.problem(name, "stands for targets and root: give either it or them");
    }
    let shortcut = parse(&url);
    if shortcut.is_none() {
        reader
            .problem(name, format!("{url:?} isn't a URL of a server, such as https://api.internal:8443/v1"));
    }
    shortcut
}

fn parse(url: &str) -> Option<Shortcut> {
    let (tls, rest) = match url.strip_prefix("https://") {
        Some(rest) => (true, rest),
        None => (false, url.strip_prefix("http://")?),
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok().filter(|port| *port > 0)?),
        _ => (authority, if tls { 443 } else { 80 }),
    };
    let hostname = super::target::without_brackets(host);
    if hostname.is_empty() || rest.contains(['@', '?', '#']) {
        return None;
    }
    let target = Target { hostname: Some(hostname.to_owned()), port: Some(port), tls, ..Target::default() };
    Some(Shortcut { target, root: format!("/{path}") })
}
