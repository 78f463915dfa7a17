//! Whole processes of the program, real sockets, and load that counts what fails.

mod figures;
mod http;
mod load;
mod program;
mod wait;

pub use figures::figure;
pub use http::{Response, get, request};
pub use load::{Load, LoadReport};
pub use program::{CREDENTIALS, Gateway, Program, free_port};
pub use wait::{until, within};
