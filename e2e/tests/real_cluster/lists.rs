//! What leaders make of lists that fail, and of one that lacks everything, while clients ask on.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use e2e::cluster::{FaultyApiserver, Helm, ListFault};
use e2e::process::figure;

use crate::chaos::{LEADERS, PATHS, programmed_anew, served_on, under_load, unnoticed};
use crate::site::{NAMESPACE, Site, get};
use crate::truth::{route_to_hello, transitions};

/// From an edit to Programmed while every second list fails. The pause after a failure is 0.2 s and doubles, so this is seven
/// failures in a row, and the next list: chance hardly ever does that.
const PROGRAMMED_WITHIN: Duration = Duration::from_secs(30);
/// Until everything is listed anew: that of the workers' pods pauses for up to 30 s.
const LISTED_WITHIN: Duration = Duration::from_secs(90);
/// Three of four times one of two leaders' lists of Routes fails in the first resync.
const RESYNCS: usize = 10;

/// How long a list that lacks most isn't believed. Within this time the fault has to be over.
const DOUBTED: Duration = Duration::from_secs(30);
/// Routes that a list has to lack, so that it isn't believed: with fewer than ten it would be.
const MANY: usize = 12;

/// Does this with leaders that reach the API server through one with faults, and lets them go back.
fn through_faults(
    site: &Site,
    doing: impl FnOnce(&FaultyApiserver) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let faults = FaultyApiserver::start(&site.kubernetes)?;
    let (host, port) = FaultyApiserver::PLACE;
    let variable = |name, value| format!(r#"{{"name":"KUBERNETES_SERVICE_{name}","value":"{value}"}}"#);
    let variables = format!("leader.extraEnv=[{},{}]", variable("HOST", host), variable("PORT", port));
    let done = site.install(&Helm::chart(), &["--set-json", &variables]).and_then(|()| {
        ensure!(faults.count("routes_lists")? >= 2, "both leaders list what there is through it");
        doing(&faults)
    });
    if done.is_err() {
        // The pods that know why are about to go.
        site.explain();
    }
    done.and(site.install(&Helm::chart(), &["--reset-values"]))
}

pub(crate) fn half_of_the_lists_fail_on_a_resync(site: &Site) -> anyhow::Result<()> {
    through_faults(site, |faults| {
        let before = transitions(site)?;
        unnoticed(site, "lists_fail", || {
            let slowest = resync_until_routes_failed(site, faults)?;
            figure("lists_fail_programmed_s", format_args!("{:.1}", slowest.as_secs_f64()));
            ensure!(slowest <= PROGRAMMED_WITHIN, "{slowest:?} from an edit to Programmed");
            faults.choose(ListFault::None)?;
            faults.listed_anew(LISTED_WITHIN)
        })?;
        let after = transitions(site)?;
        ensure!(before == after, "{before:?} became {after:?}");
        Ok(())
    })
}

/// Lists anew until a list was refused, another one cut off, and one of them of Routes. Each time a new Route comes, too: how
/// long it took at most until all workers had it.
fn resync_until_routes_failed(site: &Site, faults: &FaultyApiserver) -> anyhow::Result<Duration> {
    let mut slowest = Duration::ZERO;
    for number in 0..RESYNCS {
        faults.choose(ListFault::Half)?;
        let begun = Instant::now();
        programmed_anew(site, &format!("resync-{number}"))?;
        slowest = slowest.max(begun.elapsed());
        faults.listed_anew(LISTED_WITHIN)?;
        if faults.count("refused")? > 0 && faults.count("cut")? > 0 && faults.count("routes_faults")? > 0 {
            return Ok(slowest);
        }
    }
    bail!("in {RESYNCS} resyncs no list of Routes failed")
}

pub(crate) fn all_routes_are_gone_from_one_list(site: &Site) -> anyhow::Result<()> {
    let names: Vec<_> = (0..MANY).map(|number| format!("held-{number:02}")).collect();
    let routes: Vec<_> = names.iter().map(|name| route_to_hello(name)).collect();
    site.kubernetes.apply(&routes.concat())?;
    let objects: Vec<_> = names.iter().map(|name| format!("route/{name}")).collect();
    let objects: Vec<_> = objects.iter().map(String::as_str).collect();
    let wait = ["wait", "--for=condition=Programmed", "--timeout=60s"];
    site.kubernetes.kubectl(&[&wait[..], &objects].concat())?;

    let own: Vec<_> = names.iter().map(|name| format!("/{name}")).collect();
    let paths: Vec<_> = own.iter().map(String::as_str).chain(PATHS).collect();
    through_faults(site, |faults| {
        let before = transitions(site)?;
        under_load(site, "routes_gone", &paths, |load| {
            let begun = Instant::now();
            faults.choose(ListFault::NoRoutes)?;
            faults.listed_anew(LISTED_WITHIN)?;
            let emptied = faults.count("emptied")?;
            doubted_by_all_leaders(site)?;
            // What is served since then is made of a view that was told after that list.
            programmed_anew(site, "while-held")?;
            served_by_both(site, &paths)?;
            let took = begun.elapsed();
            figure("routes_gone_emptied", emptied);
            ensure!(emptied >= 2 && took < DOUBTED, "{emptied} lists were empty, for {took:?}");

            faults.choose(ListFault::None)?;
            faults.listed_anew(LISTED_WITHIN)?;
            // By then the second list would be due, and be the end of what it lacks.
            while begun.elapsed() < DOUBTED + Duration::from_secs(5) {
                served_on(load, 10)?;
            }
            // Nobody asks for it who believes that all are there: each leader listed them once, when the fault was over.
            let leaders = u64::try_from(site.pods(LEADERS)?.len())?;
            let lists = faults.count("routes_lists")?;
            ensure!(lists == leaders, "{leaders} leaders listed Routes {lists} times: they doubt yet");
            served_by_both(site, &paths)
        })?;
        let after = transitions(site)?;
        ensure!(before == after, "{before:?} became {after:?}");
        Ok(())
    })?;
    site.kubernetes.kubectl(&[&["delete"][..], &objects].concat()).map(|_| ())
}

/// Waits until each leader's log says that what the list lacks is kept.
fn doubted_by_all_leaders(site: &Site) -> anyhow::Result<()> {
    for leader in site.pods(LEADERS)? {
        let name = leader["metadata"]["name"].as_str().context("a leader's name")?;
        let log = ["logs", name, "--namespace", NAMESPACE];
        let is_said = |text: &str| text.contains("a new list lacks more than half of the routes");
        site.kubernetes.until(DOUBTED, &log, is_said)?;
    }
    Ok(())
}

/// At once: nothing is waited for.
fn served_by_both(site: &Site, paths: &[&str]) -> anyhow::Result<()> {
    for worker in site.workers()? {
        for path in paths {
            let answer = get(worker.listens(), path)?;
            ensure!(answer.status == 200, "{} {path}: {answer:?}", worker.pod);
        }
    }
    Ok(())
}
