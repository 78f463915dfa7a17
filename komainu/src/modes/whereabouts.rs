//! Where this worker runs: as its settings say, and for what they leave open as a leader says of its node.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dataplane_core::Location;
use dataplane_proxy::worker::{Applier, OnLocation, ProxyService};
use dataplane_snapshot::wire::NetworkLocation;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::settings::Settings;

/// What leaders said is kept here, for a start without one: a target that is for this zone only is one then, too.
const FILE: &str = "location.json";

pub(super) struct Whereabouts {
    written: Location,
    told: watch::Sender<Location>,
    file: PathBuf,
}

/// What a leader can tell.
#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct Kept {
    region: String,
    zone: String,
}

impl Whereabouts {
    /// With what a leader told an earlier process, if there was one.
    pub(super) fn new(settings: &Settings) -> Arc<Self> {
        let file = settings.data_directory.join(FILE);
        Arc::new(Self { written: written(settings), told: watch::Sender::new(read(&file)), file })
    }

    pub(super) fn now(&self) -> Location {
        filled(self.written.clone(), &self.told.borrow())
    }

    pub(super) fn on_wire(&self) -> NetworkLocation {
        let Location { provider, region, zone, data_center, rack } = self.now();
        NetworkLocation { provider, region, zone, data_center, rack }
    }

    /// What becomes of what leaders tell: it counts at once for all that is compiled, and what is in service is compiled anew.
    pub(super) fn listen(self: &Arc<Self>, applier: &Arc<Applier<ProxyService>>) -> OnLocation {
        // Before anything is told, so that nothing is missed.
        let told = self.told.subscribe();
        tokio::spawn(follow(told, self.file.clone(), applier.clone()));
        let (whereabouts, applier) = (self.clone(), applier.clone());
        Arc::new(move |told| {
            let before = whereabouts.now();
            let is_new = whereabouts.told.send_if_modified(|known| {
                let is_new = *known != told;
                *known = told;
                is_new
            });
            let now = whereabouts.now();
            if is_new && now != before {
                tracing::info!(region = now.region, zone = now.zone, "a leader says where this worker runs");
                applier.service().states.set_location(now);
            }
        })
    }
}

async fn follow(mut told: watch::Receiver<Location>, file: PathBuf, applier: Arc<Applier<ProxyService>>) {
    while told.changed().await.is_ok() {
        let location = told.borrow_and_update().clone();
        let (path, applier) = (file.clone(), applier.clone());
        let done = spawn_blocking(move || {
            if let Err(error) = applier.renew() {
                tracing::error!(%error, "what is served can't be compiled for the new location");
            }
            write(&path, location)
        });
        if let Ok(Err(error)) = done.await {
            tracing::warn!(%error, file = %file.display(), "where this worker runs can't be kept");
        }
    }
}

fn written(settings: &Settings) -> Location {
    let location = settings.instance.location.clone();
    Location {
        provider: location.provider,
        region: location.region,
        zone: location.zone,
        data_center: location.data_center,
        rack: location.rack,
    }
}

/// The settings win, each for itself.
fn filled(mut written: Location, told: &Location) -> Location {
    for (own, told) in [(&mut written.region, &told.region), (&mut written.zone, &told.zone)] {
        if own.is_empty() {
            own.clone_from(told);
        }
    }
    written
}

/// Nothing, if the file isn't there or isn't what was written: a leader will tell.
fn read(file: &Path) -> Location {
    let kept = std::fs::read(file).ok().and_then(|text| serde_json::from_slice(&text).ok());
    let Kept { region, zone } = kept.unwrap_or_default();
    Location { region, zone, ..Location::default() }
}

fn write(file: &Path, Location { region, zone, .. }: Location) -> std::io::Result<()> {
    let text = serde_json::to_vec(&Kept { region, zone })?;
    // As a whole or not at all.
    let new = file.with_extension("new");
    std::fs::write(&new, text)?;
    std::fs::rename(&new, file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings;

    fn location(region: &str, zone: &str) -> Location {
        Location { region: region.to_owned(), zone: zone.to_owned(), ..Location::default() }
    }

    #[test]
    fn a_worker_knows_where_it_runs() {
        let location = settings::Location {
            provider: "p".to_owned(),
            region: "r".to_owned(),
            zone: "z".to_owned(),
            data_center: "d".to_owned(),
            rack: "k".to_owned(),
        };
        let settings = Settings { instance: settings::Instance { location }, ..Settings::default() };
        let expected = Location {
            provider: "p".to_owned(),
            region: "r".to_owned(),
            zone: "z".to_owned(),
            data_center: "d".to_owned(),
            rack: "k".to_owned(),
        };
        assert_eq!(written(&settings), expected);
    }

    #[test]
    fn the_settings_win_over_what_is_told() {
        assert_eq!(filled(location("", ""), &location("west", "west-1")), location("west", "west-1"));
        assert_eq!(filled(location("", "own"), &location("west", "west-1")), location("west", "own"));
        assert_eq!(filled(location("own", "own"), &Location::default()), location("own", "own"));
    }

    #[test]
    fn what_was_told_is_known_at_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        assert_eq!(read(&file), Location::default());
        write(&file, location("west", "west-1")).unwrap();
        assert_eq!(read(&file), location("west", "west-1"));
        std::fs::write(&file, "{").unwrap();
        assert_eq!(read(&file), Location::default());
    }
}
