//! tmp
fn main() {
    let mut args = std::env::args().skip(1);
    let (from, to): (u64, u64) =
        (args.next().unwrap().parse().unwrap(), args.next().unwrap().parse().unwrap());
    let c = spec::Checker::new(3).unwrap();
    let (mut steps, mut bad) = (0, 0);
    let t = std::time::Instant::now();
    for seed in from..to {
        match c.seed(seed, &sim::Options::default()) {
            Ok(v) => {
                steps += v.steps;
                for m in v.mismatches {
                    bad += 1;
                    if bad < 30 {
                        println!("seed {seed}\n{m}");
                    }
                }
            }
            Err(e) => println!("seed {seed}: {e}"),
        }
    }
    println!("{steps} steps, {bad} mismatches, {:?}", t.elapsed());
}
