//! HTTP/2 towards clients (RFC 9113) and, in [`upstream`], towards targets, with the h2 crate for frames, header compression and flow control.
//!
//! Each stream is served as if it were a connection of HTTP/1.1 with one request: [`request`] writes its head as text,
//! [`receive`] its body, and [`answer`] and [`send`] turn the text of the answer into frames. So the strict parser and all
//! rules of an exchange are the same for both protocols, and there is no second reading of a request to disagree with
//! (docs/adr/0022-streams-are-served-as-connections.md). [`receive`] and [`send`] know nothing of clients: towards targets they are used
//! the other way round.

mod answer;
pub(crate) mod receive;
mod request;
pub(crate) mod send;
mod serve;
mod stream;
#[cfg(test)]
mod tests;
mod transport;
pub(crate) mod upstream;

pub(crate) use self::serve::{Client, PREFACE_HEAD, serve};
pub(crate) use self::stream::AsHttp1;
