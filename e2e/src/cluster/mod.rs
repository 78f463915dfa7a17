//! A real Kubernetes of two nodes on this machine, by the scripts of `e2e/cluster`: kubelets, containers, Services, DNS.

#![expect(clippy::print_stderr, reason = "a harness: what it does is for whoever reads the test")]

mod earlier;
mod faulty;
mod helm;
mod kubernetes;
mod space;

pub use earlier::Earlier;
pub use faulty::{FaultyApiserver, ListFault};
pub use helm::Helm;
pub use kubernetes::{Kubernetes, Ran};
pub use space::Space;
