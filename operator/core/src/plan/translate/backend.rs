use dataplane_snapshot::wire;

use crate::plan::model::{TargetProtocol, Timeouts, ValidBackend, ValidTarget};

pub(in crate::plan) fn backend(backend: &ValidBackend<'_>) -> wire::Backend {
    let custom = backend.custom_timeouts.iter().map(|(path, timeouts)| wire::CustomTimeouts {
        path: (*path).to_owned(),
        timeouts: Some(client(*timeouts)),
    });
    wire::Backend {
        name: backend.name.to_owned(),
        metadata: backend.metadata.clone(),
        root: backend.root.to_owned(),
        rewrite: backend.rewrite,
        load_balancing: Some(wire::LoadBalancing::default()),
        client: Some(wire::ClientSettings {
            custom_timeouts: custom.collect(),
            retries: Some(backend.retries.clone()),
            breaker: Some(backend.breaker.clone()),
            ..client(backend.timeouts)
        }),
        panic_threshold: None,
    }
}

pub(in crate::plan) fn endpoints(backend: &ValidBackend<'_>) -> wire::Endpoints {
    wire::Endpoints { targets: backend.targets.iter().map(target).collect() }
}

const fn client(timeouts: Timeouts) -> wire::ClientSettings {
    wire::ClientSettings {
        connection_timeout: timeouts.connection,
        idle_timeout: timeouts.idle,
        call_timeout: timeouts.call,
        call_and_stream_timeout: timeouts.call_and_stream,
        global_timeout: timeouts.global,
        custom_timeouts: Vec::new(),
        retries: None,
        breaker: None,
    }
}

fn target(target: &ValidTarget<'_>) -> wire::Target {
    let protocol = match target.protocol {
        TargetProtocol::Http10 => wire::Protocol::Http10,
        TargetProtocol::Http11 => wire::Protocol::Http11,
    };
    wire::Target {
        id: target.id.clone().into_owned(),
        hostname: target.hostname.to_owned(),
        port: u32::from(target.port.get()),
        weight: target.weight,
        ip_address: target.ip_address.map(|address| address.to_string()).unwrap_or_default(),
        protocol: protocol.into(),
        backup: false,
        predicate: None,
    }
}
