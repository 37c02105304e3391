//! Embeds the connectors' precompiled components, so that the binary alone is enough and a start needs no compiler.
//!
//! They are made beforehand (`make components`) and found in `$TOWPATH_COMPONENTS` or `<target>/components`: pairs of `NAME.cwasm`, the
//! code, and `NAME.digest`, the SHA-256 of the component it was made of. With none there the binary embeds none and a warning says so.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-env-changed=TOWPATH_COMPONENTS");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let folder = match std::env::var_os("TOWPATH_COMPONENTS") {
        Some(folder) => PathBuf::from(folder),
        None => target_folder(&out).ok_or("OUT_DIR does not lie in a target folder")?.join("components"),
    };
    // Watching the folder itself notices components that come and go; each file is watched for its contents.
    println!("cargo::rerun-if-changed={}", folder.display());
    let names = names(&folder);
    if names.is_empty() {
        println!("cargo::warning=no connectors are embedded: {} holds no .cwasm; run make", folder.display());
    }
    let mut list = String::from("&[\n");
    for name in names {
        let (code, digest) = (folder.join(format!("{name}.cwasm")), folder.join(format!("{name}.digest")));
        println!("cargo::rerun-if-changed={}", code.display());
        println!("cargo::rerun-if-changed={}", digest.display());
        let digest = std::fs::read_to_string(&digest)?;
        writeln!(
            list,
            "    towpath_host::EmbeddedComponent {{ name: {name:?}, digest: {:?}, cwasm: {{
        const CODE: &towpath_host::Paged<[u8]> = &towpath_host::Paged(*include_bytes!({code:?}));
        &CODE.0
    }} }},",
            digest.trim()
        )?;
    }
    list.push(']');
    // Backtraces keep their function names; line tables are two thirds of the file and stay beside the object files.
    println!("cargo::rustc-link-arg-bins=-Wl,--strip-debug");
    std::fs::write(out.join("embedded.rs"), list)?;
    Ok(())
}

/// `<target>` of `<target>/<profile>/build/<package>/out`.
fn target_folder(out: &Path) -> Option<&Path> {
    out.ancestors().nth(4)
}

/// Names of the components that are there in full, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".cwasm")?.to_owned()))
        .filter(|name| folder.join(format!("{name}.digest")).is_file())
        .collect();
    names.sort();
    names
}
