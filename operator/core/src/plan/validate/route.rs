use crds::{BackendReference, RouteBackend, RouteFilters, RouteSpec};
use dataplane_snapshot::{Key, Kind};

use super::{backend, bounds, filters, matches, mirrors, target};
use crate::plan::findings::{Field, Findings};
use crate::plan::model::{Destination, ValidDestination, ValidRoute};

/// The model of what is good; all of the route only if nothing was found.
pub(in crate::plan) fn route<'a>(
    spec: &'a RouteSpec,
    key: &'a Key,
    findings: &mut Findings,
) -> ValidRoute<'a> {
    let at = Field::SPEC;
    bounds::route(spec, &at, findings);
    for (index, name) in spec.listeners.iter().enumerate() {
        if name.is_empty() {
            findings.invalid(&at.name("listeners").index(index), "write the name of a listener");
        }
    }
    let matches = matches::matches(&spec.matches, &at.name("matches"), findings);
    let filters = filters::filters(spec, &at, findings);
    let mirrors = spec.filters.as_ref();
    let mirrors = mirrors.map(|filters| mirrors::mirrors(filters, key, &at.name("filters"), findings));
    let destinations = destinations(spec, key, &at.name("backends"), findings);
    ValidRoute {
        name: spec.display_name.as_deref().unwrap_or(key.name()),
        metadata: &spec.metadata,
        listeners: &spec.listeners,
        matches,
        filters,
        mirrors: mirrors.unwrap_or_default(),
        destinations,
    }
}

fn destinations<'a>(
    spec: &'a RouteSpec,
    key: &'a Key,
    at: &Field<'_>,
    findings: &mut Findings,
) -> Vec<ValidDestination<'a>> {
    let is_answering = spec.filters.as_ref().is_some_and(RouteFilters::is_answering);
    if is_answering && !spec.backends.is_empty() {
        let message = "filters.requestRedirect and directResponse answer every request: leave backends out";
        findings.invalid(at, message);
    } else if spec.backends.is_empty() && !is_answering {
        findings.invalid(at, "write at least one backend, by ref or inline");
    }
    let each = spec.backends.iter().enumerate();
    let valid = each.filter_map(|(index, spec)| {
        let backend = destination(spec, key, &at.index(index), findings)?;
        Some(ValidDestination { index, weight: spec.weight, backend })
    });
    valid.collect()
}

fn destination<'a>(
    spec: &'a RouteBackend,
    key: &'a Key,
    at: &Field<'_>,
    findings: &mut Findings,
) -> Option<Destination<'a>> {
    match (&spec.reference, &spec.inline) {
        (Some(reference), None) => {
            Some(Destination::Reference(self::reference(reference, key, &at.name("ref"), findings)))
        }
        (None, Some(spec)) => {
            let at = at.name("inline");
            if !spec.allowed_namespaces.is_empty() {
                let message =
                    "only goes with a Backend of its own, as nobody else can name this one: leave it out";
                findings.invalid(&at.name("allowedNamespaces"), message);
            }
            backend(spec, key, &at, findings).map(|backend| Destination::Inline(Box::new(backend)))
        }
        (Some(_), Some(_)) => {
            findings.invalid(at, "has both ref and inline: write only one of them");
            None
        }
        (None, None) => {
            findings.invalid(at, "write ref, the name of a Backend, or inline, a backend of the route's own");
            None
        }
    }
}

/// The key of the Backend that a route names.
pub(super) fn reference(
    reference: &BackendReference,
    route: &Key,
    at: &Field<'_>,
    findings: &mut Findings,
) -> Key {
    if reference.name.is_empty() {
        findings.invalid(&at.name("name"), "write the name of a Backend");
    }
    let namespace = match reference.namespace.as_deref().filter(|namespace| *namespace != route.namespace()) {
        Some(other) => target::label(other, &at.name("namespace"), findings).unwrap_or_default(),
        None => route.namespace(),
    };
    Key::new(Kind::Backend, namespace, &*reference.name)
}
