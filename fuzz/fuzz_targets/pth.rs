//! Any bytes as a PyTorch checkpoint.
#![no_main]

mod read;

libfuzzer_sys::fuzz_target!(|data: &[u8]| read::read(data, ".pth"));
