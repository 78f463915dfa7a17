//! Host names of targets: what is asked for, what becomes of an answer, when it is asked again, and with which address a
//! connection begins.

mod address;
mod known;
mod pace;
mod search;

pub use address::{Avoidance, order};
pub use known::{Answer, Known, Said, Step};
pub use pace::Pace;
pub use search::candidates;
