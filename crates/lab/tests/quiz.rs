//! The quiz: what is accepted is what playing the schedule says, and nothing else.

use lab::Schedule;
use lab::why::quiz::{Question, deciding, question, question_about};
use lab::why::registry;
use trace::Mechanism;

fn stored(mechanism: Mechanism) -> Schedule {
    registry::entry(mechanism).counterexample.unwrap().parse().unwrap()
}

fn questions() -> Vec<Question> {
    (0..150).filter_map(question).collect()
}

/// What really comes of the step that is asked about, played here once more.
fn comes(question: &Question) -> Vec<String> {
    let mechanism = question.mechanism.unwrap();
    let off: &[Mechanism] = if question.on { &[] } else { &[mechanism] };
    let play = stored(mechanism).play_without(off).unwrap();
    let act = &play.acts[question.so_far.len()];
    let client = act.client.iter().map(|line| format!("the client learns: {line}"));
    let broken = play.broken.iter().filter(|_| question.so_far.len() + 1 == play.acts.len());
    let broken = broken.map(|what| format!("a promise is broken: {what}"));
    act.events.iter().map(lab::tell::plain).chain(client).chain(broken).collect()
}

#[test]
fn every_choice_that_is_true_is_accepted_and_no_other() {
    let mut several = 0;
    for question in questions().iter().filter(|question| question.asks.starts_with("Next: ")) {
        let came = comes(question);
        for (n, choice) in question.choices.iter().enumerate() {
            assert_eq!(came.contains(choice), question.right.contains(&n), "choice {n} of {question:#?}");
        }
        several += usize::from(question.right.len() > 1);
    }
    assert!(several > 5, "now and then there is more than one right answer");
}

#[test]
fn a_missing_mechanism_is_any_without_which_the_schedule_goes_as_it_was_shown() {
    let questions = questions();
    let asked: Vec<_> = questions.iter().filter(|question| question.asks.starts_with("Which one")).collect();
    assert!(asked.len() > 10, "{} of {}", asked.len(), questions.len());
    for question in asked {
        let mechanism = question.mechanism.unwrap();
        let schedule = stored(mechanism);
        let steps = question.so_far.len();
        let told = |off: Mechanism| {
            let play = schedule.play_without(&[off]).unwrap();
            let acts = play.acts.into_iter().take(steps);
            acts.map(|act| (act.words, act.skipped, act.state, act.client)).collect::<Vec<_>>()
        };
        for n in &question.right {
            let off = lab::mechanism(&question.choices[*n]).unwrap();
            assert_eq!(told(off).len(), steps);
            assert_eq!(told(off), told(mechanism), "{off} {question:#?}");
        }
        let is_right = question.right.iter().any(|n| question.choices[*n] == mechanism.id());
        assert!(is_right && question.right.len() < question.choices.len(), "{question:#?}");
    }
}

#[test]
fn a_question_shows_the_state_and_what_is_on_its_way() {
    let questions = questions();
    assert!(questions.len() > 120, "{} of 150 numbers are questions", questions.len());
    for question in &questions {
        assert!(question.choices.len() >= 2 && !question.right.is_empty(), "{question:#?}");
        assert!(!question.hints.is_empty() && !question.because.is_empty(), "{question:#?}");
        let local = stored(question.mechanism.unwrap()).is_local();
        assert!(!question.state.is_empty(), "{question:#?}");
        // What is delivered next was on its way.
        let delivers = question.asks.starts_with("Next: n") && question.asks.contains(" → n");
        let on_its_way = question.on_its_way.as_ref();
        assert_eq!(on_its_way.is_none(), local, "{question:#?}");
        assert!(!delivers || on_its_way.is_some_and(|messages| !messages.is_empty()), "{question:#?}");
    }
}

#[test]
fn questions_are_made_of_any_schedule() {
    let schedule: Schedule = "> cluster 3\n> write 1 to n1\n> deliver n1 n2 Prepare\n> sync n2\n> sync n1\n> deliver n2 n1 PrepareOk\n"
        .parse()
        .unwrap();
    let deciding = deciding(&schedule).unwrap();
    assert!(deciding.contains(&Mechanism::MajorityCommit), "{deciding:?}");
    let questions: Vec<_> = (0..40).filter_map(|n| question_about(&schedule, &deciding, n)).collect();
    assert!(questions.len() > 30, "{}", questions.len());
    assert!(questions.iter().any(|question| question.so_far.is_empty()));
    assert!("> cluster 3\n> fly n1\n".parse::<Schedule>().unwrap_err().contains("fly n1"));
}
