//! Tells the crate which kind of machine it is built for, so that compiled components ask for no more than that kind has.

fn main() {
    let target = std::env::var("TARGET").unwrap_or_default();
    println!("cargo:rustc-env=TOWPATH_TARGET={target}");
    println!("cargo:rerun-if-changed=build.rs");
}
