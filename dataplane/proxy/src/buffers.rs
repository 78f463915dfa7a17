use std::cell::RefCell;

use bytes::BytesMut;

/// Bytes of a read buffer: more than almost every head and small body, so that one message is one read.
pub(crate) const READ_BUFFER: usize = 16 * 1024;
/// Buffers kept for reuse per thread and direction: 2 MiB together.
const KEPT: usize = 64;

/// The free buffers of a thread. A connection has buffers only while bytes are in them, so an idle one costs little.
#[derive(Default)]
pub(crate) struct Buffers {
    input: RefCell<Vec<BytesMut>>,
    output: RefCell<Vec<Vec<u8>>>,
}

impl Buffers {
    pub(crate) fn take_input(&self) -> BytesMut {
        self.input.borrow_mut().pop().unwrap_or_else(|| BytesMut::with_capacity(READ_BUFFER))
    }

    /// Takes `buffer` back if nobody else holds a part of it.
    pub(crate) fn give_input(&self, mut buffer: BytesMut) {
        let mut kept = self.input.borrow_mut();
        buffer.clear();
        if kept.len() < KEPT && buffer.try_reclaim(READ_BUFFER) {
            kept.push(buffer);
        }
    }

    pub(crate) fn take_output(&self) -> Vec<u8> {
        self.output.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(READ_BUFFER))
    }

    pub(crate) fn give_output(&self, mut buffer: Vec<u8>) {
        let mut kept = self.output.borrow_mut();
        if kept.len() < KEPT && buffer.capacity() >= READ_BUFFER && buffer.capacity() <= 4 * READ_BUFFER {
            buffer.clear();
            kept.push(buffer);
        }
    }
}
