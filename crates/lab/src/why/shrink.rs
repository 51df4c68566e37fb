//! Makes a schedule that fails shorter, until no single step can go. A shorter one of other steps may exist.

/// Removes from `steps` whatever `fails` does without. The result is 1-minimal: without any single one of its steps it no
/// longer fails, and that has been tried for each. `fails(steps)` must hold; it is asked as often as it takes.
///
/// Delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", IEEE TSE 2002): parts of
/// half the length first, then of a quarter, and so on down to single steps, until a whole round of those removes
/// nothing; then pairs.
pub fn shrink<T: Clone>(mut steps: Vec<T>, mut fails: impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut part = steps.len().div_ceil(2).max(1);
    loop {
        let mut removed = false;
        let mut at = steps.len();
        // From the end: what comes late depends on what comes early, and not the other way round.
        while at > 0 {
            let from = at.saturating_sub(part);
            let without: Vec<T> = steps[..from].iter().chain(&steps[at..]).cloned().collect();
            if fails(&without) {
                steps = without;
                removed = true;
            }
            at = from;
        }
        if part > 1 {
            part = part.div_ceil(2);
        } else if !removed {
            match without_a_pair(&steps, &mut fails) {
                Some(shorter) => steps = shorter,
                None => return steps,
            }
        }
    }
}

/// Steps that need each other (a message and the sync that releases its answer) go together or not at all.
fn without_a_pair<T: Clone>(steps: &[T], mut fails: impl FnMut(&[T]) -> bool) -> Option<Vec<T>> {
    for second in 1..steps.len() {
        for first in 0..second {
            let mut without = steps.to_vec();
            without.remove(second);
            without.remove(first);
            if fails(&without) {
                return Some(without);
            }
        }
    }
    None
}

/// Is each step needed: does `fails` no longer hold without any single one?
pub fn is_minimal<T: Clone>(steps: &[T], mut fails: impl FnMut(&[T]) -> bool) -> bool {
    (0..steps.len()).all(|at| {
        let mut without = steps.to_vec();
        without.remove(at);
        !fails(&without)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_steps_that_matter_are_left() {
        let needs = |steps: &[u32]| [3, 17, 40].iter().all(|needed| steps.contains(needed));
        let short = shrink((0..50).collect(), needs);
        assert_eq!(short, [3, 17, 40]);
        assert!(is_minimal(&short, needs));
        assert!(!is_minimal(&[3, 4, 17, 40], needs));
    }

    #[test]
    fn a_step_that_pairs_with_another_goes_with_it() {
        // 1 and 2 only together, or neither.
        let fails = |steps: &[u32]| steps.contains(&9) && steps.contains(&1) == steps.contains(&2);
        assert_eq!(shrink(vec![1, 2, 9], fails), [9]);
    }
}
