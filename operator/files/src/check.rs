//! Judges files without running anything: `komainu check`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crds::Target;
use dataplane_snapshot::{Epoch, Key, Kind, SourceAsOf};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use operator_core::{
    GrantFrom, GrantSpec, GrantTo, ListenerSettings, Memo, ObjectStatus, Observed, ObservedMap, Origin,
    Owner, Problem, ServicePort, ServiceSpec, SourceView, Spec, World,
};

use crate::folder::FolderSource;
use crate::parse::file_problem;
use crate::scan::{Listing, Stamp};

/// What is to be said of the files, each with its place, in the order of files and lines.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What keeps an object from being used as it is written.
    pub problems: Vec<Problem>,
    /// What works but is hardly meant.
    pub warnings: Vec<Problem>,
    pub files: usize,
    pub backends: usize,
    pub routes: usize,
    pub certificates: usize,
}

impl Report {
    /// Whether every object can be used as it is written.
    pub fn ok(&self) -> bool {
        self.problems.is_empty()
    }
}

impl fmt::Display for Report {
    /// A line for each problem and warning, and one that sums up.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "{problem}")?;
        }
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        let count = |count: usize, thing: &str| match count {
            1 => format!("1 {thing}"),
            count => format!("{count} {thing}s"),
        };
        let (files, backends) = (count(self.files, "file"), count(self.backends, "backend"));
        let routes = count(self.routes, "route");
        match self.certificates {
            0 => write!(f, "{files}: {backends} and {routes}, ")?,
            some => write!(f, "{files}: {backends}, {routes} and {}, ", count(some, "certificate"))?,
        }
        write!(f, "{}, {}", count(self.problems.len(), "problem"), count(self.warnings.len(), "warning"))
    }
}

/// Reads the files, and the resource files below the folders, as one world and plans it.
///
/// `listeners` are those of the settings that the files are meant for; without them any listener that a route names is
/// taken to exist. So is any Service, and to be permitted, as only a cluster can tell.
pub fn check(paths: &[PathBuf], listeners: Option<Arc<Vec<ListenerSettings>>>) -> Report {
    let (files, mut problems) = files(paths);
    let mut report = Report { files: files.len(), ..Report::default() };
    let mut source = FolderSource::of(files);
    let (of_files, _) = source.settle(&BTreeMap::<_, ()>::new(), &mut || 1);
    problems.extend(of_files);

    let listeners = listeners.unwrap_or_else(|| Arc::new(named_listeners(&source)));
    let as_of = SourceAsOf { epoch: Epoch { id: String::new(), created_at: 0 }, revisions: BTreeMap::new() };
    let view = SourceView { owner: Owner::Files, as_of, objects: source.objects().clone() };
    let mut world = World::join(listeners, [&view]);
    world.has_cluster = true;
    (world.services, world.grants) = named_services(&source);
    let (plan, _) = operator_core::plan(&world, &Memo::default());
    for (key, observed) in source.objects().iter() {
        match key.kind() {
            Kind::Backend => report.backends += 1,
            Kind::Certificate => report.certificates += 1,
            Kind::Secret => {}
            _ => report.routes += 1,
        }
        if let Some(status) = plan.statuses.get(key) {
            problems.extend(told(&source, observed, of_status(status)));
            report.warnings.extend(told(&source, observed, &status.warnings));
            report.warnings.extend(told(&source, observed, &status.overlaps));
        }
    }
    problems.sort_by(|one, other| one.place.cmp(&other.place));
    report.warnings.sort_by(|one, other| one.place.cmp(&other.place));
    report.problems = problems;
    report
}

/// All files that the paths stand for, and what can't be looked at.
fn files(paths: &[PathBuf]) -> (BTreeMap<PathBuf, Stamp>, Vec<Problem>) {
    let mut files = BTreeMap::new();
    let mut problems = Vec::new();
    for path in paths {
        let listing = if path.is_dir() { Listing::of(path) } else { Listing::of_file(path) };
        files.extend(listing.files);
        let unreadable = listing.failed.iter();
        problems.extend(unreadable.map(|(path, error)| {
            file_problem(&path.to_string_lossy().into(), format!("can't be read: {error}"))
        }));
    }
    (files, problems)
}

fn of_status(status: &ObjectStatus) -> impl IntoIterator<Item = &Problem> {
    let refused = status.accepted.as_ref().err().map(|refusal| &refusal.problems);
    let unresolved = status.resolved_refs.as_ref().err().map(|unresolved| &unresolved.problems);
    refused.into_iter().chain(unresolved).flatten()
}

/// The problems of an object with their places.
fn told<'p>(
    source: &FolderSource,
    observed: &Observed,
    problems: impl IntoIterator<Item = &'p Problem>,
) -> Vec<Problem> {
    let placed = |problem: &Problem| {
        let found = match &observed.origin {
            Origin::File(document) => {
                source.locate(document, &problem.field).or_else(|| Some(document.clone()))
            }
            _ => None,
        };
        Problem { place: problem.place.clone().or(found), ..problem.clone() }
    };
    problems.into_iter().map(placed).collect()
}

fn named_listeners(source: &FolderSource) -> Vec<ListenerSettings> {
    let routes = source.objects().values().filter_map(|observed| match &observed.spec {
        Spec::Route(route) => Some(route),
        _ => None,
    });
    let names: BTreeSet<_> = routes.flat_map(|route| &route.listeners).collect();
    let listener = |name: &String| ListenerSettings::http(name.clone(), 0);
    names.into_iter().map(listener).collect()
}

/// The Services that are named, and grants for those who name them.
fn named_services(source: &FolderSource) -> (ObservedMap, ObservedMap) {
    let mut named = BTreeMap::<Key, ServiceSpec>::new();
    let mut grants = BTreeMap::<Key, GrantSpec>::new();
    for observed in source.objects().values() {
        for service in targets(&observed.spec).filter_map(|target| target.service.as_ref()) {
            let namespace = service.namespace.as_deref().unwrap_or(observed.key.namespace());
            let grant = grants.entry(Key::new(Kind::Grant, namespace, "all")).or_default();
            grant.from.push(from(&observed.key));
            grant.to = vec![GrantTo { kind: "Service".to_owned(), ..GrantTo::default() }];
            let known = named.entry(Key::new(Kind::Service, namespace, &*service.name)).or_default();
            known.ports.push(match &service.port {
                IntOrString::Int(number) => {
                    ServicePort { port: u16::try_from(*number).unwrap_or_default(), ..ServicePort::default() }
                }
                IntOrString::String(name) => {
                    ServicePort { name: Some(name.clone()), ..ServicePort::default() }
                }
            });
        }
    }
    let services = named.into_iter().map(|(key, spec)| observed(key, Spec::Service(Arc::new(spec))));
    let grants = grants.into_iter().map(|(key, spec)| observed(key, Spec::Grant(Arc::new(spec))));
    (services.collect(), grants.collect())
}

fn from(user: &Key) -> GrantFrom {
    let kind = if user.kind() == Kind::Backend { "Backend" } else { "Route" };
    let (group, namespace) = (crds::GROUP.to_owned(), user.namespace().to_owned());
    GrantFrom { group, kind: kind.to_owned(), namespace }
}

fn observed(key: Key, spec: Spec) -> (Key, Arc<Observed>) {
    let labels = BTreeMap::new();
    (
        key.clone(),
        Arc::new(Observed {
            key,
            spec,
            labels,
            generation: 0,
            uid: String::new(),
            origin: Origin::Kubernetes,
        }),
    )
}

fn targets(spec: &Spec) -> impl Iterator<Item = &Target> {
    let (backend, route) = match spec {
        Spec::Backend(backend) => (Some(&**backend), None),
        Spec::Route(route) => (None, Some(route)),
        _ => (None, None),
    };
    let inline = route.into_iter().flat_map(|route| &route.backends).filter_map(|one| one.inline.as_ref());
    backend.into_iter().chain(inline).flat_map(|backend| &backend.targets)
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
