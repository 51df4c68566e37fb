//! Every story in `stories/` still goes as it is written. `UPDATE_STORIES=1 cargo test -p lab --test stories` writes them
//! anew; then read the difference.

use std::path::Path;

#[test]
fn every_story_goes_as_it_is_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../stories");
    let mut stories: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    stories.retain(|path| path.extension().is_some_and(|extension| extension == "story"));
    stories.sort();
    assert!(stories.len() >= 10, "there are stories");
    let mut differ = Vec::new();
    for path in stories {
        let written = std::fs::read_to_string(&path).unwrap();
        let told = lab::story::run(&written).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        assert!(!told.contains("BROKEN"), "{}:\n{told}", path.display());
        if std::env::var_os("UPDATE_STORIES").is_some() {
            std::fs::write(&path, &told).unwrap();
        } else if told != written {
            differ.push((path, told));
        }
    }
    for (path, told) in &differ {
        println!("{} goes differently now:\n{told}", path.display());
    }
    assert!(differ.is_empty(), "stories that go differently: {}; see above", differ.len());
}
