use raincheck_core::Time;
use raincheck_core::gate::{Reservation, Window};

use crate::estimate::OUTPUT_DEFAULT;

/// What is not reserved of an answer is taken in pieces of so many tokens.
const PIECE: u64 = 256;

/// What a call takes of a limit of tokens: an estimate before it is made, and more of it while its answer grows beyond that.
pub(crate) struct Spent {
    reserved: Reservation,
    /// What was estimated.
    estimate: u64,
    /// So many tokens of the answer are accounted for.
    covered: u64,
    /// Pieces that were taken since, each of [`PIECE`] tokens.
    pieces: Vec<Reservation>,
}

impl Spent {
    /// A call that was estimated, with no more than [`OUTPUT_DEFAULT`] tokens for its answer.
    pub(crate) fn new(reserved: Reservation, estimate: u64) -> Self {
        Self { reserved, estimate, covered: OUTPUT_DEFAULT, pieces: Vec::new() }
    }

    /// Whether an answer that has come to so many tokens is to be taken more for.
    pub(crate) fn is_exceeded_by(&self, written: u64) -> bool {
        written >= self.covered + PIECE
    }

    /// Takes more for an answer that has come to so many tokens.
    pub(crate) fn take(&mut self, window: &mut Window, written: u64, now: Time) {
        while self.is_exceeded_by(written) {
            self.pieces.push(window.take(PIECE, now));
            self.covered += PIECE;
        }
    }

    /// The call has cost so much in all.
    pub(crate) fn settle(&self, window: &mut Window, actual: u64, now: Time) {
        let taken = self.estimate + PIECE * self.pieces.len() as u64;
        let (mut too_much, too_little) = (taken.saturating_sub(actual), actual.saturating_sub(taken));
        // What was taken last counts longest.
        for piece in self.pieces.iter().rev() {
            let back = too_much.min(PIECE);
            window.settle(*piece, PIECE - back, now);
            too_much -= back;
        }
        let estimate = (self.estimate + too_little).saturating_sub(too_much);
        if !window.settle(self.reserved, estimate, now) && too_little > 0 {
            // It took so long that what was estimated is forgotten: what it was short of is not.
            window.take(too_little, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 100_000;

    fn at(seconds: i64) -> Time {
        Time::from_millis(seconds * 1_000)
    }

    fn call(window: &mut Window, estimate: u64) -> Spent {
        Spent::new(window.take(estimate, at(0)), estimate)
    }

    #[test]
    fn a_long_answer_is_taken_for_while_it_comes() {
        let mut window = Window::new(LIMIT);
        let mut spent = call(&mut window, 1_100);
        spent.take(&mut window, 1_024 + 255, at(1));
        assert_eq!(window.used(at(1)), 1_100, "that much was reserved");
        spent.take(&mut window, 1_024 + 2_600, at(2));
        assert_eq!(window.used(at(2)), 1_100 + 10 * PIECE);
        // Each piece counts for a minute from when it came.
        assert_eq!(window.used(at(61)), 10 * PIECE);
        spent.take(&mut window, 1_024 + 2_600 + 300, at(90));
        assert_eq!(window.used(at(90)), PIECE);
    }

    #[test]
    fn the_truth_replaces_what_was_taken() {
        for (actual, later, used) in [
            (5_000, 30, 5_000),
            (2_000, 30, 2_000),
            (100, 30, 100),
            // The estimate is forgotten by then; the pieces are not.
            (5_000, 61, 10 * PIECE + (5_000 - 1_100 - 10 * PIECE)),
            (1_100 + 10 * PIECE - 300, 61, 10 * PIECE - 300),
        ] {
            let mut window = Window::new(LIMIT);
            let mut spent = call(&mut window, 1_100);
            spent.take(&mut window, 1_024 + 2_600, at(10));
            spent.settle(&mut window, actual, at(later));
            assert_eq!(window.used(at(later)), used, "{actual} after {later} s");
        }
    }

    #[test]
    fn what_an_answer_of_minutes_cost_is_not_forgotten_with_its_estimate() {
        let mut window = Window::new(LIMIT);
        let spent = call(&mut window, 1_100);
        spent.settle(&mut window, 20_000, at(600));
        assert_eq!(window.used(at(600)), 20_000 - 1_100);
    }
}
