//! What people read who type something, or nothing.

use std::process::{Command, Output};

fn komainu(arguments: &[&str]) -> std::io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_komainu")).args(arguments).output()
}

#[test]
fn help_names_every_command_and_shows_examples() {
    let help = komainu(&["--help"]).unwrap();
    let text = String::from_utf8_lossy(&help.stdout);
    for part in ["standalone", "leader", "worker", "check", "members", "crds", "Examples:"] {
        assert!(help.status.success() && text.contains(part), "{part} isn't in:\n{text}");
    }
}

#[test]
fn what_is_typed_wrong_is_told_with_what_is_right() {
    let wrong = komainu(&["standalon"]).unwrap();
    let text = String::from_utf8_lossy(&wrong.stderr);
    assert_eq!(wrong.status.code(), Some(2), "{text}");
    assert!(text.contains("standalone") && text.contains("--help"), "{text}");
}
