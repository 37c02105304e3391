//! The machine that numbers belong to.

use std::fs::read_to_string;

/// Processor, cores, memory, kernel and load, in a line.
pub(crate) fn describe() -> String {
    let field = |file: &str, name: &str| {
        let text = read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map_or_else(String::new, |(_, value)| value.trim().to_owned())
    };
    let memory_kb: u64 = field("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse().unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = read_to_string("/proc/loadavg").unwrap_or_default();
    format!(
        "{}, {cores} cores, {} GiB, Linux {}, load {} at the start",
        field("/proc/cpuinfo", "model name"),
        memory_kb.div_ceil(1 << 20),
        kernel.trim(),
        load.split_whitespace().next().unwrap_or("unknown"),
    )
}
