//! Writes the files of the static site into a folder, all but the module: `site/build` calls it.

use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let folder: PathBuf = std::env::args_os().nth(1).expect("a folder").into();
    std::fs::create_dir_all(&folder)?;
    for (name, text) in web::site::files() {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}
