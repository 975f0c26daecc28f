//! The machine that was measured on.

use std::fs;
use std::process::Command;

/// `AMD EPYC, 2 processors, 23 GB, linux x86_64`
pub(crate) fn describe() -> String {
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = read("/proc/meminfo", "MemTotal:")
        .and_then(|text| text.trim_end_matches(" kB").trim().parse::<u64>().ok())
        .map_or_else(String::new, |kb| format!(", {} GB", kb / 1_000_000));
    let model =
        read("/proc/cpuinfo", "model name").map(|text| text.trim_start_matches([':', ' ']).to_owned());
    let model = model.or_else(|| said("sysctl", &["-n", "machdep.cpu.brand_string"]));
    let model = model.unwrap_or_else(|| "a processor".to_owned());
    format!("{model}, {processors} processors{memory}, {} {}", std::env::consts::OS, std::env::consts::ARCH)
}

/// How busy it was: how many programs wanted a processor, on average over the last minute.
pub(crate) fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

/// `2026-11-18`, in UTC.
pub(crate) fn today() -> String {
    said("date", &["-u", "+%Y-%m-%d"]).unwrap_or_default()
}

fn read(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().to_owned())
}

fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
