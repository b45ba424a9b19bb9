//! Folders as a test leaves them.

use std::os::unix::fs::symlink;

use super::*;

const GOOD: &str =
    "<testsuite><testcase name='a' time='0.25'/><testcase name='b' time='0.5'/></testsuite>";

/// A folder of its own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("crm-report-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn with(self, file: &str, text: impl AsRef<[u8]>) -> Self {
        let path = self.0.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn collect(&self) -> Collected {
        collect(&self.0, 1024).0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn adds_up_every_report_below_the_folder() {
    let folder = Folder::new("adds")
        .with("one.xml", GOOD)
        .with("deep/er/TWO.XML", GOOD)
        .with("notes.txt", "no report");
    let all = folder.collect();
    assert_eq!((all.files, all.tests, all.passed), (2, 4, 4));
    assert_eq!(all.duration_milliseconds, 1500);
    assert_eq!(all.unreadable, None);
}

#[test]
fn a_folder_without_reports_says_so() {
    assert_eq!(Folder::new("none").collect(), Collected::default());
}

#[test]
fn a_file_that_cannot_be_read_is_named_beside_the_counts_of_the_others() {
    let folder = Folder::new("broken")
        .with("a.xml", "<testsuite>")
        .with("b.xml", GOOD)
        .with("c.xml", [0xff, 0xfe]);
    let all = folder.collect();
    assert_eq!((all.files, all.tests), (3, 2));
    assert_eq!(
        all.unreadable.unwrap(),
        "a.xml: it ends within an element",
        "the first one is told"
    );
}

#[test]
fn a_link_is_not_followed() {
    let folder = Folder::new("links").with("elsewhere/report", GOOD);
    symlink(folder.0.join("elsewhere/report"), folder.0.join("a.xml")).unwrap();
    let all = folder.collect();
    assert_eq!((all.files, all.tests), (1, 0));
    assert_eq!(all.unreadable.unwrap(), "a.xml: it is not a plain file");
}

#[test]
fn what_is_huge_is_not_read_to_its_end() {
    let folder = Folder::new("huge").with("b.xml", GOOD);
    // Holes take no room on the disk, so the limit of the volume does not stop them.
    for name in ["a.xml", "c.xml"] {
        let hole = File::create(folder.0.join(name)).unwrap();
        hole.set_len(1 << 40).unwrap();
    }
    let all = folder.collect();
    assert_eq!((all.files, all.tests), (3, 0));
    let why = all.unreadable.unwrap();
    assert!(why.starts_with("a.xml: all reports together"), "{why}");
}

#[test]
fn too_many_reports_and_too_deep_folders_are_told() {
    let mut many = Folder::new("many");
    for number in 0..=FILES {
        many = many.with(&format!("{number}.xml"), "<testsuite/>");
    }
    assert!(many.collect().unreadable.unwrap().contains("reports"));
    let deep = Folder::new("deep").with("1/2/3/4/5/6/7/8/a.xml", GOOD);
    assert!(deep.collect().unreadable.unwrap().contains("deep"));
    let gone = collect(Path::new("/nowhere/at/all"), 1024).0;
    assert!(gone.unreadable.unwrap().starts_with("failed to list"));
}
