//! Many routes as wire objects, the same at each call, in the shape of [`routes`](crate::routes): of ten routes one has a
//! regex in its path, one a wildcard host, two a condition on a header. Numbers have leading zeros, so that a request
//! is as long among ten thousand routes as among a hundred.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr};

use dataplane_core::RequestHead;
use dataplane_snapshot::{AsOf, Key, Kind, Object, Snapshot, wire};

use crate::routes::BACKENDS;

/// Over how many host names the routes are spread.
const HOSTS: usize = 200;

/// The listener of all requests.
pub const LISTENER: &str = "http";

/// `routes` routes, their backends and endpoints, and one listener.
pub fn snapshot(routes: usize) -> Snapshot {
    let backends = (0..BACKENDS).flat_map(backend);
    Snapshot::new((0..routes).map(route).chain(backends).chain([listener()]), AsOf::default())
}

/// The snapshot after an edit of one route in the middle.
pub fn edited(snapshot: &Snapshot, routes: usize) -> Snapshot {
    let edited = route_at(routes / 2, "/edited");
    snapshot.edit([edited], &[], AsOf::default())
}

/// The snapshot after a pod of one backend has moved.
pub fn moved(snapshot: &Snapshot) -> Snapshot {
    snapshot.edit([endpoints(0, 3)], &[], AsOf::default())
}

/// Requests for routes spread over all of them, with the same mix of shapes however many there are; every fifth one is for
/// no route.
pub fn requests(routes: usize, count: usize) -> Vec<Request> {
    let request = |number: usize| {
        let spread = number * routes / count.max(1);
        let hit = Request::hit(spread - spread % 10 + number % 10);
        if number % 5 == 4 { Request { path: hit.path.replace("/items", "/other"), ..hit } } else { hit }
    };
    (0..count).map(request).collect()
}

fn object(kind: Kind, name: String, payload: wire::Payload) -> Object {
    Object::encode(Key::new(kind, "default", name), &payload.into())
}

fn listener() -> Object {
    let protocol = wire::ListenerProtocol::Http.into();
    object(
        Kind::Listener,
        LISTENER.to_owned(),
        wire::Payload::Listener(wire::Listener { port: 8080, protocol, ..Default::default() }),
    )
}

fn backend(index: usize) -> [Object; 2] {
    let client =
        wire::ClientSettings { connection_timeout: 10_000, idle_timeout: 60_000, ..Default::default() };
    let backend = wire::Backend { root: "/".to_owned(), client: Some(client), ..Default::default() };
    [object(Kind::Backend, format!("backend-{index}"), wire::Payload::Backend(backend)), endpoints(index, 2)]
}

fn endpoints(index: usize, targets: u32) -> Object {
    let target = |number| wire::Target {
        id: format!("target-{number}"),
        hostname: "127.0.0.1".to_owned(),
        port: 9101 + number,
        weight: 1,
        ..Default::default()
    };
    let endpoints = wire::Endpoints { targets: (0..targets).map(target).collect() };
    object(Kind::Endpoints, format!("backend-{index}"), wire::Payload::Endpoints(endpoints))
}

fn route(index: usize) -> Object {
    route_at(index, "")
}

fn route_at(index: usize, suffix: &str) -> Object {
    let hit = Request::hit(index);
    let mut given = wire::Match { precedence: format!("{index:05}").into(), ..Default::default() };
    let (host, mut path) = match index % 10 {
        1 => (hit.host.replacen("any.", "*.", 1), hit.path),
        0 => (hit.host, hit.path.replacen("/42/", "/$id<[0-9]+>/", 1)),
        _ => (hit.host, hit.path),
    };
    path.push_str(suffix);
    given.hostnames.push(host);
    given.paths.push(wire::PathMatch { kind: wire::PathKind::Prefix.into(), pattern: path });
    if let Some(value) = hit.tenant {
        given.headers.push(wire::Condition { name: "x-tenant".to_owned(), value, ..Default::default() });
    }
    let strip = wire::Filter::from(wire::FilterKind::StripPath);
    let backend = format!("backend/default/backend-{}", index % BACKENDS);
    let destination = wire::Destination { backend, weight: 1, filters: vec![strip] };
    let rule = wire::Rule { matches: vec![given], filters: vec![], destinations: vec![destination] };
    let route = wire::Route { name: format!("Route {index:05}"), rules: vec![rule], ..Default::default() };
    object(Kind::Route, format!("route-{index:05}"), wire::Payload::Route(route))
}

/// A request head in the plainest form.
#[derive(Clone, Debug)]
pub struct Request {
    host: String,
    path: String,
    tenant: Option<String>,
}

impl Request {
    /// For route `index`.
    fn hit(index: usize) -> Self {
        let zone = index % HOSTS;
        let (host, middle) = match index % 10 {
            0 => (format!("host-{zone:03}.example.com"), "42/"),
            1 => (format!("any.zone-{zone:03}.example.com"), ""),
            _ => (format!("host-{zone:03}.example.com"), ""),
        };
        let tenant = matches!(index % 10, 2 | 3).then(|| format!("tenant-{zone:03}"));
        Self { host, path: format!("/service-{index:05}/{middle}items"), tenant }
    }
}

impl RequestHead for Request {
    fn method(&self) -> &str {
        "GET"
    }

    fn host(&self) -> &str {
        &self.host
    }

    fn authority(&self) -> &str {
        &self.host
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn query(&self) -> Option<&str> {
        None
    }

    fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.tenant.iter().filter(move |_| name == "x-tenant").map(|value| value.as_bytes())
    }

    fn version(&self) -> &str {
        "HTTP/1.1"
    }

    fn secured(&self) -> bool {
        false
    }

    fn client_ip(&self) -> IpAddr {
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    }

    fn listener(&self) -> &str {
        LISTENER
    }

    fn id(&self) -> impl Display {
        0
    }
}

#[cfg(test)]
mod tests {
    use dataplane_core::served::Served;
    use dataplane_core::{BackendStates, Decision, Router};

    use super::*;

    #[test]
    fn of_five_requests_four_hit() {
        for routes in [100, 1000] {
            let compiled = Router::compile(&Served::new(snapshot(routes)), None, &BackendStates::new());
            assert_eq!(compiled.rejected, []);
            let listener = compiled.router.listener_id(LISTENER).unwrap();
            let requests = requests(routes, 50);
            let hits = requests
                .iter()
                .filter(|request| matches!(compiled.router.route(listener, *request), Decision::Found(_)));
            assert_eq!(hits.count(), 40);
        }
    }
}
