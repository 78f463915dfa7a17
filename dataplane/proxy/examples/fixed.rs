//! A proxy with one fixed route, to measure: `fixed LISTEN_PORT UPSTREAM_PORT [THREADS] [ROUTES]`.
#![allow(clippy::print_stdout, reason = "an example talks to a terminal")]

use std::sync::Arc;

use dataplane_core::served::Served;
use dataplane_core::{BackendStates, Router};
use dataplane_proxy::{Proxy, ProxySettings};
use dataplane_snapshot::{AsOf, Object, Snapshot, wire};

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u16>());
    let mut number = |default: u16| arguments.next().unwrap_or(Ok(default));
    let (listen, upstream, threads, routes) = (number(8080)?, number(8081)?, number(1)?, number(1)?);
    let settings = ProxySettings { threads: usize::from(threads), ..ProxySettings::default() };
    let proxy = Proxy::start(settings)?;
    let errors = proxy.swap(Arc::new(router(listen, upstream, routes)?));
    anyhow::ensure!(errors.is_empty(), "{errors:?}");
    println!("{:?}", proxy.addresses());
    loop {
        std::thread::park();
    }
}

fn router(listen: u16, upstream: u16, routes: u16) -> anyhow::Result<Router> {
    let object =
        |key: String, payload| anyhow::Ok(Object::encode(key.parse()?, &wire::Content::from(payload)));
    let listener = wire::Listener {
        address: "127.0.0.1".into(),
        port: listen.into(),
        protocol: 1,
        ..Default::default()
    };
    let target = wire::Target {
        id: "one".into(),
        hostname: "127.0.0.1".into(),
        port: upstream.into(),
        weight: 1,
        ..Default::default()
    };
    let mut objects = vec![
        object("listener/settings/http".to_owned(), wire::Payload::Listener(listener))?,
        object(
            "backend/default/b".to_owned(),
            wire::Payload::Backend(wire::Backend { root: "/".into(), ..Default::default() }),
        )?,
        object(
            "endpoints/default/b".to_owned(),
            wire::Payload::Endpoints(wire::Endpoints { targets: vec![target] }),
        )?,
    ];
    for number in 0..routes {
        // The first one takes what no other does.
        let prefix = if number == 0 { "/".to_owned() } else { format!("/route-{number}") };
        let path = wire::PathMatch { kind: wire::PathKind::Prefix as i32, pattern: prefix };
        let rule = wire::Rule {
            matches: vec![wire::Match {
                paths: vec![path],
                precedence: number.to_be_bytes().to_vec().into(),
                ..Default::default()
            }],
            filters: vec![],
            destinations: vec![wire::Destination {
                backend: "backend/default/b".into(),
                weight: 1,
                filters: vec![],
            }],
        };
        let route = wire::Route { name: format!("r{number}"), rules: vec![rule], ..Default::default() };
        objects.push(object(format!("route/default/r{number}"), wire::Payload::Route(route))?);
    }
    let compiled =
        Router::compile(&Served::new(Snapshot::new(objects, AsOf::default())), None, &BackendStates::new());
    anyhow::ensure!(compiled.rejected.is_empty(), "{:?}", compiled.rejected);
    Ok(compiled.router)
}
