//! Some seeds of the long histories; `cargo xtask simulate` runs as many as asked.

use std::ops::Range;

use simulation::history::live;

fn check(seeds: Range<u64>) {
    for seed in seeds {
        let history = live(seed, 250);
        let rules = history.violations.join("\n");
        let last: Vec<_> = history.script.iter().rev().take(100).rev().map(String::as_str).collect();
        assert!(
            rules.is_empty(),
            "{}\n\n{rules}\n\ncargo xtask simulate --histories-only --seeds 1 --from {seed} --events 250",
            last.join("\n")
        );
        assert!(history.faults > 100, "hardly anything went wrong: {}", history.faults);
    }
}

#[test]
fn with_throttles_only_everything_is_done_and_no_dlq_is_needed() {
    check(0..1);
    check(4..5);
}

#[test]
fn with_all_bad_luck_nothing_is_lost_and_nothing_is_done_twice() {
    check(1..4);
}

#[test]
fn with_other_bad_luck_too() {
    check(5..8);
}

#[test]
fn a_seed_makes_the_same_run_every_time() {
    let one = live(9, 60);
    let other = live(9, 60);
    assert_eq!(one.script, other.script);
}
