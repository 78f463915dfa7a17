//! The whole as users have it: the image and the chart in a real cluster of two nodes.
//!
//! The scenarios run one after the other in one cluster, each by its name:  cargo test --test real_cluster -- scale
//! Those of an upgrade run if they are named, or with UPGRADE=1.
//! KEEP_CLUSTER=1 leaves the cluster as it is at the end; look at it with e2e/cluster/kubectl.
#![expect(clippy::print_stdout, reason = "it prints what a test harness prints")]

mod chaos;
mod install;
mod lists;
mod scale;
mod site;
mod truth;
mod upgrade;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use site::Site;

type Scenario = fn(&Site) -> anyhow::Result<()>;

macro_rules! scenarios {
    ($($module:ident::$name:ident),* $(,)?) => { &[$((concat!(stringify!($module), "::", stringify!($name)), $module::$name)),*] };
}

/// In this order, as one may leave behind what the next one needs.
const SCENARIOS: &[(&str, Scenario)] = scenarios![
    install::examples_are_ready_and_served_by_both_workers,
    install::names_of_services_resolve_in_the_image,
    install::workers_know_the_zones_of_their_nodes,
    install::all_members_are_green,
    scale::health_follows_a_deployment_to_nothing_and_back,
    truth::a_worker_that_is_cut_off_is_waited_for_and_named,
    truth::scaling_workers_flips_nothing,
    truth::each_mistake_shows_its_reason_and_disturbs_nothing,
    chaos::the_holder_of_the_lease_is_killed,
    chaos::all_leaders_are_killed,
    chaos::the_api_server_is_away_and_workers_start,
    chaos::the_workers_are_rolled,
    chaos::a_backend_of_twenty_pods_is_rolled,
    chaos::the_secret_of_the_credentials_is_deleted,
    lists::half_of_the_lists_fail_on_a_resync,
    lists::all_routes_are_gone_from_one_list,
    upgrade::from_an_earlier_commit,
];

/// Builds another version first, and begins anew with it.
const BY_DEMAND: &str = "upgrade::";

fn main() -> ExitCode {
    let asked: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_list = std::env::args().any(|argument| argument == "--list");
    let has_all = std::env::var_os("UPGRADE").is_some();
    let is_asked = |name: &str| {
        let is_for_all = asked.is_empty() && (has_all || !name.starts_with(BY_DEMAND));
        is_for_all || asked.iter().any(|text| name.contains(text.as_str()))
    };
    let chosen: Vec<_> = SCENARIOS.iter().filter(|(name, _)| is_asked(name)).collect();
    if is_list {
        chosen.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} tests", chosen.len());
    if chosen.is_empty() {
        println!("\ntest result: ok. 0 passed; 0 failed");
        return ExitCode::SUCCESS;
    }
    let site = match Site::start() {
        Ok(site) => site,
        Err(error) => {
            println!("no cluster: {error:#}\n\ntest result: FAILED. 0 passed; {} failed", chosen.len());
            return ExitCode::FAILURE;
        }
    };
    let mut failed = 0;
    for (name, scenario) in &chosen {
        let begun = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| scenario(&site)));
        let seconds = begun.elapsed().as_secs_f32();
        match result {
            Ok(Ok(())) => println!("test {name} ... ok ({seconds:.1} s)"),
            Ok(Err(error)) => {
                failed += 1;
                println!("test {name} ... FAILED ({seconds:.1} s): {error:#}");
                site.explain();
            }
            Err(_) => {
                failed += 1;
                println!("test {name} ... FAILED ({seconds:.1} s)");
                site.explain();
            }
        }
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {word}. {} passed; {failed} failed", chosen.len() - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
