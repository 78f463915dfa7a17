use crds::{PathMatch, PathType, RouteMatch};

use super::reader::Reader;

/// The hostnames and paths of `domains`, which are pairs such as `api.example.com/users`: hosts with the same paths become one
/// match, in the order of their first appearance.
pub(super) fn read(reader: &mut Reader<'_>, exact: bool) -> Vec<RouteMatch> {
    let mut domains = reader.strings("domains");
    domains.extend(reader.text("domain"));
    let mut hosts: Vec<(Option<String>, Vec<PathMatch>)> = Vec::new();
    for (index, domain) in domains.iter().enumerate() {
        match split(domain, exact) {
            Ok((host, path)) => add(&mut hosts, host, path),
            Err(message) => reader.problem(&format!("domains[{index}]"), message),
        }
    }
    if domains.is_empty() {
        reader
            .problem("domains", "is missing: a route needs at least one, for instance api.example.com/users");
    }
    group(hosts)
}

fn split(domain: &str, exact: bool) -> Result<(Option<String>, Option<PathMatch>), String> {
    let (host, path) = domain.find('/').map_or((domain, None), |slash| {
        let (host, path) = domain.split_at(slash);
        (host, Some(path))
    });
    let host = host.to_ascii_lowercase();
    if host.is_empty() {
        return Err(format!(
            "{domain:?} has no host: write for instance api.example.com/users, or */users for any host"
        ));
    }
    if host != "*" && host.strip_prefix("*.").unwrap_or(&host).contains('*') {
        return Err(format!(
            "{host:?} is not supported yet: * is only allowed alone or as the first label, *.example.com"
        ));
    }
    let type_ = if exact { PathType::Exact } else { PathType::Prefix };
    // Without a path, exact means the path `/`.
    let path = path.or(exact.then_some("/")).map(|path| PathMatch { type_, value: path.to_owned() });
    Ok(((host != "*").then_some(host), path))
}

fn add(hosts: &mut Vec<(Option<String>, Vec<PathMatch>)>, host: Option<String>, path: Option<PathMatch>) {
    let position = hosts.iter().position(|(known, paths)| {
        // A host alone takes any path, which is no list of paths.
        *known == host && paths.is_empty() == path.is_none()
    });
    match position.and_then(|index| hosts.get_mut(index)) {
        Some((_, paths)) => paths.extend(path.filter(|path| !paths.contains(path))),
        None => hosts.push((host, path.into_iter().collect())),
    }
}

fn group(hosts: Vec<(Option<String>, Vec<PathMatch>)>) -> Vec<RouteMatch> {
    let mut matches: Vec<RouteMatch> = Vec::new();
    for (host, paths) in hosts {
        let same =
            |known: &&mut RouteMatch| known.paths == paths && known.hostnames.is_empty() == host.is_none();
        match (matches.iter_mut().find(same), host) {
            (Some(known), Some(host)) => known.hostnames.push(host),
            (_, host) => matches.push(RouteMatch {
                hostnames: host.into_iter().collect(),
                paths,
                ..RouteMatch::default()
            }),
        }
    }
    matches
}

/// The pairs of all matches, as near as Otoroshi's form comes.
pub(super) fn write(matches: &[RouteMatch]) -> Vec<String> {
    let mut domains = Vec::new();
    for route_match in matches {
        let hosts: Vec<&str> = route_match.hostnames.iter().map(String::as_str).collect();
        for host in if hosts.is_empty() { vec!["*"] } else { hosts } {
            if route_match.paths.is_empty() {
                domains.push(host.to_owned());
            }
            domains.extend(route_match.paths.iter().map(|path| format!("{host}{}", path.value)));
        }
    }
    domains
}
