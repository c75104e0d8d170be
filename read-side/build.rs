//! Sets `cfg(playground)` if GraphiQL was built (`playground/dist`), so that it is included in the binary.

use std::path::Path;

fn main() {
    let playground = Path::new(env!("CARGO_MANIFEST_DIR")).join("../playground");
    println!("cargo::rustc-check-cfg=cfg(playground)");
    // The parent of dist, because cargo treats a missing path as changed.
    println!("cargo::rerun-if-changed={}", playground.display());
    if playground.join("dist/index.html").exists() {
        println!("cargo::rustc-cfg=playground");
    }
}
