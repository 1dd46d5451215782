//! The machine that runs are made on, as far as Linux describes it.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::Result;
use densenet::files::write_whole;
use densenet_kernels::simd::Isa;
use serde_json::json;

/// Writes `machine.json` in a run's `folder`: the machine that the run was made on, and the number of `threads`.
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

/// Bytes of memory that this process can have at most: the machine's, or less where its control group has less.
pub fn memory() -> Option<usize> {
    let limit = |file: &str| fs::read_to_string(file).ok()?.trim().parse::<usize>().ok();
    let limits =
        ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"].into_iter().filter_map(limit);
    let machine = mib("/proc/meminfo", "MemTotal:").map(|mib| mib as usize * (1 << 20));
    limits.chain(machine).min()
}

/// The most memory that this process ever held.
pub fn peak_rss_mib() -> Option<f64> {
    mib("/proc/self/status", "VmHWM:")
}

/// The amount of memory after `name` in one of the kernel's files, which count in KiB.
fn mib(file: &str, name: &str) -> Option<f64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<f64>().ok().map(|kib| (kib / 1024.0).round())
}

/// The processor's name.
fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("model name"))?;
    Some(line.trim_start_matches([' ', '\t', ':']).to_owned())
}
