//! `komainu`: arguments, settings and the wiring of the modes; nothing else.

mod args;
mod check;
mod credentials;
mod echo;
#[cfg(test)]
mod effects;
mod epoch;
mod logs;
mod members;
mod modes;
mod observe;
mod probe;
mod settings;
mod shutdown;
mod transfer;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use args::{Arguments, Command, LeaderCommand, RunArguments};
use settings::{Mode, Settings};

#[global_allocator]
static ALLOCATOR: observe::Allocator = observe::Allocator(mimalloc::MiMalloc);

fn main() -> ExitCode {
    match dispatch(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            // A closed pipe is how `komainu crds | head` ends, and no error of ours.
            let _ = writeln!(std::io::stderr(), "komainu: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(arguments) => run(arguments, None),
        Command::Standalone(arguments) => run(arguments, Some(Mode::Off)),
        Command::Leader(arguments) => match arguments.command {
            None => run(arguments.run, Some(Mode::Leader)),
            Some(LeaderCommand::NewEpoch(arguments)) => epoch::renew(&arguments),
        },
        Command::Worker(arguments) => run(arguments, Some(Mode::Worker)),
        Command::Settings(arguments) => {
            let shown = settings::show(&settings::load(&arguments, variables())?);
            std::io::stdout().write_all(shown.as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Members(arguments) => members::run(&arguments),
        Command::Store(arguments) => transfer::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Crds => {
            std::io::stdout().write_all(crds::to_yaml().as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Probe(arguments) => probe::run(&arguments),
        Command::Echo(arguments) => echo::run(arguments),
    }
}

/// The environment as far as it is text; a setting always is.
fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

fn run(arguments: RunArguments, mode: Option<Mode>) -> anyhow::Result<ExitCode> {
    let arguments = RunArguments { mode, ..arguments };
    let mut settings: Settings = settings::load(&arguments, variables())?.settings;
    if let Some(mode) = mode {
        settings.cluster.mode = mode;
    }
    logs::start(&settings.log)?;
    modes::run(settings)
}
