//! What every store of dead letters promises. Each test is given an empty one.

use millrace_domain::Position;
use millrace_domain::record::Headers;
use millrace_projector::dead_letter::mirror::{MirrorPoint, Shown};
use millrace_projector::dead_letter::{DeadLetter, LetterFilter, LetterId, Resolution};

use super::fixture::{Store, letter, time};

/// Bytes after which a page ends.
const PAGE_BYTES: usize = 16 * 1024 * 1024;

fn all() -> LetterFilter {
    LetterFilter::default()
}

fn offsets(letters: &[DeadLetter]) -> Vec<i64> {
    letters.iter().map(|letter| letter.position.offset).collect()
}

fn ids(letters: &[DeadLetter]) -> Vec<LetterId> {
    letters.iter().map(DeadLetter::id).collect()
}

pub(crate) fn letters_come_back_whole(mut store: Store) {
    let full = DeadLetter {
        position: Position { partition: 7, offset: i64::MAX },
        reason: "refused-by-read-model".to_owned(),
        error: "👩 ' \" \\ % [ ".repeat(1_000),
        causes: vec!["outer \"cause\"".to_owned(), "inner, [cause]".to_owned()],
        event_id: Some("É-event ".to_owned()),
        event_type: Some("OrderPlaced".to_owned()),
        key: Some(vec![0, 0xff, b'k']),
        payload: Some((0..=255).cycle().take(100_000).collect()),
        headers: Headers::EMPTY.with("traceparent", b"00-\xff").with("h", b""),
        attempts: 11,
        appended_at: millrace_domain::Timestamp::parse("0001-01-01T00:00:00Z").unwrap(),
        ..letter(0, 1_767_225_600_123_456)
    };
    // Empty is something else than missing.
    let empty = DeadLetter { key: Some(Vec::new()), payload: Some(Vec::new()), ..letter(1, 2) };
    let bare = DeadLetter { key: None, payload: None, ..letter(2, 1) };
    let died = [full, empty, bare];
    store.die(&died);
    assert_eq!(store.open(&all()), died);
    for letter in &died {
        assert_eq!(store.ask(store.letters.get(&letter.id())).unwrap().as_ref(), Some(letter));
    }
    let elsewhere = LetterId { topic: "Events".to_owned(), ..died[0].id() };
    assert_eq!(store.ask(store.letters.get(&elsewhere)).unwrap(), None);
}

pub(crate) fn a_record_dies_once(mut store: Store) {
    let first = letter(5, 1);
    store.die(std::slice::from_ref(&first));
    store.die(&[DeadLetter { error: "again".to_owned(), ..letter(5, 2) }, letter(6, 3)]);
    assert_eq!(store.open(&all()), [letter(6, 3), first]);
}

pub(crate) fn pages_come_newest_first_and_meet(mut store: Store) {
    // Four died at the same time, on two partitions.
    let mut died: Vec<_> = [(1, 5), (2, 9), (3, 5), (4, 5), (5, 1)].map(|(n, at)| letter(n, at)).into();
    died.push(DeadLetter { position: Position { partition: 1, offset: 0 }, ..letter(0, 5) });
    store.die(&died);
    let whole = store.open(&all());
    assert_eq!(offsets(&whole), [2, 0, 4, 3, 1, 5]);
    let page = |limit, offset| store.ask(store.letters.page(&all(), limit, offset)).unwrap();
    assert_eq!([page(4, 0), page(4, 4)].concat(), whole);
    assert_eq!((page(10, 6).len(), page(0, 0).len()), (0, 0));
}

pub(crate) fn a_page_ends_with_the_letter_that_fills_it(mut store: Store) {
    let large =
        |offset| DeadLetter { payload: Some(vec![b'x'; PAGE_BYTES / 2 - 1]), ..letter(offset, offset) };
    store.die(&[large(1), large(2)]);
    store.die(&[large(3), large(4)]);
    assert_eq!(offsets(&store.open(&all())), [4, 3, 2], "two do not fill it yet");
    let rest = store.ask(store.letters.page(&all(), 1_000, 3)).unwrap();
    assert_eq!(offsets(&rest), [1]);
}

pub(crate) fn filters_choose_by_every_field(mut store: Store) {
    let some = |text: &str| Some(text.to_owned());
    store.die(&[
        DeadLetter { event_type: some("OrderPlaced"), event_id: some("e-1"), ..letter(1, 10) },
        DeadLetter { event_type: some("orderplaced"), event_id: some("E-1"), ..letter(2, 20) },
        DeadLetter { reason: "unknown-type".to_owned(), ..letter(3, 30) },
    ]);
    let found = |filter: LetterFilter| {
        let found = offsets(&store.open(&filter));
        let counted = store.ask(store.letters.depth(&filter)).unwrap();
        assert_eq!(counted, found.len() as u64);
        found
    };
    assert_eq!(found(LetterFilter { event_type: some("OrderPlaced"), ..all() }), [1]);
    assert_eq!(found(LetterFilter { event_type: some(""), ..all() }), [3], "of unknown type");
    assert_eq!(found(LetterFilter { reason: some("not-json"), ..all() }), [2, 1]);
    assert_eq!(found(LetterFilter { event_id: some("e-1"), ..all() }), [1]);
    assert_eq!(found(LetterFilter { event_id: some("e-%"), ..all() }), [0_i64; 0]);
    assert_eq!(found(LetterFilter { from: Some(time(20)), ..all() }), [3, 2]);
    assert_eq!(found(LetterFilter { to: Some(time(20)), ..all() }), [1]);
    assert_eq!(found(LetterFilter { from: Some(time(10)), to: Some(time(11)), ..all() }), [1]);
    assert_eq!(found(LetterFilter { reason: some("not-json"), from: Some(time(11)), ..all() }), [2]);
}

pub(crate) fn letters_are_grouped_by_cause(mut store: Store) {
    let of = |offset, at, event_type: &str| DeadLetter {
        event_type: Some(event_type.to_owned()),
        ..letter(offset, at)
    };
    store.die(&[of(1, 10, "A"), of(2, 30, "A"), of(3, 20, "A"), of(4, 5, "B"), letter(5, 7)]);
    let groups = store.ask(store.letters.groups(&all())).unwrap();
    let seen: Vec<_> = groups
        .iter()
        .map(|group| {
            let ends = (group.oldest.micros(), group.newest.micros());
            (group.event_type.as_str(), group.count, ends, group.example.offset)
        })
        .collect();
    assert_eq!(seen, [("A", 3, (10, 30), 2), ("", 1, (7, 7), 5), ("B", 1, (5, 5), 4)]);
    let only = LetterFilter { event_type: Some("B".to_owned()), ..all() };
    assert_eq!(store.ask(store.letters.groups(&only)).unwrap().len(), 1);
}

pub(crate) fn a_letter_is_closed_once(mut store: Store) {
    let died = [letter(1, 1), letter(2, 2), letter(3, 3)];
    store.die(&died);
    let close = |letters: &[DeadLetter], how| store.ask(store.letters.close(&ids(letters), how)).unwrap();
    assert_eq!(close(&died[..2], Resolution::Redriven), 2);
    assert_eq!(close(&died, Resolution::Discarded), 1, "what is closed stays as it was");
    assert_eq!(close(&[], Resolution::Discarded), 0);
    assert_eq!(close(&[letter(99, 1)], Resolution::Discarded), 0);
    assert!(store.open(&all()).is_empty());
    assert_eq!(store.ask(store.letters.get(&died[0].id())).unwrap(), None);
    store.die(&died);
    assert!(store.open(&all()).is_empty(), "a closed letter never opens again");
}

pub(crate) fn discarding_begins_with_the_oldest(mut store: Store) {
    store.die(&[letter(1, 3), letter(2, 1), letter(3, 2), letter(4, 4)]);
    store.die(&[DeadLetter { reason: "unknown-type".to_owned(), ..letter(5, 0) }]);
    let not_json = LetterFilter { reason: Some("not-json".to_owned()), ..all() };
    assert_eq!(store.ask(store.letters.discard_matching(&not_json, 2)).unwrap(), 2);
    assert_eq!(offsets(&store.open(&all())), [4, 1, 5]);
    let mut discarded = 0;
    store.ask(store.letters.discard_all_matching(&all(), 2, |letters| discarded += letters)).unwrap();
    assert_eq!(discarded, 3);
    assert!(store.open(&all()).is_empty());
}

fn point(generation: &str, version: i64) -> MirrorPoint {
    MirrorPoint { generation: generation.to_owned(), version }
}

pub(crate) fn the_mirror_gets_what_to_push_and_what_to_remove(mut store: Store) {
    let died = [letter(1, 3), letter(2, 1), letter(3, 2)];
    store.die(&died);
    let letters = &store.letters;
    assert_eq!(store.ask(letters.mirror_point()).unwrap(), MirrorPoint::default(), "nothing was ever shown");
    store.ask(letters.mirror_restart("one")).unwrap();
    assert_eq!(store.ask(letters.mirror_point()).unwrap(), point("one", 0));
    let work = store.ask(letters.mirror_work()).unwrap();
    assert_eq!((offsets(&work.push), work.remove.len(), work.waiting), (vec![2, 3, 1], 0, 3));
    assert_eq!(work.push[0], died[1], "pushed whole");
    let note = |some: &[DeadLetter], shown, version| {
        store.ask(letters.mirrored(&ids(some), shown, &point("one", version))).unwrap()
    };
    assert!(note(&died, Shown::Perhaps, 1));
    assert!(note(&died[..2], Shown::Yes, 3));
    assert!(note(&[], Shown::Yes, 2));
    assert_eq!(store.ask(letters.mirror_point()).unwrap(), point("one", 3), "it never goes back");
    let work = store.ask(letters.mirror_work()).unwrap();
    assert_eq!((offsets(&work.push), work.waiting), (vec![3], 1), "what may be shown is pushed again");
    store.ask(letters.close(&ids(&died), Resolution::Discarded)).unwrap();
    let work = store.ask(letters.mirror_work()).unwrap();
    assert_eq!((work.push.len(), work.waiting), (0, 3));
    assert_eq!(work.remove, ids(&[died[1].clone(), died[2].clone(), died[0].clone()]));
    assert!(note(&died, Shown::No, 4));
    assert_eq!(store.ask(letters.mirror_work()).unwrap().waiting, 0);
}

pub(crate) fn a_note_about_another_filling_is_refused(mut store: Store) {
    let died = [letter(1, 1)];
    store.die(&died);
    let letters = &store.letters;
    store.ask(letters.mirror_restart("one")).unwrap();
    assert!(store.ask(letters.mirrored(&ids(&died), Shown::Yes, &point("one", 5))).unwrap());
    store.ask(letters.mirror_restart("two")).unwrap();
    assert_eq!(store.ask(letters.mirror_point()).unwrap(), point("two", 0));
    assert!(!store.ask(letters.mirrored(&ids(&died), Shown::Yes, &point("one", 6))).unwrap());
    let work = store.ask(letters.mirror_work()).unwrap();
    assert_eq!(offsets(&work.push), [1], "a new filling shows nothing yet");
}
