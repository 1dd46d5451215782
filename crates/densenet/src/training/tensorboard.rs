//! TensorBoard event files: a run's curves for viewing in TensorBoard.
//!
//! A file is a sequence of records, each a protobuf message between two checksums, as laid out in TensorFlow's
//! `record_writer.h`. Messages and field numbers are those of `event.proto` and `summary.proto`.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crc::{CRC_32_ISCSI, Crc};
use prost::Message;

use crate::{Error, Result};

/// The file format version in the first record.
const VERSION: &str = "brain.Event:2";

/// CRC-32C.
const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// A point of time in a run.
#[derive(Clone, PartialEq, prost::Message)]
struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    /// Number of the step.
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(oneof = "What", tags = "3, 5, 7")]
    what: Option<What>,
}

/// The content of an event.
#[derive(Clone, PartialEq, prost::Oneof)]
enum What {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
    #[prost(message, tag = "7")]
    SessionLog(SessionLog),
}

/// Named values.
#[derive(Clone, PartialEq, prost::Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

/// A named value.
#[derive(Clone, PartialEq, prost::Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    /// One of several kinds of value in TensorBoard's schema, so that 0 is written, too.
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

/// Says that a run begins or resumes.
#[derive(Clone, PartialEq, prost::Message)]
struct SessionLog {
    #[prost(enumeration = "Status", tag = "1")]
    status: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
enum Status {
    Unspecified = 0,
    Start = 1,
}

/// An event file to which scalars are added.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// Begins a new `events.out.tfevents.*` in `folder`, beside existing ones. Their values for step `step` and later
    /// become void: a run that resumes from its last save takes those steps again.
    ///
    /// # Errors
    /// Whatever the file system reports, e.g. a missing folder.
    pub fn create(folder: &Path, step: u64) -> Result<Self> {
        let now = SystemTime::now();
        let mut event_file = Self::create_new(folder, now)?;
        event_file.add(now, 0, What::FileVersion(VERSION.into()))?;
        event_file.add(now, step, What::SessionLog(SessionLog { status: Status::Start.into() }))?;
        Ok(event_file)
    }

    /// Creates the file; its name sorts after those of earlier ones, because TensorBoard reads them in the order of
    /// their names.
    fn create_new(folder: &Path, now: SystemTime) -> Result<Self> {
        let seconds = since_1970(now).as_secs();
        for number in 0.. {
            let path = folder.join(format!("events.out.tfevents.{seconds:010}.{number:03}"));
            match OpenOptions::new().append(true).create_new(true).open(&path) {
                Ok(file) => return Ok(Self { path, file }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io(path)(error)),
            }
        }
        unreachable!("the numbers do not end")
    }

    /// Adds the `value` of `tag`, e.g. `loss`, after step `step`. It is in the file when this returns.
    ///
    /// # Errors
    /// Whatever the file system reports, e.g. a full disk.
    pub fn scalar(&mut self, tag: &str, step: u64, value: f64, wall_time: SystemTime) -> Result<()> {
        let value = Value { tag: tag.into(), simple_value: Some(value as f32) };
        self.add(wall_time, step, What::Summary(Summary { value: vec![value] }))
    }

    fn add(&mut self, wall_time: SystemTime, step: u64, what: What) -> Result<()> {
        let event =
            Event { wall_time: since_1970(wall_time).as_secs_f64(), step: step.cast_signed(), what: Some(what) };
        self.file.write_all(&record(&event.encode_to_vec())).map_err(Error::io(&self.path))
    }
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Length, its checksum, data, its checksum.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked_crc(&length).to_le_bytes(), data, &masked_crc(data).to_le_bytes()].concat()
}

/// A rotated CRC-32C with an offset, so that it also works for data that contain checksums.
fn masked_crc(data: &[u8]) -> u32 {
    CRC.checksum(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file version at 0 seconds, which are not written.
    #[test]
    fn a_record_by_hand() {
        let event = Event { wall_time: 0.0, step: 0, what: Some(What::FileVersion(VERSION.into())) };
        let data = b"\x1a\x0dbrain.Event:2";
        assert_eq!(event.encode_to_vec(), data);
        let record = record(data);
        assert_eq!(record.len(), 8 + 4 + 15 + 4);
        assert_eq!(record[..8], 15u64.to_le_bytes());
        // The check value of CRC-32C, which is that of the digits 1 to 9.
        assert_eq!(CRC.checksum(b"123456789"), 0xe306_9283);
        assert_eq!(masked_crc(b"123456789"), 0x2507_c60d_u32.wrapping_add(0xa282_ead8));
    }

    #[test]
    fn a_scalar_by_hand() {
        let value = Value { tag: "lr".into(), simple_value: Some(0.0) };
        let event = Event { wall_time: 1.0, step: 3, what: Some(What::Summary(Summary { value: vec![value] })) };
        let bytes = event.encode_to_vec();
        assert_eq!(bytes, b"\x09\0\0\0\0\0\0\xf0\x3f\x10\x03\x2a\x0b\x0a\x09\x0a\x02lr\x15\0\0\0\0");
    }

    #[test]
    fn a_run_that_goes_on_begins_a_file_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let mut names = Vec::new();
        for step in [0, 7] {
            let mut file = EventFile::create(folder.path(), step).unwrap();
            file.scalar("loss", step + 1, 0.5, SystemTime::now()).unwrap();
            names.push(file.path);
        }
        assert!(names[0] < names[1], "{names:?}");
        let sizes: Vec<u64> = names.iter().map(|name| std::fs::metadata(name).unwrap().len()).collect();
        // The second names its step; the first has step 0, which is not written.
        assert_eq!(sizes[1], sizes[0] + 2);
        let missing = EventFile::create(&folder.path().join("none"), 0).unwrap_err().to_string();
        assert!(missing.contains("none") && missing.contains("events.out.tfevents"), "{missing}");
    }
}
