//! tmp
fn main() {
    for file in std::fs::read_dir("crates/lab/counterexamples").unwrap() {
        let p = file.unwrap().path();
        let id = p.file_stem().unwrap().to_str().unwrap().to_string();
        let s: lab::why::Schedule = std::fs::read_to_string(&p).unwrap().parse().unwrap();
        if s.is_local() {
            continue;
        }
        let m = trace::Mechanism::from_id(&id).unwrap();
        let c = spec::Checker::new(s.setting().unwrap().nodes).unwrap();
        match c.schedule(&s, trace::Mechanisms::all().without(m)) {
            Ok(v) => match v.mismatches.first() {
                Some(x) => println!(
                    "{id} -> {:?} at {}: {}",
                    x.clause.map(|c| c.id()),
                    x.action,
                    if x.clause == Some(m) { "".to_string() } else { format!("{x}") }
                ),
                None => println!("{id} -> NOTHING"),
            },
            Err(e) => println!("{id} ERR {e}"),
        }
        match c.schedule(&s, trace::Mechanisms::all()) {
            Ok(v) => {
                if let Some(x) = v.mismatches.first() {
                    println!("  {id} with all on: {x}")
                }
            }
            Err(e) => println!("{id} ERR {e}"),
        }
    }
}
