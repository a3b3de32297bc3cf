//! Every interleaving of concurrent handlers that fetch a subscription and store the answer.
//!
//! The subscription changes `n` times, in order. Handler *i* hears of change *i*, takes whatever its
//! rule takes, reads what Stripe shows and writes it down if its rule lets it. A row that shows
//! anything but the last change after all have finished is stale for good: no event is left that would
//! mend it. The rules that others were seen to use are here as controls, and must be caught.

/// How a handler decides whether to overwrite the row.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Rule {
    /// Nothing: the last write wins.
    Blind,
    /// The event's `created`, of which all have the same second.
    EventSecond,
    /// A local time that was taken when the answer came.
    StampAfterFetch,
    /// A number that was taken before the question was asked: ours.
    NumberBeforeFetch,
}

/// The steps of one handler, in this order. A rule that needs no number or no stamp takes one all the
/// same, so that all rules are tried on the same histories.
#[derive(Clone, Copy)]
enum Step {
    /// Something changes at Stripe, and the handler hears of it.
    Change,
    Start,
    Read,
    Stamp,
    Write,
}

const STEPS: [Step; 5] = [Step::Change, Step::Start, Step::Read, Step::Stamp, Step::Write];

#[derive(Clone, Copy, Default)]
struct Handler {
    done: usize,
    number: u32,
    read: usize,
    stamp: u32,
}

#[derive(Clone)]
struct World<const N: usize> {
    rule: Rule,
    handlers: [Handler; N],
    clock: u32,
    changes: usize,
    /// The content of the row, and the number that it was written with.
    row: (usize, u32),
}

impl<const N: usize> World<N> {
    fn new(rule: Rule) -> Self {
        Self { rule, handlers: [Handler::default(); N], clock: 0, changes: 0, row: (0, 0) }
    }

    /// The next step of handler `i`. Changes happen in order.
    fn next_step(&self, i: usize) -> Option<Step> {
        match self.handlers[i].done {
            0 if self.changes != i => None,
            done => STEPS.get(done).copied(),
        }
    }

    fn take(&mut self, i: usize, step: Step) {
        self.clock += 1;
        let handler = &mut self.handlers[i];
        handler.done += 1;
        match step {
            Step::Change => self.changes += 1,
            Step::Start => handler.number = self.clock,
            Step::Read => handler.read = self.changes,
            Step::Stamp => handler.stamp = self.clock,
            Step::Write => {
                let number = match self.rule {
                    Rule::Blind => u32::MAX,
                    Rule::EventSecond => 1,
                    Rule::StampAfterFetch => handler.stamp,
                    Rule::NumberBeforeFetch => handler.number,
                };
                if number > self.row.1 || self.rule == Rule::Blind {
                    self.row = (handler.read, number);
                }
            }
        }
    }

    /// All histories from here, and how many of them end stale.
    fn count(&self) -> (u32, u32) {
        let (mut all, mut stale, mut over) = (0, 0, true);
        for i in 0..N {
            let Some(step) = self.next_step(i) else { continue };
            over = false;
            let mut next = self.clone();
            next.take(i, step);
            let counted = next.count();
            all += counted.0;
            stale += counted.1;
        }
        if over { (1, u32::from(self.row.0 != N)) } else { (all, stale) }
    }
}

#[test]
fn two_handlers() {
    for (rule, stale) in [
        (Rule::Blind, 6),
        (Rule::StampAfterFetch, 3),
        (Rule::EventSecond, 15),
        (Rule::NumberBeforeFetch, 0),
    ] {
        assert_eq!(World::<2>::new(rule).count(), (126, stale), "{rule:?}");
    }
}

#[test]
fn three_handlers() {
    for (rule, stale) in [
        (Rule::Blind, 10_626),
        (Rule::StampAfterFetch, 5_253),
        (Rule::EventSecond, 28_476),
        (Rule::NumberBeforeFetch, 0),
    ] {
        assert_eq!(World::<3>::new(rule).count(), (126_126, stale), "{rule:?}");
    }
}
