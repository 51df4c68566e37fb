//! The evaluator and TLC judge the same steps alike: those that are allowed, where they lead, and those that are not.
//!
//! Needs Java and `TLC_JAR`, the path of tla2tools.jar; without them it is skipped, loudly.

use std::fmt::Write;
use std::process::Command;

use spec::eval::{Spec, State};
use spec::value::Value;
use spec::{CUTAWAY, cutaway};

/// A step: action, arguments, the state before, and after if it is allowed.
struct Judged {
    action: &'static str,
    args: Vec<Value>,
    before: State,
    after: Option<State>,
}

fn set(state: &State, name: &str) -> Vec<Value> {
    state[1].at(name).unwrap().elements().unwrap().iter().cloned().collect()
}

/// Steps that may or may not be possible in a state.
fn candidates(state: &State) -> Vec<(&'static str, Vec<Value>)> {
    let mut all = Vec::new();
    let int = Value::Int;
    for n in 1..=3 {
        let at = state[0].index(n).unwrap();
        let tail = spec_tail(at);
        all.extend((1..=3).map(|epoch| ("Stand", vec![int(n), int(epoch)])));
        for action in ["StorePromise", "Elect", "AppendMarker", "Sync", "StepDown", "Report"] {
            all.push((action, vec![int(n)]));
        }
        if at.at("applied").unwrap().int().unwrap() < at.at("log").unwrap().items().unwrap().len() as i64 {
            all.push(("Apply", vec![int(n)]));
        }
        all.push(("Write", vec![int(n), int(1)]));
        all.extend((1..=2).map(|seq| ("CommitByCount", vec![int(n), int(seq)])));
        all.extend(
            set(state, "stands").into_iter().map(|stand| ("GrantPromise", vec![int(n), stand, tail.clone()])),
        );
        for held in at.at("held").unwrap().elements().unwrap().iter() {
            all.push(("Release", vec![int(n), held.clone()]));
        }
        for mail in set(state, "mail") {
            all.push(("CountPromise", vec![int(n), mail.clone()]));
            all.push(("CountAck", vec![int(n), mail]));
        }
        for lead in set(state, "leads") {
            all.push(("Follow", vec![int(n), lead.clone()]));
            for (prev, upto, cut, commit) in
                [(0, 1, 0, 0), (1, 2, 0, 0), (0, 1, 1, 0), (0, 2, 0, 1), (0, 0, 0, 0)]
            {
                all.push((
                    "Prepare",
                    vec![int(n), lead.clone(), int(prev), int(upto), int(cut), int(commit)],
                ));
            }
        }
    }
    all
}

fn spec_tail(at: &Value) -> Value {
    let log = at.at("log").unwrap().items().unwrap();
    let epoch = log.last().map_or(Value::Int(0), |entry| entry.at("epoch").unwrap().clone());
    Value::record([("epoch", epoch), ("seq", Value::Int(log.len() as i64))])
}

/// Walks at random, and notes at each state what is allowed and what is not.
fn walk(spec: &Spec) -> Vec<Judged> {
    let (mut state, mut judged, mut random) = (spec.init().unwrap(), Vec::new(), 12_345_u64);
    let mut draw = |most: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % most
    };
    for _ in 0..120 {
        let steps = candidates(&state);
        let mut next = Vec::new();
        for (action, args) in steps {
            // What TLC has no answer to either: an index that is out of a log.
            let Ok(asked) = spec.step(action, &args, &state) else { continue };
            let after = asked.ok();
            next.extend(after.clone().filter(|after| *after != state));
            if draw(12) == 0 {
                judged.push(Judged { action, args, before: state.clone(), after });
            }
        }
        state = if next.is_empty() { spec.init().unwrap() } else { next.swap_remove(draw(next.len())) };
    }
    judged
}

#[test]
fn tlc_judges_the_same_steps_alike() {
    let jar = std::env::var("TLC_JAR").unwrap_or_default();
    let java = Command::new("java").arg("-version").output().is_ok_and(|out| out.status.success());
    if !java || !std::path::Path::new(&jar).is_file() {
        eprintln!("SKIPPED: the cross-check with TLC needs java and TLC_JAR=/path/to/tla2tools.jar");
        return;
    }
    let judged = walk(&cutaway(3).unwrap());
    let allowed = judged.iter().filter(|step| step.after.is_some()).count();
    assert!(allowed > 60 && judged.len() - allowed > 60, "{allowed} of {} are allowed", judged.len());
    let mut module = String::from(
        "---- MODULE M ----\nEXTENDS Cutaway\nVARIABLE step\nMNode == {1, 2, 3}\nMWithout == {}\n",
    );
    let state = |state: &State, prime: &str| {
        format!("at{prime} = {} /\\ said{prime} = {} /\\ client{prime} = {}", state[0], state[1], state[2])
    };
    module.push_str("Begin ==\n");
    for (at, judged) in judged.iter().enumerate() {
        writeln!(module, "  \\/ step = {at} /\\ {}", state(&judged.before, "")).unwrap();
    }
    module.push_str("Next ==\n");
    for (at, judged) in judged.iter().enumerate() {
        let args: Vec<String> = judged.args.iter().map(Value::to_string).collect();
        writeln!(
            module,
            "  \\/ step = {at} /\\ {}({}) /\\ step' = {}",
            judged.action,
            args.join(", "),
            at + 1_000_000
        )
        .unwrap();
    }
    module.push_str("Spec == Begin /\\ [][Next]_<<at, said, client, step>>\nAlike ==\n");
    for (at, judged) in judged.iter().enumerate() {
        let same = judged.after.as_ref().map_or("FALSE".to_string(), |after| state(after, ""));
        writeln!(module, "  /\\ step = {} => ({same})", at + 1_000_000).unwrap();
    }
    module.push_str("====\n");
    let folder = std::env::temp_dir().join(format!("cutaway-spec-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("Cutaway.tla"), CUTAWAY).unwrap();
    std::fs::write(folder.join("M.tla"), module).unwrap();
    let config = "SPECIFICATION Spec\nCONSTANTS\n  Node <- MNode\n  Without <- MWithout\nINVARIANT Alike\n";
    std::fs::write(folder.join("M.cfg"), config).unwrap();
    let tlc = ["-Xmx2g", "-cp", &jar, "tlc2.TLC", "-deadlock", "-workers", "1", "-config", "M.cfg", "M.tla"];
    let out = Command::new("java").args(tlc).current_dir(&folder).output().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let told = String::from_utf8_lossy(&out.stdout);
    assert!(told.contains("Model checking completed. No error"), "{told}");
    let states = format!("{} distinct states found", judged.len() + allowed);
    assert!(
        told.contains(&states),
        "TLC allows other steps than the evaluator, which expects {states}:\n{told}"
    );
}
