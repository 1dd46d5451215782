//! Any bytes as a request of the Open Inference Protocol: a line with the bytes of JSON, or nothing, then the body.
#![no_main]

// The program's own files: it is no library.
#[allow(dead_code)]
#[path = "../../crates/densenet-cli/src/serve/error.rs"]
mod error;
#[path = "../../crates/densenet-cli/src/serve/json.rs"]
mod json;
#[allow(dead_code)]
#[path = "../../crates/densenet-cli/src/serve/tensors.rs"]
mod tensors;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let line = data.iter().position(|&byte| byte == b'\n').unwrap_or(0);
    let length = std::str::from_utf8(&data[..line]).ok().and_then(|line| line.parse().ok());
    let Ok((_, request)) = json::parse(length, data.get(line + 1..).unwrap_or_default()) else { return };
    assert!(request.input.count() > 0);
});
