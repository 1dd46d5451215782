//! What both fuzzers do with their bytes.

use std::io::Write;

use densenet::Architecture;
use densenet::checkpoint::Reader;

/// Reads `data` as a file whose name ends in `ending`, to its last weight.
pub fn read(data: &[u8], ending: &str) {
    let mut file = tempfile::Builder::new().suffix(ending).tempfile().expect("a temporary file");
    file.write_all(data).expect("room for it");
    let Ok(mut reader) = Reader::open(file.path()) else { return };
    let _ = reader.card();
    let Ok(found) = reader.infer() else { return };
    let architecture = Architecture::new(&found.config).expect("what is inferred is sound");
    let _ = reader.weights(&architecture);
}
