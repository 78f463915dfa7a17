mod hostile;
mod incremental;
mod oracle;
mod passwords;
mod rules;
mod tls;

use dataplane_snapshot::Object;

use super::*;
use crate::sample::{self, Head};

fn compile(objects: impl IntoIterator<Item = Object>) -> Compiled {
    let fixed = sample::backend("b").into_iter().chain([sample::listener("http"), sample::listener("other")]);
    let served = sample::served(fixed.chain(objects));
    Router::compile(&served, None, &BackendStates::new())
}

fn router(objects: impl IntoIterator<Item = Object>) -> Router {
    let Compiled { router, rejected } = compile(objects);
    assert_eq!(rejected, []);
    router
}

/// The name of the route that a request goes to, with the reason if it is held; `-` for none.
fn goes_to(router: &Router, head: &Head) -> String {
    goes_from(router, "http", head)
}

fn goes_from(router: &Router, listener: &str, head: &Head) -> String {
    match router.route(router.listener_id(listener).unwrap(), head) {
        Decision::Found(matched) => matched.route.key.name().to_owned(),
        Decision::Held { route, backend: None, reason } => format!("{}: {reason}", route.key.name()),
        Decision::Held { route, backend: Some(backend), reason } => {
            format!("{} by {}: {reason}", route.key.name(), backend.name())
        }
        Decision::Answered(answered) => format!("{} answers", answered.route.key.name()),
        Decision::NotFound => "-".to_owned(),
    }
}
