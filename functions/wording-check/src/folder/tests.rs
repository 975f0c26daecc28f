use proptest::prelude::*;

use super::*;

fn file(path: &str, etag: &str, modified: i64) -> StoredFile {
    StoredFile { path: path.to_owned(), etag: etag.to_owned(), modified, size: 5 }
}

fn folder(files: Vec<StoredFile>) -> Folder {
    let own = Listing { files, is_cut_off: false };
    Folder { name: "gala".to_owned(), own, layout: Listing::default() }
}

fn upload(key: &str, change: Change, at: i64) -> Upload {
    Upload { event_id: "e".to_owned(), bucket: "templates".to_owned(), key: key.to_owned(), change, at }
}

fn placed(file: &StoredFile) -> Upload {
    upload(&file.path, Change::Placed { etag: file.etag.clone() }, file.modified)
}

proptest! {
    /// However many files are dragged, in whichever seconds and order they arrive: one of their events reports.
    #[test]
    fn of_the_events_of_a_folder_exactly_one_reports(
        seconds in proptest::collection::vec(100_i64..104, 1..12),
    ) {
        let files: Vec<_> =
            seconds.iter().enumerate().map(|(n, at)| file(&format!("gala/{n}.txt"), "e", *at)).collect();
        let folder = folder(files.clone());
        let reporting: Vec<_> =
            files.iter().map(placed).filter(|upload| !folder.is_overtaken(upload)).collect();
        prop_assert_eq!(reporting.len(), 1);
        prop_assert_eq!(Some(reporting[0].at), seconds.iter().max().copied());
    }
}

#[test]
fn a_change_reports_unless_a_later_one_does() {
    let (html, text) = (file("gala/en.html", "1", 100), file("gala/en.txt", "2", 105));
    let folder = folder(vec![html.clone(), text.clone()]);
    for (upload, is_overtaken) in [
        (placed(&text), false),
        (placed(&html), true),
        (upload("gala/en.txt", Change::Placed { etag: "0".to_owned() }, 101), true),
        (upload("gala/de.txt", Change::Placed { etag: "0".to_owned() }, 106), true),
        (upload("gala/de.txt", Change::Removed, 106), false),
        (upload("gala/de.txt", Change::Removed, 105), false),
        (upload("gala/de.txt", Change::Removed, 104), true),
        (upload("gala/en.txt", Change::Removed, 104), true),
        (upload("gala/en.txt", Change::OldVersionRemoved, 200), true),
    ] {
        assert_eq!(folder.is_overtaken(&upload), is_overtaken, "{upload:?}");
    }
}

#[test]
fn what_is_beyond_the_first_thousand_files_is_not_taken_for_deleted() {
    let mut folder = folder(vec![file("gala/a.txt", "1", 100)]);
    folder.own.is_cut_off = true;
    assert!(!folder.is_overtaken(&upload("gala/z.txt", Change::Placed { etag: "1".to_owned() }, 100)));
}

#[test]
fn every_change_of_the_folder_or_its_layout_is_another_state() {
    let state = |own: &[StoredFile], layout: &[StoredFile]| {
        let mut folder = folder(own.to_vec());
        folder.layout.files = layout.to_vec();
        folder.state()
    };
    let (a, b) = (file("gala/a.txt", "1", 100), file("gala/b.txt", "1", 100));
    let states = [
        state(std::slice::from_ref(&a), &[]),
        state(&[a.clone(), b.clone()], &[]),
        state(std::slice::from_ref(&a), std::slice::from_ref(&b)),
        state(&[file("gala/a.txt", "2", 100)], &[]),
        // Uploaded again as it was: the marketer wants to be told again.
        state(&[file("gala/a.txt", "1", 101)], &[]),
    ];
    for (place, one) in states.iter().enumerate() {
        assert!(states[..place].iter().all(|other| other != one), "{place}");
    }
    assert_eq!(state(&[a.clone(), b.clone()], &[]), states[1]);
}
