//! What there is to know about one picture before all are compared.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use densenet::data::{Part, Picture, Split, Unreadable};
use sha2::{Digest, Sha256};

/// A SHA-256.
pub type Hash = [u8; 32];

/// A picture of a data set.
pub struct Record {
    pub part: Part,
    /// Its index in the part.
    pub index: usize,
    pub state: State,
}

/// What can be made of a picture.
pub enum State {
    Sound {
        height: usize,
        width: usize,
        /// Of the extents and the decoded pixels.
        pixels: Hash,
        /// Of the file; none where it has none of its own.
        bytes: Option<Hash>,
    },
    /// A file of no bytes.
    Empty,
    /// Why it cannot be read.
    Unreadable(String),
}

impl Record {
    pub fn new(split: &Split, index: usize) -> Self {
        Self { part: split.part(), index, state: State::new(split, index) }
    }
}

impl State {
    fn new(split: &Split, index: usize) -> Self {
        let path = split.path(index);
        if path.and_then(|path| path.metadata().ok()).is_some_and(|file| file.is_file() && file.len() == 0) {
            return Self::Empty;
        }
        // The picture comes first: what is not a file is refused there, and not opened.
        let picture = match split.picture(index) {
            Ok(picture) => picture,
            Err(error) => return Self::Unreadable(Unreadable::new("", &error).reason),
        };
        match path.map(hash_of_file).transpose() {
            Ok(bytes) => {
                let (height, width) = (picture.height(), picture.width());
                Self::Sound { height, width, pixels: hash_of_pixels(&picture), bytes }
            }
            Err(error) => Self::Unreadable(error.to_string()),
        }
    }
}

fn hash_of_pixels(picture: &Picture<'_>) -> Hash {
    let extents = [picture.height(), picture.width(), picture.channels()].map(|n| (n as u64).to_le_bytes());
    Sha256::new().chain_update(extents.as_flattened()).chain_update(picture.pixels()).finalize().into()
}

fn hash_of_file(path: &Path) -> std::io::Result<Hash> {
    let (mut file, mut hash, mut piece) = (File::open(path)?, Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hash.finalize().into()),
            count => hash.update(&piece[..count]),
        }
    }
}
