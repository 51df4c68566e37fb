//! Takes one mechanism away and shows what a client loses.

mod play;
mod shrink;

pub use play::{Act, Mark, Play, Schedule, lane};
pub use shrink::{is_minimal, shrink};

use trace::{Mechanism, Mechanisms};

impl Schedule {
    /// Does it break a promise without `off`?
    pub fn betrays(&self, off: Mechanism) -> bool {
        self.play(Mechanisms::all().without(off)).is_ok_and(|play| play.broken.is_some())
    }

    /// The same with all steps gone that it does not need.
    #[must_use]
    pub fn shrunk(&self, off: Mechanism) -> Schedule {
        let with = |steps: &[String]| Schedule { steps: steps.to_vec(), ..self.clone() };
        let steps = shrink(self.steps.clone(), |steps| with(steps).betrays(off));
        with(&steps)
    }

    /// Has each single step been tried, and found to be needed?
    pub fn is_minimal(&self, off: Mechanism) -> bool {
        let with = |steps: &[String]| Schedule { steps: steps.to_vec(), ..self.clone() };
        is_minimal(&self.steps, |steps| with(steps).betrays(off))
    }
}
