//! Explores a scope: `cargo run --release -p lab --example check -- SCOPE [STATES_MAX] [WITHOUT]`.
fn main() {
    std::panic::set_hook(Box::new(|_| {}));
    let args: Vec<String> = std::env::args().collect();
    let mut scope = lab::check::Scope::named(&args[1]).expect("a scope's name");
    let max = args.get(2).map_or(u64::MAX, |n| n.parse().expect("a number"));
    if let Some(m) = args.get(3) {
        scope = scope.without(trace::Mechanism::from_id(m).expect("a mechanism's id"));
    }
    let start = std::time::Instant::now();
    let out =
        lab::check::explore(&scope, max, 2, |p| eprintln!("{p:?} {:.1}s", start.elapsed().as_secs_f64()));
    println!("{:?} complete={} in {:.1}s", out.progress, out.complete, start.elapsed().as_secs_f64());
    if let Some(found) = out.found {
        println!("{}", found.broken);
        for (n, s) in found.steps.iter().enumerate() {
            println!("{:2} {s}", n + 1);
        }
        for l in found.end {
            println!("   {l}");
        }
    }
}
