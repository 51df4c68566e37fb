//! tmp
use spec::eval::Spec;
use spec::value::Value;
use std::collections::BTreeMap;
#[test]
fn smoke() {
    let text = std::fs::read_to_string("../../spec/Cutaway.tla").unwrap();
    let c = BTreeMap::from([
        ("Node".to_string(), Value::set((1..=3).map(Value::Int))),
        ("Without".into(), Value::set([])),
    ]);
    let spec = Spec::new(&text, &c).unwrap();
    let s = spec.init().unwrap();
    for d in ["D1", "D2", "D3", "D4", "D5", "D6", "D7", "D8", "P1", "P2"] {
        assert!(spec.value(d, &[], &s).unwrap().bool().unwrap());
    }
    let s = spec.step("Stand", &[1i64.into(), 1i64.into()], &s).unwrap().unwrap();
    println!("{:?}", spec.step("Elect", &[1i64.into()], &s));
    println!("{:?}", spec.step("AppendMarker", &[1i64.into()], &s));
    let t = std::time::Instant::now();
    for _ in 0..100000 {
        let _ = spec.step("StorePromise", &[1i64.into()], &s).unwrap().unwrap();
    }
    println!("{:?}", t.elapsed() / 100000);
}
