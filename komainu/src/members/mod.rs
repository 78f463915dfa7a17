//! `komainu members`: a leader's list of members, for people and scripts.

mod table;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use dataplane_proxy::worker::{LeaderUrl, WorkerSettings, ask};
use http::{Method, StatusCode};
use serde_json::Value;

use crate::args::{LeaderArguments, MembersArguments, MembersCommand, Output, RunArguments};
use crate::modes::certificates;
use crate::settings::Settings;
use crate::{credentials, settings};

const MEMBERS: &str = "/api/cluster/members";

/// How long connecting to the leader and its answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn run(arguments: &MembersArguments) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // What watches the files of certificates runs beside.
    let _inside = runtime.enter();
    let leader = Leader::of(&arguments.leader)?;
    match &arguments.command {
        None => {
            let body = runtime.block_on(leader.members())?;
            let mut text = match arguments.output {
                Output::Json => serde_json::to_string_pretty(&body)?,
                Output::Table => table::of(body.as_array().map_or(&[], Vec::as_slice)),
            };
            text.push('\n');
            std::io::stdout().write_all(text.as_bytes())?;
        }
        Some(MembersCommand::Forget { members }) => {
            let list = runtime.block_on(leader.members())?;
            // All or none: a misspelt name is found before anybody is forgotten.
            let ids = members.iter().map(|text| find(&list, text)).collect::<anyhow::Result<Vec<_>>>()?;
            for id in ids {
                runtime.block_on(leader.forget(&id))?;
                writeln!(std::io::stdout(), "{id} is forgotten")?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The leader that is spoken to.
struct Leader {
    url: LeaderUrl,
    settings: WorkerSettings,
}

impl Leader {
    fn of(arguments: &LeaderArguments) -> anyhow::Result<Self> {
        let LeaderArguments { leader, config, set } = arguments;
        let arguments = RunArguments { config: config.clone(), set: set.clone(), ..RunArguments::default() };
        let settings = settings::load(&arguments, crate::variables())?.settings;
        let url = url(leader.as_deref(), &settings)?;
        let credentials = credentials::known(&settings.cluster.leader, &settings.data_directory)?;
        let mut worker = WorkerSettings::new(
            vec![url.clone()],
            credentials.id,
            credentials.secret,
            "komainu-members".to_owned(),
        );
        if url.is_https() {
            worker.tls = Some(certificates::of_worker(&settings.cluster.mtls)?);
        }
        worker.host = settings.cluster.leader.host;
        (worker.connect_timeout, worker.answer_timeout) = (PATIENCE, PATIENCE);
        Ok(Self { url, settings: worker })
    }

    async fn members(&self) -> anyhow::Result<Value> {
        let (status, body) =
            ask(self.settings.clone(), &self.url, Method::GET, MEMBERS, Bytes::new()).await?;
        let url = &self.url;
        match status {
            StatusCode::OK => serde_json::from_slice(&body)
                .with_context(|| format!("{url} answered what isn't a list of members")),
            StatusCode::UNAUTHORIZED => anyhow::bail!(
                "{url} doesn't accept the client id and secret: set cluster.leader.clientId and \
                 cluster.leader.clientSecret as on the leader"
            ),
            StatusCode::FORBIDDEN => anyhow::bail!(
                "{url} only answers who shows a client certificate: set cluster.mtls.enabled and cluster.mtls.certs as \
                 on a worker"
            ),
            status => anyhow::bail!("{url} answered {status}: is it a leader?"),
        }
    }

    async fn forget(&self, id: &str) -> anyhow::Result<()> {
        let path = format!("{MEMBERS}/{id}");
        let (status, _) = ask(self.settings.clone(), &self.url, Method::DELETE, &path, Bytes::new()).await?;
        // One that went away meanwhile is forgotten, too.
        let done = status.is_success() || status == StatusCode::NOT_FOUND;
        anyhow::ensure!(done, "{} answered {status} when it was to forget {id}", self.url);
        Ok(())
    }
}

fn url(written: Option<&str>, settings: &Settings) -> anyhow::Result<LeaderUrl> {
    match (written, settings.cluster.leader.urls.first()) {
        (Some(text), _) => text.parse().context("--leader"),
        (None, Some(text)) => text.parse().context("setting cluster.leader.urls"),
        (None, None) => {
            // A worker's own port is no leader's.
            let scheme = if settings.admin.tls.certificate.is_some() { "https" } else { "http" };
            let text = format!("{scheme}://127.0.0.1:{}", settings.admin.port.unwrap_or(9000));
            Ok(text.parse()?)
        }
    }
}

/// The id of the worker that is meant.
fn find(list: &Value, text: &str) -> anyhow::Result<String> {
    let of = |member: &Value, field: &str| {
        member.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let workers = list.as_array().map_or(&[][..], Vec::as_slice);
    let workers: Vec<_> = workers.iter().filter(|member| of(member, "role") != "leader").collect();
    if workers.iter().any(|member| of(member, "id") == text) {
        return Ok(text.to_owned());
    }
    let named: Vec<_> = workers.iter().filter(|member| of(member, "name") == text).collect();
    match named.as_slice() {
        [] => anyhow::bail!("there is no worker {text:?}; `komainu members` lists them"),
        [member] => Ok(of(member, "id")),
        several => {
            let ids: Vec<_> = several.iter().map(|member| of(member, "id")).collect();
            anyhow::bail!("{} workers are named {text:?}: give an id, {}", ids.len(), ids.join(" or "))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_worker_is_meant_by_its_id_or_its_only_name() {
        let list = json!([
            {"role": "leader", "id": "l", "name": "chief"},
            {"role": "worker", "id": "a", "name": "edge"},
            {"role": "worker", "id": "b", "name": "twin"},
            {"role": "worker", "id": "c", "name": "twin"},
        ]);
        assert_eq!(find(&list, "edge").unwrap(), "a");
        assert_eq!(find(&list, "c").unwrap(), "c");
        let error = |text| find(&list, text).unwrap_err().to_string();
        assert!(
            error("twin").ends_with("2 workers are named \"twin\": give an id, b or c"),
            "{}",
            error("twin")
        );
        assert!(error("nobody").contains("no worker \"nobody\""));
        assert!(error("chief").contains("no worker"), "a leader isn't waited for");
    }

    #[test]
    fn the_leader_is_the_written_one_or_that_of_the_settings_or_near() {
        let of = |leader: Option<&str>, set: &[&str]| {
            let set = set.iter().map(ToString::to_string).collect();
            let arguments = RunArguments { set, ..RunArguments::default() };
            url(leader, &settings::load(&arguments, []).unwrap().settings).map(|url| url.to_string())
        };
        let set = ["cluster.leader.urls.0=http://b:2"];
        assert_eq!(of(Some("http://a:1"), &set).unwrap(), "http://a:1");
        assert_eq!(of(None, &set).unwrap(), "http://b:2");
        assert_eq!(of(None, &[]).unwrap(), "http://127.0.0.1:9000");
        assert_eq!(of(None, &["admin.port=7"]).unwrap(), "http://127.0.0.1:7");
        assert!(of(Some("nowhere"), &set).unwrap_err().to_string().contains("--leader"));
    }
}
