//! A real Kubernetes API server on loopback: etcd and kube-apiserver as processes of the test.

mod certificates;
mod kubectl;
mod server;
mod tools;

pub use kubectl::{Kubectl, Ran, Watch};
pub use server::{ApiServer, User};
