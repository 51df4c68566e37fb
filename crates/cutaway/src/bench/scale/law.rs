//! How something grows with something else, by name.

/// Less of the spread than this explained, and it is chance.
const EXPLAINED_MIN: f64 = 0.6;

/// The law that a few measured points follow most closely, as people write it: `x` is what was varied.
///
/// The exponent is the slope of a line through the points on logarithmic scales (least squares); so each doubling counts
/// the same. A cost with a fixed part grows slower at first than at last: of four points or more, the exponent between the
/// last two is told too where it differs.
pub fn law(points: &[(f64, f64)], x: &str) -> String {
    let points: Vec<(f64, f64)> = points.iter().copied().filter(|(x, y)| *x > 0.0 && *y > 0.0).collect();
    let Some((over_all, explained)) = slope(&points) else { return "too few points for a law".into() };
    if over_all.abs() >= FLAT && explained < EXPLAINED_MIN {
        return "no law".into();
    }
    let last = slope(&points[points.len() - 2..]).map_or(over_all, |(slope, _)| slope);
    match points.len() >= 4 && (over_all - last).abs() > 0.25 {
        true => format!("{} over all, {} at last", named(over_all, x), named(last, x)),
        false => named(over_all, x),
    }
}

/// An exponent this near to another one is not told apart from it.
const FLAT: f64 = 0.15;

fn named(exponent: f64, x: &str) -> String {
    match exponent {
        e if e.abs() < FLAT => "constant".into(),
        e if (e - 1.0).abs() < FLAT => format!("~ {x}"),
        e => format!("~ {x}^{e:.2}"),
    }
}

/// The slope of the line through the logarithms of the points, and how much of their spread it explains; `None` if there
/// are fewer than two.
fn slope(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    let n = points.len() as f64;
    let logs: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let mean = |of: fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>() / n;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let sum = |of: &dyn Fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>();
    let (xx, yy) = (sum(&|p| (p.0 - x).powi(2)), sum(&|p| (p.1 - y).powi(2)));
    let xy = sum(&|p| (p.0 - x) * (p.1 - y));
    (xx > 0.0).then(|| (xy / xx, if yy > 0.0 { xy * xy / (xx * yy) } else { 1.0 }))
}

#[cfg(test)]
mod tests {
    use super::law;

    fn of(f: impl Fn(f64) -> f64) -> String {
        law(&[1e4, 1e5, 1e6, 1e7].map(|x| (x, f(x))), "keys")
    }

    #[test]
    fn laws_are_told_by_their_names() {
        assert_eq!(of(|_| 24.0), "constant");
        assert_eq!(of(|x| 3.0 * x), "~ keys");
        assert_eq!(of(|x| x.sqrt()), "~ keys^0.50");
        assert_eq!(of(|x| 1e6 / x), "~ keys^-1.00");
        // Nineteen to begin with, and a hundred bytes each.
        assert_eq!(of(|x| 19.0 + x * 100.0 / 1048576.0), "~ keys^0.57 over all, ~ keys at last");
        assert_eq!(law(&[(1.0, 2.0)], "keys"), "too few points for a law");
        assert_eq!(law(&[(1.0, 0.0), (2.0, 0.0)], "keys"), "too few points for a law");
        assert_eq!(law(&[(3.0, 44.0), (5.0, 90.0), (7.0, 20.0)], "nodes"), "no law");
    }
}
