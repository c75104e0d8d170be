//! Tells the compiler whether GraphiQL was built (`playground/dist`), so that it can be put into the binary.

use std::path::Path;

fn main() {
    let playground = Path::new(env!("CARGO_MANIFEST_DIR")).join("../playground");
    println!("cargo::rustc-check-cfg=cfg(playground)");
    // The folder above dist, because cargo takes a path that is not there for one that has just changed.
    println!("cargo::rerun-if-changed={}", playground.display());
    if playground.join("dist/index.html").exists() {
        println!("cargo::rustc-cfg=playground");
    }
}
