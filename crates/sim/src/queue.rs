//! Virtual time: what is to happen, ordered by when, and among equals by who asked first.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use dataplane::Micros;

struct Item<E> {
    at: Micros,
    order: u64,
    event: E,
}

impl<E> PartialEq for Item<E> {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl<E> Eq for Item<E> {}

impl<E> PartialOrd for Item<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Item<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// The future, as far as it is known.
pub struct Queue<E> {
    heap: BinaryHeap<Reverse<Item<E>>>,
    asked: u64,
    now: Micros,
}

impl<E> Default for Queue<E> {
    fn default() -> Queue<E> {
        Queue { heap: BinaryHeap::new(), asked: 0, now: 0 }
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
        self.heap.push(Reverse(Item { at: at.max(self.now), order: self.asked, event }));
    }

    /// Lets `event` happen in `wait` microseconds.
    pub fn after(&mut self, wait: Micros, event: E) {
        self.at(self.now + wait, event);
    }

    /// Moves time to the next event.
    pub fn next(&mut self) -> Option<E> {
        let Reverse(item) = self.heap.pop()?;
        self.now = item.at;
        Some(item.event)
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
        assert_eq!([queue.next(), queue.next(), queue.next(), queue.next()], [Some('a'), Some('b'), Some('c'), None]);
        queue.at(2, 'd');
        assert_eq!((queue.next(), queue.now()), (Some('d'), 5));
    }
}
