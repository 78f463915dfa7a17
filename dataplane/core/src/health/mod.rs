//! Active health checks without the sockets: what is asked when, what an answer means, and when a target is taken out of
//! service and back in. The colours and their rules are Otoroshi's (`HealthCheck` in `app/health/healthchecker.scala`).

mod check;
mod colour;
mod grpc;
mod pace;
mod probe;
mod state;
mod tally;
#[cfg(test)]
mod tests;
mod url;

pub use check::{HealthCheck, HttpCheck, Question, Thresholds};
pub use colour::{Answer, Colour, Judgement, LOGIC_RESULT, LOGIC_TEST};
pub use grpc::{GrpcAnswer, GrpcCheck};
pub use pace::Pace;
pub use probe::{Probe, Server};
pub use state::{Health, HealthState, Standing};
pub use tally::Tally;
pub use url::{CheckUrl, CheckUrlError};
