//! Any bytes as a safetensors file.
#![no_main]

mod read;

libfuzzer_sys::fuzz_target!(|data: &[u8]| read::read(data, ".safetensors"));
