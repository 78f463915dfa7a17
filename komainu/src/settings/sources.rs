use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::names::{self, NameError};
use super::{Mode, Settings, environment, platform};
use crate::args::RunArguments;

/// A setting that can't be used, with the place where it was written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error("{}: can't be read: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{}: {message}", path.display())]
    Syntax { path: PathBuf, message: String },
    #[error("--set {0}: write key=value, for instance admin.port=9000")]
    SetSyntax(String),
    #[error("{place}: {key} isn't a list position: write a number from 0 to {length}")]
    Index { place: String, key: String, length: usize },
    #[error("{place}: {source}")]
    Name { place: String, source: NameError },
    #[error("setting {key}: {message}")]
    Value { key: String, message: String },
}

/// The settings, and where each of them was written that isn't a default, by its key.
pub(crate) struct Loaded {
    pub(crate) settings: Settings,
    pub(crate) places: BTreeMap<String, String>,
}

/// One setting as it was written.
struct Written {
    place: String,
    key: String,
    value: Value,
}

/// Defaults, then the file, then the environment, then the command line; what comes later wins. A platform's port counts
/// where none of them has one.
pub(crate) fn load(
    arguments: &RunArguments,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Loaded, SettingsError> {
    let mut tree = to_value(&Settings::default());
    let known = leaf_keys(&tree);
    let mut places = BTreeMap::new();
    let file = arguments.config.as_deref().map(of_file).transpose()?.unwrap_or_default();
    let variables: Vec<_> = environment.into_iter().collect();
    let port = variables.iter().find_map(|(name, port)| (name == platform::VARIABLE).then(|| port.clone()));
    let sources = [file, of_environment(variables, &known)?, of_command_line(arguments)?];
    let is_leader = is_leader(arguments.mode, &sources);
    for source in sources {
        for Written { place, key, value } in resolve(source, is_leader, &known)? {
            put(&mut tree, &place, &key, value)?;
            places.insert(key, place);
        }
    }
    if let Some(port) = port {
        platform::take(&mut tree, &mut places, &port, is_leader)?;
    }
    let settings = serde_path_to_error::deserialize(tree).map_err(|error| SettingsError::Value {
        key: error.path().to_string(),
        message: error.into_inner().to_string(),
    })?;
    Ok(Loaded { settings, places })
}

/// Whether the process is to be a leader: some names mean something else there. The command says so, or else a setting.
fn is_leader(mode: Option<Mode>, sources: &[Vec<Written>]) -> bool {
    let is_mode = |written: &&Written| matches!(&*written.key, "cluster.mode" | "otoroshi.cluster.mode");
    let written = || sources.iter().flatten().rfind(is_mode).and_then(|written| written.value.as_str());
    mode.map_or_else(
        || written().is_some_and(|mode| mode.eq_ignore_ascii_case("leader")),
        |mode| mode == Mode::Leader,
    )
}

/// The keys by their one name. What a source says by several names of one setting ends with the one that Otoroshi prefers.
fn resolve(source: Vec<Written>, is_leader: bool, known: &[String]) -> Result<Vec<Written>, SettingsError> {
    let mut written = Vec::new();
    for Written { place, key, value } in source {
        let (key, rank) = names::resolve(&key, is_leader, known)
            .map_err(|source| SettingsError::Name { place: place.clone(), source })?;
        written.push((rank, Written { place, key, value }));
    }
    written.sort_by_key(|(rank, _)| *rank);
    Ok(written.into_iter().map(|(_, written)| written).collect())
}

fn of_file(path: &Path) -> Result<Vec<Written>, SettingsError> {
    let mut leaves = Vec::new();
    flatten(String::new(), read(path)?, &mut leaves);
    let place = path.display().to_string();
    Ok(leaves.into_iter().map(|(key, value)| Written { place: place.clone(), key, value }).collect())
}

fn of_environment(
    mut variables: Vec<(String, String)>,
    known: &[String],
) -> Result<Vec<Written>, SettingsError> {
    // In the order of list positions.
    variables.sort();
    let mut written = Vec::new();
    for (place, text) in variables {
        match environment::key_of(&place, &text, known) {
            None => {}
            Some(Ok(key)) => written.push(Written { place, key, value: Value::String(text) }),
            Some(Err(source)) => return Err(SettingsError::Name { place, source }),
        }
    }
    Ok(written)
}

fn of_command_line(arguments: &RunArguments) -> Result<Vec<Written>, SettingsError> {
    let option =
        |place: &str, key: &str, value| Written { place: place.to_owned(), key: key.to_owned(), value };
    let mut written = Vec::new();
    if let Some(folder) = &arguments.resources {
        let folder = Value::String(folder.to_string_lossy().into_owned());
        written.push(option("--resources", "resources", folder));
    }
    if arguments.kubernetes {
        written.push(option("--kubernetes", "kubernetes.enabled", Value::Bool(true)));
    }
    for assignment in &arguments.set {
        let (key, text) =
            assignment.split_once('=').ok_or_else(|| SettingsError::SetSyntax(assignment.clone()))?;
        written.push(option(&format!("--set {key}"), key, Value::String(text.to_owned())));
    }
    Ok(written)
}

/// The values of a tree with their dotted keys. A list is one value.
fn flatten(key: String, value: Value, into: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(fields) => {
            for (name, child) in fields {
                let key = if key.is_empty() { name } else { format!("{key}.{name}") };
                flatten(key, child, into);
            }
        }
        Value::Null => {}
        value => into.push((key, value)),
    }
}

pub(super) fn to_value(settings: &Settings) -> Value {
    serde_json::to_value(settings).unwrap_or_default()
}

fn read(path: &Path) -> Result<Value, SettingsError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
    let syntax = |message: String| SettingsError::Syntax { path: path.to_owned(), message };
    if path.extension().is_some_and(|extension| extension == "toml") {
        toml::from_str(&text).map_err(|error| syntax(error.to_string()))
    } else {
        serde_saphyr::from_str(&text).map_err(|error| syntax(error.to_string()))
    }
}

/// Puts a value at a dotted key; a number in it is a position in a list, which may grow by one.
pub(super) fn put(tree: &mut Value, place: &str, key: &str, value: Value) -> Result<(), SettingsError> {
    let mut node = tree;
    for part in key.split('.') {
        if node.is_null() {
            *node = if part.parse::<usize>().is_ok() {
                Value::Array(Vec::new())
            } else {
                Value::Object(serde_json::Map::new())
            };
        }
        node = match node {
            Value::Array(items) => {
                let length = items.len();
                let index = part.parse().ok().filter(|index: &usize| *index <= length).ok_or_else(|| {
                    SettingsError::Index { place: place.to_owned(), key: key.to_owned(), length }
                })?;
                if index == length {
                    items.push(Value::Null);
                }
                items.get_mut(index).ok_or_else(|| SettingsError::SetSyntax(key.to_owned()))?
            }
            Value::Object(fields) => fields.entry(part).or_insert(Value::Null),
            _ => {
                let message = "has no parts of its own".to_owned();
                return Err(SettingsError::Value { key: key.to_owned(), message });
            }
        };
    }
    // A list given as one text is separated by commas, as environment variables need it.
    *node = match (&*node, value) {
        (Value::Array(_), Value::String(text)) => {
            text.split(',').filter(|item| !item.is_empty()).map(Value::from).collect()
        }
        (_, value) => value,
    };
    Ok(())
}

/// The dotted keys of all settings but the fields of list items.
pub(super) fn leaf_keys(value: &Value) -> Vec<String> {
    let Value::Object(fields) = value else { return Vec::new() };
    fields
        .iter()
        .flat_map(|(name, child)| {
            let below = leaf_keys(child);
            if below.is_empty() {
                vec![name.clone()]
            } else {
                below.into_iter().map(|rest| format!("{name}.{rest}")).collect()
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Mode;

    fn load(
        arguments: &RunArguments,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Settings, SettingsError> {
        super::load(arguments, environment).map(|loaded| loaded.settings)
    }

    fn arguments(set: &[&str]) -> RunArguments {
        RunArguments {
            mode: None,
            config: None,
            resources: None,
            kubernetes: false,
            set: set.iter().map(ToString::to_string).collect(),
        }
    }

    fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    #[test]
    fn later_sources_win() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("settings.yaml");
        std::fs::write(&file, "admin: {port: 1}\nproxy: {threads: 2, drainTimeout: 5s}\n").unwrap();
        let mut arguments = arguments(&["admin.port=3"]);
        arguments.config = Some(file);
        let environment = variables(&[
            ("KOMAINU_ADMIN_PORT", "2"),
            ("KOMAINU_CLUSTER_LEADER_CLIENT_ID", "me"),
            ("PATH", "/bin"),
        ]);
        let settings = load(&arguments, environment).unwrap();
        assert_eq!(settings.admin.port, Some(3));
        assert_eq!(settings.proxy.threads, 2);
        assert_eq!(settings.proxy.drain_timeout, crate::settings::Millis(5_000));
        assert_eq!(settings.cluster.leader.client_id.as_deref(), Some("me"));
    }

    #[test]
    fn lists_by_position_and_by_comma() {
        let set = ["cluster.leader.urls.0=http://a", "cluster.leader.urls.1=http://b", "cluster.mode=worker"];
        let settings = load(&arguments(&set), []).unwrap();
        assert_eq!(settings.cluster.leader.urls, ["http://a", "http://b"]);
        assert_eq!(settings.cluster.mode, Mode::Worker);
        let environment = variables(&[("KOMAINU_CLUSTER_LEADER_URLS", "http://a,http://b")]);
        assert_eq!(load(&arguments(&[]), environment).unwrap().cluster.leader.urls, ["http://a", "http://b"]);
    }

    #[test]
    fn unknown_and_odd_settings_are_refused_by_name() {
        let message = |set: &str| load(&arguments(&[set]), []).unwrap_err().to_string();
        assert!(message("admin.prot=1").contains("admin.prot"), "{}", message("admin.prot=1"));
        assert!(message("listeners.5.port=1").contains("from 0 to 0"));
        assert!(message("admin.port=70000").contains("admin.port"));
        assert!(message("nonsense").contains("key=value"));
    }

    #[test]
    fn the_environment_knows_lists_and_refuses_what_is_no_setting() {
        let listeners =
            variables(&[("KOMAINU_LISTENERS_0_PORT", "8081"), ("KOMAINU_LISTENERS_0_NAME", "inner")]);
        let settings = load(&arguments(&[]), listeners).unwrap();
        assert_eq!((settings.listeners[0].port, settings.listeners[0].name.as_str()), (Some(8081), "inner"));
        let error = load(&arguments(&[]), variables(&[("KOMAINU_ADMIN_PROT", "1")])).unwrap_err().to_string();
        assert!(error.contains("KOMAINU_ADMIN_PROT"), "{error}");
    }

    #[test]
    fn a_secret_may_look_like_a_number_and_is_never_repeated() {
        let settings = load(&arguments(&["cluster.leader.clientSecret=0042"]), []).unwrap();
        assert_eq!(settings.cluster.leader.client_secret.as_deref(), Some("0042"));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("settings.yaml");
        std::fs::write(&file, "cluster: {leader: {clientSecret: 4242}}").unwrap();
        let arguments = RunArguments { config: Some(file), ..arguments(&[]) };
        let error = load(&arguments, []).unwrap_err().to_string();
        assert!(error.contains("clientSecret") && !error.contains("4242"), "{error}");
    }

    #[test]
    fn otoroshis_names_mean_ours_and_its_favourite_wins() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("settings.yaml");
        let text = "otoroshi: {cluster: {mode: Worker, worker: {timeout: 1500}, leader: {url: 'http://u', urls: ['http://a', 'http://b']}}}";
        std::fs::write(&file, text).unwrap();
        let settings = load(&RunArguments { config: Some(file), ..arguments(&[]) }, []).unwrap();
        assert_eq!(settings.cluster.mode, Mode::Worker);
        assert_eq!(settings.cluster.leader.urls, ["http://u"]);
        assert_eq!(settings.poll_timeout(), crate::settings::Millis(1_500));
        let set =
            ["cluster.leader.urlsStr=http://a,http://b", "otoroshi.boot.waitForFirstClusterFetchTimeout=2s"];
        let settings = load(&arguments(&set), []).unwrap();
        assert_eq!(settings.cluster.leader.urls, ["http://a", "http://b"]);
        assert_eq!(settings.cluster.worker.boot_wait, crate::settings::Millis(2_000));
    }

    #[test]
    fn the_http_port_is_that_of_the_admin_api_on_a_leader_and_of_traffic_elsewhere() {
        let ports = |mode, set: &[&str]| {
            let settings = load(&RunArguments { mode, ..arguments(set) }, []).unwrap();
            (settings.admin.port, settings.listeners.first().and_then(|listener| listener.port))
        };
        assert_eq!(ports(Some(Mode::Leader), &["http.port=8091"]), (Some(8091), None));
        assert_eq!(ports(None, &["http.port=8091", "otoroshi.cluster.mode=Leader"]), (Some(8091), None));
        assert_eq!(ports(Some(Mode::Worker), &["http.port=8092"]), (None, Some(8092)));
        assert_eq!(ports(None, &["otoroshi.http.port=8092"]), (None, Some(8092)));
    }

    #[test]
    fn what_is_not_supported_is_refused_with_the_reason_and_what_is_unknown_with_the_nearest_name() {
        let message = |set: &str| load(&arguments(&[set]), []).unwrap_err().to_string();
        for (set, reason) in [
            ("cluster.relay.enabled=true", "aren't forwarded between nodes"),
            ("https.port=9091", "listeners.1.protocol=HTTPS"),
            ("cluster.worker.state.polEvery=1", "did you mean cluster.worker.state.pollEvery?"),
            ("otoroshi.boot.globalWait=true", "it is always so here"),
        ] {
            assert!(message(set).contains(reason), "{}", message(set));
            assert!(message(set).starts_with("--set "), "{}", message(set));
        }
        let variable = variables(&[("OTOROSHI_CLUSTER_WORKER_USE_WS", "true")]);
        let error = load(&arguments(&[]), variable).unwrap_err().to_string();
        assert!(
            error.starts_with("OTOROSHI_CLUSTER_WORKER_USE_WS: cluster.worker.useWs is not supported"),
            "{error}"
        );
    }

    #[test]
    fn the_documented_keys_are_all_there_are() {
        let page = include_str!("../../../docs/settings.md");
        let mut documented: Vec<_> = page
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(key, _)| key.to_owned()))
            .collect();
        let mut known = leaf_keys(&to_value(&Settings::default()));
        documented.sort();
        known.sort();
        assert_eq!(documented, known);
    }
}
