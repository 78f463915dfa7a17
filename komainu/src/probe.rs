//! `komainu probe`: asks an address and says by its exit code whether it answers well, where there is no curl: in the image.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use dataplane_proxy::worker::{LeaderUrl, WorkerSettings, ask};
use http::Method;

use crate::args::{ProbeArguments, RunArguments};
use crate::modes::certificates;
use crate::settings;

/// How long connecting and the answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn run(arguments: &ProbeArguments) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // What watches the files of certificates runs beside.
    let _inside = runtime.enter();
    let ProbeArguments { url, config, set } = arguments;
    let arguments = RunArguments { config: config.clone(), set: set.clone(), ..RunArguments::default() };
    let settings = settings::load(&arguments, crate::variables())?.settings;
    let (server, path) = split(url);
    let server: LeaderUrl = server.parse().with_context(|| url.clone())?;
    let mut caller =
        WorkerSettings::new(Vec::new(), String::new(), String::new(), "komainu-probe".to_owned());
    if server.is_https() {
        caller.tls = Some(certificates::of_worker(&settings.cluster.mtls)?);
    }
    (caller.connect_timeout, caller.answer_timeout) = (PATIENCE, PATIENCE);
    let (status, body) = runtime.block_on(ask(caller, &server, Method::GET, path, Bytes::new()))?;
    anyhow::ensure!(
        status.is_success(),
        "{url} answered {status}: {}",
        String::from_utf8_lossy(&body).trim()
    );
    Ok(ExitCode::SUCCESS)
}

/// Scheme with host and port, and the path with what follows it.
fn split(url: &str) -> (&str, &str) {
    let authority = url.find("://").map_or(0, |scheme| scheme + 3);
    let rest = url.get(authority..).unwrap_or_default();
    match rest.find('/') {
        Some(path) => url.split_at_checked(authority + path).unwrap_or((url, "/")),
        None => (url, "/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_server_and_a_path() {
        assert_eq!(split("http://a:1/ready?x"), ("http://a:1", "/ready?x"));
        assert_eq!(split("https://a:1"), ("https://a:1", "/"));
        assert_eq!(split("a/b"), ("a", "/b"));
        assert_eq!(split(""), ("", "/"));
    }
}
