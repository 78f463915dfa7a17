//! What was typed. [`crate::settings`] says what it means.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::settings::Mode;

/// An API gateway for Kubernetes and elsewhere.
#[derive(Debug, Parser)]
#[command(name = "komainu", version, propagate_version = true, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "Examples:
  komainu standalone --resources examples/quickstart    a gateway from a folder of YAML
  komainu check examples/quickstart                     validate that folder, start nothing
  komainu leader --resources gateway/                   a control plane for workers
  komainu worker --set cluster.leader.urls.0=http://127.0.0.1:9000
  komainu crds | kubectl apply -f -                     install the custom resources";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run in the mode that the setting cluster.mode names: off, leader or worker
    Run(RunArguments),
    /// Run leader and worker in one process (cluster.mode off): the whole gateway
    Standalone(RunArguments),
    /// Run the control plane: read resources, serve them to workers
    Leader(RunArguments),
    /// Run the data plane: take resources from a leader, proxy traffic
    Worker(RunArguments),
    /// Print the settings that a process would have, and where each was written
    Settings(RunArguments),
    /// Validate files or folders of resources; exits with 1 if anything is wrong
    Check(CheckArguments),
    /// Print the custom resource definitions as YAML
    Crds,
    /// Run a small upstream for demos and tests
    #[command(after_help = ECHO_PATHS)]
    Echo(EchoArguments),
}

const ECHO_PATHS: &str =
    "It answers with its name, the method, the path and the headers as JSON. Special paths:
  /status/503     answers with that status
  /delay/200ms    answers after that time
  /bytes/1024     answers with that many bytes
  a WebSocket     sends every message back";

#[derive(Debug, Default, Args)]
pub(crate) struct RunArguments {
    /// The mode that the command names.
    #[arg(skip)]
    pub(crate) mode: Option<Mode>,
    /// A file of settings, YAML or TOML
    #[arg(long, value_name = "FILE", env = "KOMAINU_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// A folder of YAML resources to read and watch; the same as --set resources=DIR
    #[arg(long, value_name = "DIR")]
    pub(crate) resources: Option<PathBuf>,
    /// Watch Backends and Routes of a Kubernetes API server; the same as --set kubernetes.enabled=true
    #[arg(long)]
    pub(crate) kubernetes: bool,
    /// One setting, for instance admin.port=9000 or listeners.0.port=8080; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    /// Files or folders
    #[arg(required = true, value_name = "FILE|DIR")]
    pub(crate) paths: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct EchoArguments {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:9101", value_name = "ADDRESS:PORT")]
    pub(crate) listen: SocketAddr,
    /// The name to answer with
    #[arg(long, default_value = "echo")]
    pub(crate) name: String,
}
