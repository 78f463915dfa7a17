//! The port that a platform gives a process, as Heroku and Clever Cloud do.

use std::collections::BTreeMap;

use serde_json::Value;

use super::sources::{SettingsError, put};

pub(super) const VARIABLE: &str = "PORT";

/// Where the one port of a leader is written, and that of traffic elsewhere; as `http.port` means it.
const LEADER: &str = "admin.port";
const TRAFFIC: &str = "listeners.0.port";

/// Who reaches only that port asks there whether the process is ready.
const READINESS: &str = "proxy.readiness";

/// The port counts where nothing else says it: it is of the platform, and all that is ours is meant.
pub(super) fn take(
    tree: &mut Value,
    places: &mut BTreeMap<String, String>,
    port: &str,
    is_leader: bool,
) -> Result<(), SettingsError> {
    let key = if is_leader { LEADER } else { TRAFFIC };
    if !tree.pointer(&format!("/{}", key.replace('.', "/"))).is_none_or(Value::is_null) {
        return Ok(());
    }
    let port: u16 = port.parse().ok().filter(|port| *port > 0).ok_or_else(|| {
        let message = format!("{port:?} isn't a port: a number from 1 to 65535 is");
        SettingsError::Value { key: VARIABLE.to_owned(), message }
    })?;
    let is_silent = is_leader || places.contains_key(READINESS);
    let said = [(key, Value::from(port)), (READINESS, Value::from(true))];
    for (key, value) in said.into_iter().take(if is_silent { 1 } else { 2 }) {
        places.insert(key.to_owned(), VARIABLE.to_owned());
        put(tree, VARIABLE, key, value)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::args::RunArguments;
    use crate::settings::{Mode, load, show};

    fn of(mode: Mode, set: &[&str], file: &str, port: &str) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("settings.yaml");
        std::fs::write(&config, file).unwrap();
        let set = set.iter().map(ToString::to_string).collect();
        let arguments =
            RunArguments { mode: Some(mode), config: Some(config), set, ..RunArguments::default() };
        let loaded = load(&arguments, [("PORT".to_owned(), port.to_owned())]);
        loaded.map(|loaded| show(&loaded)).map_err(|error| error.to_string())
    }

    /// The value and the place of a key.
    fn line(shown: &str, key: &str) -> (String, String) {
        let line = shown.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = ")).unwrap();
        let (value, place) = line.split_once("  # ").unwrap();
        (value.trim().to_owned(), place.to_owned())
    }

    #[test]
    fn it_is_that_of_traffic_and_on_a_leader_the_only_one() {
        for mode in [Mode::Off, Mode::Worker] {
            let shown = of(mode, &[], "{}", "5000").unwrap();
            let (listeners, place) = line(&shown, "listeners");
            assert!(listeners.contains("\"port\":5000") && place == "PORT", "{listeners} {place}");
            assert_eq!(line(&shown, "proxy.readiness"), ("true".to_owned(), "PORT".to_owned()));
            assert_eq!(line(&shown, "admin.port"), ("none".to_owned(), "default".to_owned()));
        }
        let shown = of(Mode::Leader, &[], "{}", "5000").unwrap();
        assert_eq!(line(&shown, "admin.port"), ("5000".to_owned(), "PORT".to_owned()));
        assert_eq!(line(&shown, "listeners").1, "default");
        assert_eq!(line(&shown, "proxy.readiness").1, "default");
    }

    #[test]
    fn all_else_wins_over_it() {
        let port = |set: &[&str], file| line(&of(Mode::Worker, set, file, "5000").unwrap(), "listeners").0;
        assert!(port(&["http.port=1"], "{}").contains("\"port\":1,"));
        assert!(port(&[], "listeners: [{port: 2}]").contains("\"port\":2,"));
        assert!(port(&[], "listeners: [{name: a}]").contains("\"port\":5000,"), "nothing is said");
        let shown = of(Mode::Leader, &[], "{admin: {port: 3}}", "no port").unwrap();
        assert_eq!(line(&shown, "admin.port").0, "3");
        let shown = of(Mode::Off, &["proxy.readiness=false"], "{}", "5000").unwrap();
        assert_eq!(line(&shown, "proxy.readiness").0, "false");
    }

    #[test]
    fn what_is_no_port_is_refused_by_its_name() {
        for port in ["", "0", "65536", "tcp://10.0.0.1:80"] {
            let error = of(Mode::Off, &[], "{}", port).unwrap_err();
            assert!(error.contains("PORT") && error.contains("1 to 65535"), "{error}");
        }
    }
}
