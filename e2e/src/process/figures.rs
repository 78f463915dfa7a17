use std::io::Write as _;
use std::path::Path;

/// Records a measured figure for the acceptance report: appended as `name value` to the file that `KOMAINU_FIGURES` names,
/// and printed.
pub fn figure(name: &str, value: impl std::fmt::Display) {
    println!("figure {name} {value}");
    if let Some(path) = std::env::var_os("KOMAINU_FIGURES") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(Path::new(&path));
        let mut file = file.unwrap_or_else(|error| panic!("KOMAINU_FIGURES: {error}"));
        writeln!(file, "{name} {value}").unwrap_or_else(|error| panic!("KOMAINU_FIGURES: {error}"));
    }
}
