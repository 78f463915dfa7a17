use dataplane_snapshot::Key;

use crate::expression::Scope;
use crate::{
    Choice, CompiledBackend, CompiledDestination, CompiledRoute, CompiledTarget, PathPattern, RequestHead,
    RewriteError,
};

/// What becomes of a request.
#[derive(Clone, Copy, Debug)]
pub enum Decision<'r> {
    Found(Matched<'r>),
    /// A route is meant that can't be served: 503 with the reason.
    Held {
        route: &'r Key,
        /// The one that can't be served, if it is the backend's fault.
        backend: Option<&'r Key>,
        reason: &'r str,
    },
    NotFound,
}

/// The route of a request and where the request goes.
#[derive(Clone, Copy, Debug)]
pub struct Matched<'r> {
    pub route: &'r CompiledRoute,
    /// The path pattern that matched.
    pub pattern: &'r PathPattern,
    pub destination: &'r CompiledDestination,
    pub backend: &'r CompiledBackend,
}

impl<'r> Matched<'r> {
    /// The target to send the request to next; `None` if the backend has none that takes it (503).
    pub fn pick<H: RequestHead>(&self, choice: &Choice<'_, H>) -> Option<&'r CompiledTarget> {
        self.backend.pick(choice)
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
