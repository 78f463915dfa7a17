//! A plan as YAML for people. Empty and zero fields are left out.

use std::sync::Arc;

use dataplane_snapshot::{Object, wire};
use operator_core::conditions::{Condition, ConditionType, conditions};
use operator_core::overview::Overview;
use operator_core::programmed::Programmed;
use operator_core::{ObjectStatus, Plan};
use serde_json::{Map, Value, json};

pub(crate) fn plan(plan: &Plan) -> String {
    let objects: Map<_, _> =
        plan.snapshot.objects().map(|object| (object.key().to_string(), self::object(object))).collect();
    let statuses: Map<_, _> =
        plan.statuses.values().map(|status| (status.key.to_string(), self::status(status))).collect();
    let conflicts: Vec<_> =
        plan.conflicts.iter().map(|status| json!({status.key.to_string(): self::status(status)})).collect();
    let whole = compact(json!({
        "root": plan.snapshot.root().to_string(),
        "objects": objects,
        "statuses": statuses,
        "conflicts": conflicts,
    }));
    serde_saphyr::to_string(&whole).unwrap()
}

fn status(status: &Arc<ObjectStatus>) -> Value {
    let conditions = conditions(&Overview::of_unplanned(status), &Programmed::NoWorkers);
    let condition = |type_: ConditionType| {
        let Condition { status, reason, message, .. } = conditions.iter().find(|one| one.type_ == type_)?;
        Some(format!("{} {reason} {message}", status.as_str()).trim_end().to_owned())
    };
    json!({
        "owner": status.owner.as_str(),
        "generation": status.generation,
        "Accepted": condition(ConditionType::Accepted),
        "ResolvedRefs": condition(ConditionType::ResolvedRefs),
        "Overlapping": condition(ConditionType::Overlapping),
        "held": status.is_held().then_some("yes"),
        "objects": status.objects.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    })
}

fn object(object: &Object) -> Value {
    let content: wire::Content = prost::Message::decode(object.bytes().clone()).unwrap();
    let payload = match object.decode().unwrap() {
        wire::Payload::Listener(it) => json!({
            "address": it.address, "port": it.port, "advertisedPort": it.advertised_port, "protocol": it.protocol,
            "proxyProtocol": it.proxy_protocol, "http1Only": it.http1_only, "tls": it.tls.as_ref().map(listener_tls),
        }),
        wire::Payload::Route(it) => route(&it),
        wire::Payload::Backend(it) => json!({
            "name": it.name, "metadata": it.metadata, "root": it.root, "rewrite": it.rewrite,
            "client": it.client.as_ref().map(client), "healthCheck": it.health_check.as_deref().map(health_check),
            "loadBalancing": it.load_balancing.as_ref().filter(|it| **it != wire::LoadBalancing::default()).map(load_balancing),
            "panicThreshold": it.panic_threshold.map(|percent| format!("{percent} %")),
        }),
        wire::Payload::Endpoints(it) => json!({"targets": it.targets.iter().map(target).collect::<Vec<_>>()}),
        wire::Payload::Certificate(it) => json!({"certificates": it.chain.len()}),
        wire::Payload::Secret(it) => json!({"secret": format!("{:?}", it.kind)}),
        wire::Payload::Held(it) => json!({"held": it.reason, "route": it.route.as_ref().map(route)}),
    };
    let mut payload = payload;
    payload["labels"] = json!(content.labels);
    payload
}

fn route(route: &wire::Route) -> Value {
    let rule = |rule: &wire::Rule| {
        json!({
            "matches": rule.matches.iter().map(matched).collect::<Vec<_>>(),
            "filters": filters(&rule.filters),
            "destinations": rule.destinations.iter().map(destination).collect::<Vec<_>>(),
        })
    };
    let rules: Vec<_> = route.rules.iter().map(rule).collect();
    json!({"name": route.name, "metadata": route.metadata, "listeners": route.listeners, "rules": rules})
}

fn matched(one: &wire::Match) -> Value {
    let paths: Vec<_> = one.paths.iter().map(|path| format!("{:?} {}", path.kind(), path.pattern)).collect();
    json!({
        "hostnames": one.hostnames, "paths": paths, "methods": one.methods,
        "headers": texts(&one.headers), "query": texts(&one.query), "cookies": texts(&one.cookies),
        "precedence": one.precedence.escape_ascii().to_string(),
    })
}

fn texts(conditions: &[wire::Condition]) -> Vec<String> {
    let text =
        |it: &wire::Condition| format!("{} {:?} {}", it.name, it.kind(), it.value).trim_end().to_owned();
    conditions.iter().map(text).collect()
}

fn filters(filters: &[wire::Filter]) -> Vec<String> {
    let text = |filter: &wire::Filter| match &filter.settings {
        None => format!("{:?}", filter.kind()),
        Some(settings) => format!("{:?} {settings:?}", filter.kind()),
    };
    filters.iter().map(text).collect()
}

fn destination(to: &wire::Destination) -> Value {
    json!({"backend": to.backend, "weight": to.weight, "filters": filters(&to.filters)})
}

fn client(it: &wire::ClientSettings) -> Value {
    let custom = it
        .custom_timeouts
        .iter()
        .map(|custom| json!({"path": custom.path, "timeouts": custom.timeouts.as_ref().map(client)}));
    json!({
        "connection": it.connection_timeout, "idle": it.idle_timeout, "call": it.call_timeout,
        "callAndStream": it.call_and_stream_timeout, "global": it.global_timeout, "custom": custom.collect::<Vec<_>>(),
        "retries": it.retries.as_ref().map(retries), "breaker": it.breaker.as_ref().map(breaker),
        "connections": it.connections.as_ref().map(connections), "proxy": it.proxy.as_deref().map(forward_proxy),
    })
}

fn retries(it: &wire::Retries) -> Value {
    json!({
        "count": it.count, "initialDelay": it.initial_delay, "interval": it.interval,
        "backoffFactor": it.backoff_factor, "nonIdempotent": it.non_idempotent, "statuses": it.statuses,
    })
}

fn breaker(it: &wire::Breaker) -> Value {
    json!({"maxErrors": it.max_errors, "interval": it.interval, "serverErrors": it.server_errors})
}

fn connections(it: &wire::ConnectionSettings) -> Value {
    json!({"ownPool": it.own_pool, "queueSize": it.queue_size})
}

fn forward_proxy(it: &wire::ForwardProxy) -> Value {
    json!({
        "host": it.host, "port": it.port, "protocol": format!("{:?}", it.protocol()), "principal": it.principal,
        "password": it.password, "nonProxyHosts": it.non_proxy_hosts,
    })
}

fn health_check(it: &wire::HealthCheck) -> Value {
    json!({
        "kind": format!("{:?}", it.kind()), "url": it.url, "service": it.service, "interval": it.interval, "timeout": it.timeout,
        "jitter": it.jitter, "thresholds": [it.healthy_threshold, it.unhealthy_threshold],
        "healthyStatuses": it.healthy_statuses, "unhealthyStatuses": it.unhealthy_statuses,
        "healthyPatterns": it.healthy_patterns, "unhealthyPatterns": it.unhealthy_patterns,
        "blockOnRed": it.block_on_red, "logicCheck": it.logic_check,
    })
}

fn load_balancing(it: &wire::LoadBalancing) -> Value {
    let ratio = if it.ratio > 0.0 { it.ratio.to_string() } else { String::new() };
    json!({"policy": format!("{:?}", it.policy()), "ratio": ratio, "name": it.name, "ttl": it.ttl})
}

fn target(it: &wire::Target) -> Value {
    json!({
        "id": it.id, "hostname": it.hostname, "port": it.port, "weight": format!("{}", it.weight),
        "ipAddress": it.ip_address, "protocol": format!("{:?}", it.protocol()), "backup": it.backup,
        "predicate": it.predicate.as_ref().and_then(|predicate| predicate.kind.as_ref()).map(predicate),
        "tls": it.tls.as_ref().map(target_tls), "zone": it.zone,
    })
}

fn target_tls(it: &wire::TargetTls) -> Value {
    let verified = if it.trust_all { "not" } else { "" };
    json!({"yes": "yes", "certificates": it.client_certificates, "trusted": it.trusted, "verified": verified})
}

fn listener_tls(it: &wire::ListenerTls) -> Value {
    json!({
        "certificates": it.certificates, "clients": format!("{:?}", it.client_certificates()),
        "authorities": it.client_authorities, "forwarded": it.forward_client_certificate,
    })
}

fn predicate(it: &wire::PredicateKind) -> Value {
    match it {
        wire::PredicateKind::NetworkLocation(it) => json!({
            "provider": it.provider, "region": it.region, "zone": it.zone, "dataCenter": it.data_center,
            "rack": it.rack,
        }),
        wire::PredicateKind::Request(it) => json!({
            "methods": it.methods, "headers": texts(&it.headers), "query": texts(&it.query),
            "cookies": texts(&it.cookies), "clientCidrs": it.client_cidrs,
        }),
    }
}

fn compact(value: Value) -> Value {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::String(text) => text.is_empty(),
        other => other == 0 || *other == false,
    };
    match value {
        Value::Array(items) => items.into_iter().map(compact).collect(),
        Value::Object(fields) => {
            let compacted = fields.into_iter().map(|(name, value)| (name, compact(value)));
            Value::Object(compacted.filter(|(_, value)| !is_empty(value)).collect())
        }
        other => other,
    }
}
