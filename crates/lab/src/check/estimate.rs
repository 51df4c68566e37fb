//! How many states are still to come, by how the frontier grows.
//!
//! Depth by depth the frontier grows by a factor that falls: bounds are used up, and more and more of what is reached is
//! known. Sizes of that kind rise, turn, and die out, much as a bell does: the logarithm of the factor falls by about the
//! same from each depth to the next. So the last few factors say how it will go on. They say little while the frontier grows
//! as fast as ever, and then nothing is said.

/// Factors that are looked at.
const LOOKED_AT: usize = 4;
/// A factor that falls by less from depth to depth has not begun to.
const FALLS_MIN: f64 = 0.01;
/// Longer estimates are worth nothing.
const DEPTHS_MAX: u32 = 200;

/// The states still to come, from the sizes of all depths that are known in full. Of the last of them, `waiting` states
/// were not expanded yet, and the others led to `next`. Schedules have at most `depth_max` steps.
pub(super) fn left(sizes: &[u64], waiting: u64, next: u64, depth_max: u32) -> Option<u64> {
    let level = sizes.len() - 1;
    let logs: Vec<f64> = sizes.iter().map(|size| (*size as f64).ln()).collect();
    let mut factors: Vec<f64> = logs.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let done = sizes[level] - waiting;
    if done == sizes[level] && next == 0 {
        return Some(0);
    }
    // Once a good part of this depth is expanded, what it leads to is a factor as well.
    let whole = next as f64 * sizes[level] as f64 / done.max(1) as f64;
    let told = done * 4 >= sizes[level] && whole > 0.0;
    factors.extend(told.then(|| whole.ln() - logs[level]));
    let last = factors.get(factors.len().checked_sub(LOOKED_AT)?..)?;
    let falls = (last[0] - last[LOOKED_AT - 1]) / (LOOKED_AT - 1) as f64;
    if falls < FALLS_MIN {
        return None;
    }
    let (mut factor, mut size, mut depth) = (last[LOOKED_AT - 1], logs[level], level as u32);
    let mut total = 0.0;
    if told {
        (size, depth, total) = (whole.ln(), depth + 1, whole - next as f64);
    }
    while depth < depth_max.min(level as u32 + DEPTHS_MAX) {
        factor -= falls;
        size += factor;
        depth += 1;
        if size < 0.0 {
            break;
        }
        total += size.exp();
    }
    Some(total.max(0.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frontier that rises and falls as a bell.
    fn bell() -> Vec<u64> {
        (0..40)
            .map(|depth: i32| (1e6 * (-f64::from((depth - 20).pow(2)) / 30.0).exp()).ceil() as u64)
            .collect()
    }

    #[test]
    fn what_is_left_of_a_bell_is_known_from_its_rise() {
        let sizes = bell();
        for level in 10..32 {
            let rest: u64 = sizes[level + 1..].iter().sum();
            let said = left(&sizes[..=level], sizes[level], 0, u32::MAX).unwrap();
            assert!(said > rest / 2 && said < rest * 2 + 20, "{level}: {said}, and it is {rest}");
        }
    }

    #[test]
    fn nothing_is_said_while_it_grows_as_fast_as_ever() {
        let doubling: Vec<u64> = (0..20).map(|depth| 1 << depth).collect();
        assert_eq!(left(&doubling, 1 << 19, 0, u32::MAX), None);
        assert_eq!(left(&[1, 3], 3, 0, u32::MAX), None);
        assert_eq!(left(&[1], 1, 0, u32::MAX), None);
    }

    #[test]
    fn at_the_end_nothing_is_left() {
        assert_eq!(left(&bell(), 0, 0, u32::MAX), Some(0));
        // Schedules of that length are not tried.
        let sizes = bell();
        assert_eq!(left(&sizes[..30], sizes[29], 0, 29), Some(0));
    }
}
