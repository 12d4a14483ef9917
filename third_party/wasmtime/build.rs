//! Copies the C headers that the engine's own build script generated to
//! `$AILERON_ENGINE_INCLUDE`, where the C build looks for them.

use std::path::Path;
use std::{env, fs, io};

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn main() {
    println!("cargo:rerun-if-env-changed=AILERON_ENGINE_INCLUDE");
    let from = env::var("DEP_WASMTIME_C_API_INCLUDE").expect("the engine crate names its headers");
    if let Ok(to) = env::var("AILERON_ENGINE_INCLUDE") {
        copy_tree(Path::new(&from), Path::new(&to)).expect("copying the engine's headers");
    }
}
