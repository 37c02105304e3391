//! Compiles components ahead of time, for a binary to embed.
//!
//! `towpath-precompile <file.wasm>… --out <folder>` writes `<name>.cwasm` and `<name>.digest` for each; the name is the
//! file's, without the package prefix `towpath_` and with hyphens. Files that are up to date are left alone.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut inputs = Vec::new();
    let mut out = None;
    let mut arguments = std::env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--out" {
            out = arguments.next().map(PathBuf::from);
        } else {
            inputs.push(PathBuf::from(argument));
        }
    }
    let Some(out) = out.filter(|_| !inputs.is_empty()) else {
        eprintln!("usage: towpath-precompile <file.wasm>… --out <folder>");
        return ExitCode::from(2);
    };
    for input in &inputs {
        if let Err(reason) = compile(input, &out) {
            eprintln!("{}: {reason}", input.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn compile(input: &Path, out: &Path) -> Result<(), String> {
    let stem = input.file_stem().and_then(|stem| stem.to_str()).ok_or("the file has no name")?;
    let name = stem.strip_prefix("towpath_").unwrap_or(stem).replace('_', "-");
    let wasm = std::fs::read(input).map_err(|error| error.to_string())?;
    let precompiled = towpath_host::precompile(&name, &wasm).map_err(|error| format!("{error}: {:?}", error))?;
    std::fs::create_dir_all(out).map_err(|error| error.to_string())?;
    write_changed(&out.join(format!("{name}.cwasm")), &precompiled.cwasm)?;
    write_changed(&out.join(format!("{name}.digest")), precompiled.digest.as_bytes())
}

/// Leaves an equal file alone, so that nothing is rebuilt for it.
fn write_changed(path: &Path, bytes: &[u8]) -> Result<(), String> {
    if std::fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    std::fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}
