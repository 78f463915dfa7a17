use dataplane_snapshot::wire;

use crate::plan::model::{Question, TargetProtocol, Timeouts, ValidBackend, ValidHealthCheck, ValidTarget};

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
        health_check: backend.health_check.as_ref().map(health_check).map(Box::new),
        panic_threshold: None,
    }
}

fn health_check(check: &ValidHealthCheck<'_>) -> wire::HealthCheck {
    let how_often = wire::HealthCheck {
        interval: check.interval,
        timeout: check.timeout,
        jitter: check.jitter,
        healthy_threshold: check.healthy_threshold,
        unhealthy_threshold: check.unhealthy_threshold,
        ..Default::default()
    };
    let statuses = |statuses: &[u16]| statuses.iter().copied().map(u32::from).collect();
    match &check.question {
        Question::Tcp => wire::HealthCheck { kind: wire::HealthCheckKind::Tcp.into(), ..how_often },
        Question::Http {
            url,
            healthy_statuses,
            unhealthy_statuses,
            healthy_patterns,
            unhealthy_patterns,
            block_on_red,
            logic,
        } => wire::HealthCheck {
            kind: wire::HealthCheckKind::Http.into(),
            url: (*url).to_owned(),
            healthy_statuses: statuses(healthy_statuses),
            unhealthy_statuses: statuses(unhealthy_statuses),
            healthy_patterns: healthy_patterns.to_vec(),
            unhealthy_patterns: unhealthy_patterns.to_vec(),
            block_on_red: *block_on_red,
            logic_check: *logic,
            ..how_often
        },
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
