//! Exercises: the known answer passes, and each wrong one is told what is wrong with it.
//!
//! `UPDATE_STORIES=1 cargo test -p lab --test learn` writes the tables of `docs/learn.md` and `docs/teaching.md`
//! anew.

use std::collections::BTreeSet;
use std::path::Path;

use lab::learn::{self, Exercise, Fault, Grade, HINTS, Kind, Rank};
use lab::{Schedule, learn::exercises};
use trace::Mechanisms;

fn breaks() -> Vec<Exercise> {
    exercises().into_iter().filter(|exercise| exercise.kind == Kind::Break).collect()
}

fn exercise(id: &str) -> Exercise {
    learn::exercise(id).unwrap()
}

/// What is wrong with an answer; `None`: it passes.
fn fault(exercise: &Exercise, answer: &str) -> Option<Fault> {
    match exercise.grade(answer).unwrap() {
        Grade::Passed { .. } => None,
        Grade::NotYet { fault, words } => {
            assert!(words.concat().len() > 20, "{}: {words:?}", exercise.id);
            Some(fault)
        }
    }
}

/// All that is said of an answer that does not pass.
fn words(exercise: &Exercise, answer: &str) -> String {
    match exercise.grade(answer).unwrap() {
        Grade::Passed { words, .. } => panic!("it passes: {words}"),
        Grade::NotYet { words, .. } => words.join("\n"),
    }
}

fn solution(exercise: &Exercise) -> Schedule {
    exercise.solution().parse().unwrap()
}

/// The solution with other steps.
fn with(exercise: &Exercise, steps: &[String]) -> String {
    Schedule { steps: steps.to_vec(), ..solution(exercise) }.to_string()
}

#[test]
fn they_go_from_easy_to_hard_and_each_known_answer_passes_at_par() {
    let all = breaks();
    assert!(all.len() >= 30, "{}", all.len());
    assert!(all.is_sorted_by_key(Exercise::par));
    for exercise in &all {
        let Grade::Passed { rank: Rank::Steps(steps), words } = exercise.grade(&exercise.solution()).unwrap()
        else {
            panic!("{}: its own solution does not pass", exercise.id);
        };
        assert_eq!(Some(steps), exercise.par(), "{}", exercise.id);
        assert!(words.len() > 10, "{}: {words}", exercise.id);
        let hints: BTreeSet<String> = (0..HINTS).map(|n| exercise.hint(n)).collect();
        assert_eq!(hints.len(), HINTS, "{}: a hint comes twice", exercise.id);
    }
}

#[test]
fn a_file_as_it_was_made_is_read_and_has_no_steps_yet() {
    for exercise in breaks() {
        assert_eq!(fault(&exercise, &exercise.begin()), Some(Fault::Empty), "{}", exercise.id);
    }
}

#[test]
fn a_known_answer_that_lacks_any_one_step_does_not_pass() {
    for exercise in breaks() {
        let steps = solution(&exercise).steps;
        for at in 0..steps.len() {
            let mut fewer = steps.clone();
            fewer.remove(at);
            let found = fault(&exercise, &with(&exercise, &fewer));
            assert!(found.is_some(), "{} passes without step {}", exercise.id, at + 1);
        }
    }
}

#[test]
fn slips_that_everybody_makes_are_told_apart_in_every_exercise() {
    for exercise in breaks() {
        let id = &exercise.id;
        let schedule = solution(&exercise);
        let (begins, setting) = (exercise.begin(), &schedule.setting[0]);
        let local = schedule.is_local();
        assert_eq!(fault(&exercise, &format!("{begins}write 1 to n1\n")), Some(Fault::Unreadable), "{id}");
        let slip = fault(&exercise, &format!("{begins}> wriet 1 to n1\n"));
        assert_eq!(slip, Some(if local { Fault::Impossible } else { Fault::Unreadable }), "{id}");
        let other = begins.replacen(setting.as_str(), "cluster 7 cold", 1);
        assert_eq!(fault(&exercise, &format!("{other}> tick all\n")), Some(Fault::OtherBeginning), "{id}");
        let early = if local { "> cut 1" } else { "> deliver n3 n2 Promised" };
        assert_eq!(fault(&exercise, &format!("{begins}{early}\n")), Some(Fault::Impossible), "{id}");
        let healthy = fault(&exercise, &format!("{begins}> {}\n", if local { "open" } else { "tick all" }));
        let fine = [Fault::RuleNotAsked, Fault::NobodyTold, Fault::StillTrue];
        assert!(healthy.is_some_and(|fault| fine.contains(&fault)), "{id}: {healthy:?}");
    }
}

#[test]
fn all_but_the_last_step_is_told_what_is_still_true() {
    for exercise in breaks() {
        let steps = solution(&exercise).steps;
        let nearly = fault(&exercise, &with(&exercise, &steps[..steps.len() - 1]));
        let known = [Fault::Empty, Fault::RuleNotAsked, Fault::NobodyTold, Fault::StillTrue, Fault::Stopped];
        assert!(nearly.is_some_and(|fault| known.contains(&fault)), "{}: {nearly:?}", exercise.id);
    }
}

#[test]
fn an_entry_counted_once_is_acknowledged_and_the_learner_is_asked_who_could_take_over() {
    let exercise = exercise("break-majority-commit");
    let steps = solution(&exercise).steps;
    let words = words(&exercise, &with(&exercise, &steps[..steps.len() - 1]));
    for needed in
        ["Clients were told: write 1 is written as version 3", "still true", "from step 2 on", "take over"]
    {
        assert!(words.contains(needed), "no `{needed}`: {words}");
    }
}

#[test]
fn a_read_that_nobody_has_answered_yet_is_told_as_one_that_waits() {
    let exercise = exercise("break-epoch-marker");
    let steps = solution(&exercise).steps;
    let read = steps.iter().position(|step| step.starts_with("read ")).unwrap();
    let told = words(&exercise, &with(&exercise, &steps[..=read]));
    assert!(told.contains("No answer yet to the read of k from n2."), "{told}");
    let told = words(&exercise, &with(&exercise, &["read from n2".into()]));
    assert!(told.contains("the read is refused"), "{told}");
}

#[test]
fn a_rule_that_is_missing_from_the_beginning_makes_a_difference_where_it_would_have_acted() {
    let exercise = exercise("break-epoch-marker");
    let steps = solution(&exercise).steps;
    // The cluster has no marker from its beginning on, so every entry has another number.
    assert_eq!(fault(&exercise, &with(&exercise, &["tick all".into()])), Some(Fault::RuleNotAsked));
    let takeover = steps.iter().position(|step| step.ends_with("Promised")).unwrap();
    let told = words(&exercise, &with(&exercise, &steps[..=takeover]));
    assert!(told.contains(&format!("makes a difference from step {} on", takeover + 1)), "{told}");
    assert!(told.contains("so its entries have other numbers"), "{told}");
}

#[test]
fn an_impossible_step_is_named_with_the_reason_and_the_state_before_it() {
    let exercise = exercise("break-majority-commit");
    let words = words(&exercise, &format!("{}> write 1 to n1\n> deliver n2 n3 Promised\n", exercise.begin()));
    for needed in [
        "Step 2, `deliver n2 n3 Promised`, is not possible there",
        "After step 1 (an entry is written seq@epoch):\n  n1: ",
    ] {
        assert!(words.contains(needed), "no `{needed}`: {words}");
    }
}

#[test]
fn a_longer_answer_passes_too_and_a_wrong_name_gets_the_one_that_was_meant() {
    let exercise = exercise("break-majority-commit");
    let mut longer = vec!["tick all".to_string()];
    longer.extend(solution(&exercise).steps);
    let Grade::Passed { rank: Rank::Steps(steps), .. } = exercise.grade(&with(&exercise, &longer)).unwrap()
    else {
        panic!("{longer:?}")
    };
    assert!(Some(steps) > exercise.par());
    let error = learn::exercise("break-epoch-fense").unwrap_err();
    assert!(error.contains("did you mean break-epoch-fence?"), "{error}");
}

#[test]
fn nothing_that_is_typed_makes_the_grader_fail() {
    for id in ["break-ab-superblock", "break-epoch-fence"] {
        let exercise = exercise(id);
        let begin = exercise.begin();
        for line in [
            "> cut 99999999999999999999",
            "> open\n> cut 3 99999",
            "> open\n> cut 1 zero:front 0:middle 0:front:end",
            "> kill -1",
            "> open\n> rot 9999 99999",
            "> rot 0",
            "> open as n0",
            "> open as n99999999999",
            "> deliver n9 n99",
            "> takeover n1 above 18446744073709551615",
            "> write 4294967296 to n1",
            ">",
            "> ",
            "\u{0}",
        ] {
            let grade = exercise.grade(&format!("{begin}{line}\n")).unwrap();
            assert!(matches!(grade, Grade::NotYet { .. }), "{id}, {line}: {grade:?}");
        }
    }
}

// ---- What has to be compiled ----

fn of(kind: Kind) -> impl Iterator<Item = Exercise> {
    exercises().into_iter().filter(move |exercise| exercise.kind == kind)
}

fn tree(path: &str) -> Option<String> {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)).ok()
}

#[test]
fn fifteen_guards_are_to_be_rebuilt_and_each_has_three_wrong_answers_with_messages_of_their_own() {
    let guards: Vec<Exercise> = of(Kind::Rebuild).collect();
    assert!(guards.len() >= 15, "{}", guards.len());
    let mut said = BTreeSet::new();
    for exercise in &guards {
        assert!(exercise.wrong().len() >= 3, "{}", exercise.id);
        for wrong in exercise.wrong() {
            assert!(wrong.why.len() > 40 && said.insert(wrong.why), "{}: {}", exercise.id, wrong.name);
        }
    }
}

#[test]
fn the_emptied_guard_keeps_its_name_its_comment_and_its_arguments() {
    for exercise in of(Kind::Rebuild) {
        let (begin, solution) = (exercise.begin(), exercise.solution());
        let comment = solution.lines().next().unwrap();
        assert!(begin.contains(comment), "{}: {begin}", exercise.id);
        let signature = solution.lines().find(|line| line.contains("fn ")).unwrap();
        assert!(begin.contains(signature), "{}: {begin}", exercise.id);
        assert_eq!(begin.matches("fn ").count(), 1, "{begin}");
        assert!(!begin.contains(".stops("), "{}: the answer is given away: {begin}", exercise.id);
    }
}

#[test]
fn the_core_as_it_is_passes_and_none_of_its_guards_is_taken_for_a_wrong_one() {
    // One of them goes all the way; the others differ in what is asked of the guard alone.
    let grade = Grade::from_json(&learn::judge_guard("rebuild-epoch-fence")).unwrap();
    assert!(matches!(grade, Grade::Passed { rank: Rank::Whole, .. }), "{grade:?}");
    for exercise in of(Kind::Rebuild) {
        assert_eq!(learn::recognised(&exercise, Mechanisms::all()), None, "{}", exercise.id);
    }
}

#[test]
fn a_guard_that_stops_nothing_is_taken_for_no_wrong_answer() {
    for exercise in of(Kind::Rebuild) {
        let off = Mechanisms::all().without(exercise.mechanism().unwrap());
        assert_eq!(learn::recognised(&exercise, off), None, "{}", exercise.id);
    }
}

#[test]
fn an_untouched_guard_or_invariant_is_told_as_untouched_with_what_it_lets_through() {
    for exercise in of(Kind::Rebuild).chain(of(Kind::Tell)) {
        let begin = exercise.begin();
        for text in [begin.clone(), begin.replace("\n\n", "\n\n\n// a note of mine\n")] {
            let Some(Grade::NotYet { fault: Fault::Empty, words }) = exercise.grade(&text) else {
                panic!("{}", exercise.id)
            };
            assert!(words[0].starts_with("Nothing is written yet: "), "{words:?}");
            let shown = words
                .iter()
                .any(|line| line.contains("breaks a promise") || line.contains("accepts every state"));
            assert!(shown, "{}: {words:?}", exercise.id);
        }
        assert_eq!(exercise.grade(&exercise.solution()), None, "{}: it has to be compiled", exercise.id);
    }
}

#[test]
fn the_learners_file_stands_in_the_place_of_the_guard_and_of_nothing_else() {
    for exercise in of(Kind::Rebuild) {
        let parts = learn::parts(&exercise, tree).unwrap();
        let [guard, program] = &parts[..] else { panic!("{}: {parts:?}", exercise.id) };
        let include = format!("include!(\"../../../../{}\");\n", exercise.file());
        let whole = guard.text.replace(&include, &exercise.solution());
        assert_eq!(whole, tree(&guard.path).unwrap(), "{}", exercise.id);
        assert!(program.text.contains("judge_guard"), "{}", program.text);
    }
    let exercise = exercise("rebuild-epoch-fence");
    let error = learn::parts(&exercise, |_| Some("fn another() {\n}\n".into())).unwrap_err();
    assert!(error.contains("crates/dataplane/src/guard.rs has no function epoch_fence"), "{error}");
}

#[test]
fn each_known_invariant_accepts_all_correct_clusters_and_rejects_several_wrong_ones() {
    assert!(of(Kind::Tell).count() >= 4);
    for exercise in of(Kind::Tell) {
        let grade = exercise.invariant().unwrap();
        let passed = Grade::from_json(&learn::judge_invariant(&exercise.id, grade)).unwrap();
        assert!(matches!(passed, Grade::Passed { .. }), "{}: {passed:?}", exercise.id);
        assert!(!exercise.rejects().is_empty(), "{}", exercise.id);
        assert!(exercise.solution().contains("pub fn holds("), "{}", exercise.solution());
    }
}

#[test]
fn an_invariant_that_accepts_or_rejects_everything_or_panics_is_told_with_a_state() {
    for exercise in of(Kind::Tell) {
        let graded = |holds| Grade::from_json(&learn::judge_invariant(&exercise.id, holds)).unwrap();
        let fault = |grade: Grade| match grade {
            Grade::NotYet { fault, words } => (fault, words.join("\n")),
            Grade::Passed { words, .. } => panic!("{}: {words}", exercise.id),
        };
        let (found, words) = fault(graded(|_, _| true));
        assert!(found == Fault::AcceptsWrong && words.contains("This one it should reject"), "{words}");
        let (found, words) = fault(graded(|_, _| false));
        assert!(found == Fault::RejectsCorrect && words.contains("n1  primary"), "{words}");
        assert_eq!(fault(graded(|_, _| panic!("a slip"))).0, Fault::Panicked);
    }
}

#[test]
fn a_grade_is_the_same_after_its_way_through_json() {
    let passed = Grade::Passed { rank: Rank::Steps(7), words: "in \"seven\"".into() };
    let wrong = exercise("rebuild-epoch-fence").wrong()[0].name;
    let known = Grade::not_yet(Fault::Known(wrong), ["one".to_string(), "two".to_string()]);
    for grade in [passed, known, Grade::not_yet(Fault::SeedBreaks, [])] {
        assert_eq!(Grade::from_json(&grade.to_json()), Some(grade));
    }
    assert_eq!(Grade::from_json("no JSON"), None);
}

/// A page with a part between two comments, and that part made anew.
fn page(name: &str, mark: &str, fresh: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    let page = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = (format!("<!-- {mark} -->\n\n"), format!("<!-- end of {mark} -->"));
    let (head, rest) = page.split_once(&begin).unwrap();
    let tail = rest.split_once(&end).unwrap().1;
    let fresh = format!("{head}{begin}{}\n\n{end}{tail}", fresh.trim_end());
    if std::env::var_os("UPDATE_STORIES").is_some() {
        std::fs::write(&path, &fresh).unwrap();
        return;
    }
    assert!(page == fresh, "docs/{name} is out of date; see above how to write it anew");
}

#[test]
fn the_tables_of_the_pages_are_what_the_exercises_say() {
    page("learn.md", "exercises", &learn::table());
    page("learn.md", "milestones", &learn::milestones());
    page("teaching.md", "wrong answers", &learn::wrong_answers());
}
