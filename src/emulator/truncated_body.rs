//! HTTP body that breaks off in the middle, as on a lost connection. It announces the whole length,
//! sends half of it, and then fails.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};

/// Truncated body, or a whole one where a server needs one type for both.
#[derive(Debug)]
pub(super) struct TruncatedBody {
    part: Option<Bytes>,
    announced: u64,
    step: Chunk,
}

#[derive(Debug, PartialEq, Eq)]
enum Chunk {
    Whole,
    /// The first half must be sent before the connection breaks.
    Flush,
    Break,
}

impl TruncatedBody {
    /// Truncated body.
    pub(super) fn of(text: String) -> Self {
        let all = Bytes::from(text);
        let announced = all.len() as u64;
        Self { part: Some(all.slice(..all.len() / 2)), announced, step: Chunk::Flush }
    }

    /// Whole body.
    pub(super) fn whole(text: String) -> Self {
        let all = Bytes::from(text);
        let announced = all.len() as u64;
        Self { part: Some(all).filter(|all| !all.is_empty()), announced, step: Chunk::Whole }
    }
}

impl Body for TruncatedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(part) = self.part.take() {
            self.announced -= part.len() as u64;
            return Poll::Ready(Some(Ok(Frame::data(part))));
        }
        match self.step {
            Chunk::Whole => Poll::Ready(None),
            Chunk::Flush => {
                self.step = Chunk::Break;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Chunk::Break => {
                let message = "the connection broke off in the middle of an answer (fault: cut)";
                let error = io::Error::new(io::ErrorKind::ConnectionReset, message);
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.part.is_none() && self.step == Chunk::Whole
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.announced)
    }
}
