//! What is known of one mechanism.

use trace::Mechanism;

/// One mechanism, as the lab knows it.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Which one.
    pub mechanism: Mechanism,
    /// What the client did, what it was told, and what is true at the end of the counterexample.
    pub short: &'static str,
    /// What to ask a reader before the step at which the mechanism decides.
    pub predict: &'static str,
    /// What it takes to see its absence.
    pub faults: &'static str,
    /// The file and the function that read its switch; `None`: it is the shape of the code, and has none.
    pub guard: Option<(&'static str, &'static str)>,
    /// The scope of `check` in which a counterexample is found; `None`: it was written by hand.
    pub scope: Option<&'static str>,
    /// The counterexample, as a schedule.
    pub counterexample: Option<&'static str>,
    /// The seed of the simulator that breaks a promise without it: where the failure takes real gateways or full disks,
    /// which the lab's schedules do not have.
    pub seed: Option<u64>,
    /// Why it cannot be taken out, if it is the shape of the code.
    pub structural: &'static str,
    /// A story in `stories/` in which it is seen at work.
    pub story: Option<&'static str>,
    /// Why nothing else helps.
    pub others: &'static str,
    /// The counterexample with something changed, as a schedule.
    pub trial: Option<&'static str>,
    /// What to try: what was changed, and what to ask of it.
    pub variation: &'static str,
    /// Who published the failure, or the rule against it.
    pub published: &'static str,
    /// Another mechanism that would do instead.
    pub choice: Option<&'static str>,
}

/// Nothing is known: what an entry does not name.
pub(super) const BLANK: Entry = Entry {
    mechanism: Mechanism::ALL[0],
    short: "",
    predict: "",
    faults: "",
    guard: None,
    scope: None,
    counterexample: None,
    seed: None,
    structural: "",
    story: None,
    others: "",
    trial: None,
    variation: "",
    published: "",
    choice: None,
};
