//! The learner's file, and the guard's file that includes it.

use super::exercise::Rebuild;
use crate::page::{guard_lines, guard_text};
use crate::why::registry;

/// Where the learner's folder is, seen from a file of the sources of a copied crate.
const UP: &str = "../../../../";

impl Rebuild {
    /// The file and the function.
    pub(in crate::learn) fn guard(&self) -> (&'static str, &'static str) {
        registry::entry(self.mechanism).guard.expect("an exercise has a guard")
    }

    /// The guard as it is.
    pub(in crate::learn) fn solution(&self) -> String {
        let (file, symbol) = self.guard();
        guard_text(file, symbol).expect("a test looks up every guard") + "\n"
    }

    /// The guard with another body.
    pub(in crate::learn) fn with_body(&self, body: &str) -> String {
        let text = self.solution();
        // A signature ends at the first line that ends with a brace; the comment above it has none.
        let code = text.lines().take_while(|line| line.starts_with("//") || !line.ends_with('{')).count() + 1;
        let head: Vec<&str> = text.lines().take(code).collect();
        let body: Vec<String> = body.lines().map(|line| format!("    {line}")).collect();
        format!("{}\n{}\n}}\n", head.join("\n"), body.join("\n"))
    }

    pub(in crate::learn) fn begin(&self) -> String {
        let (file, _) = self.guard();
        let emptied = self.with_body(self.empty);
        format!(
            "// Write this guard again. It is part of {file}, and as it stands it stops nothing.\n// The rule: {}\n// `on` is \
             there to switch a mechanism off in experiments; you need not read it.\n\n{emptied}",
            self.mechanism.does()
        )
    }

    /// `text`, which is the file of this guard, with `answer`, a file of the learner's folder, in the guard's place.
    pub(in crate::learn) fn replaced(&self, text: &str, answer: &str) -> Option<String> {
        let (file, symbol) = self.guard();
        let lines: Vec<&str> = text.lines().collect();
        let guard = guard_lines(text, symbol)?;
        let depth = file.matches('/').count();
        debug_assert_eq!(depth, UP.matches('/').count() - 1, "{file} is as deep as it is thought to be");
        let include = format!("include!(\"{UP}{answer}\");");
        let kept = lines[..guard.start]
            .iter()
            .copied()
            .chain([include.as_str()])
            .chain(lines[guard.end..].iter().copied());
        Some(kept.map(|line| format!("{line}\n")).collect())
    }
}
