//! The page as one document: `viewer/lab/`, put together.

use serde_json::Value;

use crate::bundle;

pub(crate) const PAGE: &str = include_str!("../../../viewer/lab/page.html");
pub(crate) const STYLE: &str = include_str!("../../../viewer/lab/style.css");
/// In the order of their imports.
const MODULES: [&str; 9] = [
    include_str!("../../../viewer/lab/text.js"),
    include_str!("../../../viewer/lab/ask.js"),
    include_str!("../../../viewer/lab/parts.js"),
    include_str!("../../../viewer/lab/picture.js"),
    include_str!("../../../viewer/lab/logs.js"),
    include_str!("../../../viewer/lab/time.js"),
    include_str!("../../../viewer/lab/panel.js"),
    include_str!("../../../viewer/lab/lessons.js"),
    include_str!("../../../viewer/lab/app.js"),
];

/// The page as one document. `NONCE` stands where the one of an answer goes.
pub fn document() -> String {
    let page = PAGE.replacen("/*STYLE*/", STYLE, 1).replacen("/*SCRIPT*/", &script(), 1);
    with_library(&page)
}

/// The modules as one script.
pub(crate) fn script() -> String {
    bundle::script(&MODULES)
}

/// A template with all that the page has at hand.
pub(crate) fn with_library(page: &str) -> String {
    page.replacen("/*LIBRARY*/", &bundle::data(&lab::page::library()), 1)
}

/// The document with what it shows where nobody answers it, or `null`.
pub fn with(document: &str, recorded: &Value) -> String {
    document.replacen("/*RECORDED*/", &bundle::data(recorded), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_whole_and_asks_for_nothing_from_elsewhere() {
        let page = with(&document(), &Value::Null);
        for left in ["/*STYLE*/", "/*SCRIPT*/", "/*LIBRARY*/", "/*RECORDED*/", "\nimport ", "\nexport "] {
            assert!(!page.contains(left), "{left}");
        }
        for far in ["https://", " src=", "@import", "url("] {
            assert!(!page.contains(far), "the page asks for something outside: {far}");
        }
        assert_eq!(page.matches("</script>").count(), 3, "data ends no script element");
    }
}
