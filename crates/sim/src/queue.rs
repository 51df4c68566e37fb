//! Virtual time: what is to happen, ordered by when, and among equals by who asked first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use dataplane::Micros;

/// The future, as far as it is known.
pub struct Queue<E> {
    /// When, who asked first, and where the event is kept: events are large, and a heap moves what it holds.
    heap: BinaryHeap<Reverse<(Micros, u64, usize)>>,
    events: Vec<Option<E>>,
    free: Vec<usize>,
    asked: u64,
    now: Micros,
}

impl<E> Default for Queue<E> {
    fn default() -> Queue<E> {
        Queue { heap: BinaryHeap::new(), events: Vec::new(), free: Vec::new(), asked: 0, now: 0 }
    }
}

impl<E> Queue<E> {
    /// The present, in microseconds since the schedule began.
    pub fn now(&self) -> Micros {
        self.now
    }

    /// Lets `event` happen at `at`, or at once if that is past.
    pub fn at(&mut self, at: Micros, event: E) {
        self.asked += 1;
        let place = self.free.pop().unwrap_or_else(|| {
            self.events.push(None);
            self.events.len() - 1
        });
        self.events[place] = Some(event);
        self.heap.push(Reverse((at.max(self.now), self.asked, place)));
    }

    /// Lets `event` happen in `wait` microseconds.
    pub fn after(&mut self, wait: Micros, event: E) {
        self.at(self.now + wait, event);
    }

    /// What is to happen, in the order in which it will, with its time.
    pub fn pending(&self) -> impl Iterator<Item = (Micros, &E)> {
        let mut places: Vec<_> = self.heap.iter().map(|Reverse(place)| *place).collect();
        places.sort_unstable();
        places.into_iter().filter_map(|(at, _, place)| Some((at, self.events[place].as_ref()?)))
    }

    /// Moves time to the next event.
    pub fn next(&mut self) -> Option<E> {
        let Reverse((at, _, place)) = self.heap.pop()?;
        self.now = at;
        self.free.push(place);
        self.events[place].take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_time_order_and_ties_in_the_order_they_were_asked_for() {
        let mut queue = Queue::default();
        queue.at(5, 'b');
        queue.at(5, 'c');
        queue.at(1, 'a');
        assert_eq!(
            [queue.next(), queue.next(), queue.next(), queue.next()],
            [Some('a'), Some('b'), Some('c'), None]
        );
        queue.at(2, 'd');
        assert_eq!((queue.next(), queue.now()), (Some('d'), 5));
    }
}
