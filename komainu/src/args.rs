//! What was typed. [`crate::settings`] says what it means.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

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
  komainu members                                       who is in the cluster, and how they are
  komainu crds | kubectl apply -f -                     install the custom resources";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run in the mode that the setting cluster.mode names: off, leader or worker
    Run(RunArguments),
    /// Run leader and worker in one process (cluster.mode off): the whole gateway
    Standalone(RunArguments),
    /// Run the control plane: read resources, serve them to workers
    #[command(args_conflicts_with_subcommands = true)]
    Leader(LeaderRunArguments),
    /// Run the data plane: take resources from a leader, proxy traffic
    Worker(RunArguments),
    /// Print the settings that a process would have, and where each was written
    Settings(RunArguments),
    /// List the leader and the workers of a cluster, as the leader sees them
    #[command(after_help = MEMBERS)]
    Members(MembersArguments),
    /// Move all that a state store has into a file and into another store, and look whether it can be read
    #[command(after_help = STORE)]
    Store(StoreArguments),
    /// Validate files or folders of resources; exits with 1 if anything is wrong
    Check(CheckArguments),
    /// Print the custom resource definitions as YAML
    Crds,
    /// Ask a URL; exits with 0 if it answers with 2xx within 10 s
    Probe(ProbeArguments),
    /// Run a small upstream for demos and tests
    #[command(after_help = ECHO_PATHS)]
    Echo(EchoArguments),
}

const MEMBERS: &str = "Colours:
  green    serves the current state, and nothing is wrong
  orange   serves, and somebody should have a look: the last column says why
  red      isn't heard of, has nothing in service, or refused a state as a whole

Examples:
  komainu members                                   of the leader on this machine
  komainu members --leader http://10.0.0.1:9000 -o json
  komainu members forget edge-3                     it is gone for good: nobody waits for it any more

The leader is the first of the setting cluster.leader.urls if --leader isn't given, and else the one on this machine. The
credentials are those of the settings cluster.leader.clientId and clientSecret, or of the file `credentials` in the data
directory.";

const STORE: &str = "Examples:
  komainu store export --set dataDirectory=/var/lib/komainu all.jsonl
  komainu store import --set store.url=redis://127.0.0.1:6379 all.jsonl
  komainu store check --set store.url=redis://127.0.0.1:6379 all.jsonl

The store is the one that a leader with the same settings would have. The embedded one can't be open meanwhile: stop the
leader. One on a server can; what changes during an export is in it as it was before or after.";

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
pub(crate) struct LeaderRunArguments {
    #[command(flatten)]
    pub(crate) run: RunArguments,
    #[command(subcommand)]
    pub(crate) command: Option<LeaderCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LeaderCommand {
    /// Begin a new epoch of the state store, so that workers take what a restored one has
    #[command(after_help = NEW_EPOCH)]
    NewEpoch(EpochArguments),
}

const NEW_EPOCH: &str = "Workers refuse what is older than what they have, as a leader that lags behind has it. A store that was restored from a
backup is older, and meant: with a new epoch it counts as the newest. Its objects stay as they are.

With the embedded store the leader must be stopped: stop it, put the restored store.redb into its data directory, run this with
the same settings, start it. Leaders on a store on a server may run.

  komainu leader new-epoch --set dataDirectory=/var/lib/komainu
  komainu leader new-epoch --set store.url=redis://10.0.0.5:6379";

#[derive(Debug, Args)]
pub(crate) struct EpochArguments {
    /// A file of settings, YAML or TOML
    #[arg(long, value_name = "FILE", env = "KOMAINU_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// One setting, for instance dataDirectory=DIR; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct StoreArguments {
    /// A file of settings, YAML or TOML
    #[arg(long, value_name = "FILE", env = "KOMAINU_CONFIG", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// One setting, for instance store.url=redis://HOST:6379; may be repeated
    #[arg(long, value_name = "KEY=VALUE", global = true)]
    pub(crate) set: Vec<String>,
    #[command(subcommand)]
    pub(crate) command: StoreCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Write all objects, and what workers have counted, into a file, one a line
    Export {
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Write all of a file into the store, and compare
    Import {
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Also where the store has other objects: afterwards it has those of the file and no others
        #[arg(long)]
        replace: bool,
    },
    /// Read all and say which objects can't be understood; with a file, compare. Exits with 1 if anything is wrong
    Check {
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    /// Files or folders
    #[arg(required = true, value_name = "FILE|DIR")]
    pub(crate) paths: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ProbeArguments {
    /// For instance http://127.0.0.1:9001/ready; with https it is trusted by cluster.mtls, as a worker trusts a leader
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    /// A file of settings, YAML or TOML
    #[arg(long, value_name = "FILE", env = "KOMAINU_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// One setting, for instance cluster.mtls.enabled=true; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
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

#[derive(Debug, Args)]
pub(crate) struct MembersArguments {
    #[command(flatten)]
    pub(crate) leader: LeaderArguments,
    /// How the list is printed
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) output: Output,
    #[command(subcommand)]
    pub(crate) command: Option<MembersCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MembersCommand {
    /// Forget workers that are gone for good: Programmed waits for them no longer. A worker that lives comes back by itself
    Forget {
        /// Names or ids; of several workers with one name, the id says which
        #[arg(required = true, value_name = "NAME|ID")]
        members: Vec<String>,
    },
}

/// Which leader is spoken to, and as whom.
#[derive(Debug, Args)]
pub(crate) struct LeaderArguments {
    /// Where the leader listens, for instance http://127.0.0.1:9000
    #[arg(long, value_name = "URL", global = true)]
    pub(crate) leader: Option<String>,
    /// A file of settings, YAML or TOML
    #[arg(long, value_name = "FILE", env = "KOMAINU_CONFIG", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// One setting, for instance cluster.leader.clientId=…; may be repeated
    #[arg(long, value_name = "KEY=VALUE", global = true)]
    pub(crate) set: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// One line a member
    #[default]
    Table,
    /// What the leader's API answers
    Json,
}
