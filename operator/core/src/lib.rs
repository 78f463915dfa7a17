//! The leader's decisions, without I/O: what the sources say becomes one [`World`], and `plan` turns it into the objects of
//! a snapshot and the status of each object.

mod world;

pub use world::{
    Claim, ListenerProtocol, ListenerSettings, Observed, Origin, Owner, Place, Problem, SourceView, Spec, World,
};
