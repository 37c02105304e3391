//! One object on its way: records in, bytes out, to memory first and to the store in parts once there are many.
//!
//! A small object is kept until it is complete and goes out in one request that can be repeated. A large one is streamed; what
//! was sent is no longer here, so when its upload breaks off the object is [`Lost`](Fault::Lost) and must be read again.

use towpath_model::Payload;

use crate::format::Encoder;
use crate::store::{Store, StoreError, Upload};
use crate::{Compression, Error, Format};

/// How a step towards the store failed.
#[derive(Debug)]
pub(crate) enum Fault {
    /// All bytes are still here: try again.
    Kept(StoreError),
    /// Bytes that were sent are gone with the upload.
    Lost(StoreError),
}

/// An object that begins with a certain record and is open, closed or complete.
pub(crate) struct Object<U> {
    pub(crate) path: String,
    /// The topic whose folder it lies in.
    pub(crate) topic: String,
    pub(crate) folder: String,
    pub(crate) records: u64,
    body: Body,
    upload: Option<U>,
    sent_bytes: u64,
}

enum Body {
    Open(Encoder),
    /// All of it, or its rest after what was streamed.
    Closed(Vec<u8>),
    Complete,
}

impl<U: Upload> Object<U> {
    pub(crate) fn new(path: String, topic: &str, folder: &str, compression: Compression) -> Self {
        let body = Body::Open(Encoder::new(compression));
        let (topic, folder) = (topic.to_owned(), folder.to_owned());
        Self { path, topic, folder, records: 0, body, upload: None, sent_bytes: 0 }
    }

    /// Adds a record.
    pub(crate) fn append(&mut self, format: Format, value: Payload<'_>) -> Result<(), Error> {
        let Body::Open(encoder) = &mut self.body else {
            unreachable!("records are added to open objects only");
        };
        format.append(encoder.lines(), value)?;
        encoder.advance();
        self.records += 1;
        Ok(())
    }

    /// Memory that it holds.
    pub(crate) fn held_bytes(&self) -> usize {
        match &self.body {
            Body::Open(encoder) => encoder.held_bytes(),
            Body::Closed(bytes) => bytes.capacity(),
            Body::Complete => 0,
        }
    }

    /// Bytes that could be sent now.
    pub(crate) fn ready_bytes(&self) -> usize {
        match &self.body {
            Body::Open(encoder) => encoder.ready_bytes(),
            Body::Closed(bytes) => bytes.len(),
            Body::Complete => 0,
        }
    }

    /// Bytes so far, sent or not; of what is not compressed yet, as they are.
    pub(crate) fn total_bytes(&self) -> u64 {
        let here = match &self.body {
            Body::Open(encoder) => encoder.bytes(),
            Body::Closed(bytes) => bytes.len(),
            Body::Complete => 0,
        };
        self.sent_bytes + here as u64
    }

    /// Whether it is on its way to the store.
    pub(crate) fn is_streaming(&self) -> bool {
        self.upload.is_some()
    }

    /// Sends what is ready, to be out of memory.
    pub(crate) fn stream<S: Store<Upload = U>>(&mut self, store: &mut S) -> Result<(), Fault> {
        let upload = match &mut self.upload {
            Some(upload) => upload,
            none => none.insert(store.upload(&self.path).map_err(Fault::Kept)?),
        };
        let bytes = match &mut self.body {
            Body::Open(encoder) => encoder.take_ready(),
            Body::Closed(bytes) => std::mem::take(bytes),
            Body::Complete => return Ok(()),
        };
        upload.write(&bytes).map_err(Fault::Lost)?;
        self.sent_bytes += bytes.len() as u64;
        Ok(())
    }

    /// No record will be added any more: what it holds is its bytes alone.
    pub(crate) fn close(&mut self) {
        if let Body::Open(_) = self.body {
            let Body::Open(encoder) = std::mem::replace(&mut self.body, Body::Complete) else { return };
            let mut bytes = encoder.finish();
            bytes.shrink_to_fit();
            self.body = Body::Closed(bytes);
        }
    }

    /// Makes the object appear. Harmless when it has. Returns its size in bytes.
    pub(crate) fn complete<S: Store<Upload = U>>(&mut self, store: &mut S) -> Result<u64, Fault> {
        self.close();
        if let Body::Closed(bytes) = &self.body {
            match self.upload.take() {
                None => store.put(&self.path, bytes).map_err(Fault::Kept)?,
                Some(mut upload) => {
                    upload.write(bytes).map_err(Fault::Lost)?;
                    upload.complete().map_err(Fault::Lost)?;
                }
            }
            self.sent_bytes += bytes.len() as u64;
            self.body = Body::Complete;
        }
        Ok(self.sent_bytes)
    }
}
