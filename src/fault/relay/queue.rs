//! Bytes that have arrived and not yet gone on, in order.

use std::collections::VecDeque;

use tokio::time::Instant;

/// Bytes with one moment before which they do not go on.
#[derive(Debug)]
pub(super) struct Parcel {
    bytes: Vec<u8>,
    gone: usize,
    /// When they may go on; at once where there is none.
    pub(super) due: Option<Instant>,
}

impl Parcel {
    /// What has not gone yet.
    pub(super) fn rest(&self) -> &[u8] {
        self.bytes.get(self.gone..).unwrap_or_default()
    }
}

/// Parcels in order.
#[derive(Debug, Default)]
pub(super) struct Queue {
    parcels: VecDeque<Parcel>,
    len: usize,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.parcels.is_empty()
    }

    /// Bytes in it.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, bytes: Vec<u8>, due: Option<Instant>) {
        if !bytes.is_empty() {
            self.len += bytes.len();
            self.parcels.push_back(Parcel { bytes, gone: 0, due });
        }
    }

    pub(super) fn front(&self) -> Option<&Parcel> {
        self.parcels.front()
    }

    /// So many bytes of the front have gone; says whether that was all of it.
    pub(super) fn gone(&mut self, bytes: usize) -> bool {
        let Some(front) = self.parcels.front_mut() else { return false };
        front.gone += bytes;
        self.len = self.len.saturating_sub(bytes);
        let all = front.gone >= front.bytes.len();
        if all {
            self.parcels.pop_front();
        }
        all
    }

    /// Lets everything go on at once.
    pub(super) fn release(&mut self) {
        self.parcels.iter_mut().for_each(|parcel| parcel.due = None);
    }

    /// Forgets everything, and says how many bytes that were.
    pub(super) fn clear(&mut self) -> usize {
        self.parcels.clear();
        std::mem::take(&mut self.len)
    }
}
