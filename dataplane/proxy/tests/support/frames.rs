use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::Client;

/// A client of HTTP/2 that writes its frames by hand.
pub struct Frames<S = TcpStream> {
    pub client: Client<S>,
}

#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// GET http://a.test/ by the static table, and one literal.
pub const GET: &[u8] = b"\x82\x86\x84\x01\x06a.test";

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

impl Frames {
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(Client::connect(address))
    }
}

impl<S: Read + Write> Frames<S> {
    /// Says the preface and empty settings.
    pub fn over(mut client: Client<S>) -> Self {
        client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").send(frame(SETTINGS, 0, 0, b""));
        Self { client }
    }

    pub fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> &mut Self {
        self.client.send(frame(kind, flags, stream, payload));
        self
    }

    pub fn next(&mut self) -> Frame {
        let head = self.client.bytes(9);
        let payload = self.client.bytes(usize::from(head[1]) << 8 | usize::from(head[2]));
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Frame { kind: head[3], flags: head[4], stream, payload }
    }

    /// Skips frames until one of this kind comes.
    pub fn until(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.next();
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// The code of the GOAWAY that the proxy ends the connection with.
    pub fn goaway(&mut self) -> u8 {
        self.until(GOAWAY).payload[7]
    }
}
