use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::{PATIENCE, field, message};

/// A client that sends what it is told to, byte for byte.
pub struct Client<S = TcpStream> {
    stream: S,
    received: Vec<u8>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    /// As framed: a chunked body has its chunk sizes.
    pub body: Vec<u8>,
}

impl Answer {
    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The reason of an answer that the proxy itself gave.
    pub fn reason(&self) -> String {
        let json: serde_json::Value = serde_json::from_slice(&self.body).expect("an error answer is JSON");
        json["reason"].as_str().unwrap().to_owned()
    }
}

impl Client {
    /// Sends until nobody takes anything for a while. Answers how many bytes were taken.
    pub fn send_until_blocked(&mut self) -> usize {
        self.stream.set_write_timeout(Some(std::time::Duration::from_millis(500))).unwrap();
        let (piece, mut sent) = (vec![b'x'; 64 * 1024], 0);
        while let Ok(len) = self.stream.write(&piece) {
            sent += len;
        }
        sent
    }

    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream)
    }

    pub fn finish(&mut self) -> &mut Self {
        self.stream.shutdown(Shutdown::Write).unwrap();
        self
    }
}

impl<S: Read + Write> Client<S> {
    pub fn over(stream: S) -> Self {
        Self { stream, received: Vec::new() }
    }

    pub fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.stream.write_all(bytes.as_ref()).unwrap();
        self
    }

    /// Sends as much as the other side takes before it closes.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let _ = self.stream.write_all(bytes.as_ref());
        self
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n")).answer()
    }

    pub fn answer(&mut self) -> Answer {
        self.answer_to(false)
    }

    pub fn answer_to_head(&mut self) -> Answer {
        self.answer_to(true)
    }

    /// The head of an answer; its body stays to be read.
    pub fn head(&mut self) -> String {
        loop {
            if let Some((head, _)) = message(&mut self.received, true) {
                return head;
            }
            let mut buffer = [0; 64 * 1024];
            let read = self.stream.read(&mut buffer).expect("a head in time");
            assert!(read > 0, "closed after {:?}", String::from_utf8_lossy(&self.received));
            self.received.extend_from_slice(&buffer[..read]);
        }
    }

    fn answer_to(&mut self, bodiless: bool) -> Answer {
        loop {
            if let Some(answer) = self.take(bodiless) {
                return answer;
            }
            let mut buffer = [0; 64 * 1024];
            let read = self.stream.read(&mut buffer).expect("an answer in time");
            assert!(read > 0, "closed after {:?}", String::from_utf8_lossy(&self.received));
            self.received.extend_from_slice(&buffer[..read]);
        }
    }

    fn take(&mut self, bodiless: bool) -> Option<Answer> {
        let end = self.received.windows(4).position(|four| four == b"\r\n\r\n")?;
        let line = String::from_utf8_lossy(&self.received[..end]);
        let status: u16 =
            line.get(9..12).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("{line}"));
        let bodiless = bodiless || status < 200 || matches!(status, 204 | 304);
        let (head, body) = message(&mut self.received, bodiless)?;
        Some(Answer { status, head, body })
    }

    /// Reads until at least `len` bytes are there that belong to no message, and takes them.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        while self.received.len() < len {
            let mut buffer = [0; 64 * 1024];
            let read = self.stream.read(&mut buffer).expect("bytes in time");
            assert!(read > 0, "closed after {} of {len} bytes", self.received.len());
            self.received.extend_from_slice(&buffer[..read]);
        }
        self.received.drain(..len).collect()
    }

    /// All bytes until the other side closes. A reset counts as one.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut buffer = [0; 64 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => self.received.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
                Err(error) => panic!("not closed: {error}"),
            }
        }
        std::mem::take(&mut self.received)
    }

    pub fn assert_closed(&mut self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "unexpected {:?}", String::from_utf8_lossy(&rest));
    }
}
