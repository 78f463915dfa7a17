//! `write-routes FOLDER ROUTES FILES`: a folder of YAML with that many routes.

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [folder, routes, files] = arguments.as_slice() else {
        return Err("write-routes FOLDER ROUTES FILES".into());
    };
    benches::routes::write_folder(Path::new(folder), routes.parse()?, files.parse()?)?;
    Ok(())
}
