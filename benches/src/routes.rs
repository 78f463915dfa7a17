//! A folder of many routes, the same at each call: what the figures "at 10,000 routes" are about.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

/// How many backends the routes share.
pub const BACKENDS: usize = 100;
/// Over how many host names the routes are spread.
const HOSTS: usize = 200;

/// A request that route `index` gets, if no other takes it first; none does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The name of the route.
    pub route: String,
    pub host: String,
    pub path: String,
    /// Name and value of the one header that it needs, if any.
    pub header: Option<(String, String)>,
}

/// Of ten routes one has a regex in its path, one a wildcard host, two a condition on a header, six none of it.
enum Shape {
    Regex,
    WildcardHost,
    Header,
    Plain,
}

fn shape(index: usize) -> Shape {
    match index % 10 {
        0 => Shape::Regex,
        1 => Shape::WildcardHost,
        2 | 3 => Shape::Header,
        _ => Shape::Plain,
    }
}

/// Writes `routes` routes and their [`BACKENDS`] backends in `files` files below `folder`, which is made if it isn't there.
///
/// # Errors
/// If the folder or a file can't be written.
pub fn write_folder(folder: &Path, routes: usize, files: usize) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let files = files.max(1);
    for file in 0..files {
        let mut text = String::new();
        for index in (file..BACKENDS).step_by(files) {
            text.push_str(&backend(index));
        }
        for index in (file..routes).step_by(files) {
            text.push_str(&route(index));
        }
        fs::write(folder.join(format!("routes-{file:04}.yaml")), text)?;
    }
    Ok(())
}

/// The document of one backend, with its `---`.
pub fn backend(index: usize) -> String {
    format!(
        "---
apiVersion: komainu.dev/v1alpha1
kind: Backend
metadata:
  name: backend-{index}
spec:
  targets:
    - hostname: 127.0.0.1
      port: 9101
    - hostname: 127.0.0.1
      port: 9102
"
    )
}

/// The document of one route, with its `---`.
pub fn route(index: usize) -> String {
    let (zone, backend) = (index % HOSTS, index % BACKENDS);
    let host = match shape(index) {
        Shape::WildcardHost => format!("*.zone-{zone}.example.com"),
        _ => format!("host-{zone}.example.com"),
    };
    let path = match shape(index) {
        Shape::Regex => format!("/service-{index}/$id<[0-9]+>/items"),
        _ => format!("/service-{index}/items"),
    };
    let mut text = format!(
        "---
apiVersion: komainu.dev/v1alpha1
kind: Route
metadata:
  name: route-{index}
spec:
  matches:
    - hostnames: [\"{host}\"]
      paths:
        - value: {path}
"
    );
    if let Shape::Header = shape(index) {
        // Writing to a string never fails.
        let _ = writeln!(text, "      headers:\n        - name: x-tenant\n          value: tenant-{zone}");
    }
    let _ = writeln!(text, "  backends:\n    - ref:\n        name: backend-{backend}");
    text
}

/// A request for route `index`.
pub fn hit(index: usize) -> Hit {
    let zone = index % HOSTS;
    Hit {
        route: format!("route-{index}"),
        host: match shape(index) {
            Shape::WildcardHost => format!("any.zone-{zone}.example.com"),
            _ => format!("host-{zone}.example.com"),
        },
        path: match shape(index) {
            Shape::Regex => format!("/service-{index}/42/items"),
            _ => format!("/service-{index}/items"),
        },
        header: match shape(index) {
            Shape::Header => Some(("x-tenant".to_owned(), format!("tenant-{zone}"))),
            _ => None,
        },
    }
}
