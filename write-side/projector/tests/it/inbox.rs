//! The inbox forgets by age, when that is wished for, while the projector has nothing else to do.

use std::time::Duration;

use millrace_projector::projector::ProjectorSettings;
use millrace_testkit::oracle::stock;

use crate::world::{SETTINGS, World, drain, rows};

#[test]
fn old_ids_are_forgotten_slice_by_slice_when_all_is_projected() {
    let world = World::new();
    // More than a slice of a thousand.
    let events: Vec<_> =
        (0..2_500).map(|n| stock(&format!("e{n}"), n, &format!("s{}", n % 7), 1, None)).collect();
    let remembered =
        || rows(&world.sql(), "SELECT COUNT(*) FROM projected_events")[0].parse::<u64>().unwrap();

    world.append_events(&events);
    drain(&mut world.projector());
    assert_eq!(remembered(), 2_500, "for ever, by default");

    let a_day = Duration::from_secs(86_400);
    let mut projector = world.projector_with(ProjectorSettings { inbox_retention: Some(a_day), ..SETTINGS });
    drain(&mut projector);
    assert_eq!(remembered(), 2_500, "nothing is that old");

    let at_once = ProjectorSettings { inbox_retention: Some(Duration::ZERO), ..SETTINGS };
    let mut projector = world.projector_with(at_once);
    let mut left = vec![remembered()];
    while left.last() != Some(&0) {
        projector.step().unwrap();
        left.push(remembered());
    }
    left.dedup();
    assert_eq!(left, [2_500, 1_500, 500, 0], "a step never forgets more than a slice");
    let sum = rows(&world.sql(), "SELECT SUM(quantity) FROM inventory");
    assert_eq!(sum, ["2500"], "what was counted stays counted");
}
