//! Leaders that hand on what their workers say to the one that has to know all of it.

use std::sync::Arc;
use std::time::Duration;

use dataplane_proxy::worker::{LeaderUrl, WorkerSettings, ask};
use http::Method;
use operator_server::cluster::{Cluster, SendRelay};
use operator_store::{Candidate, Held, StateStore};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::certificates;
use crate::settings::Settings;
use crate::shutdown;

/// How long a leader may take to connect to another one, and to answer it.
const PATIENCE: Duration = Duration::from_secs(2);

/// What only one of the leaders with one store does: it knows what the workers of all say.
const JOB: &str = "collector";
/// How long a collector that is silent is waited for, and how often it asks to stay it.
const HOLD: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(2));

/// Of leaders that have one store and no Lease of Kubernetes, makes one the collector and lets the others hand on to it what
/// their workers say, until a stop is asked for.
pub(super) async fn collect(
    settings: Settings,
    store: Arc<dyn StateStore>,
    cluster: Arc<Cluster>,
    send: SendRelay,
    stop: watch::Receiver<bool>,
) {
    let me = Candidate { id: uuid::Uuid::new_v4().to_string(), url: own_url(&settings).unwrap_or_default() };
    if me.url.is_empty() {
        tracing::warn!(
            "the other leaders on this store don't know where this one is, so what their workers say isn't shown here: give the \
             setting cluster.leader.advertisedUrl"
        );
    }
    let is_known = is_known(&settings);
    if !is_known {
        tracing::warn!(
            "the other leaders on this store don't know this one, so what its workers say is only shown here: give all of them the \
             same cluster.leader.clientId and cluster.leader.clientSecret"
        );
    }
    let (found, collector) = watch::channel(None);
    tokio::spawn(cluster.relay(collector, send));
    let mut stop = std::pin::pin!(shutdown::asked(stop));
    let mut known = None;
    loop {
        let begin = Instant::now();
        let held = tokio::select! {
            held = store.hold(JOB, &me, HOLD.0) => held,
            () = &mut stop => break,
        };
        match held {
            Ok(held) => {
                if known.as_ref().map(|held: &Held| held.term) != Some(held.term) {
                    let Held { is_me, url, term } = &held;
                    tracing::info!(
                        is_me,
                        url,
                        term,
                        "the leader that collects what workers of all leaders say"
                    );
                    if !is_me && !url.is_empty() && elsewhere(&held, &me).is_none() {
                        tracing::warn!(
                            url,
                            "no other leader can be there, so what workers say isn't handed on: give each leader on this store the \
                             setting cluster.leader.advertisedUrl"
                        );
                    }
                }
                let other = elsewhere(&held, &me).filter(|_| is_known);
                found.send_if_modified(|url| {
                    let changed = *url != other;
                    *url = other;
                    changed
                });
                known = Some(held);
            }
            // Whoever collected goes on: nothing that is wrong can come of two for a while.
            Err(error) => tracing::debug!(%error, "who collects what workers say can't be read"),
        }
        tokio::select! {
            () = sleep(HOLD.1.saturating_sub(begin.elapsed())) => {}
            () = &mut stop => break,
        }
    }
    if !matches!(timeout(PATIENCE, store.release(JOB, &me.id)).await, Ok(Ok(()))) {
        tracing::debug!("the next collector has to wait");
    }
}

/// Where the collector is, if it is another leader. At a URL of this one, or of this machine for one that isn't on it, it isn't.
fn elsewhere(held: &Held, me: &Candidate) -> Option<String> {
    let is_local = |url: &str| url.parse().is_ok_and(|url: LeaderUrl| url.is_loopback());
    let is_mistaken = held.url == me.url || is_local(&held.url) && !is_local(&me.url);
    (!held.is_me && !held.url.is_empty() && !is_mistaken).then(|| held.url.clone())
}

/// Whether this leader has something to be known by to others.
fn is_known(settings: &Settings) -> bool {
    let (leader, mtls) = (&settings.cluster.leader, &settings.cluster.mtls);
    leader.client_id.is_some() || leader.token_file.is_some() || mtls.enabled
}

/// Where other leaders find this one: as it says itself, or where it listens, if that is one address.
fn own_url(settings: &Settings) -> Option<String> {
    let advertised = settings.cluster.leader.advertised_url.clone();
    advertised.or_else(|| {
        let address = &settings.admin.address;
        let is_one = address.parse::<std::net::IpAddr>().is_ok_and(|address| !address.is_unspecified());
        let scheme = if settings.admin.tls.certificate.is_some() { "https" } else { "http" };
        let address = if address.contains(':') { format!("[{address}]") } else { address.clone() };
        is_one.then(|| format!("{scheme}://{address}:{}", settings.admin_port()))
    })
}

/// How leaders call each other: as workers call them, with the token of a leader's pod or with the client id and secret.
pub(super) fn send_relay(settings: &Settings) -> anyhow::Result<SendRelay> {
    send_to(settings, "/api/cluster/relay")
}

/// By POST to this path.
pub(super) fn send_to(settings: &Settings, path: &'static str) -> anyhow::Result<SendRelay> {
    let leader = &settings.cluster.leader;
    // A pair that this leader made for itself is none of another one's.
    let (id, secret) = (leader.client_id.clone(), leader.client_secret.clone());
    let mut caller = WorkerSettings::new(
        Vec::new(),
        id.unwrap_or_default(),
        secret.unwrap_or_default(),
        "leader".to_owned(),
    );
    caller.token_file.clone_from(&leader.token_file);
    caller.tls = Some(certificates::of_worker(&settings.cluster.mtls)?);
    (caller.connect_timeout, caller.answer_timeout) = (PATIENCE, PATIENCE);
    Ok(Arc::new(move |url: String, body| {
        let caller = caller.clone();
        Box::pin(async move {
            let url: LeaderUrl = url.parse().map_err(|error| format!("{error}"))?;
            let asked = ask(caller, &url, Method::POST, path, body).await;
            match asked.map_err(|error| error.to_string())? {
                (status, body) if status.is_success() => Ok(body),
                (status, _) => Err(format!("it answered {status}")),
            }
        })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::RunArguments;

    #[test]
    fn nobody_hands_on_to_itself() {
        let me = Candidate { id: "a".to_owned(), url: "http://127.0.0.1:9000".to_owned() };
        let held = |is_me, url: &str| elsewhere(&Held { is_me, url: url.to_owned(), term: 1 }, &me);
        assert_eq!(held(false, "http://10.0.0.2:9000"), Some("http://10.0.0.2:9000".to_owned()));
        assert_eq!([held(true, &me.url), held(false, &me.url), held(false, "")], [None, None, None]);
        let here = held(false, "http://127.0.0.1:9010");
        assert_eq!(here, Some("http://127.0.0.1:9010".to_owned()), "both are on one machine");
        let me = Candidate { url: "http://10.0.0.1:9000".to_owned(), ..me };
        let held = Held { is_me: false, url: "http://127.0.0.1:9000".to_owned(), term: 1 };
        assert_eq!(elsewhere(&held, &me), None, "it would be this one");
    }

    #[test]
    fn a_leader_is_where_it_listens_unless_it_says_otherwise() {
        let of = |set: &[&str]| {
            let set = set.iter().map(ToString::to_string).collect();
            let arguments = RunArguments { set, ..RunArguments::default() };
            own_url(&crate::settings::load(&arguments, []).unwrap().settings)
        };
        let url = |text: &str| Some(text.to_owned());
        assert_eq!(of(&[]), url("http://127.0.0.1:9000"));
        assert_eq!(of(&["admin.address=fd00::1", "admin.port=1"]), url("http://[fd00::1]:1"));
        assert_eq!(of(&["admin.tls.certificate=a", "admin.tls.key=b"]), url("https://127.0.0.1:9000"));
        assert_eq!(of(&["admin.address=0.0.0.0"]), None);
        let said = "cluster.leader.advertisedUrl=https://leader-1:9000";
        assert_eq!(of(&["admin.address=0.0.0.0", said]), url("https://leader-1:9000"));
    }
}
