//! How long a folder of many routes takes to become a view, and an edited file to be seen:
//! `cargo run --profile ci -p komainu-operator-files --example read_many_routes [ROUTES] [FILES]`.
#![expect(clippy::print_stdout, reason = "a program that prints figures")]

#[path = "../../../benches/src/routes.rs"]
#[expect(dead_code, unreachable_pub, reason = "only the folder is of use here")]
mod routes;

use std::error::Error;
use std::fs;
use std::sync::Arc;
use std::time::Instant;

use dataplane_snapshot::Epoch;
use operator_files::{FolderSource, Numbering, watch};
use tokio::sync::watch::channel;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<usize>());
    let count = arguments.next().transpose()?.unwrap_or(10_000);
    let files = arguments.next().transpose()?.unwrap_or(100);
    let dir = tempfile::tempdir()?;
    routes::write_folder(dir.path(), count, files)?;
    for _ in 0..5 {
        let start = Instant::now();
        let loaded = FolderSource::load(dir.path())?;
        let took = start.elapsed();
        println!(
            "read {} objects of {files} files, {} problems: {took:?}",
            loaded.objects.len(),
            loaded.problems.len()
        );
    }

    let mut last = 0;
    let next = Box::new(move || {
        last += 1;
        last
    });
    let numbering = Numbering { epoch: Epoch { id: "e".to_owned(), created_at: 0 }, next };
    let (view, mut seen) = channel(None);
    let (problems, _told) = channel(Arc::default());
    let _watching = watch(dir.path(), numbering, view, problems)?;
    seen.wait_for(Option::is_some).await?;
    let file = dir.path().join("routes-0000.yaml");
    for edit in 1..6 {
        let (old, new) = (format!("port: {}", 9100 + edit), format!("port: {}", 9101 + edit));
        let text = fs::read_to_string(&file)?.replacen(&old, &new, 1);
        seen.mark_unchanged();
        let start = Instant::now();
        fs::write(&file, text)?;
        seen.changed().await?;
        println!("an edited file seen after {:?}", start.elapsed());
    }
    Ok(())
}
