//! What was measured, as a table for people.

use crate::load::{Load, Measured};

/// One load: a line for each store, with its speed as a share of the store `base`.
pub fn of(load: &Load, measured: &[Measured], base: &str) -> String {
    let of_base = measured.iter().find(|m| m.store == base).map_or(0.0, |m| m.puts_per_second);
    let writers = if load.writers == 1 { "writer" } else { "writers" };
    let mut text = format!("{} {writers} × {} bytes\n", load.writers, load.value_bytes);
    text += &format!(
        "  {:<12}{:>10}{:>8}{:>11}{:>11}{:>11}{:>13}{:>14}\n",
        "", "puts/s", "ratio", "p50 ms", "p99 ms", "puts/sync", "writes/sync", "written/user"
    );
    for m in measured {
        text += &format!(
            "  {:<12}{:>10.0}{:>8.2}{:>11.2}{:>11.2}{:>11.1}{:>13}{:>14.2}\n",
            m.store,
            m.puts_per_second,
            m.puts_per_second / of_base,
            m.p50_micros / 1e3,
            m.p99_micros / 1e3,
            m.puts_per_sync,
            if m.writes_per_sync > 0.0 { format!("{:.1}", m.writes_per_sync) } else { "-".into() },
            m.bytes_per_user_byte
        );
    }
    text
}
