use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::Value;

use super::Space;
use super::kubernetes::{Kubernetes, must};
use crate::process::request_at;

/// Where faults are chosen, in the network of the control plane.
const CONTROL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 6445);

/// What is wrong with lists; see `e2e/cluster/faulty_apiserver.py`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListFault {
    None,
    /// Every second one fails.
    Half,
    /// Those of Routes have none.
    NoRoutes,
}

/// An API server with faults in front of the real one, for pods that are pointed at it. It ends when it is dropped.
pub struct FaultyApiserver(());

impl FaultyApiserver {
    /// What pods have to have in `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT`.
    pub const PLACE: (&'static str, &'static str) = ("10.99.0.1", "6444");

    /// Starts it, without a fault.
    pub fn start(_: &Kubernetes) -> anyhow::Result<Self> {
        must("faulty-apiserver", "", &["start"])?;
        Ok(Self(()))
    }

    /// From now on lists have this fault. All watches end, and every client has to list anew.
    pub fn choose(&self, fault: ListFault) -> anyhow::Result<()> {
        let name = match fault {
            ListFault::None => "none",
            ListFault::Half => "half-lists",
            ListFault::NoRoutes => "no-routes",
        };
        control("POST", &format!("/{name}")).map(|_| ())
    }

    /// How often something has happened since the last choice: `lists`, and of them `refused`, `cut`, `emptied`; of Routes
    /// `routes_lists` and `routes_faults`.
    pub fn count(&self, what: &str) -> anyhow::Result<u64> {
        Ok(number(&control("GET", "/")?, what).unwrap_or_default())
    }

    /// Waits until every list that was watched has been read anew since the last choice.
    pub fn listed_anew(&self, limit: Duration) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let told = control("GET", "/")?;
            if number(&told, "awaited") == Some(0) {
                return Ok(());
            }
            ensure!(begun.elapsed() < limit, "not all lists have been read anew within {limit:?}: {told}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for FaultyApiserver {
    fn drop(&mut self) {
        if let Err(error) = must("faulty-apiserver", "", &["stop"]) {
            eprintln!("{error:#}");
        }
    }
}

fn number(told: &Value, what: &str) -> Option<u64> {
    told.get(what).and_then(Value::as_u64)
}

fn control(method: &str, path: &str) -> anyhow::Result<Value> {
    let answer = Space::ControlPlane.within(|| request_at(CONTROL, method, path, &[], ""))??;
    ensure!(answer.status == 200, "{method} {path}: {answer:?}");
    Ok(answer.json())
}
