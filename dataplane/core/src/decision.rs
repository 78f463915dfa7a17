use dataplane_snapshot::Key;

use crate::expression::Scope;
use crate::filter::Answer;
use crate::limit::ActiveLimits;
use crate::{
    Choice, CompiledBackend, CompiledDestination, CompiledRoute, CompiledTarget, Filters, PathPattern,
    RequestHead, RewriteError,
};

/// What becomes of a request.
#[derive(Clone, Copy, Debug)]
pub enum Decision<'r> {
    Found(Matched<'r>),
    /// The route's filters answer all its requests.
    Answered(Answered<'r>),
    /// A route is meant that can't be served: 503 with the reason.
    Held {
        route: &'r CompiledRoute,
        /// The one that can't be served, if it is the backend's fault.
        backend: Option<&'r Key>,
        reason: &'r str,
    },
    NotFound,
}

/// The route of a request that goes to no target.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'r> {
    pub route: &'r CompiledRoute,
    /// The path pattern that matched.
    pub pattern: &'r PathPattern,
    pub filters: &'r Filters,
    pub limits: Option<&'r ActiveLimits>,
    /// The filter that does.
    pub answer: &'r Answer,
}

/// The route of a request and where the request goes.
#[derive(Clone, Copy, Debug)]
pub struct Matched<'r> {
    pub route: &'r CompiledRoute,
    /// The path pattern that matched.
    pub pattern: &'r PathPattern,
    pub filters: Option<&'r Filters>,
    pub limits: Option<&'r ActiveLimits>,
    pub destination: &'r CompiledDestination,
    pub backend: &'r CompiledBackend,
}

impl<'r> Matched<'r> {
    /// The target to send the request to next; `None` if the backend has none that takes it (503).
    pub fn pick<H: RequestHead>(&self, choice: &Choice<'_, H>) -> Option<&'r CompiledTarget> {
        self.backend.pick(choice)
    }

    /// What is sent to `target` as `Host` instead of the client's. HTTP/1.0 knows requests without one.
    pub fn host<'t>(&self, target: &'t CompiledTarget, has_host: bool) -> Option<&'t str>
    where
        'r: 't,
    {
        let own = self.destination.override_host || !has_host;
        let given = self.filters.and_then(|filters| filters.host.as_deref());
        given.or_else(|| own.then_some(&*target.host_header))
    }

    /// The segment of the request's path at the parameter `name`.
    pub fn parameter<'p>(&self, path: &'p str, name: &str) -> Option<&'p str> {
        self.pattern.parameter(path, name)
    }

    /// Writes the path and query of the upstream request, in origin form (RFC 9112, 3.2.1), to the end of `out`, which
    /// is left as it was on an error. `head` is the request that was routed.
    pub fn write_target<H: RequestHead>(&self, head: &H, out: &mut Vec<u8>) -> Result<(), RewriteError> {
        let CompiledRoute { key, name, domains, metadata, .. } = self.route;
        let scope = Scope { key, name, domains, metadata, pattern: self.pattern };
        let rest = if self.destination.strip_path { self.pattern.rest(head.path()) } else { head.path() };
        self.backend.root.write(head, scope, rest, out)
    }
}
