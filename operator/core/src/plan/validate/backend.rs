use std::collections::HashMap;

use crds::BackendSpec;
use crds::bounds::MAX_NAMESPACES;
use dataplane_snapshot::Key;

use super::{balancing, bounds, client, health, proxy, syntax, target};
use crate::plan::findings::{Field, Findings};
use crate::plan::model::{ValidBackend, ValidTarget};

/// `None` only if something was found; `Some` doesn't mean that nothing was. `user` is the object that has the backend.
pub(in crate::plan) fn backend<'a>(
    spec: &'a BackendSpec,
    user: &'a Key,
    at: &Field<'_>,
    findings: &mut Findings,
) -> Option<ValidBackend<'a>> {
    bounds::backend(spec, at, findings);
    root(spec, &at.name("root"), findings);
    allowed_namespaces(&spec.allowed_namespaces, &at.name("allowedNamespaces"), findings);
    let load_balancing = balancing::load_balancing(&spec.load_balancing, &at.name("loadBalancing"), findings);
    if let Some(percent) = spec.panic_threshold.filter(|percent| *percent > 100) {
        let message = format!("{percent} is no share in percent: write 0 to 100");
        findings.invalid(&at.name("panicThreshold"), message);
    }
    let at_check = at.name("healthCheck");
    let health_check =
        spec.health_check.as_ref().and_then(|check| health::health_check(check, &at_check, findings));
    let at_client = at.name("client");
    let (timeouts, custom_timeouts) = client::timeouts(&spec.client, &at_client, findings);
    let retries = client::retries(&spec.client, &at_client, findings);
    let breaker = client::breaker(&spec.client, &at_client, findings);
    let connections = client::connections(&spec.client.cache_connection_settings, &at_client, findings);
    let at_proxy = at_client.name("proxy");
    let proxy = spec.client.proxy.as_ref().and_then(|spec| proxy::proxy(spec, &at_proxy, findings));
    let at_targets = at.name("targets");
    let targets: Vec<_> = (0..)
        .zip(&spec.targets)
        .map(|(index, spec)| target::target(spec, user.namespace(), &at_targets.index(index), findings))
        .collect();
    unique_ids(&targets, &at_targets, findings);
    Some(ValidBackend {
        name: spec.display_name.as_deref().unwrap_or(user.name()),
        metadata: &spec.metadata,
        root: &spec.root,
        rewrite: spec.rewrite,
        timeouts,
        custom_timeouts,
        retries,
        breaker,
        connections,
        proxy,
        health_check,
        load_balancing,
        prefer_own_zone: spec.load_balancing.prefer_own_zone,
        panic_threshold: spec.panic_threshold,
        targets: targets.into_iter().collect::<Option<_>>()?,
    })
}

fn root(spec: &BackendSpec, at: &Field<'_>, findings: &mut Findings) {
    if !spec.root.starts_with('/') && !spec.root.starts_with("${") {
        findings.invalid(at, format!("{:?} must start with '/', for instance /api", spec.root));
    }
    syntax::root(spec, at, findings);
}

fn allowed_namespaces(names: &[String], at: &Field<'_>, findings: &mut Findings) {
    bounds::count(names.len(), MAX_NAMESPACES, at, findings);
    for (index, name) in names.iter().enumerate().filter(|(_, name)| *name != "*") {
        target::label(name, &at.index(index), findings);
    }
}

/// Counters and health are kept per target id, so two targets mustn't share one.
fn unique_ids(targets: &[Option<ValidTarget<'_>>], at: &Field<'_>, findings: &mut Findings) {
    let mut first = HashMap::new();
    for (index, target) in targets.iter().enumerate() {
        let Some(target) = target else { continue };
        if let Some(first) = first.insert(&*target.id, index) {
            let message =
                format!("targets[{first}] has the id {:?} too: give each target an id of its own", target.id);
            findings.invalid(&at.index(index).name("id"), message);
        }
    }
}
