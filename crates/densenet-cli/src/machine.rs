//! The machine that work is done on, as far as Linux tells it.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::Result;
use densenet::files::write_whole;
use densenet_kernels::simd::Isa;
use serde_json::json;

/// Writes `machine.json` in a run's `folder`: what the run was made on with so many `threads`.
pub fn save(folder: &Path, threads: usize) -> Result<()> {
    let object = json!({
        "processor": processor(),
        "threads": threads,
        "instruction_set": Isa::current().name(),
        "os": std::env::consts::OS,
        "memory_mib": mib("/proc/meminfo", "MemTotal:"),
        "peak_rss_mib": peak_rss_mib(),
        "version": env!("CARGO_PKG_VERSION"),
    });
    Ok(write_whole(&folder.join("machine.json"), |file| writeln!(file, "{object}"))?)
}

/// The most memory that this process ever held.
pub fn peak_rss_mib() -> Option<f64> {
    mib("/proc/self/status", "VmHWM:")
}

/// The amount of memory after `name` in a file of the kernel's, which counts in KiB.
fn mib(file: &str, name: &str) -> Option<f64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<f64>().ok().map(|kib| (kib / 1024.0).round())
}

/// What the processor is called.
fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("model name"))?;
    Some(line.trim_start_matches([' ', '\t', ':']).to_owned())
}
