//! The order in which a PyTorch file names its tensors.
//!
//! A state dict lists tensors in the order in which the network's parts were created, which distinguishes two tensors
//! of one shape whatever they are called. `pytorch-reader` returns them without their order. A pickle writes a string
//! as an opcode, its length and its bytes, so the names can be found by a search, without parsing anything else.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The pickle comes before the values; in this many bytes it names more tensors than the largest network has.
const MOST_BYTES: u64 = 16 << 20;

/// Longest name looked for.
const LONGEST: usize = 512;

/// Where each of `names` first appears in the file, in bytes; `None` unless each is found. A name may appear without
/// the names of the dictionaries around it.
pub(super) fn places(path: &Path, names: &[&str]) -> io::Result<Option<Vec<usize>>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST_BYTES).read_to_end(&mut bytes)?;
    let wanted = unique_endings(names);
    let mut places = vec![None; names.len()];
    let mut left = names.len();
    for at in 0..bytes.len() {
        if left == 0 {
            break;
        }
        let name = string(&bytes[at..]).and_then(|text| wanted.get(text));
        if let Some(&Some(index)) = name
            && places[index].is_none()
        {
            places[index] = Some(at);
            left -= 1;
        }
    }
    Ok(places.into_iter().collect())
}

/// Each name, and each of its endings after a dot; `None` where several names end so.
fn unique_endings<'a>(names: &[&'a str]) -> HashMap<&'a [u8], Option<usize>> {
    let mut endings = HashMap::new();
    for (index, name) in names.iter().enumerate() {
        let starts = std::iter::once(0).chain(name.match_indices('.').map(|(dot, _)| dot + 1));
        for start in starts {
            endings.entry(&name.as_bytes()[start..]).and_modify(|found| *found = None).or_insert(Some(index));
        }
    }
    endings
}

/// The string that a pickle writes at the start of `bytes`, if it does.
fn string(bytes: &[u8]) -> Option<&[u8]> {
    let (length, text) = match *bytes {
        // BINUNICODE and BINSTRING
        [b'X' | b'T', a, b, c, d, ref text @ ..] => (u32::from_le_bytes([a, b, c, d]) as usize, text),
        // SHORT_BINUNICODE and SHORT_BINSTRING
        [0x8c | b'U', length, ref text @ ..] => (length.into(), text),
        _ => return None,
    };
    if length > LONGEST { None } else { text.get(..length) }
}
